//! What a node says of itself: `cluster=static port=80 name=web1 weight=3`.
//!
//! The same words as in a node file, so that one shell script can write either.
//! Reading is strict. A word that is not known is refused rather than skipped: what a
//! node means by it cannot be guessed, and the sender learns from the counters that
//! it was not understood.

use std::{
    fmt,
    net::{IpAddr, SocketAddr},
};

use lb_core::Weight;

use super::refusal::Malformed;
use crate::name::refusal_of_name;

/// One backend, as it announces itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// Which cluster it belongs to.
    pub cluster: Box<str>,
    /// Where it answers.
    pub place: Place,
    /// What it is called; `None`: by its address.
    pub name: Option<Box<str>>,
    /// Its share.
    pub weight: Weight,
    /// Its tier.
    pub tier: u8,
    /// Its zone.
    pub zone: Option<Box<str>>,
    /// Whether it wants requests.
    pub state: State,
}

/// Where a node answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// There.
    Address(SocketAddr),
    /// At the address that its datagrams come from, with this port.
    Port(u16),
}

/// Whether a node wants requests.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum State {
    /// It does.
    #[default]
    Up,
    /// No new clients: it is going to leave.
    Draining,
    /// It leaves now.
    Down,
}

impl Record {
    /// A backend of this cluster, of weight 1.
    pub fn new(cluster: impl Into<Box<str>>, place: Place) -> Self {
        Self {
            cluster: cluster.into(),
            place,
            name: None,
            weight: Weight::ONE,
            tier: 0,
            zone: None,
            state: State::Up,
        }
    }

    /// Reads `key=value` words with one blank between them.
    ///
    /// # Errors
    ///
    /// [`Malformed`] with the reason.
    ///
    /// ```
    /// use lb_discovery::announce::Record;
    ///
    /// let record = Record::parse(b"cluster=static port=80 name=web1 weight=3").unwrap();
    /// assert_eq!(record.weight.get(), 3);
    /// assert_eq!(record.to_string(), "cluster=static port=80 name=web1 weight=3");
    /// ```
    pub fn parse(bytes: &[u8]) -> Result<Self, Malformed> {
        let text = str::from_utf8(bytes).map_err(|_| Malformed("the record is not UTF-8"))?;
        let mut words = Words::default();
        for word in text.split(' ') {
            words.take(word)?;
        }
        let place = match (words.address, words.port) {
            (Some(address), None) => Place::Address(address),
            (None, Some(port)) => Place::Port(port),
            _ => return Err(Malformed("it must say either `address` or `port`")),
        };
        Ok(Self {
            cluster: words.cluster.ok_or(Malformed("it does not say its cluster"))?,
            place,
            name: words.name,
            weight: words.weight.unwrap_or_default(),
            tier: words.tier.unwrap_or_default(),
            zone: words.zone,
            state: words.state.unwrap_or_default(),
        })
    }
}

impl fmt::Display for Record {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "cluster={}", self.cluster)?;
        match self.place {
            Place::Address(address) => write!(f, " address={address}")?,
            Place::Port(port) => write!(f, " port={port}")?,
        }
        if let Some(name) = &self.name {
            write!(f, " name={name}")?;
        }
        if self.weight != Weight::ONE {
            write!(f, " weight={}", self.weight)?;
        }
        if self.tier != 0 {
            write!(f, " tier={}", self.tier)?;
        }
        if let Some(zone) = &self.zone {
            write!(f, " zone={zone}")?;
        }
        match self.state {
            State::Up => Ok(()),
            State::Draining => f.write_str(" state=draining"),
            State::Down => f.write_str(" state=down"),
        }
    }
}

/// What was said so far, each once.
#[derive(Debug, Default)]
struct Words {
    cluster: Option<Box<str>>,
    address: Option<SocketAddr>,
    port: Option<u16>,
    name: Option<Box<str>>,
    weight: Option<Weight>,
    tier: Option<u8>,
    zone: Option<Box<str>>,
    state: Option<State>,
}

