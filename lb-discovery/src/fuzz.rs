//! What fuzzers run, and what `cargo test` runs over their corpus.
//!
//! Each function takes any bytes and panics when a promise is broken. The targets
//! in the folder `fuzz` of the repository only call these, so that a crash found
//! there is a unit test here: its input goes into the corpus. The first line of an
//! input is the name of the file, the rest its content.

use std::collections::BTreeSet;

use lb_core::Backend;

#[cfg(feature = "announce")]
use crate::announce::{Key, Record, Sealed};
use crate::{
    endpoint::Endpoint,
    file::{Syntax, read_list, read_node},
};

/// Any bytes are an announcement that is written as it was read, or explained in one
/// line. What follows the magic word is all that counts, so that a fuzzer need not
/// find it.
#[cfg(feature = "announce")]
pub fn announcement(input: &[u8]) {
    let bytes = [b"LBA1", input].concat();
    match Sealed::parse(&bytes) {
        Ok(sealed) => {
            let key = Key::new([7; Key::LENGTH]);
            let Some(datagram) = sealed.open(&key) else { return };
            let again = datagram.seal(&key).expect("what could be read can be written");
            let again = Sealed::parse(&again).expect("what was written can be read");
            assert_eq!(again.open(&key), Some(datagram));
        }
        Err(reason) => check_reason(&reason.to_string()),
    }
    if let Ok(record) = Record::parse(input) {
        assert_eq!(Record::parse(record.to_string().as_bytes()).as_ref(), Ok(&record));
    }
}

/// Any bytes are a letter of gossip that is written as it was read, or refused. They are
/// what is under the seal, so that a fuzzer need not make one.
#[cfg(feature = "gossip")]
pub fn gossip_packet(input: &[u8]) {
    if let Some((once, twice)) = crate::gossip::read_letter(input) {
        assert_eq!(once, twice);
    }
    crate::gossip::open_and_hear(input);
}

/// Any content is one backend with a usable name and address, or explained in one
/// line.
pub fn node_file(input: &[u8]) {
    let Some((name, content)) = split(input) else { return };
    match read_node(name, content) {
        Ok(backend) => {
            assert_eq!(backend.name(), Syntax::of_file_name(name).1);
            check(&backend);
        }
        Err(junk) => check_reason(&junk.to_string()),
    }
}

/// Any content is a list without duplicates, or explained in one line.
pub fn node_list(input: &[u8]) {
    let Some((name, content)) = split(input) else { return };
    match read_list(Syntax::of_file_name(name).0, content) {
        Ok(set) => {
            let addresses: BTreeSet<_> = set.iter().map(|backend| backend.address()).collect();
            assert_eq!(addresses.len(), set.len());
            set.iter().for_each(|backend| check(backend));
        }
        Err(junk) => check_reason(&junk.to_string()),
    }
}

fn split(input: &[u8]) -> Option<(&str, &[u8])> {
    let end = input.iter().position(|byte| *byte == b'\n')?;
    Some((str::from_utf8(&input[..end]).ok()?, &input[end + 1..]))
}

fn check(backend: &Backend) {
    let endpoint = Endpoint::parse(backend.address(), None).map(|endpoint| endpoint.to_string());
    assert_eq!(endpoint.as_deref(), Ok(backend.address()), "the one form of an address");
    assert!(!backend.name().is_empty() && !backend.name().contains(char::is_whitespace));
}

fn check_reason(reason: &str) {
    assert!(!reason.is_empty() && !reason.contains('\n'), "{reason:?}");
}

#[cfg(test)]
mod tests {
    use std::{fs, path::Path};

    fn run_corpus(target: &str, body: fn(&[u8])) {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fuzz/corpus").join(target);
        let inputs: Vec<_> = fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap()).collect();
        assert!(inputs.len() > 4, "{} inputs in {}", inputs.len(), folder.display());
        for input in inputs {
            println!("{}", input.path().display());
            body(&fs::read(input.path()).unwrap());
        }
    }

    #[cfg(feature = "announce")]
    #[test]
    fn the_corpus_of_announcement_breaks_no_promise() {
        run_corpus("announcement", super::announcement);
    }

    #[cfg(feature = "gossip")]
    #[test]
    fn the_corpus_of_gossip_packet_breaks_no_promise() {
        run_corpus("gossip_packet", super::gossip_packet);
    }

    #[test]
    fn the_corpus_of_node_file_breaks_no_promise() {
        run_corpus("node_file", super::node_file);
    }

    #[test]
    fn the_corpus_of_node_list_breaks_no_promise() {
        run_corpus("node_list", super::node_list);
    }
}
