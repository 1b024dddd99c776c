//! `lb key`: a new key for nodes that announce themselves; and where keys are read.

use std::{io, path::Path};

use anyhow::Context as _;
use base64::{Engine as _, engine::general_purpose::STANDARD};
use clap::Args;
use lb_discovery::announce::Key;
use lb_proxy::config::{Loader as _, Machine};
use rustix::rand::{GetRandomFlags, getrandom};

use super::{exit::Exit, print, variable::variable};

#[derive(Debug, Args)]
pub(super) struct KeyArgs {}

/// Prints a key.
pub(super) fn key(_: &KeyArgs) -> Exit {
    let printed = random::<{ Key::LENGTH }>()
        .context("cannot make a key")
        .and_then(|bytes| print::result(&format!("{}\n", STANDARD.encode(bytes))));
    match printed {
        Ok(()) => Exit::Done,
        Err(error) => {
            print::error(&error);
            Exit::Failed
        }
    }
}

/// The key in this file, or else in `LB_ANNOUNCE_KEY`.
pub(super) fn read_key(file: Option<&Path>) -> anyhow::Result<Key> {
    if let Some(path) = file {
        let shown = path.display();
        let text = Machine.read(path).with_context(|| format!("cannot read the key `{shown}`"))?;
        return decode(&text).with_context(|| format!("`{shown}` has no key"));
    }
    // It is not repeated in an error: it may be a key but for a typing mistake.
    let text = variable("LB_ANNOUNCE_KEY", |text| Ok(text.to_owned()));
    let text = text.map_err(anyhow::Error::msg)?.context(
        "no key: name a file with `--key-file`, or set LB_ANNOUNCE_KEY; `lb key` makes one",
    )?;
    decode(&text).context("LB_ANNOUNCE_KEY has no key")
}

fn decode(text: &str) -> anyhow::Result<Key> {
    let bytes = STANDARD.decode(text.trim()).ok().context("it is not base64")?;
    let length = bytes.len();
    let bytes = bytes.try_into().ok().with_context(|| {
        format!("it has {length} bytes, and a key has {}: `lb key` makes one", Key::LENGTH)
    })?;
    Ok(Key::new(bytes))
}

/// Bytes that nobody can guess.
pub(super) fn random<const N: usize>() -> io::Result<[u8; N]> {
    let mut bytes = [0; N];
    let length = getrandom(&mut bytes, GetRandomFlags::empty())?;
    if length == N { Ok(bytes) } else { Err(io::Error::other("too few random bytes")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_32_bytes_in_base64() {
        let text = format!(" {}\n", STANDARD.encode([7; 32]));
        assert_eq!(decode(&text).unwrap(), Key::new([7; 32]));
        let error = decode("AAAA").unwrap_err().to_string();
        assert_eq!(error, "it has 3 bytes, and a key has 32: `lb key` makes one");
        assert_eq!(decode("no base64!").unwrap_err().to_string(), "it is not base64");
    }
}
