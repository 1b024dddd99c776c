//! The better of two.

use super::{BuildCx, Choice, PickCx, Picker, Reason, Strategy, draws::Draws};
use crate::cluster::View;

/// Draws two different backends and takes the one with less in flight for its
/// weight (Mitzenmacher: *The Power of Two Choices in Randomized Load Balancing*,
/// 1996).
///
/// Draws are by weight, and the smaller in flight ÷ weight wins, as in nginx's
/// `random two least_conn`; where they are equal, the one drawn first, so that a
/// cluster with nothing to do is served by weight. A second draw of the same one is
/// repeated (up to four times), which Envoy does not: with two backends that picks
/// the busier one every fourth time.
///
/// What failed a moment ago counts as in flight ([`View::pressure`]).
///
/// Where a single balancer sees all traffic, [`LeastConn`](super::LeastConn) has
/// the shorter tail. O(1) per pick.
#[derive(Clone, Copy, Debug, Default)]
pub struct P2c;

#[derive(Debug)]
struct BetterOfTwo(Draws);

impl Strategy for P2c {
    fn name(&self) -> &'static str {
        "p2c"
    }

    fn build(&mut self, view: View<'_>, _: &BuildCx) -> Box<dyn Picker> {
        Box::new(BetterOfTwo(Draws::new(view)))
    }
}

impl Picker for BetterOfTwo {
    fn pick(&self, view: View<'_>, cx: &PickCx<'_>) -> Option<Choice> {
        let slot = self.0.least_of(2, view, cx)?;
        Some(Choice::new(slot, Reason::LeastLoaded))
    }
}
