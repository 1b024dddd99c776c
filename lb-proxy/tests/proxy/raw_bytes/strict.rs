//! A reader without mercy: what it takes, every backend reads the same way.

/// Reads one whole request: its length and what it is in short. `None`: more has
/// to come. An error: somebody might read this differently.
pub(super) fn request(bytes: &[u8]) -> Result<Option<(usize, String)>, String> {
    let Some(end) = find(bytes, b"\r\n\r\n") else { return Ok(None) };
    // Bytes above 127 are allowed in values, and only there; they become a mark
    // that is no token and not printable.
    let head = String::from_utf8_lossy(&bytes[..end]);
    let mut lines = head.split("\r\n");
    let start: Vec<&str> = lines.next().unwrap_or_default().split(' ').collect();
    let [method, target, "HTTP/1.1"] = start[..] else { return Err(format!("starts {start:?}")) };
    let printable = |text: &str| text.bytes().all(|byte| byte.is_ascii_graphic());
    if !method.bytes().all(is_token) || !printable(target) || target.is_empty() {
        return Err(format!("starts {start:?}"));
    }
    let (mut hosts, mut lengths, mut codings) = (0, Vec::new(), Vec::new());
    for line in lines {
        let (name, value) = line.split_once(':').ok_or_else(|| format!("no header: {line:?}"))?;
        let value = value.trim_matches([' ', '\t']);
        if name.is_empty() || !name.bytes().all(is_token) {
            return Err(format!("no header name: {line:?}"));
        }
        if value.bytes().any(|byte| byte.is_ascii_control() && byte != b'\t') {
            return Err(format!("control characters: {line:?}"));
        }
        match name.to_ascii_lowercase().as_str() {
            "host" => hosts += 1,
            "content-length" => lengths.push(value),
            "transfer-encoding" => codings.push(value),
            _ => {}
        }
    }
    if hosts != 1 {
        return Err(format!("{hosts} hosts"));
    }
    let body = &bytes[end + 4..];
    let length = match (&lengths[..], &codings[..]) {
        ([], []) => Some((0, 0)),
        ([length], []) if length.bytes().all(|byte| byte.is_ascii_digit()) => {
            let length: usize = length.parse().map_err(|_| "a length too long")?;
            (body.len() >= length).then_some((length, length))
        }
        ([], ["chunked"]) => chunks(body)?,
        _ => return Err(format!("lengths {lengths:?}, codings {codings:?}")),
    };
    Ok(length.map(|(length, data)| (end + 4 + length, format!("{method} {target} {data}"))))
}

/// The length of an answer to a `GET`; `None` where it ends with the connection, or
/// was cut off. An error: somebody might read this differently.
pub(super) fn answer(bytes: &[u8]) -> Result<Option<usize>, String> {
    let Some(end) = find(bytes, b"\r\n\r\n") else { return Ok(None) };
    let head = String::from_utf8_lossy(&bytes[..end]);
    let mut lines = head.split("\r\n");
    let start = lines.next().unwrap_or_default();
    if !start.starts_with("HTTP/1.1 ") || start.bytes().any(|byte| byte.is_ascii_control()) {
        return Err(format!("starts {start:?}"));
    }
    let (mut lengths, mut codings) = (Vec::new(), Vec::new());
    for line in lines {
        let (name, value) = line.split_once(": ").ok_or_else(|| format!("no header: {line:?}"))?;
        if !name.bytes().all(is_token) || value.bytes().any(|byte| byte.is_ascii_control()) {
            return Err(format!("no header: {line:?}"));
        }
        match name.to_ascii_lowercase().as_str() {
            "content-length" => lengths.push(value),
            "transfer-encoding" => codings.push(value),
            _ => {}
        }
    }
    let body = &bytes[end + 4..];
    let has_body = !["204", "304"].contains(&start.split(' ').nth(1).unwrap_or_default());
    let length = match (&lengths[..], &codings[..]) {
        _ if !has_body => Some(0),
        ([], []) => None,
        ([length], []) => length.parse().ok().filter(|length| body.len() >= *length),
        ([], ["chunked"]) => chunks(body)?.map(|(length, _)| length),
        _ => return Err(format!("lengths {lengths:?}, codings {codings:?}")),
    };
    Ok(length.map(|length: usize| end + 4 + length))
}

