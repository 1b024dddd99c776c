//! Writing what others chose into a line, so that it stays one line and its
//! quotes stay where we put them.
//!
//! Whoever sends a request chooses most of its line. In a text line everything that
//! could end a field or the line becomes an escape, in Apache's spelling; in JSON
//! what is no UTF-8 is replaced, as JSON cannot carry it.

const HEX: &[u8; 16] = b"0123456789abcdef";

/// Bytes that are looked at together; a register of most processors.
const BLOCK: usize = 16;

/// Writes bytes into a text line: `"` and `\` behind a `\`, everything that is not
/// visible ASCII or a space as `\n`, `\r`, `\t` or `\xhh`.
pub(super) fn text(out: &mut Vec<u8>, bytes: &[u8]) {
    let mut rest = bytes;
    while let Some(plain) = first_special(rest) {
        out.extend_from_slice(&rest[..plain]);
        match rest[plain] {
            byte @ (b'"' | b'\\') => out.extend_from_slice(&[b'\\', byte]),
            b'\n' => out.extend_from_slice(b"\\n"),
            b'\r' => out.extend_from_slice(b"\\r"),
            b'\t' => out.extend_from_slice(b"\\t"),
            byte => {
                out.extend_from_slice(b"\\x");
                hex(out, byte);
            }
        }
        rest = &rest[plain + 1..];
    }
    out.extend_from_slice(rest);
}

/// Writes bytes as a JSON string, quotes included.
pub(super) fn json(out: &mut Vec<u8>, bytes: &[u8]) {
    out.push(b'"');
    if first_special(bytes).is_none() {
        out.extend_from_slice(bytes);
    } else {
        for chunk in bytes.utf8_chunks() {
            chunk.valid().chars().for_each(|c| json_char(out, c));
            if !chunk.invalid().is_empty() {
                json_char(out, char::REPLACEMENT_CHARACTER);
            }
        }
    }
    out.push(b'"');
}

fn json_char(out: &mut Vec<u8>, c: char) {
    match u8::try_from(c) {
        Ok(byte @ (b'"' | b'\\')) => out.extend_from_slice(&[b'\\', byte]),
        Ok(byte @ (..b' ' | 0x7f)) => {
            out.extend_from_slice(b"\\u00");
            hex(out, byte);
        }
        _ => out.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes()),
    }
}

/// Where the first byte is that cannot be copied as it is. Nearly everything can, so
/// whole blocks are judged without a branch per byte.
fn first_special(bytes: &[u8]) -> Option<usize> {
    let is_plain =
        |byte: &u8| (byte.wrapping_sub(b' ') < 0x5f) & (*byte != b'"') & (*byte != b'\\');
    let blocks = bytes.chunks_exact(BLOCK);
    let plain =
        blocks.take_while(|block| block.iter().fold(true, |all, byte| all & is_plain(byte)));
    let before = plain.count() * BLOCK;
    let special = bytes[before..].iter().position(|byte| !is_plain(byte))?;
    Some(before + special)
}

fn hex(out: &mut Vec<u8>, byte: u8) {
    out.extend_from_slice(&[HEX[usize::from(byte >> 4)], HEX[usize::from(byte & 15)]]);
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn written(write: fn(&mut Vec<u8>, &[u8]), bytes: &[u8]) -> String {
        let mut out = Vec::new();
        write(&mut out, bytes);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn a_text_is_escaped_as_apache_does() {
        assert_eq!(written(text, b"curl/8.5 (x; y)"), "curl/8.5 (x; y)");
        assert_eq!(
            written(text, b"a\"b\\c\nd\re\tf\x00g\x7f\xe9"),
            r#"a\"b\\c\nd\re\tf\x00g\x7f\xe9"#
        );
    }

    #[test]
    fn a_string_that_is_no_text_is_still_json() {
        assert_eq!(written(json, b"a\"\\\n\xff\xc3\xa9"), "\"a\\\"\\\\\\u000a\u{fffd}\u{e9}\"");
    }

    proptest! {
        #[test]
        fn a_text_has_no_quote_and_no_line_of_its_own(bytes: Vec<u8>) {
            let text = written(text, &bytes);
            prop_assert!(text.bytes().all(|byte| matches!(byte, b' '..=b'~')));
            prop_assert!(!text.replace(r"\\", "").replace("\\\"", "").contains('"'), "{text}");
        }

        #[test]
        fn a_text_says_what_it_was_made_of(bytes: Vec<u8>) {
            prop_assert_eq!(unescape(&written(text, &bytes)), bytes);
        }

        #[test]
        fn json_is_read_back_as_what_utf8_can_say(bytes: Vec<u8>) {
            let json = written(json, &bytes);
            let read: String = serde_json::from_str(&json).unwrap();
            prop_assert_eq!(read, String::from_utf8_lossy(&bytes));
        }
    }

    fn unescape(text: &str) -> Vec<u8> {
        let (mut out, mut rest) = (Vec::new(), text.bytes());
        while let Some(byte) = rest.next() {
            out.push(match byte {
                b'\\' => match rest.next().unwrap() {
                    b'n' => b'\n',
                    b'r' => b'\r',
                    b't' => b'\t',
                    b'x' => {
                        let digits = [rest.next().unwrap(), rest.next().unwrap()];
                        u8::from_str_radix(str::from_utf8(&digits).unwrap(), 16).unwrap()
                    }
                    plain => plain,
                },
                plain => plain,
            });
        }
        out
    }
}
