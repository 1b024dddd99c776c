//! `discover = { announce = "0.0.0.0:7950", … }`: nodes that announce themselves.

use std::{
    fmt,
    net::{IpAddr, SocketAddr},
    time::Duration,
};

use ipnet::IpNet;

use super::{
    bind::Bind,
    diagnostic::Diagnostic,
    diagnostics::Diagnostics,
    loader::Loader,
    networks::read_networks,
    reader::{Table, Text, Value},
    secret::read_key,
};

/// Where nodes announce themselves, and who may.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Announce {
    /// Where datagrams are received.
    pub bind: SocketAddr,
    /// Multicast groups that are heard there.
    pub groups: Vec<IpAddr>,
    /// On which interface; that of the system unless set.
    pub interface: Option<Box<str>>,
    /// Whose word is taken.
    pub keys: Vec<AnnounceKey>,
    /// How far the clock of a node may be from ours.
    pub max_skew: Duration,
}

/// A key, and what its holders may announce.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AnnounceKey {
    /// The key.
    pub secret: AnnounceSecret,
    /// Where their backends must be; `None`: as `allow` says.
    pub networks: Option<Vec<IpNet>>,
    /// The largest weight.
    pub max_weight: Option<u32>,
    /// How many backends there may be.
    pub max_backends: Option<usize>,
    /// Whether they may announce other addresses than their own.
    pub relay: bool,
}

/// The bytes of a key. Its `Debug` form has none of them.
#[derive(Clone, PartialEq, Eq)]
pub struct AnnounceSecret(pub [u8; 32]);

impl fmt::Debug for AnnounceSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("…")
    }
}

/// The keys of a source that go with `announce`.
pub(super) struct Parts<'a> {
    key: Option<Value<'a>>,
    keys: Option<Value<'a>>,
    multicast: Option<Value<'a>>,
    interface: Option<Value<'a>>,
    max_skew: Option<Value<'a>>,
}

impl<'a> Parts<'a> {
    pub(super) fn take(table: &mut Table<'a>) -> Self {
        Self {
            key: table.take("key"),
            keys: table.take("keys"),
            multicast: table.take("multicast"),
            interface: table.take("interface"),
            max_skew: table.take("max_skew"),
        }
    }

    /// Refuses what is there although nobody announces anything.
    pub(super) fn refuse(self) {
        let all = [self.key, self.keys, self.multicast, self.interface, self.max_skew];
        for value in all.into_iter().flatten() {
            value.wrong("goes with `announce`", "nothing is announced here");
        }
    }

    /// The keys without grants of their own and the skew, for `gossip`; it refuses the
    /// rest. `None`: a key is wrong.
    pub(super) fn read_for_gossip(
        self,
        loader: &dyn Loader,
        out: &Diagnostics,
    ) -> Option<(Vec<AnnounceSecret>, Duration)> {
        for value in [&self.multicast, &self.interface].into_iter().flatten() {
            value.wrong("goes with `announce`", "gossip has no groups");
        }
        let max_skew = self.max_skew.clone();
        let max_skew = max_skew.and_then(|value| value.duration(Duration::from_millis(1)));
        let max_skew = max_skew.unwrap_or(MAX_SKEW);
        let place = match (&self.key, &self.keys) {
            (None, None) => return Some((Vec::new(), max_skew)),
            (Some(one), _) | (None, Some(one)) => one.clone(),
        };
        let keys = self.keys(&place, loader, out)?;
        if keys.is_empty() {
            // What is wrong with each was said.
            return None;
        }
        if keys.len() > 2 {
            place.wrong("has more than two keys", "one that seals, and one it replaces");
        }
        if keys.iter().any(|key| *key != AnnounceKey::new(key.secret.0)) {
            let label = "members pass on what others say, so all of them may say the same";
            let error = place.error("says what a key permits", label);
            out.push(error.help("write it into `allow`"));
        }
        Some((keys.into_iter().map(|key| key.secret).collect(), max_skew))
    }

    pub(super) fn read(
        self,
        place: &Value<'a>,
        loader: &dyn Loader,
        out: &Diagnostics,
    ) -> Option<Announce> {
        let keys = self.keys(place, loader, out);
        let groups = self.multicast.clone().map(read_groups).unwrap_or_default();
        let interface = self.interface.and_then(Value::text).and_then(|text| read_interface(&text));
        let max_skew = self.max_skew.and_then(|value| value.duration(Duration::from_millis(1)));
        let bind = read_udp_address(&place.clone().text()?, "write it like `0.0.0.0:7950`")?;
        if let Some(multicast) = self.multicast
            && !bind.ip().is_unspecified()
        {
            let any = if bind.is_ipv4() { "0.0.0.0" } else { "[::]" };
            place.report(
                Diagnostic::error("a group is not heard at one address of this machine")
                    .at(place.span(), "datagrams to a group do not come here")
                    .related(multicast.span(), "the group")
                    .key(place.path())
                    .help(format!("write `announce = \"{any}:{}\"`", bind.port())),
            );
        }
        let max_skew = max_skew.unwrap_or(MAX_SKEW);
        Some(Announce { bind, groups, interface, keys: keys?, max_skew })
    }

