//! Which session a request belongs to, as far as that can be told.
//!
//! What binds a client says which *backend* is meant, and is the same for all clients of
//! it. So a session is what the strategy picks by, where it does, else an address with a
//! browser: people behind one address with the same browser are one. It is only for
//! estimates, a number that says nothing about whom it stands for, and costs a hash where
//! a cluster binds clients and a comparison elsewhere.

use std::{
    hash::{DefaultHasher, Hash as _, Hasher as _},
    net::IpAddr,
    num::NonZeroU64,
};

use http::{HeaderMap, header};

use super::key::RequestKey;
use crate::runtime::site::WorkerCluster;

/// `None` where nobody is bound.
pub(super) fn of(
    cluster: &WorkerCluster,
    key: Option<&RequestKey>,
    client: IpAddr,
    headers: &HeaderMap,
) -> Option<NonZeroU64> {
    // Its keys are the same in all workers, so that they agree on who is who.
    let mut hasher = DefaultHasher::new();
    match key {
        Some(key) => key.as_bytes().hash(&mut hasher),
        None if cluster.binder.is_some() => {
            client.hash(&mut hasher);
            headers.get(header::USER_AGENT).map(|agent| agent.as_bytes()).hash(&mut hasher);
        }
        None => return None,
    }
    Some(NonZeroU64::new(hasher.finish()).unwrap_or(NonZeroU64::MIN))
}
