//! nginx's way of keeping a client on a backend.

use std::sync::Arc;

use super::{
    BuildCx, Choice, Needs, PickCx, Picker, Reason, RoundRobin, Strategy,
    keyed::{ByKey, Hosts, Table},
};
use crate::cluster::{Slot, View};

/// By the client's address, exactly as nginx's `ip_hash`.
///
/// The key is the address as 4 or 16 octets, of which the first three of IPv4 and
/// all of IPv6 count: a whole IPv4 /24 goes to one backend, and moves together. A
/// request without a key goes where nginx sends a client of a Unix socket (three
/// octets of zero); a key of another length is hashed as a whole.
///
/// All backends of the tier have their part of the table, whether they can be used or
/// not, so that one that comes and goes takes nobody's clients but its own with it.
/// Who meets one that can't take the request is hashed on, from where the hash is,
/// and after more than twenty misses it is the next one's turn in round robin.
///
/// Slow starts are not for it: nginx's table has only whole weights.
///
/// This is for those who need nginx's mapping. The hash has no key and 6271
/// values, so that anybody can find addresses that meet on one backend, and large
/// clusters are shared out unevenly; [`Maglev`](super::Maglev) has neither
/// weakness. O(1): the first hash is one look-up, each further one another.
#[derive(Debug, Default)]
pub struct IpHash {
    /// Whose turn it is after too many misses.
    round_robin: RoundRobin,
}

/// How many values the hash has.
const VALUES: u32 = 6271;
/// Where it starts.
const START: u32 = 89;
/// After more misses, round robin.
const MISSES: usize = 20;
/// The octets of those who have no address.
const NO_ADDRESS: &[u8] = &[0; 3];

/// The position of each value, all of which are below the number of values; `None` when
/// nobody is there.
#[derive(Debug)]
struct Values(Option<Box<[u16; VALUES as usize]>>);

/// What most picks are, an IPv4 address whose first backend takes it, in one look-up; and
/// all others.
#[derive(Debug)]
struct Direct {
    /// The slot of each value, where it takes anybody; or else [`NOT_DIRECT`]. Those of the
    /// first values come again behind the last, for [`first_hash`].
    slots: Box<[u16; VALUES as usize + 256]>,
    others: ByKey<Values>,
}

/// Not a slot that fits.
const NOT_DIRECT: u16 = u16::MAX;

impl Strategy for IpHash {
    fn name(&self) -> &'static str {
        "ip-hash"
    }

    fn needs(&self) -> Needs {
        Needs::network()
    }

    fn build(&mut self, view: View<'_>, cx: &BuildCx) -> Box<dyn Picker> {
        let turns = self.round_robin.build(view, cx);
        let hosts = Hosts::by_address(view);
        // Value h belongs to whoever holds the unit of weight h modulo the sum.
        let units = (0..).zip(&hosts.list).flat_map(|(position, (_, weight))| {
            std::iter::repeat_n(position, (*weight).min(VALUES) as usize)
        });
        let units: Vec<u16> = units.take(VALUES as usize).collect();
        let values = units.iter().copied().cycle().take(VALUES as usize);
        let owners = values.collect::<Box<[u16]>>().try_into().ok();
        let values = Arc::new(Values(owners));
        let others = ByKey::theirs(Arc::clone(&values), &hosts.slots, turns, view);
        let slot = |value| {
            let slot = values
                .owner(value % VALUES as usize)
                .and_then(|position| others.open_slot(position));
            slot.and_then(|slot| u16::try_from(slot.index()).ok()).unwrap_or(NOT_DIRECT)
        };
        let slots = Box::new(std::array::from_fn(slot));
        Box::new(Direct { slots, others })
    }
}

impl Picker for Direct {
    fn pick(&self, view: View<'_>, cx: &PickCx<'_>) -> Option<Choice> {
        if let Some([a, b, c, _]) = cx.untried_key()
            && let Some(slot) = self.slots.get(first_hash([*a, *b, *c]))
            && *slot != NOT_DIRECT
        {
            return Some(Choice::new(Slot::from_number((*slot).into()), Reason::Key));
        }
        self.otherwise(view, cx)
    }
}

impl Direct {
    // On its own, so that the others do not save registers for it.
    #[inline(never)]
    fn otherwise(&self, view: View<'_>, cx: &PickCx<'_>) -> Option<Choice> {
        self.others.pick(view, cx)
    }
}

struct Walk<'k> {
    octets: &'k [u8],
    hash: u32,
    /// How often it may be hashed.
    left: usize,
}

impl Table for Values {
    type Walk<'k> = Walk<'k>;

