//! A client that keeps its cookies, and tells what it got.

use std::{
    io::{BufRead as _, BufReader, Read as _, Write as _},
    net::{SocketAddr, TcpStream},
    time::Duration,
};

use anyhow::{Context as _, bail, ensure};

/// How long an answer may take.
const PATIENCE: Duration = Duration::from_secs(5);

/// A client of the balancer, with the one cookie that it may be given.
#[derive(Debug)]
pub(super) struct Client {
    address: SocketAddr,
    cookie: Option<String>,
}

/// An answer with status 200.
#[derive(Debug)]
pub(super) struct Answer {
    /// Which backend gave it.
    pub(super) name: String,
    /// The path that the backend saw.
    pub(super) path: String,
    /// It came with a cookie.
    pub(super) sets_cookie: bool,
}

impl Client {
    pub(super) fn new(address: SocketAddr) -> Self {
        Self { address, cookie: None }
    }

    /// Asks over a new connection. Anything but a whole 200 is an error.
    pub(super) fn get(&mut self, path: &str) -> anyhow::Result<Answer> {
        self.try_get(path).with_context(|| format!("no answer for {path}"))
    }

    fn try_get(&mut self, path: &str) -> anyhow::Result<Answer> {
        let mut stream = TcpStream::connect_timeout(&self.address, PATIENCE)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        let cookie = self.cookie.as_ref().map(|cookie| format!("Cookie: {cookie}\r\n"));
        write!(
            stream,
            "GET {path} HTTP/1.1\r\nHost: {}\r\n{}Connection: close\r\n\r\n",
            self.address,
            cookie.unwrap_or_default()
        )?;
        let mut reader = BufReader::new(stream);
        let mut line = String::new();
        reader.read_line(&mut line)?;
        ensure!(line.starts_with("HTTP/1.1 200 "), "the answer was `{}`", line.trim_end());
        let mut sets_cookie = false;
        loop {
            line.clear();
            if reader.read_line(&mut line)? == 0 {
                bail!("the answer ended in its head");
            }
            if line == "\r\n" {
                break;
            }
            let header =
                line.split_once(':').filter(|(name, _)| name.eq_ignore_ascii_case("set-cookie"));
            if let Some((_, value)) = header {
                sets_cookie = true;
                self.cookie = value.split(';').next().map(|pair| pair.trim().to_owned());
            }
        }
        let mut body = String::new();
        reader.read_to_string(&mut body)?;
        let answer: serde_json::Value = serde_json::from_str(&body)?;
        let field = |name: &str| answer[name].as_str().map(str::to_owned);
        Ok(Answer {
            name: field("name").context("the answer names nobody")?,
            path: field("path").context("the answer names no path")?,
            sets_cookie,
        })
    }
}