    fn keys(
        &self,
        place: &Value<'a>,
        loader: &dyn Loader,
        out: &Diagnostics,
    ) -> Option<Vec<AnnounceKey>> {
        match (&self.key, &self.keys) {
            (Some(key), None) => Some(vec![AnnounceKey::new(read_key(key, MAKE, loader, out)?)]),
            (None, Some(keys)) => {
                let tables = keys.clone().one_or_more();
                if tables.is_empty() {
                    keys.wrong("must not be empty", "nobody could announce anything");
                }
                let mut all: Vec<AnnounceKey> = Vec::new();
                for (value, table) in
                    tables.into_iter().filter_map(|one| Some((one.clone(), one.into_table()?)))
                {
                    let Some(key) = read_one(table, loader, out) else { continue };
                    if all.iter().any(|other| other.secret == key.secret) {
                        value.wrong("has a key that another one has", "what does it permit?");
                    }
                    all.push(key);
                }
                Some(all)
            }
            (Some(key), Some(keys)) => {
                out.push(
                    key.error("and `keys` are given", "one key")
                        .related(keys.key_span(), "several")
                        .help("put it into `keys`"),
                );
                None
            }
            (None, None) => {
                out.push(
                    Diagnostic::error("announcements need a key")
                        .at(place.span(), "whoever can send could have all requests otherwise")
                        .key(place.path())
                        .absence()
                        .help("add `key = { env = \"LB_ANNOUNCE_KEY\" }`; `lb key` makes one"),
                );
                None
            }
        }
    }
}

impl AnnounceKey {
    fn new(secret: [u8; 32]) -> Self {
        Self {
            secret: AnnounceSecret(secret),
            networks: None,
            max_weight: None,
            max_backends: None,
            relay: false,
        }
    }
}

fn read_one(mut table: Table<'_>, loader: &dyn Loader, out: &Diagnostics) -> Option<AnnounceKey> {
    let key = table.take("key");
    let networks = table.take("networks").map(read_networks);
    let (max_weight, max_backends) =
        (table.take_integer("max_weight"), table.take_integer("max_backends"));
    let relay = table.take_bool("relay").unwrap_or(false);
    if key.is_none() {
        out.push(
            table
                .missing("key", "which one is it?")
                .help("add `key = { env = \"LB_ANNOUNCE_KEY\" }`; `lb key` makes one"),
        );
    }
    table.finish();
    let key = AnnounceKey::new(read_key(&key?, MAKE, loader, out)?);
    Some(AnnounceKey { networks, max_weight, max_backends, relay, ..key })
}

pub(super) fn read_udp_address(text: &Text<'_>, example: &str) -> Option<SocketAddr> {
    let wrong = |label: String, help: &str| {
        let error = text.error(format!("`{}` cannot be listened on", text.as_str()), label);
        text.report(error.help(help));
        None
    };
    match Bind::parse(text.as_str()) {
        Ok(Bind::Socket(address)) if address.port() == 0 => {
            wrong("nobody would know the port".to_owned(), example)
        }
        Ok(Bind::Socket(address)) => Some(address),
        Ok(Bind::Name { .. }) => wrong("a name".to_owned(), example),
        Err(error) => wrong(error, example),
    }
}

fn read_groups(value: Value<'_>) -> Vec<IpAddr> {
    let texts = value.one_or_more().into_iter().filter_map(Value::text);
    let group = |text: Text<'_>| {
        let group = text.as_str().parse::<IpAddr>().ok().filter(IpAddr::is_multicast);
        if group.is_none() {
            let message = format!("`{}` is not a multicast group", text.as_str());
            let error = text.error(message, "no address from 224.0.0.0 to 239.255.255.255");
            text.report(
                error.help("239.255.0.0/16 is free for use within a site: `239.255.70.70`"),
            );
        }
        group
    };
    texts.filter_map(group).collect()
}

fn read_interface(text: &Text<'_>) -> Option<Box<str>> {
    let name = text.as_str();
    let is_name = name.len() < 16 && name.bytes().all(|byte| byte.is_ascii_graphic());
    if name.is_empty() || !is_name {
        let message = format!("`{name}` is not an interface");
        text.report(text.error(message, "a name like `eth0`, or its IPv4 address"));
        return None;
    }
    Some(name.into())
}

/// How to make one, for help texts.
const MAKE: &str = "32 random bytes in base64, as of `lb key`";

const MAX_SKEW: Duration = Duration::from_secs(30);
