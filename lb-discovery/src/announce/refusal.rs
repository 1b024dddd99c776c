//! Why a datagram was ignored, and how often.

use std::{
    fmt,
    sync::atomic::{AtomicU64, Ordering},
};

/// Why a datagram was ignored.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Refusal {
    /// It is none of ours, cut off, or says something that is not understood.
    Malformed,
    /// It is for a cluster that is not announced to here.
    Cluster,
    /// Too many came from its address, or from addresses nobody knows.
    Rate,
    /// Its key is not known here.
    Key,
    /// It was not made with the key it names.
    Mac,
    /// Its time is too far from the time here.
    Skew,
    /// It was heard before. Networks do that, too.
    Replay,
    /// It is from a life of its sender that began before what was heard of another one.
    Stale,
    /// It speaks for another address than the one it comes from.
    Foreign,
    /// Its key does not permit that.
    Grant,
    /// Another node has its name now.
    Taken,
    /// There are too many nodes, all in all or at its address.
    Full,
}

impl Refusal {
    /// All of them.
    pub const ALL: [Self; 12] = [
        Self::Malformed,
        Self::Cluster,
        Self::Rate,
        Self::Key,
        Self::Mac,
        Self::Skew,
        Self::Replay,
        Self::Stale,
        Self::Foreign,
        Self::Grant,
        Self::Taken,
        Self::Full,
    ];

    /// One word for it.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Malformed => "malformed",
            Self::Cluster => "cluster",
            Self::Rate => "rate",
            Self::Key => "key",
            Self::Mac => "mac",
            Self::Skew => "skew",
            Self::Replay => "replay",
            Self::Stale => "stale",
            Self::Foreign => "foreign",
            Self::Grant => "grant",
            Self::Taken => "taken",
            Self::Full => "full",
        }
    }

    /// What a person should know about it.
    #[must_use]
    pub fn explain(self) -> &'static str {
        match self {
            Self::Malformed => "sends what is no announcement",
            Self::Cluster => "announces itself to a cluster that nobody announces to here",
            Self::Rate => "sends more than is looked at",
            Self::Key => "announces itself with a key that is not known here",
            Self::Mac => "names a key that it has not",
            Self::Skew => "has another time than this machine: are both clocks right?",
            Self::Replay => "repeats what was heard before",
            Self::Stale => "sends what is older than what was heard of it: is its clock right?",
            Self::Foreign => "speaks for another address, which needs a key with `relay`",
            Self::Grant => "announces what its key does not permit",
            Self::Taken => "announces a name that another node has",
            Self::Full => "announces one more than there may be",
        }
    }
}

/// How many datagrams were ignored, by reason.
#[derive(Debug, Default)]
pub struct Refusals {
    /// Written by whoever reads the socket, read by whoever asks. Statistic.
    counts: [AtomicU64; Refusal::ALL.len()],
}

impl Refusals {
    /// One more.
    pub(crate) fn count(&self, refusal: Refusal) {
        self.counts[refusal as usize].fetch_add(1, Ordering::Relaxed);
    }

    /// How often that was.
    #[must_use]
    pub fn of(&self, refusal: Refusal) -> u64 {
        self.counts[refusal as usize].load(Ordering::Relaxed)
    }

    /// Those that there were.
    pub fn iter(&self) -> impl Iterator<Item = (Refusal, u64)> {
        let all = Refusal::ALL.into_iter().map(|refusal| (refusal, self.of(refusal)));
        all.filter(|(_, count)| *count > 0)
    }

    /// Goes on from the numbers of another.
    pub(crate) fn resume(&self, earlier: &Self) {
        for (refusal, count) in earlier.iter() {
            self.counts[refusal as usize].store(count, Ordering::Relaxed);
        }
    }
}

/// Bytes that are no announcement, and why.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Malformed(pub(crate) &'static str);

impl fmt::Display for Malformed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }
}

impl std::error::Error for Malformed {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_reason_has_a_counter_of_its_own() {
        let refusals = Refusals::default();
        for (index, refusal) in Refusal::ALL.into_iter().enumerate() {
            assert_eq!(refusal as usize, index);
            (0..=index).for_each(|_| refusals.count(refusal));
        }
        let counts: Vec<u64> = refusals.iter().map(|(_, count)| count).collect();
        assert_eq!(counts, (1..=12).collect::<Vec<u64>>());
    }
}
