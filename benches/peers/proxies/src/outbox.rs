//! Writes one pre-rendered message, in as many pieces as the socket wants.

use std::{
    io::{self, ErrorKind, Write as _},
    net::TcpStream,
};

/// How many messages still have to be written, and how much of the first is out.
#[derive(Debug, Default)]
pub(crate) struct Outbox {
    waiting: usize,
    written: usize,
}

impl Outbox {
    pub(crate) fn push(&mut self, messages: usize) {
        self.waiting += messages;
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.waiting == 0
    }

    /// Writes what the socket takes. Returns false when it is full for now.
    pub(crate) fn flush(&mut self, mut stream: &TcpStream, message: &[u8]) -> io::Result<bool> {
        while self.waiting > 0 {
            match stream.write(&message[self.written..]) {
                Ok(bytes) => self.written += bytes,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(false),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
            if self.written == message.len() {
                self.written = 0;
                self.waiting -= 1;
            }
        }
        Ok(true)
    }
}
