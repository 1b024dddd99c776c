//! A backend as keys and values describe it, in whichever syntax.

use std::num::NonZeroU32;

use lb_core::{Backend, Weight};
use serde_json::{Map, Value};

use super::junk::Junk;
use crate::{
    endpoint::{Endpoint, parse_port},
    name::refusal_of_name,
};

/// The keys that were given so far.
#[derive(Debug, Default)]
pub(super) struct Description {
    address: Option<String>,
    ip: Option<String>,
    port: Option<u16>,
    name: Option<String>,
    weight: Option<Weight>,
    tier: Option<u8>,
    max_in_flight: Option<NonZeroU32>,
    zone: Option<String>,
    spare: Option<bool>,
}

impl Description {
    /// Reads the table of one backend.
    pub(super) fn of_table(table: &Map<String, Value>) -> Result<Self, Junk> {
        let mut description = Self::default();
        for (key, value) in table {
            match value {
                Value::String(text) => description.set(key, text, Quoted::Yes)?,
                Value::Number(number) => description.set(key, &number.to_string(), Quoted::No)?,
                Value::Bool(truth) if key == "spare" => {
                    description.set(key, &truth.to_string(), Quoted::No)?;
                }
                _ => return Err(Junk(format!("`{key}` must be a text or a number"))),
            }
        }
        Ok(description)
    }

    pub(super) fn at(address: &str) -> Self {
        Self { address: Some(address.to_owned()), ..Self::default() }
    }

    pub(super) fn at_port(ip: &str, port: &str) -> Result<Self, Junk> {
        let port = parse_port(port).map_err(|error| Junk(error.to_string()))?;
        Ok(Self { ip: Some(ip.to_owned()), port: Some(port), ..Self::default() })
    }

    /// Takes one key, once.
    pub(super) fn set(&mut self, key: &str, value: &str, quoted: Quoted) -> Result<(), Junk> {
        let is_text = matches!(key, "address" | "ip" | "name" | "zone");
        match quoted {
            Quoted::Yes if is_number(key) => {
                return Err(Junk(format!("`{key}` is a number: write it without quotes")));
            }
            Quoted::Yes if key == "spare" => {
                return Err(Junk(format!("`{key}` is true or false: write it without quotes")));
            }
            Quoted::No if is_text => {
                return Err(Junk(format!("`{key}` is a text: write it in quotes")));
            }
            _ => {}
        }
        let repeated = match key {
            "address" => self.address.replace(value.to_owned()).is_some(),
            "ip" => self.ip.replace(value.to_owned()).is_some(),
            "name" => self.name.replace(value.to_owned()).is_some(),
            "port" => {
                let port = parse_port(value).map_err(|error| Junk(error.to_string()))?;
                self.port.replace(port).is_some()
            }
            "weight" => self.weight.replace(weight(value)?).is_some(),
            "tier" => self.tier.replace(number(key, value, "0 to 255")?).is_some(),
            "max_in_flight" => {
                self.max_in_flight.replace(number(key, value, "1 to 4294967295")?).is_some()
            }
            "zone" if value.is_empty() => return Err(Junk::new("the zone is empty")),
            "zone" => self.zone.replace(value.to_owned()).is_some(),
            "spare" => {
                let spare = value.parse();
                let spare =
                    spare.map_err(|_| Junk(format!("spare is true or false, not `{value}`")));
                self.spare.replace(spare?).is_some()
            }
            _ => return Err(Junk(format!("there is no key `{key}`; {KEYS}"))),
        };
        if repeated { Err(Junk(format!("`{key}` is said twice"))) } else { Ok(()) }
    }

    /// The backend, called `name`, or what the description says, or its address.
    pub(super) fn into_backend(self, name: Option<&str>) -> Result<Backend, Junk> {
        let endpoint = match (&self.address, &self.ip, self.port) {
            (Some(_), Some(_), _) => {
                return Err(Junk::new("`address` and `ip` exclude each other"));
            }
            (Some(address), None, port) => {
                if port.is_some() && Endpoint::parse(address, None).is_ok() {
                    return Err(Junk::new("there are two ports"));
                }
                Endpoint::parse(address, port)
            }
            (None, Some(ip), Some(port)) => Endpoint::of(ip, port),
            (None, Some(_), None) => return Err(Junk::new("the port is missing")),
            (None, None, _) => return Err(Junk::new("the address is missing")),
        };
        let endpoint = endpoint.map_err(|error| Junk(error.to_string()))?;
        let mut backend = Backend::new(endpoint.to_string())
            .weighted(self.weight.unwrap_or_default())
            .in_tier(self.tier.unwrap_or_default())
            .spare(self.spare.unwrap_or_default());
        if name.is_some() && self.name.is_some() {
            return Err(Junk::new("a node is called like its file: leave out `name`"));
        }
        if let Some(name) = name.or(self.name.as_deref()) {
            check_name(name)?;
            backend = backend.named(name);
        }
        if let Some(zone) = &self.zone {
            backend = backend.in_zone(zone);
        }
        if let Some(most) = self.max_in_flight {
            backend = backend.with_max_in_flight(most);
        }
        Ok(backend)
    }
}

/// Whether a syntax that knows texts from numbers had this as a text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Quoted {
    Yes,
    No,
    /// The syntax has no quotes.
    Never,
}

/// Refuses what no backend may be called.
pub(super) fn check_name(name: &str) -> Result<(), Junk> {
    refusal_of_name(name).map_or(Ok(()), |reason| Err(Junk(reason)))
}

const KEYS: &str = "known are address, ip, port, name, weight, tier, max_in_flight, zone and spare";

fn is_number(key: &str) -> bool {
    matches!(key, "port" | "weight" | "tier" | "max_in_flight")
}

fn weight(value: &str) -> Result<Weight, Junk> {
    match value.parse().ok().map(Weight::new) {
        Some(Some(weight)) => Ok(weight),
        Some(None) if value == "0" => {
            Err(Junk::new("weight 0 means nothing: to take a node out, remove it"))
        }
        _ => Err(Junk(format!("weight is 1 to 65535, not `{value}`"))),
    }
}

fn number<T: std::str::FromStr>(key: &str, value: &str, range: &str) -> Result<T, Junk> {
    value.parse().map_err(|_| Junk(format!("{key} is {range}, not `{value}`")))
}
