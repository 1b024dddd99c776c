//! A draw, by weight.

use super::{BuildCx, Choice, PickCx, Picker, Reason, Strategy, draws::Draws};
use crate::cluster::View;

/// A random backend, each with the chance of its weight.
///
/// Keeps nothing between picks and shares nothing between workers: the choice
/// where many balancers stand before many backends and nothing else is known.
/// Bursts happen; the queueing they cost is that of random arrivals.
///
/// O(1) per pick, by an alias table.
#[derive(Clone, Copy, Debug, Default)]
pub struct Random;

#[derive(Debug)]
struct Drawn(Draws);

impl Strategy for Random {
    fn name(&self) -> &'static str {
        "random"
    }

    fn build(&mut self, view: View<'_>, _: &BuildCx) -> Box<dyn Picker> {
        Box::new(Drawn(Draws::new(view)))
    }
}

impl Picker for Drawn {
    fn pick(&self, view: View<'_>, cx: &PickCx<'_>) -> Option<Choice> {
        self.0.draw_untried(view, cx).map(|slot| Choice::new(slot, Reason::Draw))
    }
}
