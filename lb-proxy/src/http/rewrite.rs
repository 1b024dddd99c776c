//! What a request becomes before a backend sees it: routed first, by what the client
//! sent, then changed.

use std::net::IpAddr;

use http::{HeaderValue, Uri, Version, header, request, uri::PathAndQuery};

use super::{
    client::Client,
    forwarded::{believed, say_prefix},
    head::{RequestHead, Target},
    headers::{Named, request_changes},
    key::RequestKey,
    public::PublicForm,
    request_id::X_REQUEST_ID,
    route::{RequestFacts, Route, Unrouted},
    status::Trouble,
};
use crate::runtime::site::Site;

/// What is known of a request that was rewritten.
pub(super) struct Rewritten {
    /// Position of the cluster it goes to.
    pub(super) cluster: usize,
    /// Where it came from, as far as trusted proxies tell it.
    pub(super) client_ip: IpAddr,
    /// What its cluster picks by.
    pub(super) key: Option<RequestKey>,
    /// How its client sees what it asks for.
    pub(super) public: PublicForm,
    /// An HTTP/1.0 request may lack a host.
    pub(super) lacks_host: bool,
    /// What may not be in its trailers.
    pub(super) named: Named,
}

/// Makes a head what a backend is to see, and finds whose. `id` is what the request is
/// called.
pub(super) fn rewrite(
    head: &mut request::Parts,
    client: &Client,
    site: &Site,
    id: Option<&HeaderValue>,
) -> Result<Rewritten, Trouble> {
    let neighbour = client.origin.neighbour;
    let believed = believed(&head.headers, neighbour, &client.settings().trusted_proxies);
    let client_ip = believed.as_ref().map_or(neighbour, |believed| believed.client);
    if let Some(believed) = &believed {
        client.records.note(|record| record.came_from(believed.client));
    }
    let Routed { route, key, target, prefix } = routed(head, client_ip, believed.is_some(), site)?;
    client.records.note(|record| record.route = Some(site.name_of(route)));
    if let Target::Absolute { .. } = head.target() {
        let host = HeaderValue::from_str(host_of(head)).ok();
        if let Some(host) = host {
            head.headers.insert(header::HOST, host);
        }
        head.uri = head.uri.path_and_query().cloned().map_or_else(Uri::default, Uri::from);
    }
    if let Some(target) = target {
        head.uri = Uri::from(target);
    }
    let changes = request_changes(head);
    if changes.names_too_much() {
        return Err(Trouble::HeadTooLarge);
    }
    if changes.is_loop(&head.headers, &client.origin.via) {
        return Err(Trouble::Loop);
    }
    let is_trusted = believed.is_some();
    let (headers, version) = (&mut head.headers, head.version);
    let named = changes.apply_to_request(headers, &client.origin, believed, version);
    if let Some(prefix) = prefix {
        say_prefix(headers, prefix.trim_end_matches('/'));
    }
    if let Some(id) = id {
        headers.insert(X_REQUEST_ID, id.clone());
    }
    let public = PublicForm::of(headers, prefix, is_trusted);
    let lacks_host = version == Version::HTTP_10 && !headers.contains_key(header::HOST);
    head.version = Version::HTTP_11;
    // An offer to upgrade, for instance, which holds on to the connection.
    head.extensions.clear();
    Ok(Rewritten { cluster: route.cluster, client_ip, key, public, lacks_host, named })
}

/// Where a request goes.
struct Routed<'a> {
    route: &'a Route,
    /// Of what the client has asked for.
    key: Option<RequestKey>,
    /// What the backend is asked for, if not what the client has asked for.
    target: Option<PathAndQuery>,
    /// What is missing from it.
    prefix: Option<&'a str>,
}

fn routed<'a>(
    head: &request::Parts,
    client_ip: IpAddr,
    is_trusted: bool,
    site: &'a Site,
) -> Result<Routed<'a>, Trouble> {
    let target = head.uri.path_and_query().map_or("/", PathAndQuery::as_str);
    let facts = RequestFacts::new(&head.method, host_of(head), target, &head.headers, client_ip);
    let facts = facts.map_err(|_| Trouble::Target)?;
    let facts = if is_trusted { facts } else { facts.of_stranger() };
    let route = site.routes.decide(&facts).map_err(|unrouted| match unrouted {
        Unrouted::NoRoute => Trouble::NoRoute,
        Unrouted::ForeignHost => Trouble::ForeignHost,
        Unrouted::Path(_) => Trouble::Target,
    })?;
    let rule = site.clusters[route.cluster].settings.key.as_ref();
    let key = rule.and_then(|rule| RequestKey::new(rule, &head.uri, &facts));
    let stripped = if route.strip { route.path.strip(target, &facts) } else { None };
    let (prefix, target) = stripped.unzip();
    let target = target.map(PathAndQuery::try_from).transpose().map_err(|_| Trouble::Target)?;
    Ok(Routed { route, key, target, prefix })
}

/// Whom a request is for. What stands in an absolute target counts, whatever the
/// header says (RFC 9112, section 3.2.2).
pub(super) fn host_of(head: &request::Parts) -> &str {
    match head.target() {
        // A name and a password are not for the backend.
        Target::Absolute { authority, .. } => {
            authority.rsplit_once('@').map_or(authority, |(_, host)| host)
        }
        _ => {
            let host = head.headers.get(header::HOST);
            host.and_then(|host| host.to_str().ok()).unwrap_or_default()
        }
    }
}
