//! Who of the nodes that matter is lost: what a balancer needs to know sooner and more
//! surely than gossip can say. Pure: the time is an argument.
//!
//! Whoever matters is asked directly when it was not heard for a period. A node is
//! *in doubt* when three answers in a row are missing, or when the others have given it
//! up and it is silent here too. Then its backend is asked: whether somebody accepts a
//! connection. One that accepts is there, whatever became of its agent; one that
//! refuses is lost; one that stays silent as well is lost after six periods.
//!
//! When nobody at all is heard, and they are two at least, it is more likely that
//! nothing arrives here: then silence proves nothing, and nobody is lost by it.

use std::{collections::BTreeMap, net::SocketAddr, time::Duration};

use lb_core::Tick;

/// The nodes that matter.
#[derive(Debug)]
pub(super) struct Watch {
    period: Duration,
    nodes: BTreeMap<SocketAddr, Watched>,
    /// When anybody was heard last, or refused a connection.
    voice: Tick,
}

#[derive(Debug)]
struct Watched {
    /// Where its backend is.
    backend: SocketAddr,
    /// When it was heard last.
    heard: Tick,
    /// When its backend has accepted a connection last.
    accepted: Option<Tick>,
    asked: Tick,
    /// Connections since the last sign of life.
    tries: u32,
    tried: Tick,
    /// Others have given it up.
    given_up: bool,
    is_lost: bool,
}

/// What is to be done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// Ask this node whether it is there.
    Ask(SocketAddr),
    /// Try to connect to the backend of this node, and tell what came of it.
    Connect { node: SocketAddr, backend: SocketAddr },
}

/// What became of a connection. Silence is none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Answer {
    Accepted,
    Refused,
}

impl Watch {
    pub(super) fn new(period: Duration, now: Tick) -> Self {
        Self { period, nodes: BTreeMap::new(), voice: now }
    }

    /// These matter, and where their backends are; no others do.
    pub(super) fn mind(&mut self, backends: &BTreeMap<SocketAddr, SocketAddr>, now: Tick) {
        self.nodes.retain(|node, _| backends.contains_key(node));
        for (node, backend) in backends {
            let watched = self.nodes.entry(*node).or_insert_with(|| Watched::new(*backend, now));
            watched.backend = *backend;
        }
    }

    /// Somebody was heard, who may matter.
    pub(super) fn hear(&mut self, node: SocketAddr, now: Tick) -> bool {
        let was_deaf = now.since(self.voice) >= self.period * DOUBT;
        self.voice = now;
        if was_deaf {
            // The others get the time to be heard again, too.
            self.nodes.values_mut().for_each(|watched| watched.heard = now);
        }
        let Some(watched) = self.nodes.get_mut(&node) else { return false };
        (watched.heard, watched.tries) = (now, 0);
        std::mem::take(&mut watched.is_lost)
    }

    /// The others have given a node up, or found it again.
    pub(super) fn give_up(&mut self, node: SocketAddr, given_up: bool) {
        if let Some(watched) = self.nodes.get_mut(&node) {
            watched.given_up = given_up;
        }
    }

    /// What came of a connection that was begun then. Says whether somebody is lost by it.
    pub(super) fn tried(&mut self, node: SocketAddr, begun: Tick, what: Answer, now: Tick) -> bool {
        self.voice = now;
        let (period, Some(watched)) = (self.period, self.nodes.get_mut(&node)) else {
            return false;
        };
        match what {
            Answer::Accepted => {
                (watched.accepted, watched.tries) = (Some(now), 0);
                false
            }
            Answer::Refused => {
                let is_answer = begun >= watched.heard && watched.is_in_doubt(period, now);
                is_answer && !std::mem::replace(&mut watched.is_lost, true)
            }
        }
    }

    pub(super) fn is_lost(&self, node: SocketAddr) -> bool {
        self.nodes.get(&node).is_some_and(|watched| watched.is_lost)
    }

    /// Whether it matters, and is not lost.
    pub(super) fn minds(&self, node: SocketAddr) -> bool {
        self.nodes.get(&node).is_some_and(|watched| !watched.is_lost)
    }

    /// Whether anybody matters.
    pub(super) fn is_idle(&self) -> bool {
        self.nodes.is_empty()
    }

    /// Of how many nobody is heard; `None`: somebody is.
    pub(super) fn deaf(&self, now: Tick) -> Option<usize> {
        let count = self.nodes.len();
        (count > 1 && now.since(self.voice) >= self.period * LOST).then_some(count)
    }

    /// What is to be done now, and whether somebody was found to be lost.
    pub(super) fn turn(&mut self, now: Tick) -> (Vec<Step>, bool) {
        let (mut steps, mut is_news) = (Vec::new(), false);
        // The voice must be younger than the silence it is proof of.
        let hears = self.nodes.len() == 1 || now.since(self.voice) < self.period * DOUBT;
        for (node, watched) in &mut self.nodes {
            if now.since(watched.heard) >= self.period && now.since(watched.asked) >= self.period {
                watched.asked = now;
                steps.push(Step::Ask(*node));
            }
            if watched.is_lost || !watched.is_in_doubt(self.period, now) {
                continue;
            }
            if watched.tries >= TRIES && now.since(watched.sign()) >= self.period * LOST && hears {
                (watched.is_lost, is_news) = (true, true);
                continue;
            }
            // One that accepts is asked again, less often.
            let is_confirmed =
                watched.accepted.is_some_and(|at| now.since(at) < self.period * DOUBT);
            let is_due = watched.tries == 0 || now.since(watched.tried) >= self.period * 2 / 3;
            if is_due && !is_confirmed {
                watched.tries = watched.tries.saturating_add(1);
                watched.tried = now;
                steps.push(Step::Connect { node: *node, backend: watched.backend });
            }
        }
        (steps, is_news)
    }
}

