//! `discover = { gossip = "0.0.0.0:7946", … }`: nodes that tell each other who is there.

use std::{net::SocketAddr, time::Duration};

use super::{
    announce::{AnnounceSecret, Parts as Keys, read_udp_address},
    cluster::Cluster,
    diagnostic::Diagnostic,
    diagnostics::Diagnostics,
    discover::DiscoverFrom,
    loader::Loader,
    reader::{Table, Text, Value},
};
use crate::upstream::{check_host, read_ip, read_port};

/// How to be a member among nodes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Gossip {
    /// Where datagrams are received.
    pub bind: SocketAddr,
    /// Where others reach us, if that is not `bind`.
    pub advertise: Option<SocketAddr>,
    /// Whom to ask for the others.
    pub join: Vec<Box<str>>,
    /// The first one seals, all of them open.
    pub keys: Vec<AnnounceSecret>,
    /// Whether anybody is believed where there are no keys.
    pub insecure: bool,
    /// How fast deaths are noticed.
    pub profile: GossipProfile,
    /// How far the clock of a node may be from ours.
    pub max_skew: Duration,
}

/// How fast deaths are noticed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum GossipProfile {
    /// In 3 to 6 seconds.
    Lan,
    /// Within two seconds.
    #[default]
    Fast,
    /// Within about one second.
    Faster,
}

/// The keys of a source that go with `gossip` alone.
pub(super) struct Parts<'a> {
    join: Option<Value<'a>>,
    advertise: Option<Value<'a>>,
    profile: Option<Value<'a>>,
    insecure: Option<Value<'a>>,
}

impl<'a> Parts<'a> {
    pub(super) fn take(table: &mut Table<'a>) -> Self {
        Self {
            join: table.take("join"),
            advertise: table.take("advertise"),
            profile: table.take("profile"),
            insecure: table.take("insecure"),
        }
    }

    /// Refuses what is there although nobody gossips.
    pub(super) fn refuse(self) {
        let all = [self.join, self.advertise, self.profile, self.insecure];
        for value in all.into_iter().flatten() {
            value.wrong("goes with `gossip`", "there is no gossip here");
        }
    }

    pub(super) fn read(
        self,
        place: &Value<'a>,
        keys: Keys<'a>,
        loader: &dyn Loader,
        out: &Diagnostics,
    ) -> Option<Gossip> {
        let insecure = self.insecure.and_then(Value::boolean).unwrap_or(false);
        let join = self.join.into_iter().flat_map(Value::one_or_more).filter_map(Value::text);
        let join = join.filter_map(|text| read_seed(&text)).collect();
        let profile = match self.profile.and_then(Value::word) {
            Some("lan") => GossipProfile::Lan,
            Some("faster") => GossipProfile::Faster,
            _ => GossipProfile::Fast,
        };
        let advertise = self.advertise.and_then(Value::text);
        let advertise = advertise.and_then(|text| read_advertised(&text));
        let keys = keys.read_for_gossip(loader, out);
        let bind = read_udp_address(&place.clone().text()?, "write it like `0.0.0.0:7946`")?;
        let (keys, max_skew) = keys?;
        if keys.is_empty() && !insecure && !bind.ip().is_loopback() {
            out.push(
                Diagnostic::error("gossip needs a key")
                    .at(place.span(), "whoever can send could have all requests otherwise")
                    .key(place.path())
                    .absence()
                    .help("add `key = { env = \"LB_GOSSIP_KEY\" }`; `lb key` makes one. Where nobody else can send, `insecure = true`"),
            );
            return None;
        }
        if !keys.is_empty() && insecure {
            let message = "`insecure` has no effect beside a key";
            place.report(
                Diagnostic::warning(message)
                    .at(place.span(), "what is not sealed is ignored")
                    .key(place.path()),
            );
        }
        Some(Gossip { bind, advertise, join, keys, insecure, profile, max_skew })
    }
}

/// Clusters with the same address share a member, which has one set of settings.
pub(super) fn refuse_two_minds(clusters: &[Cluster], names: &[Text<'_>], out: &Diagnostics) {
    let all = clusters.iter().flat_map(|cluster| {
        let sources = cluster.discover.iter().filter_map(|discover| match &discover.from {
            DiscoverFrom::Gossip(gossip) => Some(gossip),
            _ => None,
        });
        sources.map(move |gossip| (&*cluster.name, gossip))
    });
    let all: Vec<_> = all.collect();
    for (position, (cluster, gossip)) in all.iter().enumerate() {
        let is_another =
            |(_, other): &&(&str, &Gossip)| other.bind == gossip.bind && other != gossip;
        let Some((other, _)) = all[..position].iter().find(is_another) else { continue };
        let place = |wanted: &str| names.iter().find(|name| name.as_str() == wanted);
        if let (Some(place), Some(other)) = (place(cluster), place(other)) {
            out.push(
                Diagnostic::error(format!("two sources gossip at {} differently", gossip.bind))
                    .at(place.span(), "with other settings than the first one")
                    .related(other.span(), "the first one")
                    .key(format!("{}.discover", place.path()))
                    .help("give both the same settings, or addresses of their own; `allow` may differ"),
            );
        }
    }
}

fn read_seed(text: &Text<'_>) -> Option<Box<str>> {
    let wrong = |label: &str| {
        let error = text.error(format!("`{}` cannot be joined", text.as_str()), label);
        text.report(error.help("write it like `lb.example:7946`"));
        None
    };
    let Some((host, port)) = text.as_str().rsplit_once(':') else {
        return wrong("the port is missing");
    };
    match read_port(port) {
        Ok(1..) if read_ip(host).is_some() || check_host(host).is_ok() => {
            Some(text.as_str().into())
        }
        Ok(1..) => wrong("the host is none"),
        Ok(0) | Err(_) => wrong("the port is none"),
    }
}

fn read_advertised(text: &Text<'_>) -> Option<SocketAddr> {
    let address = text.as_str().parse::<SocketAddr>().ok();
    let address = address.filter(|address| {
        let ip = address.ip();
        address.port() != 0 && !ip.is_unspecified() && !ip.is_multicast()
    });
    if address.is_none() {
        let message = format!("`{}` cannot be reached", text.as_str());
        let error = text.error(message, "no address of one machine, with a port");
        text.report(error.help("write it like `10.0.0.1:7946`"));
    }
    address
}
