//! What the app prints, line by line, with the name of its node in front.
//!
//! A thread for each stream, which waits where the app would have waited: who reads too
//! slowly slows the app down, as without an agent, and nobody else. When nobody reads any
//! more, the app is read on into nothing.

use std::{
    io::{self, BufRead as _, BufReader, Read, Write as _, stderr, stdout},
    sync::{
        Arc, Mutex,
        mpsc::{Receiver, Sender, channel},
    },
    thread,
    time::Duration,
};

use serde_json::json;

/// How a line is written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Format {
    /// `[node] line`
    #[default]
    Text,
    /// `{"node": …, "stream": …, "line": …}`
    Json,
}

/// Where a line goes, and came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stream {
    Stdout,
    Stderr,
}

/// Forwards what all lives of the app print.
#[derive(Debug)]
pub(super) struct Forward {
    node: Arc<str>,
    format: Format,
    /// Held by each thread for as long as it runs.
    running: Sender<()>,
    ended: Mutex<Receiver<()>>,
}

impl Forward {
    pub(super) fn new(node: &str, format: Format) -> Self {
        let (running, ended) = channel();
        Self { node: node.into(), format, running, ended: Mutex::new(ended) }
    }

    /// Forwards this until its end.
    pub(super) fn forward(
        &self,
        from: impl Read + Send + 'static,
        stream: Stream,
    ) -> io::Result<()> {
        let (node, format, running) = (Arc::clone(&self.node), self.format, self.running.clone());
        let run = move || {
            each_line(from, |line| {
                // Whom it was for is gone, and may be replaced.
                let _ = stream.write(&format.line(&node, stream, line));
            });
            drop(running);
        };
        thread::Builder::new().name("lb-lines".into()).spawn(run)?;
        Ok(())
    }

    /// Waits until all is written, but not for ever: something that the app has started may
    /// go on printing.
    pub(super) fn finish(self, limit: Duration) {
        drop(self.running);
        if let Ok(ended) = self.ended.into_inner() {
            let _ = ended.recv_timeout(limit);
        }
    }
}

impl Format {
    fn line(self, node: &str, stream: Stream, line: &[u8]) -> Vec<u8> {
        match self {
            Self::Text => [b"[", node.as_bytes(), b"] ", line, b"\n"].concat(),
            Self::Json => {
                let line = String::from_utf8_lossy(line);
                let object = json!({ "node": node, "stream": stream.name(), "line": line });
                format!("{object}\n").into_bytes()
            }
        }
    }
}

impl Stream {
    fn name(self) -> &'static str {
        match self {
            Self::Stdout => "stdout",
            Self::Stderr => "stderr",
        }
    }

    /// Whole lines, so that none is written into another.
    fn write(self, lines: &[u8]) -> io::Result<()> {
        match self {
            Self::Stdout => stdout().lock().write_all(lines),
            Self::Stderr => stderr().lock().write_all(lines),
        }
    }
}

/// Lines without what ends them; one that is too long comes in several.
fn each_line(from: impl Read, mut take: impl FnMut(&[u8])) {
    let mut reader = BufReader::new(from);
    let mut line = Vec::new();
    loop {
        line.clear();
        match (&mut reader).take(LONGEST).read_until(b'\n', &mut line) {
            Ok(0) | Err(_) => return,
            Ok(_) => take(line.strip_suffix(b"\n").unwrap_or(&line)),
        }
    }
}

/// As much as a container engine keeps together.
const LONGEST: u64 = 16 * 1024;

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(text: &[u8]) -> Vec<Vec<u8>> {
        let mut all = Vec::new();
        each_line(text, |line| all.push(line.to_vec()));
        all
    }

    #[test]
    fn a_line_that_is_too_long_or_not_ended_is_not_lost() {
        assert_eq!(lines(b"one\n\nlast"), [&b"one"[..], b"", b"last"]);
        let long = vec![b'x'; 40_000];
        let parts = lines(&long);
        assert_eq!(parts.iter().map(Vec::len).collect::<Vec<_>>(), [16_384, 16_384, 7_232]);
    }

    #[test]
    fn a_line_has_the_node_in_front_or_is_an_object() {
        assert_eq!(Format::Text.line("s1", Stream::Stdout, b"hello"), b"[s1] hello\n");
        let object = Format::Json.line("s1", Stream::Stderr, b"a \"word\" \xff");
        let text = "{\"line\":\"a \\\"word\\\" \u{fffd}\",\"node\":\"s1\",\"stream\":\"stderr\"}\n";
        assert_eq!(String::from_utf8(object).unwrap(), text);
    }

    #[test]
    fn the_end_waits_for_what_was_printed() {
        let forward = Forward::new("s1", Format::Text);
        let (reader, writer) = io::pipe().unwrap();
        forward.forward(reader, Stream::Stderr).unwrap();
        let patience = Duration::from_secs(20);
        let ends = thread::spawn(move || forward.finish(patience));
        drop(writer);
        ends.join().unwrap();
    }
}
