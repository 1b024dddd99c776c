//! What strategies by key pick by.

use http::{HeaderName, header, request, uri::PathAndQuery};

use super::parse;
use crate::http::{KeyRule, RequestFacts, RequestKey};

/// `method target`, then headers, one a line: each rule finds what a plain search for it
/// finds, and of several parts none can pass for another.
pub fn key(input: &[u8]) {
    let Some(head) = parse(input) else { return };
    let target = head.uri.path_and_query().map_or("/", PathAndQuery::as_str);
    let client = [192, 0, 2, 1].into();
    let facts = RequestFacts::new(&head.method, "", target, &head.headers, client);
    let Ok(facts) = facts.map(RequestFacts::of_stranger) else { return };
    let find = |rule: &KeyRule| RequestKey::new(rule, &head.uri, &facts);
    let rules = [
        (KeyRule::ClientIp, Some(vec![192, 0, 2, 1])),
        (KeyRule::ClientIpText, Some(b"192.0.2.1".to_vec())),
        (KeyRule::Uri, head.uri.path_and_query().map(|target| target.as_str().into())),
        (KeyRule::Path, head.uri.path_and_query().map(|target| target.path().into())),
        (KeyRule::Header(HeaderName::from_static("x-a")), line(&head)),
        (KeyRule::Cookie("a".into()), cookie(&head)),
        (KeyRule::Query("a".into()), argument(target).map(|value| value.as_bytes().to_vec())),
    ];
    let mut whole = Vec::new();
    for (rule, expected) in &rules {
        let expected = expected.as_ref().filter(|value| !value.is_empty());
        let found = find(rule);
        let found = found.as_ref().map(RequestKey::as_bytes);
        assert_eq!(found, expected.map(Vec::as_slice), "{rule}");
        let part = found.unwrap_or_default();
        whole.extend(u32::try_from(part.len()).expect("it is short").to_be_bytes());
        whole.extend(part);
    }
    let composed = KeyRule::Composed(rules.into_iter().map(|(rule, _)| rule).collect());
    assert_eq!(find(&composed).as_ref().map(RequestKey::as_bytes), Some(&*whole));
}

/// The first line of `X-A`, unless `Connection` names it.
fn line(head: &request::Parts) -> Option<Vec<u8>> {
    let named = head.headers.get_all(header::CONNECTION).iter();
    let mut named = named.flat_map(|line| line.as_bytes().split(|byte| *byte == b','));
    if named.any(|token| token.trim_ascii().eq_ignore_ascii_case(b"x-a")) {
        return None;
    }
    head.headers.get("x-a").map(|line| line.as_bytes().to_vec())
}

fn cookie(head: &request::Parts) -> Option<Vec<u8>> {
    let lines = head.headers.get_all(header::COOKIE).iter();
    let mut pairs = lines.flat_map(|line| line.as_bytes().split(|byte| *byte == b';'));
    pairs.find_map(|pair| {
        let equals = pair.iter().position(|byte| *byte == b'=')?;
        let value = pair[equals + 1..].trim_ascii();
        let is_quoted = value.len() > 1 && value.starts_with(b"\"") && value.ends_with(b"\"");
        let value = if is_quoted { &value[1..value.len() - 1] } else { value };
        (pair[..equals].trim_ascii() == b"a").then(|| value.to_vec())
    })
}

fn argument(target: &str) -> Option<&str> {
    let (_, query) = target.split_once('?')?;
    let mut pairs = query.split('&').filter_map(|pair| pair.split_once('='));
    pairs.find(|(name, _)| name.eq_ignore_ascii_case("a")).map(|(_, value)| value)
}