/// The length of a chunked body, framing and all, and of what is in it.
fn chunks(body: &[u8]) -> Result<Option<(usize, usize)>, String> {
    let (mut at, mut data) = (0, 0);
    loop {
        let Some(end) = find(&body[at..], b"\r\n") else { return Ok(None) };
        let line =
            str::from_utf8(&body[at..at + end]).map_err(|_| "a chunk size that is no text")?;
        let plain = !line.is_empty() && line.bytes().all(|byte| byte.is_ascii_hexdigit());
        let size = usize::from_str_radix(line, 16).ok().filter(|_| plain);
        let size = size.ok_or_else(|| format!("chunk size {line:?}"))?;
        at += end + 2;
        if size == 0 {
            // Trailers are headers; the empty line ends them.
            let rest = &body[at..];
            let end = if rest.starts_with(b"\r\n") { Some(0) } else { find(rest, b"\r\n\r\n") };
            let skip = |end: usize| if end == 0 { 2 } else { end + 4 };
            return Ok(end.map(|end| (at + skip(end), data)));
        }
        data += size;
        let Some(mark) = body.get(at + size..at + size + 2) else { return Ok(None) };
        if mark != b"\r\n" {
            return Err("a chunk that is longer than it says".into());
        }
        at += size + 2;
    }
}

/// The whole requests that a connection carried; one that was cut off is left out,
/// as nobody takes it for a request.
pub(super) fn whole(connection: &[u8]) -> Result<&[u8], String> {
    let mut rest = connection;
    while let Some((length, _)) = request(rest)? {
        rest = &rest[length..];
    }
    Ok(&connection[..connection.len() - rest.len()])
}

/// The answers a client got: status and body of those of the backend, status and
/// reason word of ours.
pub(super) fn answers(mut bytes: &[u8]) -> Vec<String> {
    let mut answers = Vec::new();
    while let Some(end) = find(bytes, b"\r\n\r\n") {
        let head = String::from_utf8_lossy(&bytes[..end]).to_ascii_lowercase();
        let status = head.split(' ').nth(1).unwrap_or("?").to_owned();
        let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
        let length: usize = length.and_then(|length| length.trim().parse().ok()).unwrap_or(0);
        let rest = &bytes[end + 4..];
        let body = String::from_utf8_lossy(&rest[..length.min(rest.len())]).into_owned();
        let word = match body.split_once("<p>") {
            Some((_, rest)) => rest.split(['<', '\n', ' ']).next().unwrap_or_default().to_owned(),
            None => body,
        };
        let closes = if head.contains("connection: close") { ", then closed" } else { "" };
        answers.push(format!("{status} {word}{closes}").replace(" ,", ","));
        bytes = &rest[length.min(rest.len())..];
    }
    if !bytes.is_empty() {
        answers.push(format!("broken off: {}", bytes.escape_ascii()));
    }
    answers
}

fn is_token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}

fn find(bytes: &[u8], what: &[u8]) -> Option<usize> {
    bytes.windows(what.len()).position(|window| window == what)
}

#[test]
fn the_strict_reader_refuses_what_is_ambiguous() {
    let with = |headers: &str| request(format!("GET / HTTP/1.1\r\n{headers}\r\n\r\n").as_bytes());
    assert_eq!(with("Host: a"), Ok(Some((27, "GET / 0".to_owned()))));
    for ambiguous in [
        "Host: a\r\nHost: b",
        "Host: a\r\nContent-Length: 1\r\nTransfer-Encoding: chunked",
        "Host: a\r\nContent-Length: +1",
        "Host: a\r\n folded",
        "Host : a",
        "Host: a\nX: b",
        "X: no host",
    ] {
        assert!(with(ambiguous).is_err(), "{ambiguous:?}");
    }
}
