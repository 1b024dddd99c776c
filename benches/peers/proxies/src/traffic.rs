//! The bytes of one request and one response, rendered once.

use crate::cli::Mode;

/// What clients send and backends answer.
#[derive(Debug)]
pub(crate) struct Traffic {
    pub(crate) mode: Mode,
    pub(crate) request: Box<[u8]>,
    pub(crate) response: Box<[u8]>,
}

impl Traffic {
    /// `body` bytes in the response; `post` bytes in the request, or a GET without a body.
    pub(crate) fn new(mode: Mode, body: usize, post: Option<usize>) -> Self {
        let (method, length) = match post {
            Some(bytes) => ("POST", format!("Content-Length: {bytes}\r\n")),
            None => ("GET", String::new()),
        };
        let connection = match mode {
            Mode::KeepAlive => "",
            Mode::NewConnections => "Connection: close\r\n",
        };
        let mut request = format!(
            "{method} /bench/item?id=42 HTTP/1.1\r\n\
             Host: bench.example\r\n\
             User-Agent: driver/1\r\n\
             Accept: */*\r\n\
             {length}{connection}\r\n"
        )
        .into_bytes();
        request.resize(request.len() + post.unwrap_or(0), b'q');
        // A Date as real backends send it: a proxy need not make one up.
        let mut response = format!(
            "HTTP/1.1 200 OK\r\n\
             Server: backend\r\n\
             Date: Mon, 01 Jan 2024 00:00:00 GMT\r\n\
             Content-Type: text/plain\r\n\
             Content-Length: {body}\r\n\r\n"
        )
        .into_bytes();
        response.resize(response.len() + body, b'x');
        Self { mode, request: request.into(), response: response.into() }
    }
}
