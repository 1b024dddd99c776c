use std::io::{self, BufRead, Read};

/// A request or an answer as it was on the wire, its body decoded.
#[derive(Debug, Clone, Default)]
pub(crate) struct Message {
    /// The first line.
    pub(crate) start: String,
    /// Names in lower case, in order.
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
    pub(crate) trailers: Vec<(String, String)>,
    /// The connection ended before the message did.
    pub(crate) truncated: bool,
}

impl Message {
    pub(crate) fn status(&self) -> u16 {
        self.start.split(' ').nth(1).and_then(|code| code.parse().ok()).unwrap_or(0)
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    pub(crate) fn text(&self) -> &str {
        str::from_utf8(&self.body).unwrap()
    }

    /// Reads a head; `None` when the connection ends first.
    pub(crate) fn read_head(input: &mut impl BufRead) -> io::Result<Option<Self>> {
        let Some(start) = read_line(input)? else { return Ok(None) };
        let mut message = Self { start, ..Self::default() };
        message.headers = read_headers(input)?;
        Ok(Some(message))
    }

    /// Reads a body as the head describes it.
    pub(crate) fn read_body(&mut self, input: &mut impl BufRead, until_end: bool) {
        if self.header("transfer-encoding") == Some("chunked") {
            self.truncated = self.read_chunks(input).is_err();
        } else if let Some(length) = self.header("content-length") {
            let length: u64 = length.parse().unwrap();
            let result = input.take(length).read_to_end(&mut self.body);
            self.truncated = result.is_err() || self.body.len() as u64 != length;
        } else if until_end {
            self.truncated = input.read_to_end(&mut self.body).is_err();
        }
    }

    fn read_chunks(&mut self, input: &mut impl BufRead) -> io::Result<()> {
        loop {
            let line = read_line(input)?.ok_or(io::ErrorKind::UnexpectedEof)?;
            let length = u64::from_str_radix(&line, 16).map_err(io::Error::other)?;
            if length == 0 {
                self.trailers = read_headers(input)?;
                return Ok(());
            }
            let before = self.body.len();
            input.take(length).read_to_end(&mut self.body)?;
            if (self.body.len() - before) as u64 != length {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            read_line(input)?;
        }
    }
}

fn read_headers(input: &mut impl BufRead) -> io::Result<Vec<(String, String)>> {
    let mut headers = Vec::new();
    loop {
        let line = read_line(input)?.ok_or(io::ErrorKind::UnexpectedEof)?;
        if line.is_empty() {
            return Ok(headers);
        }
        let (name, value) = line.split_once(": ").ok_or(io::ErrorKind::InvalidData)?;
        headers.push((name.to_ascii_lowercase(), value.to_owned()));
    }
}

fn read_line(input: &mut impl BufRead) -> io::Result<Option<String>> {
    let mut line = String::new();
    if input.read_line(&mut line)? == 0 {
        return Ok(None);
    }
    let line = line.strip_suffix("\r\n").ok_or(io::ErrorKind::UnexpectedEof)?;
    Ok(Some(line.to_owned()))
}
