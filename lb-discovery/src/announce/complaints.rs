//! What a person is told of datagrams that were ignored: of each reason once, with the
//! first address it came from, until it was quiet for a while. The numbers are in
//! [`Refusals`](super::Refusals): whoever floods a socket must not flood a log.

use std::{collections::BTreeMap, net::IpAddr, time::Duration};

use lb_core::Tick;

use super::refusal::Refusal;
use crate::source::Warning;

/// What there was to complain about lately.
#[derive(Debug, Default)]
pub(crate) struct Complaints(BTreeMap<Refusal, Complaint>);

#[derive(Debug)]
struct Complaint {
    from: IpAddr,
    last: Tick,
}

impl Complaints {
    /// For how long one stays after its last cause.
    pub(crate) const LAST: Duration = Duration::from_secs(300);

    /// Notes one, and says whether it is new.
    pub(crate) fn add(&mut self, refusal: Refusal, from: IpAddr, now: Tick) -> bool {
        let mut is_new = false;
        let complaint = self.0.entry(refusal).or_insert_with(|| {
            is_new = true;
            Complaint { from, last: now }
        });
        complaint.last = now;
        is_new
    }

    /// Forgets the old ones, and says whether there were any.
    pub(crate) fn expire(&mut self, now: Tick) -> bool {
        let before = self.0.len();
        self.0.retain(|_, complaint| complaint.last + Self::LAST > now);
        self.0.len() != before
    }

    /// When the next one is to be forgotten.
    pub(crate) fn ends_at(&self) -> Option<Tick> {
        self.0.values().map(|complaint| complaint.last + Self::LAST).min()
    }

    pub(crate) fn warnings(&self) -> impl Iterator<Item = Warning> {
        self.0.iter().map(|(refusal, complaint)| {
            Warning::about(complaint.from.to_string(), refusal.explain())
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_reason_is_told_once_until_it_was_quiet_for_five_minutes() {
        let mut complaints = Complaints::default();
        let at = Tick::from_millis;
        assert!(complaints.add(Refusal::Key, [10, 0, 0, 1].into(), at(0)));
        assert!(!complaints.add(Refusal::Key, [10, 0, 0, 2].into(), at(200_000)));
        assert!(complaints.add(Refusal::Mac, [10, 0, 0, 3].into(), at(200_000)));
        assert!(!complaints.expire(at(499_999)));
        let told: Vec<_> = complaints.warnings().map(|warning| warning.to_string()).collect();
        let key = "10.0.0.1: announces itself with a key that is not known here";
        assert_eq!(told, [key, "10.0.0.3: names a key that it has not"]);
        assert_eq!(complaints.ends_at(), Some(at(500_000)));
        assert!(complaints.expire(at(500_000)));
        assert_eq!(complaints.warnings().count(), 0);
    }
}
