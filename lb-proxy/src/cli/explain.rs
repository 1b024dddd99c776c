//! `lb explain`: where a request would go, by the code that would send it there.
//!
//! Offline: it reads the file and asks nobody. All backends count as up, and what
//! depends on load or turns is said to, rather than guessed.

use std::{
    fmt::Write as _,
    net::{IpAddr, Ipv4Addr},
    path::PathBuf,
    time::{SystemTime, UNIX_EPOCH},
};

use clap::Args;
use http::{HeaderMap, HeaderName, HeaderValue, Method, header, uri::PathAndQuery};
use lb_core::{
    Membership, Tick, UnixTime,
    sticky::{Format, Sticky, apache},
    strategy::{Binding, PickCx, Reason},
};
use lb_proxy::{
    Explained, KeyRule, RequestFacts, StickySettings, StickyValue, Unrouted, Verdict,
    config::{Cluster, Config, Machine},
};
use serde_json::{Value, json};

use super::{exit::Exit, print, source};

#[derive(Debug, Args)]
pub(super) struct ExplainArgs {
    /// `GET`
    #[arg(value_name = "METHOD")]
    method: Method,

    /// `/api/x?y=z`
    #[arg(value_name = "PATH")]
    target: PathAndQuery,

    /// A header of the request, `'Host: www.example.org'`; may be given several times.
    #[arg(long, short = 'H', value_name = "HEADER", value_parser = read_header)]
    header: Vec<(HeaderName, HeaderValue)>,

    /// Where the request comes from.
    #[arg(long, value_name = "IP", default_value_t = IpAddr::V4(Ipv4Addr::LOCALHOST))]
    client: IpAddr,

    /// Configuration file; `-` reads the standard input. Without it, the one that
    /// `lb run` would read.
    #[arg(long, short, value_name = "FILE")]
    config: Option<PathBuf>,

    /// Print one JSON object.
    #[arg(long)]
    json: bool,
}

/// Explains a request; fails when it has no route.
pub(super) fn explain(args: &ExplainArgs) -> Exit {
    let source = match source::given_or_found(args.config.as_deref()) {
        Ok(source) => source,
        Err(exit) => return exit,
    };
    let (config, diagnostics) = Config::parse(&source.name, &source.text, &Machine);
    let Some(config) = config else {
        print::diagnostics(&diagnostics, "nothing to explain");
        return Exit::Usage;
    };
    let explanation = Explanation::new(&config, args);
    let text = match args.json {
        true => format!("{}\n", explanation.json(args)),
        false => explanation.text(args),
    };
    match print::result(&text) {
        Ok(()) if explanation.cluster.is_some() => Exit::Done,
        Ok(()) => Exit::Failed,
        Err(error) => {
            print::error(&error);
            Exit::Failed
        }
    }
}

fn read_header(text: &str) -> Result<(HeaderName, HeaderValue), String> {
    let (name, value) = text.split_once(':').ok_or("write it like `Name: value`")?;
    let name = name.trim().parse().map_err(|error| format!("`{name}`: {error}"))?;
    let value = value.trim().parse().map_err(|error| format!("`{value}`: {error}"))?;
    Ok((name, value))
}

/// Where a request goes.
struct Explanation {
    routes: Vec<RouteLine>,
    /// Why it goes nowhere.
    refusal: Option<String>,
    cluster: Option<ClusterLines>,
}

struct RouteLine {
    name: String,
    pattern: String,
    to: String,
    is_taken: bool,
    verdict: String,
}

struct ClusterLines {
    name: String,
    strategy: String,
    sticky: Option<String>,
    /// The backend, and why; none where that is known only when it happens.
    backend: Option<(String, String, &'static str)>,
    /// The target it would be asked for.
    target: String,
}

impl Explanation {
    fn new(config: &Config, args: &ExplainArgs) -> Self {
        let headers: HeaderMap = args.header.iter().cloned().collect();
        let host = headers.get(header::HOST).and_then(|host| host.to_str().ok()).unwrap_or("");
        let target = args.target.as_str();
        let facts = match RequestFacts::new(&args.method, host, target, &headers, args.client) {
            Ok(facts) => facts,
            Err(error) => {
                let refusal = Some(format!("400: {error}"));
                return Self { routes: Vec::new(), refusal, cluster: None };
            }
        };
        let trusts = config.listeners.iter().any(|listener| !listener.trusted_proxies.is_empty());
        let facts = if trusts { facts } else { facts.of_stranger() };
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
        Self {
            routes: table.explain(&facts).into_iter().map(line).collect(),
            refusal: decision.err().map(refusal),
            cluster: taken.map(|route| {
                let cluster = &config.clusters[route.cluster];
                ClusterLines::new(cluster, route.forwarded_target(target, &facts), args, &headers)
            }),
        }
    }

