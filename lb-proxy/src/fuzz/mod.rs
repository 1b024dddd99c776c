//! What fuzzers run, and what `cargo test` runs over their corpus.
//!
//! Each function takes any bytes and panics when a promise is broken. The targets
//! in the folder `fuzz` of the repository only call these, so that a crash found
//! there is a unit test here: its input goes into the corpus.

mod config;
mod cookie;
mod forwarded;
mod key;
mod load_report;
mod request_head;
mod route;

use http::{HeaderName, HeaderValue, Request};

pub use self::{
    config::config, cookie::cookie, forwarded::forwarded, key::key, load_report::load_report,
    request_head::request_head, route::route,
};

/// `method target`, then headers, one a line.
fn parse(input: &[u8]) -> Option<http::request::Parts> {
    let mut lines = input.split(|byte| *byte == b'\n');
    let mut first = lines.next()?.splitn(2, |byte| *byte == b' ');
    let mut request = Request::builder().method(first.next()?).uri(first.next()?);
    for line in lines.take(50) {
        let colon = line.iter().position(|byte| *byte == b':')?;
        let name = HeaderName::from_bytes(&line[..colon]).ok()?;
        let value = HeaderValue::from_bytes(line[colon + 1..].trim_ascii()).ok()?;
        request = request.header(name, value);
    }
    Some(request.body(()).ok()?.into_parts().0)
}

#[cfg(test)]
mod tests;