impl Words {
    fn take(&mut self, word: &str) -> Result<(), Malformed> {
        let (key, value) = word.split_once('=').ok_or(Malformed("a word is not `key=value`"))?;
        let is_repeated = match key {
            "cluster" => self.cluster.replace(name(value)?).is_some(),
            "address" => self.address.replace(address(value)?).is_some(),
            "port" => self.port.replace(number(value, "the port is none")?).is_some(),
            "name" => self.name.replace(name(value)?).is_some(),
            "weight" => {
                let weight = Weight::new(number(value, "the weight is none")?);
                self.weight.replace(weight.ok_or(Malformed("the weight is none"))?).is_some()
            }
            "tier" => self.tier.replace(number(value, "the tier is none")?).is_some(),
            "zone" => self.zone.replace(name(value)?).is_some(),
            "state" => self.state.replace(state(value)?).is_some(),
            _ => return Err(Malformed("it says something that is not known")),
        };
        if self.port == Some(0) {
            return Err(Malformed("the port is none"));
        }
        if is_repeated { Err(Malformed("it says something twice")) } else { Ok(()) }
    }
}

fn name(text: &str) -> Result<Box<str>, Malformed> {
    match refusal_of_name(text) {
        None => Ok(text.into()),
        Some(_) => Err(Malformed("a name is none")),
    }
}

/// The address of one host, in the form that equal addresses have.
fn address(text: &str) -> Result<SocketAddr, Malformed> {
    let none = Malformed("the address is none");
    let address: SocketAddr = text.parse().map_err(|_| none)?;
    let ip = address.ip().to_canonical();
    let is_host = !ip.is_unspecified() && !ip.is_multicast() && ip != IpAddr::from([255; 4]);
    if is_host && address.port() != 0 { Ok(SocketAddr::new(ip, address.port())) } else { Err(none) }
}

fn number<T: std::str::FromStr>(text: &str, reason: &'static str) -> Result<T, Malformed> {
    let is_digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    text.parse().ok().filter(|_| is_digits).ok_or(Malformed(reason))
}

fn state(text: &str) -> Result<State, Malformed> {
    match text {
        "up" => Ok(State::Up),
        "draining" => Ok(State::Draining),
        "down" => Ok(State::Down),
        _ => Err(Malformed("its state is none of up, draining and down")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_words_are_read_in_any_order() {
        let text = b"state=draining zone=a tier=1 weight=3 name=web1 address=10.0.0.1:80 cluster=c";
        let record = Record::parse(text).unwrap();
        let form = "cluster=c address=10.0.0.1:80 name=web1 weight=3 tier=1 zone=a state=draining";
        assert_eq!(record.to_string(), form);
    }

    #[test]
    fn everything_else_is_refused_with_a_reason() {
        for (text, reason) in [
            ("", "a word is not"),
            ("cluster=c", "either `address` or `port`"),
            ("cluster=c port=80 address=10.0.0.1:80", "either `address` or `port`"),
            ("port=80", "does not say its cluster"),
            ("cluster=c port=80 ", "a word is not"),
            ("cluster=c  port=80", "a word is not"),
            ("cluster=c port=80\n", "the port is none"),
            ("cluster=c port=0", "the port is none"),
            ("cluster=c port=+80", "the port is none"),
            ("cluster=c port=65536", "the port is none"),
            ("cluster=c port=80 port=80", "twice"),
            ("cluster=c port=80 weight=0", "the weight is none"),
            ("cluster=c port=80 weight=65536", "the weight is none"),
            ("cluster=c port=80 tier=256", "the tier is none"),
            ("cluster=c port=80 state=UP", "its state is none"),
            ("cluster=c port=80 colour=red", "not known"),
            ("cluster=c port=80 name=a/b", "a name is none"),
            ("cluster= port=80", "a name is none"),
            ("cluster=c address=web:80", "the address is none"),
            ("cluster=c address=0.0.0.0:80", "the address is none"),
            ("cluster=c address=239.1.1.1:80", "the address is none"),
            ("cluster=c address=[::]:80", "the address is none"),
        ] {
            let error = Record::parse(text.as_bytes()).unwrap_err();
            assert!(error.to_string().contains(reason), "{text:?}: {error}");
        }
        assert!(Record::parse(b"cluster=\xff port=80").is_err());
    }
}