impl Watched {
    fn new(backend: SocketAddr, now: Tick) -> Self {
        Self {
            backend,
            heard: now,
            accepted: None,
            asked: now,
            tries: 0,
            tried: now,
            given_up: false,
            is_lost: false,
        }
    }

    fn is_in_doubt(&self, period: Duration, now: Tick) -> bool {
        let silence = now.since(self.heard);
        silence >= period * DOUBT || self.given_up && silence >= period
    }

    /// When there was a sign of life last.
    fn sign(&self) -> Tick {
        self.accepted.map_or(self.heard, |accepted| accepted.max(self.heard))
    }
}

/// After so many periods of silence, a node is in doubt: three answers are missing.
const DOUBT: u32 = 3;
/// After so many, it is lost.
const LOST: u32 = 6;
/// A single connection may wait for a packet that was lost.
const TRIES: u32 = 3;

#[cfg(test)]
mod tests {
    use super::*;

    const PERIOD: u64 = 300;

    fn node(number: u8) -> SocketAddr {
        ([10, 0, 0, number], 7946).into()
    }

    fn watch(count: u8) -> Watch {
        let mut watch = Watch::new(Duration::from_millis(PERIOD), Tick::ZERO);
        let backends = (1..=count).map(|n| (node(n), ([10, 0, 0, n], 80).into())).collect();
        watch.mind(&backends, Tick::ZERO);
        watch
    }

    /// Node 1 is silent, the others speak; when its backend is tried, and when it is lost.
    fn silent(
        watch: &mut Watch,
        given_up_at: u64,
        answer: Option<Answer>,
    ) -> (Vec<u64>, Option<u64>) {
        let mut tries = Vec::new();
        for millis in (0..10_000).step_by(10) {
            let now = Tick::from_millis(millis);
            for other in 2..=3 {
                watch.hear(node(other), now);
            }
            watch.give_up(node(1), millis >= given_up_at);
            for step in watch.turn(now).0 {
                if let Step::Connect { node, .. } = step {
                    tries.push(millis);
                    if let Some(answer) = answer {
                        watch.tried(node, now, answer, now);
                    }
                }
            }
            if watch.is_lost(node(1)) {
                return (tries, Some(millis));
            }
        }
        (tries, None)
    }

    #[test]
    fn one_that_is_silent_and_refuses_is_lost_after_three_periods() {
        assert_eq!(silent(&mut watch(3), u64::MAX, Some(Answer::Refused)), (vec![900], Some(900)));
    }

    #[test]
    fn one_that_others_have_given_up_is_tried_sooner_but_must_be_silent_here_too() {
        assert_eq!(silent(&mut watch(3), 0, Some(Answer::Refused)).1, Some(300));
        assert_eq!(silent(&mut watch(3), 500, Some(Answer::Refused)).1, Some(500));
    }

    #[test]
    fn one_that_says_nothing_to_anybody_is_lost_after_six_periods() {
        let (tries, lost) = silent(&mut watch(3), u64::MAX, None);
        assert_eq!(lost, Some(1_800));
        assert_eq!(tries, [900, 1_100, 1_300, 1_500, 1_700]);
    }

    #[test]
    fn one_that_accepts_connections_is_there_and_asked_again_now_and_then() {
        let (tries, lost) = silent(&mut watch(3), 0, Some(Answer::Accepted));
        assert_eq!(lost, None);
        assert_eq!(tries[..4], [300, 1_200, 2_100, 3_000]);
    }

    #[test]
    fn when_nobody_is_heard_nobody_is_lost_by_silence() {
        let mut several = watch(3);
        for millis in (0..60_000).step_by(50) {
            several.turn(Tick::from_millis(millis));
        }
        assert!((1..=3).all(|n| !several.is_lost(node(n))));
        let now = Tick::from_millis(60_000);
        assert_eq!(several.deaf(now), Some(3));
        several.hear(node(3), now);
        assert_eq!(several.deaf(now), None);
        for millis in (60_000..61_800).step_by(50) {
            several.hear(node(3), Tick::from_millis(millis));
            several.turn(Tick::from_millis(millis));
            assert!(!several.is_lost(node(1)), "had no time to be heard yet");
        }
        several.turn(Tick::from_millis(61_800));
        assert!(several.is_lost(node(1)) && !several.is_lost(node(3)));
        let mut one = watch(1);
        for millis in (0..2_000).step_by(50) {
            one.turn(Tick::from_millis(millis));
        }
        assert!(one.is_lost(node(1)), "one alone");
    }

    #[test]
    fn one_that_is_heard_again_is_there_again() {
        let mut watch = watch(3);
        assert!(silent(&mut watch, 0, Some(Answer::Refused)).1.is_some());
        assert!(watch.hear(node(1), Tick::from_millis(5_000)), "that is news");
        assert!(!watch.is_lost(node(1)));
        let late = watch.tried(
            node(1),
            Tick::from_millis(4_000),
            Answer::Refused,
            Tick::from_millis(7_000),
        );
        assert!(!late, "begun before it was heard");
    }
}
