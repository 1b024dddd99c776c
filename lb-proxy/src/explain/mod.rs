//! Where a request would go, by the code that would send it there.
//!
//! It is asked of a configuration and of nobody else: all backends of it count as up, and
//! what depends on load or turns is said to, rather than guessed.

mod among;
mod cluster;
mod holder;

use std::{fmt::Write as _, net::IpAddr};

use http::{HeaderName, HeaderValue, Method, Request, Uri, request};
use lb_proxy::{
    Arrival, Explained, Refusal, Unrouted, Verdict,
    config::{Config, Listener},
};
use serde_json::{Value, json};

pub(crate) use self::holder::Holder;
use self::{
    among::Among,
    cluster::{Asked, ClusterLines},
};

/// The request it is about.
#[derive(Debug, Clone)]
pub(crate) struct Question {
    pub(crate) method: Method,
    pub(crate) target: Uri,
    pub(crate) headers: Vec<(HeaderName, HeaderValue)>,
    /// Whose connection it comes on.
    pub(crate) client: IpAddr,
}

impl Question {
    /// The head of the request.
    fn head(&self) -> request::Parts {
        let (mut head, ()) = Request::new(()).into_parts();
        head.method = self.method.clone();
        head.uri = self.target.clone();
        // As they are given: a second `Host` is a second one.
        for (name, value) in &self.headers {
            head.headers.append(name, value.clone());
        }
        head
    }
}

/// Reads `Name: value`.
pub(crate) fn read_header(text: &str) -> Result<(HeaderName, HeaderValue), String> {
    let (name, value) = text.split_once(':').ok_or("write it like `Name: value`")?;
    let name = name.trim().parse().map_err(|error| format!("`{name}`: {error}"))?;
    let value = value.trim().parse().map_err(|error| format!("`{value}`: {error}"))?;
    Ok((name, value))
}

const HOST_HINT: &str = "; a request has one header `Host`: `-H 'Host: www.example.org'`";

/// Where a request goes.
pub(crate) struct Explanation {
    /// The one it is taken to come to, where that matters.
    listener: Option<String>,
    /// Where it comes from, as far as trusted proxies tell it.
    client: IpAddr,
    routes: Vec<RouteLine>,
    /// Why it goes nowhere.
    pub(crate) refusal: Option<String>,
    cluster: Option<ClusterLines>,
}

struct RouteLine {
    name: String,
    pattern: String,
    to: String,
    is_taken: bool,
    verdict: String,
}

