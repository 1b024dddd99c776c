//! nginx's way of keeping a client on a backend.

use super::{BuildCx, Choice, Needs, PickCx, Picker, Reason, RoundRobin, Strategy, tier_in_use};
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

#[derive(Debug)]
struct Table {
    /// The backend of each value; empty when nobody is there.
    owners: Box<[Slot]>,
    turns: Box<dyn Picker>,
}

impl Strategy for IpHash {
    fn name(&self) -> &'static str {
        "ip-hash"
    }

    fn needs(&self) -> Needs {
        Needs::key()
    }

    fn build(&mut self, view: View<'_>, cx: &BuildCx) -> Box<dyn Picker> {
        let turns = self.round_robin.build(view, cx);
        // Value h belongs to whoever holds the unit of weight h modulo the sum.
        let units = tier_in_use(view).flat_map(|slot| {
            std::iter::repeat_n(slot, view.base_weight(slot).min(VALUES) as usize)
        });
        let units: Vec<Slot> = units.take(VALUES as usize).collect();
        let owners = units.iter().copied().cycle().take(VALUES as usize).collect();
        Box::new(Table { owners, turns })
    }
}

impl Picker for Table {
    fn pick(&self, view: View<'_>, cx: &PickCx<'_>) -> Option<Choice> {
        let octets = match cx.key() {
            Some(address) if address.len() == 4 => &address[..3],
            Some(address) => address,
            None => NO_ADDRESS,
        };
        let mut hash = START;
        // What the request tried were hits when it was sent there.
        for attempt in 0..=MISSES + cx.tried().len() {
            hash = hashed(hash, octets);
            let slot = *self.owners.get(hash as usize)?;
            if view.is_candidate(slot, cx) && !view.is_full(slot) {
                return Some(Choice::new(slot, Reason::of_attempt(attempt)));
            }
        }
        self.turns.pick(view, cx)
    }
}

/// One more round. nginx takes the remainder after each octet; after seven it is the
/// same, and 64 bits are enough for that.
#[expect(clippy::cast_possible_truncation, reason = "a remainder of a small divisor")]
fn hashed(hash: u32, octets: &[u8]) -> u32 {
    octets.chunks(7).fold(hash, |hash, octets| {
        let next = |sum, octet: &u8| sum * 113 + u64::from(*octet);
        (octets.iter().fold(u64::from(hash), next) % u64::from(VALUES)) as u32
    })
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroU32;

    use super::*;
    use crate::{Backend, Cluster, Membership, Tick};

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