    fn text(&self, args: &ExplainArgs) -> String {
        let mut text = String::new();
        let width = |of: fn(&RouteLine) -> &str| {
            self.routes.iter().map(|route| of(route).chars().count()).max().unwrap_or(0)
        };
        let (patterns, names) = (width(|route| &route.pattern), width(|route| &route.to));
        // Writing to a string cannot fail.
        let _ = writeln!(text, "{} {} from {}", args.method, args.target, args.client);
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
        let _ = match &cluster.backend {
            Some((name, address, why)) if name == address => {
                writeln!(text, "  backend  {name}: {why}")
            }
            Some((name, address, why)) => writeln!(text, "  backend  {name} at {address}: {why}"),
            None => writeln!(text, "  backend  whoever `{}` finds at the time", cluster.strategy),
        };
        let _ = writeln!(text, "  target   {}", cluster.target);
        text
    }

    fn json(&self, args: &ExplainArgs) -> Value {
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
        let backend = cluster.and_then(|cluster| cluster.backend.as_ref());
        json!({
            "method": args.method.as_str(),
            "target": args.target.as_str(),
            "client": args.client,
            "routes": routes,
            "answer": self.refusal,
            "cluster": cluster.map(|cluster| &cluster.name),
            "strategy": cluster.map(|cluster| &cluster.strategy),
            "sticky": cluster.and_then(|cluster| cluster.sticky.as_ref()),
            "backend": backend.map(|(name, address, why)| {
                json!({ "name": name, "address": address, "reason": why })
            }),
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

impl ClusterLines {
    fn new(cluster: &Cluster, target: String, args: &ExplainArgs, headers: &HeaderMap) -> Self {
        let bound = cluster.sticky.as_ref().map(|sticky| {
            let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
            let jar =
                Jar { sticky, cluster: &cluster.name, now: UnixTime::from_secs(now.as_secs()) };
            jar.says(args.target.as_str(), headers)
        });
        let (sticky, backend) = match bound {
            Some((sticky, binding)) => (Some(sticky), pick(cluster, binding, args.client)),
            None => (None, pick(cluster, None, args.client)),
        };
        Self {
            name: cluster.name.to_string(),
            strategy: cluster.strategy.kind.to_string(),
            sticky,
            backend,
            target,
        }
    }
}

/// The backend of a request whose key or cookie decides; all backends are up.
fn pick(
    settings: &Cluster,
    binding: Option<Binding<'_>>,
    client: IpAddr,
) -> Option<(String, String, &'static str)> {
    let strategy = &settings.strategy;
    let membership = Membership::new(settings.backends.iter().cloned()).ok()?;
    let mut builder = lb_core::Cluster::builder(&*settings.name)
        .boxed_strategy(strategy.kind.build_with(&strategy.options))
        .membership(membership);
    if let Some(sticky) = &settings.sticky {
        builder = builder.ring(sticky.ring(&settings.name));
    }
    let key = match client {
        IpAddr::V4(address) => address.octets().to_vec(),
        IpAddr::V6(address) => address.octets().to_vec(),
    };
    let mut cx = PickCx::new(Tick::ZERO, 0);
    if settings.key() == Some(KeyRule::ClientIp) {
        cx = cx.keyed(&key);
    }
    if let Some(binding) = binding {
        cx = cx.bound_to(binding);
    }
    let lease = builder.build().handle().acquire(&cx).ok()?;
    let why = match lease.reason() {
        Reason::Preferred => "the cookie names it",
        Reason::Key | Reason::Rehash => "the client's address belongs there",
        Reason::First => "it is the first",
        _ => return None,
    };
    Some((lease.backend().name().to_owned(), lease.backend().address().to_owned(), why))
}

/// The cookies of a request, as one cluster reads them.
struct Jar<'j> {
    sticky: &'j StickySettings,
    cluster: &'j str,
    now: UnixTime,
}

impl Jar<'_> {
    /// A sentence, and whom the client is bound to.
    fn says<'h>(&self, target: &'h str, headers: &'h HeaderMap) -> (String, Option<Binding<'h>>) {
        let name = &*self.sticky.cookie;
        let fields = || headers.get_all(header::COOKIE).iter().map(HeaderValue::as_bytes);
        let format = match self.sticky.value {
            StickyValue::Derived => Format::Derived,
            StickyValue::Sealed => Format::Sealed { ttl: self.sticky.ttl },
            StickyValue::Name => Format::Name,
        };
        if self.sticky.value == StickyValue::Name {
            let route = apache::route(target, fields(), name);
            if let Some(route) = route.and_then(|route| str::from_utf8(route).ok()) {
                return (format!("`{name}` says {route}"), Some(Binding::Name(route)));
            }
        }
        let pairs = fields().flat_map(|field| field.split(|byte| *byte == b';'));
        let value = pairs
            .map(<[u8]>::trim_ascii)
            .find_map(|pair| pair.strip_prefix(name.as_bytes())?.strip_prefix(b"="));
        let codec = Sticky::new(format, self.sticky.ring(self.cluster));
        match value.map(|value| codec.read(value, self.now)) {
            None => (format!("no cookie `{name}`: bound to whoever answers"), None),
            Some(None) => (format!("`{name}` says nothing: bound to whoever answers"), None),
            Some(Some(Binding::Key(key))) => {
                let text = format!("`{name}` was sealed with another key: kept as it is");
                (text, Some(Binding::Key(key)))
            }
            Some(Some(binding)) => (format!("`{name}` is one of ours"), Some(binding)),
        }
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
