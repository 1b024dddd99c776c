//! Cookies that bind clients.

use http::{HeaderMap, HeaderValue, Uri, header};
use lb_core::{
    Cluster, UnixTime,
    sticky::{Format, Ring, Sticky, apache},
    strategy::Binding,
};

use crate::{
    StickySettings, StickyValue,
    http::{Bound, fuzzing::Binder},
};

const NAME: &str = "LB";
const NOW: UnixTime = UnixTime::from_secs(1_000_000);

/// The first line is a target, the others are `Cookie` fields. A value that was given
/// out means its backend; one that was not never names a backend that only a key
/// could; and a backend sees every other cookie as it was, and none of ours.
pub fn cookie(input: &[u8]) {
    let mut lines = input.split(|byte| *byte == b'\n');
    let target = lines.next().unwrap_or_default();
    let fields: Vec<HeaderValue> =
        lines.take(20).filter_map(|line| HeaderValue::from_bytes(line).ok()).collect();
    for field in &fields {
        values(field.as_bytes());
    }
    let Ok(target) = Uri::try_from(target) else { return };
    for value in [StickyValue::Derived, StickyValue::Sealed, StickyValue::Name] {
        binder(value, &target, &fields);
    }
    let path = target.path_and_query().map_or("", |target| target.as_str());
    let route = apache::route(path, fields.iter().map(HeaderValue::as_bytes), NAME);
    if let Some(route) = route {
        let within = |text: &[u8]| text.windows(route.len()).any(|part| part == route);
        assert!(!route.is_empty() && !route.contains(&b';'));
        assert!(within(path.as_bytes()) || fields.iter().any(|field| within(field.as_bytes())));
    }
}

/// Any bytes as a value, and as the name of a backend.
fn values(bytes: &[u8]) {
    let ring = Ring::new([[7; 16]]).expect("a ring has a key").for_cluster("fuzz");
    for format in [Format::Derived, Format::Sealed { ttl: None }, Format::Name] {
        let sticky = Sticky::new(format, ring.clone());
        match (format, sticky.read(bytes, NOW)) {
            (Format::Derived, Some(Binding::Route(route))) => {
                assert_eq!(format!("{route:016x}").as_bytes(), bytes);
            }
            // Only a seal under our key says a route.
            (_, None) | (Format::Name, _) | (Format::Sealed { .. }, Some(Binding::Key(_))) => {}
            (format, Some(binding)) => panic!("{format:?} says {binding:?}"),
        }
        let Ok(name) = str::from_utf8(bytes) else { continue };
        let given = sticky.value(name, NOW);
        let is_octet = |byte: u8| byte.is_ascii_graphic() && !b"\",;\\".contains(&byte);
        assert!(given.bytes().all(is_octet), "{given:?}");
        let expected = match given.strip_prefix('.') {
            Some("") => continue,
            Some(name) => Binding::Name(name),
            None => Binding::Route(ring.route(name)),
        };
        assert_eq!(sticky.read(given.as_bytes(), NOW), Some(expected));
    }
}

fn binder(value: StickyValue, target: &Uri, fields: &[HeaderValue]) {
    let settings = StickySettings { value, keys: vec![[7; 16]], ..StickySettings::new(NAME) };
    let mut headers = HeaderMap::new();
    for field in fields {
        headers.append(header::COOKIE, field.clone());
    }
    let before = headers.clone();
    let path = target.path_and_query().map_or("", |target| target.as_str());
    // Nobody is there, so nobody is found.
    let cluster = Cluster::builder("fuzz").ring(settings.ring("fuzz")).build();
    let told = settings.read(&cluster, path, &headers, NOW);
    let bound = Binder::new(&settings, "fuzz").take(target, &mut headers, NOW, |_| false);
    assert_eq!(told.bound, bound, "what is explained is what happens");
    if value == StickyValue::Name {
        assert_eq!(headers, before);
        return;
    }
    assert!(!matches!(bound, Some(Bound::Name(_))));
    assert!(!settings.read(&cluster, path, &headers, NOW).has_cookie);
    assert_eq!(others(&headers), others(&before));
    if !told.has_cookie {
        assert_eq!(headers, before);
    }
}

/// Every pair of another name, in order.
fn others(headers: &HeaderMap) -> Vec<&[u8]> {
    let fields = headers.get_all(header::COOKIE).iter();
    let pairs = fields.flat_map(|field| field.as_bytes().split(|byte| *byte == b';'));
    let is_other = |pair: &&[u8]| match pair.iter().position(|byte| *byte == b'=') {
        Some(end) => pair[..end].trim_ascii_end() != NAME.as_bytes(),
        None => !pair.is_empty(),
    };
    pairs.map(<[u8]>::trim_ascii).filter(is_other).collect()
}
