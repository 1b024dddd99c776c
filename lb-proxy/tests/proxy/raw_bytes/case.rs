//! The record: cases as text, a line of the wire a line of the file.

/// One case.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Case {
    pub(super) title: String,
    pub(super) sent: Vec<u8>,
    pub(super) backend: Vec<String>,
    pub(super) client: Vec<String>,
}

/// `# title`, `> sent`, `= backend saw`, `< client got`.
pub(super) fn read_cases(text: &str) -> Vec<Case> {
    let mut cases: Vec<Case> = Vec::new();
    for line in text.lines().filter(|line| !line.is_empty()) {
        let (mark, rest) = line.split_at(2);
        if mark == "# " {
            let title = rest.to_owned();
            cases.push(Case { title, sent: Vec::new(), backend: Vec::new(), client: Vec::new() });
            continue;
        }
        let case = cases.last_mut().expect("a title comes first");
        match mark {
            "> " => case.sent.extend(unescape(rest)),
            "= " => case.backend.push(rest.to_owned()),
            "< " => case.client.push(rest.to_owned()),
            _ => panic!("not a line of a case: {line:?}"),
        }
    }
    cases
}

pub(super) fn write_cases(cases: &[Case]) -> String {
    let block = |case: &Case| {
        let mut lines = vec![format!("# {}", case.title)];
        lines.extend(escape(&case.sent).iter().map(|line| format!("> {line}")));
        lines.extend(case.backend.iter().map(|line| format!("= {line}")));
        lines.extend(case.client.iter().map(|line| format!("< {line}")));
        lines.join("\n") + "\n"
    };
    cases.iter().map(block).collect::<Vec<_>>().join("\n")
}

/// Lines that end after each line feed, with everything unprintable spelt out.
pub(super) fn escape(bytes: &[u8]) -> Vec<String> {
    let lines = bytes.split_inclusive(|byte| *byte == b'\n');
    lines
        .map(|line| line.escape_ascii().to_string().replace("\\'", "'").replace("\\\"", "\""))
        .collect()
}

fn unescape(text: &str) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        if byte != b'\\' {
            bytes.push(byte);
            continue;
        }
        bytes.push(match rest.next().expect("something is escaped") {
            b'r' => b'\r',
            b'n' => b'\n',
            b't' => b'\t',
            b'\\' => b'\\',
            b'x' => {
                let digits = [rest.next().unwrap(), rest.next().unwrap()];
                u8::from_str_radix(str::from_utf8(&digits).unwrap(), 16).unwrap()
            }
            other => panic!("not an escape: {:?}", char::from(other)),
        });
    }
    bytes
}

#[test]
fn what_is_escaped_can_be_read_back() {
    let all: Vec<u8> = (0..=255).collect();
    assert_eq!(unescape(&escape(&all).concat()), all);
}
