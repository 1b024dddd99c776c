use proptest::{prelude::*, test_runner::RngSeed};

use super::*;

const NOW: UnixTime = UnixTime::from_secs(1_800_000_000);
const HOUR: Duration = Duration::from_secs(3_600);

fn ring(keys: &[u8]) -> Ring {
    Ring::new(keys.iter().map(|key| [*key; 16])).unwrap()
}

fn sealed(keys: &[u8]) -> Sticky {
    Sticky::new(Format::Sealed { ttl: Some(HOUR) }, ring(keys))
}

fn later(secs: u64) -> UnixTime {
    UnixTime::from_secs(NOW.as_secs() + secs)
}

#[test]
fn a_derived_value_is_sixteen_digits_and_nothing_else_is_read() {
    let sticky = Sticky::new(Format::Derived, ring(&[1]));
    let value = sticky.value("b0", NOW);
    assert_eq!(value, format!("{:016x}", ring(&[1]).route("b0")));
    assert_eq!(sticky.read(value.as_bytes(), NOW), Some(Binding::Route(ring(&[1]).route("b0"))));
    for junk in ["", "0123456789abcde", "0123456789abcdef0", "0123456789ABCDEF", "0123456789abcdeg"]
    {
        assert_eq!(sticky.read(junk.as_bytes(), NOW), None, "{junk}");
    }
}

#[test]
fn a_name_is_read_after_the_first_dot() {
    let sticky = Sticky::new(Format::Name, ring(&[1]));
    assert_eq!(sticky.value("n2", NOW), ".n2");
    assert_eq!(sticky.value("10.0.0.1:80", NOW), ".10.0.0.1:80");
    let read = |value: &'static str| sticky.read(value.as_bytes(), NOW);
    assert_eq!(read(".10.0.0.1:80"), Some(Binding::Name("10.0.0.1:80")));
    assert_eq!(read("session.n2"), Some(Binding::Name("n2")));
    assert_eq!(read("a.b.n2"), Some(Binding::Name("b.n2")));
    assert_eq!((read("n2"), read("n2."), read("")), (None, None, None));
    assert_eq!(sticky.read(b".\xff", NOW), None);
}

#[test]
fn a_name_that_no_cookie_can_carry_is_written_as_its_route() {
    let sticky = Sticky::new(Format::Name, ring(&[1]));
    for name in ["a b", "a;b", "a,b", "a\r\nSet-Cookie: x=y", "ä", "\"a\""] {
        let value = sticky.value(name, NOW);
        assert!(value.bytes().all(is_cookie_octet), "{value}");
        let route = ring(&[1]).route(name);
        assert_eq!(sticky.read(value.as_bytes(), NOW), Some(Binding::Route(route)));
    }
}

#[test]
fn a_sealed_value_is_good_until_it_expires() {
    let sticky = sealed(&[1]);
    let value = sticky.value("b0", NOW);
    assert_eq!(value.len(), 48);
    let bound = Some(Binding::Route(ring(&[1]).route("b0")));
    assert_eq!(sticky.read(value.as_bytes(), NOW), bound);
    assert_eq!(sticky.read(value.as_bytes(), later(3_599)), bound);
    assert_eq!(sticky.read(value.as_bytes(), later(3_600)), None);
    let for_ever = Sticky::new(Format::Sealed { ttl: None }, ring(&[1]));
    let value = for_ever.value("b0", NOW);
    assert_eq!(for_ever.read(value.as_bytes(), UnixTime::from_secs(u64::MAX - 1)), bound);
}

#[test]
fn a_sealed_value_tells_when_it_ends_and_no_other_does() {
    let value = sealed(&[1]).value("b0", NOW);
    let told = |by: &Sticky, now| by.expires(value.as_bytes(), now);
    assert_eq!(told(&sealed(&[1]), later(5)), Some(later(3_600)));
    assert_eq!(told(&sealed(&[1]), later(3_600)), None, "it has ended");
    assert_eq!(told(&sealed(&[2]), NOW), None, "anybody may have written that");
    let for_ever = Sticky::new(Format::Sealed { ttl: None }, ring(&[1]));
    assert_eq!(for_ever.expires(for_ever.value("b0", NOW).as_bytes(), NOW), None);
    let derived = Sticky::new(Format::Derived, ring(&[1]));
    assert_eq!(derived.expires(derived.value("b0", NOW).as_bytes(), NOW), None);
}

