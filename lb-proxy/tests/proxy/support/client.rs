use std::{
    io::{self, BufReader, Read, Write},
    net::{Shutdown, SocketAddr, TcpStream},
};

use socket2::{Domain, Socket, Type};

use super::{Message, PATIENCE};

/// A client that sends what it is told.
pub(crate) struct Client {
    pub(crate) stream: TcpStream,
    input: BufReader<TcpStream>,
}

impl Client {
    pub(crate) fn connect(address: SocketAddr) -> Self {
        Self::new(TcpStream::connect(address).unwrap())
    }

    /// A client whose kernel takes little on its behalf.
    pub(crate) fn with_small_buffer(address: SocketAddr) -> Self {
        let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
        socket.set_recv_buffer_size(4096).unwrap();
        socket.connect(&address.into()).unwrap();
        Self::new(socket.into())
    }

    fn new(stream: TcpStream) -> Self {
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.set_write_timeout(Some(PATIENCE)).unwrap();
        stream.set_nodelay(true).unwrap();
        let input = BufReader::new(stream.try_clone().unwrap());
        Self { stream, input }
    }

    pub(crate) fn send(&mut self, bytes: impl AsRef<[u8]>) {
        self.stream.write_all(bytes.as_ref()).unwrap();
    }

    /// Reads the answer to `request`, whose method says whether there is a body.
    pub(crate) fn answer(&mut self, request: &str) -> Message {
        let mut message = self.head();
        let has_body = !request.starts_with("HEAD") && ![204, 304].contains(&message.status());
        if has_body {
            message.read_body(&mut self.input, true);
        }
        message
    }

    pub(crate) fn ask(&mut self, request: &str) -> Message {
        self.send(request);
        self.answer(request)
    }

    /// Reads a head, and not its body.
    pub(crate) fn head(&mut self) -> Message {
        Message::read_head(&mut self.input).unwrap().expect("an answer")
    }

    /// Reads the body that follows a head.
    pub(crate) fn body(&mut self, head: &mut Message) {
        head.read_body(&mut self.input, true);
    }

    /// Reads exactly `length` bytes of what comes next.
    pub(crate) fn read(&mut self, length: usize) -> Vec<u8> {
        let mut bytes = vec![0; length];
        self.input.read_exact(&mut bytes).unwrap();
        bytes
    }

    /// Reads to the end of the connection; an error is a reset.
    pub(crate) fn rest(&mut self) -> io::Result<Vec<u8>> {
        let mut bytes = Vec::new();
        self.input.read_to_end(&mut bytes).map(|_| bytes)
    }

    /// Asserts that the proxy closes the connection, quietly.
    pub(crate) fn is_closed(&mut self) {
        assert_eq!(self.rest().unwrap(), b"", "closed without a word");
    }

    pub(crate) fn end(&self) {
        let _ = self.stream.shutdown(Shutdown::Both);
    }
}

impl Client {
    /// Reads `length` bytes, if they have come.
    pub(crate) fn try_read(&mut self, length: usize) -> Option<Vec<u8>> {
        let mut bytes = vec![0; length];
        self.input.read_exact(&mut bytes).ok().map(|()| bytes)
    }

    /// Whether anything at all comes.
    pub(crate) fn rest_is_some(&mut self) -> bool {
        let mut byte = [0];
        matches!(self.input.read(&mut byte), Ok(1))
    }
}