impl Explanation {
    pub(crate) fn new(config: &Config, asked: &Question) -> Self {
        let refused = |refusal| Self {
            listener: None,
            client: asked.client,
            routes: Vec::new(),
            refusal: Some(refusal),
            cluster: None,
        };
        let Some(listener) = config.listeners.first() else {
            return refused("nobody listens".to_owned());
        };
        let head = asked.head();
        let arrival =
            Arrival::new(&head, asked.client, &listener.limits, &listener.trusted_proxies);
        let arrival = match arrival {
            Ok(arrival) => arrival,
            Err(Refusal { status, reason }) => {
                let hint = if reason == "bad-host" { HOST_HINT } else { "" };
                return refused(format!("{status}: {reason}{hint}"));
            }
        };
        let Arrival { client, target, facts } = arrival;
        let table = config.route_table();
        let decision = table.decide(&facts);
        let taken = decision.ok();
        let line = |Explained { route, verdict }: Explained<'_>| RouteLine {
            name: route.name.to_string(),
            pattern: format!("{} {}", route.host, route.path),
            to: config.clusters[route.cluster].name.to_string(),
            is_taken: taken.is_some() && verdict == Verdict::Taken,
            verdict: verdict.to_string(),
        };
        let cluster = taken.map(|route| &config.clusters[route.cluster]);
        let nobody = cluster.filter(|one| one.backends.is_empty() && one.discover.is_empty());
        let differs = |other: &Listener| {
            (&other.limits, &other.trusted_proxies) != (&listener.limits, &listener.trusted_proxies)
        };
        Self {
            // Which of them was asked matters only then.
            listener: config.listeners.iter().any(differs).then(|| listener.bind.to_string()),
            client,
            routes: table.explain(&facts).into_iter().map(line).collect(),
            refusal: decision
                .err()
                .map(refusal)
                .or_else(|| nobody.map(|one| format!("503: `{}` has no backends", one.name))),
            cluster: taken.zip(cluster).map(|(route, cluster)| {
                let target = route.forwarded_target(target, &facts);
                ClusterLines::new(cluster, target, &Asked { head: &head, facts: &facts })
            }),
        }
    }

    pub(crate) fn text(&self, asked: &Question) -> String {
        let mut text = String::new();
        let width = |of: fn(&RouteLine) -> &str| {
            self.routes.iter().map(|route| of(route).chars().count()).max().unwrap_or(0)
        };
        let (patterns, names) = (width(|route| &route.pattern), width(|route| &route.to));
        // Writing to a string cannot fail.
        let _ = write!(text, "{} {} from {}", asked.method, asked.target, self.client);
        let _ = match &self.listener {
            Some(listener) => writeln!(text, ", to the listener {listener}"),
            None => writeln!(text),
        };
        for RouteLine { pattern, to, is_taken, verdict, .. } in &self.routes {
            let mark = if *is_taken { '>' } else { ' ' };
            let _ =
                writeln!(text, "{mark} route    {pattern:patterns$}  to {to:names$}  {verdict}");
        }
        if let Some(refusal) = &self.refusal {
            let _ = writeln!(text, "  answer   {refusal}");
        }
        let Some(cluster) = &self.cluster else { return text };
        let _ = writeln!(text, "  cluster  {}: {}", cluster.name, cluster.strategy);
        if let Some(sticky) = &cluster.sticky {
            let _ = writeln!(text, "  sticky   {sticky}");
        }
        for key in &cluster.keys {
            let _ = writeln!(text, "  key      {key}");
        }
        if let Some(among) = &cluster.among {
            let _ = writeln!(text, "  among    {among}");
        }
        if self.refusal.is_none() {
            let _ = writeln!(text, "  backend  {}", cluster.pick);
        }
        if let Some(condition) = &cluster.assumes {
            let _ = writeln!(text, "  assumes  {condition}");
        }
        let _ = writeln!(text, "  target   {}", cluster.target);
        text
    }

    pub(crate) fn json(&self, asked: &Question) -> Value {
        let routes: Vec<Value> = self
            .routes
            .iter()
            .map(|route| {
                json!({
                    "name": route.name,
                    "pattern": route.pattern,
                    "to": route.to,
                    "taken": route.is_taken,
                    "reason": route.verdict,
                })
            })
            .collect();
        let cluster = self.cluster.as_ref();
        let backend = cluster.and_then(|cluster| cluster.pick.backend.as_ref());
        let why = cluster.map(|cluster| &cluster.pick.why);
        let keys = |cluster: &ClusterLines| -> Vec<Value> {
            cluster.keys.iter().map(|key| json!({ "part": key.rule, "value": key.value })).collect()
        };
        json!({
            "method": asked.method.as_str(),
            "target": asked.target.to_string(),
            "client": self.client,
            "listener": self.listener,
            "routes": routes,
            "answer": self.refusal,
            "cluster": cluster.map(|cluster| &cluster.name),
            "strategy": cluster.map(|cluster| &cluster.strategy),
            "sticky": cluster.and_then(|cluster| cluster.sticky.as_ref()),
            "key": cluster.map(keys),
            "among": cluster.and_then(|cluster| cluster.among.as_ref()).map(Among::json),
            "backend": backend.map(|(name, address)| {
                json!({ "name": name, "address": address, "reason": why })
            }),
            "pick": why,
            "assumes": cluster.and_then(|cluster| cluster.assumes.as_ref()),
            "sources": cluster.map(|cluster| cluster.has_sources),
            "backend_target": cluster.map(|cluster| &cluster.target),
        })
    }
}

fn refusal(why: Unrouted) -> String {
    match why {
        Unrouted::NoRoute => "404: no route".to_owned(),
        Unrouted::ForeignHost => "421: no route for this host".to_owned(),
        Unrouted::Path(error) => format!("400: {error}"),
    }
}

#[cfg(test)]
mod tests {
    use lb_proxy::PathError;

    use super::*;

    #[test]
    fn a_header_has_a_name_and_a_value() {
        let (name, value) = read_header("X-User:  ann ").expect("a header");
        assert_eq!((name.as_str(), value.as_bytes()), ("x-user", &b"ann"[..]));
        assert!(read_header("X-User").is_err());
        assert!(read_header("X User: a").is_err());
    }

    #[test]
    fn a_path_that_two_servers_read_differently_is_refused() {
        assert!(refusal(Unrouted::Path(PathError::Ambiguous)).starts_with("400: different"));
    }
}