#[test]
fn no_changed_character_leaves_a_seal_whole() {
    let sticky = sealed(&[1]);
    let value = sticky.value("b0", NOW);
    for position in 0..value.len() {
        for other in b"AZaz09-_.+= " {
            let mut forged = value.clone().into_bytes();
            if forged[position] == *other {
                continue;
            }
            forged[position] = *other;
            let read = sticky.read(&forged, NOW);
            assert!(!matches!(read, Some(Binding::Route(_) | Binding::Name(_))), "{position}");
            // Another key's id makes it a stranger's.
            let in_id = (1..6).contains(&position);
            assert!(read.is_none() || in_id, "{position}: {read:?}");
        }
    }
}

#[test]
fn keys_are_exchanged_in_three_steps_without_unbinding_anybody() {
    let (old, both, swapped) = (sealed(&[1]), sealed(&[1, 2]), sealed(&[2, 1]));
    let by = |key| Some(Binding::Route(ring(&[key]).route("b0")));
    let before = old.value("b0", NOW);
    assert_eq!(both.value("b0", NOW), before, "the first key signs");
    let after = swapped.value("b0", NOW);
    for sticky in [&both, &swapped] {
        assert_eq!(sticky.read(before.as_bytes(), NOW), by(1));
        assert_eq!(sticky.read(after.as_bytes(), NOW), by(2));
    }
}

#[test]
fn a_value_under_a_key_we_do_not_have_is_another_balancers_while_keys_are_exchanged() {
    let value = sealed(&[1]).value("b0", NOW);
    let read = |keys: &[u8], now| sealed(keys).read(value.as_bytes(), now);
    assert_eq!(read(&[2, 3], NOW), Some(Binding::Key(value.as_bytes())));
    assert_eq!(read(&[2, 3], later(3_599)), Some(Binding::Key(value.as_bytes())));
    assert_eq!(read(&[2, 3], later(3_600)), None, "it has expired");
    assert_eq!(read(&[2], NOW), None, "nothing is exchanged");
    assert_eq!(sealed(&[2, 3]).read(value.replace('A', "B").as_bytes(), NOW), None);
}

#[test]
fn a_value_under_a_key_we_do_not_have_lives_no_longer_than_twice_as_long_as_ours() {
    let with = |ttl, keys: &[u8]| Sticky::new(Format::Sealed { ttl }, ring(keys));
    let read = |theirs, ours| {
        let value = with(theirs, &[1]).value("b0", NOW);
        with(ours, &[2, 3]).read(value.as_bytes(), NOW).is_some()
    };
    assert!(read(Some(HOUR * 2), Some(HOUR)));
    assert!(!read(Some(HOUR * 2 + Duration::from_secs(1)), Some(HOUR)));
    assert!(!read(None, Some(HOUR)));
    assert!(read(None, None) && read(Some(HOUR), None));
}

fn backend() -> impl Strategy<Value = String> {
    prop_oneof!["[a-z0-9.:-]{1,30}", "\\PC{1,20}"]
}

fn format() -> impl Strategy<Value = Format> {
    prop_oneof![
        Just(Format::Derived),
        Just(Format::Name),
        prop::option::of(1..1_000_000_u64)
            .prop_map(|ttl| Format::Sealed { ttl: ttl.map(Duration::from_secs) }),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig {
        rng_seed: RngSeed::Fixed(0x1b),
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    #[test]
    fn what_was_written_is_read(format in format(), backend in backend(), key in any::<[u8; 16]>()) {
        let ring = Ring::new([key]).unwrap();
        let sticky = Sticky::new(format, ring.clone());
        let value = sticky.value(&backend, NOW);
        prop_assert!(value.bytes().all(is_cookie_octet), "{}", value);
        match sticky.read(value.as_bytes(), NOW) {
            Some(Binding::Route(route)) => prop_assert_eq!(route, ring.route(&backend)),
            Some(Binding::Name(name)) => prop_assert_eq!(name, &backend),
            read => prop_assert!(false, "{:?}", read),
        }
    }

    #[test]
    fn random_bytes_are_read_as_nobodys(value in prop::collection::vec(any::<u8>(), 0..80)) {
        let read = sealed(&[1, 2]).read(&value, NOW);
        prop_assert!(matches!(read, None | Some(Binding::Key(_))));
        for format in [Format::Derived, Format::Name] {
            let _ = Sticky::new(format, ring(&[1])).read(&value, NOW);
        }
    }

    #[test]
    fn bytes_that_look_sealed_are_read_as_nobodys(value in "[A-Za-z0-9_-]{48}", versioned: bool) {
        let value = if versioned { format!("AQ{}", &value[2..]) } else { value };
        let read = sealed(&[1, 2]).read(value.as_bytes(), NOW);
        prop_assert!(matches!(read, None | Some(Binding::Key(_))));
    }
}
