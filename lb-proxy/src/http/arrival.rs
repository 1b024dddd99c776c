//! What is known of a request before it is routed, without a connection it came on.
//!
//! For explanations: the steps are those of [`forward`](super::forward), so what is
//! told of a request and what happens to it cannot drift apart.

use std::net::IpAddr;

use http::{request, uri::PathAndQuery};

use super::{check::check, forwarded::believed, rewrite::host_of, route::RequestFacts};
use crate::listen::{ListenerLimits, TrustedProxies};

/// A request that may be routed.
#[derive(Debug)]
pub struct Arrival<'a> {
    /// Where it came from, as far as trusted proxies tell it.
    pub client: IpAddr,
    /// Path and query of what it asks for.
    pub target: &'a str,
    /// What routes see of it.
    pub facts: RequestFacts<'a>,
}

/// Why a request is answered before it is routed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// The status of the answer.
    pub status: u16,
    /// One word, or a sentence where the path is to blame.
    pub reason: String,
}

impl<'a> Arrival<'a> {
    /// A request as a listener with these settings takes it from `neighbour`.
    ///
    /// # Errors
    ///
    /// When the listener would refuse it.
    pub fn new(
        head: &'a request::Parts,
        neighbour: IpAddr,
        limits: &ListenerLimits,
        trusted: &TrustedProxies,
    ) -> Result<Self, Refusal> {
        check(head, limits).map_err(|trouble| {
            let verdict = trouble.verdict();
            Refusal { status: verdict.status.as_u16(), reason: verdict.word.to_owned() }
        })?;
        let neighbour = neighbour.to_canonical();
        let believed = believed(&head.headers, neighbour, trusted);
        let client = believed.as_ref().map_or(neighbour, |believed| believed.client);
        let target = head.uri.path_and_query().map_or("/", PathAndQuery::as_str);
        let facts = RequestFacts::new(&head.method, host_of(head), target, &head.headers, client);
        let mut facts =
            facts.map_err(|error| Refusal { status: 400, reason: error.to_string() })?;
        if believed.is_none() {
            facts = facts.of_stranger();
        }
        Ok(Self { client, target, facts })
    }
}
