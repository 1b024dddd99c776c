//! Counts complete HTTP/1.1 messages in a stream of bytes, by `Content-Length`.
//!
//! Deliberately small: whatever is not a plain message with a length (chunked
//! bodies, interim answers, errors) ends the run, because it would mean that a
//! proxy did something else than it was asked to measure.

use anyhow::{Result, bail, ensure};
use memchr::memmem;

/// Which side of the conversation is read.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Side {
    /// Requests: no length means no body.
    Requests,
    /// Responses: status 200 with a length, or the run is void.
    Responses,
}

/// Where in a message the stream stands.
#[derive(Debug)]
pub(crate) struct Framing {
    side: Side,
    /// The beginning of a head whose end has not arrived.
    head: Vec<u8>,
    body_left: usize,
}

impl Framing {
    pub(crate) fn new(side: Side) -> Self {
        Self { side, head: Vec::new(), body_left: 0 }
    }

    /// True between two messages.
    pub(crate) fn is_idle(&self) -> bool {
        self.head.is_empty() && self.body_left == 0
    }

    /// Takes in the next bytes; returns how many messages ended in them.
    pub(crate) fn feed(&mut self, mut bytes: &[u8]) -> Result<usize> {
        let mut ended = 0;
        while !bytes.is_empty() {
            if self.body_left > 0 {
                let taken = self.body_left.min(bytes.len());
                self.body_left -= taken;
                bytes = &bytes[taken..];
                ended += usize::from(self.body_left == 0);
                continue;
            }
            let already = self.head.len();
            if already == 0 {
                // The usual case: a whole head in one read is looked at where it lies.
                let Some(end) = head_end(bytes) else {
                    self.head.extend_from_slice(bytes);
                    return Ok(ended);
                };
                self.body_left = body_length(self.side, &bytes[..end])?;
                bytes = &bytes[end..];
            } else {
                self.head.extend_from_slice(bytes);
                let Some(end) = head_end(&self.head) else {
                    return Ok(ended);
                };
                self.body_left = body_length(self.side, &self.head[..end])?;
                bytes = &bytes[end - already..];
                self.head.clear();
            }
            ended += usize::from(self.body_left == 0);
        }
        Ok(ended)
    }
}

fn head_end(bytes: &[u8]) -> Option<usize> {
    memmem::find(bytes, b"\r\n\r\n").map(|at| at + 4)
}

fn body_length(side: Side, head: &[u8]) -> Result<usize> {
    if side == Side::Responses && !head.starts_with(b"HTTP/1.1 200 ") {
        bail!("unexpected answer:\n{}", head.escape_ascii());
    }
    let mut length = None;
    for line in head.split(|&byte| byte == b'\n') {
        // Both names have their own length, which spares most lines the comparison.
        match line.iter().position(|&byte| byte == b':') {
            Some(14) if line[..14].eq_ignore_ascii_case(b"content-length") => {
                let digits = str::from_utf8(&line[15..])?.trim();
                length = Some(digits.parse()?);
            }
            Some(17) if line[..17].eq_ignore_ascii_case(b"transfer-encoding") => {
                bail!("a body without a length:\n{}", head.escape_ascii());
            }
            _ => {}
        }
    }
    ensure!(
        length.is_some() || side == Side::Requests,
        "an answer without a length:\n{}",
        head.escape_ascii()
    );
    Ok(length.unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::*;

    const RESPONSE: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhello";

    #[test]
    fn messages_are_counted_however_they_are_cut() {
        let three = RESPONSE.repeat(3);
        for cut in 1..three.len() {
            let mut framing = Framing::new(Side::Responses);
            let ended: usize = three.chunks(cut).map(|part| framing.feed(part).unwrap()).sum();
            assert_eq!(ended, 3, "cut every {cut} bytes");
            assert!(framing.is_idle());
        }
    }

    #[test]
    fn request_without_a_length_has_no_body() {
        let mut framing = Framing::new(Side::Requests);
        assert_eq!(framing.feed(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n").unwrap(), 1);
    }

    #[test]
    fn anything_but_a_sized_200_is_refused() {
        for answer in [
            &b"HTTP/1.1 502 Bad Gateway\r\nContent-Length: 0\r\n\r\n"[..],
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
            b"HTTP/1.1 200 OK\r\n\r\n",
        ] {
            assert!(Framing::new(Side::Responses).feed(answer).is_err());
        }
    }
}