    #[inline]
    fn walk<'k>(&self, cx: &PickCx<'k>) -> Walk<'k> {
        let octets = network(cx.key());
        // What the request tried were hits when it was sent there.
        Walk { octets, hash: START, left: 1 + MISSES + cx.tried().len() }
    }

    #[inline]
    fn next(&self, walk: &mut Walk<'_>) -> Option<usize> {
        walk.left = walk.left.checked_sub(1)?;
        walk.hash = hashed(walk.hash, walk.octets);
        self.owner(walk.hash as usize)
    }

    #[inline]
    fn home(&self, key: &[u8]) -> Option<usize> {
        self.owner(hashed(START, network(Some(key))) as usize)
    }
}

impl Values {
    #[inline]
    fn owner(&self, value: usize) -> Option<usize> {
        let owners = self.0.as_ref()?;
        owners.get(value).copied().map(usize::from)
    }
}

/// The octets of an address that count.
pub(crate) fn network(address: Option<&[u8]>) -> &[u8] {
    match address {
        Some(address) if address.len() == 4 => &address[..3],
        Some(address) => address,
        None => NO_ADDRESS,
    }
}

/// On from `hash`, which is one of the values: h × 113 + octet modulo 6271 for each.
fn hashed(hash: u32, octets: &[u8]) -> u32 {
    if let [a, b, c] = *octets {
        return hashed_three(hash, [a, b, c]);
    }
    octets.iter().fold(hash, |hash, octet| (hash * 113 + u32::from(*octet)) % VALUES)
}

/// All of one division, and of products that need not wait for each other.
#[inline]
#[expect(clippy::cast_possible_truncation, reason = "the values are few")]
fn hashed_three(hash: u32, octets: [u8; 3]) -> u32 {
    let [a, b, c] = octets.map(u64::from);
    let sum = u64::from(hash) * 113_u64.pow(3) + a * 113_u64.pow(2) + b * 113 + c;
    (sum % u64::from(VALUES)) as u32
}

/// The first hash of an address, or that and [`VALUES`], but below 256 more: who looks it up
/// has the first values behind the last once more, and nobody waits for a division.
#[inline]
fn first_hash([a, b, c]: [u8; 3]) -> usize {
    let sum = usize::from(FIRST[a as usize] + SECOND[b as usize]);
    let values = VALUES as usize;
    usize::from(c) + if sum < values { sum } else { sum - values }
}

/// What the first octet adds to the hash, with the start.
static FIRST: [u16; 256] = products(START * 113 * 113 * 113, 113 * 113);
/// What the second one adds.
static SECOND: [u16; 256] = products(0, 113);

const fn products(start: u32, factor: u32) -> [u16; 256] {
    let mut all = [0; 256];
    let mut octet = 0;
    while octet < 256 {
        all[octet as usize] = ((start + octet * factor) % VALUES) as u16;
        octet += 1;
    }
    all
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroU32;

    use super::*;
    use crate::{Backend, Cluster, Membership, Tick};

    #[test]
    fn three_octets_at_once_are_three_octets() {
        for number in 0..100_000_u32 {
            let [a, b, c, d] = crate::sample::mix(number.into()).to_be_bytes()[..4] else {
                panic!()
            };
            let start = (u32::from(d) * 113) % VALUES;
            let one_by_one = [[a], [b], [c]].iter().fold(start, |hash, octet| hashed(hash, octet));
            assert_eq!(hashed(start, &[a, b, c]), one_by_one);
            let first = first_hash([a, b, c]);
            assert!(first < VALUES as usize + 256);
            assert_eq!(first % VALUES as usize, hashed(START, &[a, b, c]) as usize);
        }
    }

    #[test]
    fn who_is_full_is_hashed_past_at_once() {
        let backend = |n: u32| Backend::new(format!("b{n}")).with_max_in_flight(NonZeroU32::MIN);
        let membership = Membership::new((0..3).map(backend)).unwrap();
        let cluster = Cluster::builder("test").membership(membership).build();
        let mut handle = cluster.handle();
        let _held = handle.acquire(&PickCx::new(Tick::ZERO, 0).preferring("b1")).unwrap();
        let snapshot = cluster.snapshot();
        let picker = IpHash::default().build(snapshot.view(), &BuildCx::new(0, "test"));
        let full = snapshot.find("b1").unwrap();
        for address in (0..100_u32).map(|n| (n << 8).to_be_bytes()) {
            let cx = PickCx::new(Tick::ZERO, 0).keyed(&address);
            assert_ne!(picker.pick(snapshot.view(), &cx).unwrap().slot(), full);
        }
    }
}
