//! What the benches share: clusters to pick from, the random bits they pick with,
//! and a loop on several threads. Everything here runs outside the timed part,
//! except [`on_threads`], which does the timing.
//!
//! Only the public interface of `lb-core` is used, so a bench can be copied into
//! any program that embeds it.

mod entropy;
mod keys;
mod subject;
mod threads;

pub use entropy::Entropy;
pub use keys::Keys;
use lb_core::{Backend, Membership, Weight};
pub use subject::Subject;
pub use threads::on_threads;

/// The sizes everything is measured at: a small service, a large one, a fleet.
pub const SIZES: [usize; 3] = [4, 100, 1000];

/// How much the backends differ.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Weights {
    /// All weigh one.
    Equal,
    /// The n-th weighs n.
    Distinct,
}

/// `size` backends with addresses of their own.
///
/// # Panics
///
/// When `size` does not fit three octets.
#[must_use]
pub fn membership(size: usize, weights: Weights) -> Membership {
    let backends = (0..size).map(|number| {
        let backend = Backend::new(address(number));
        match weights {
            Weights::Equal => backend,
            Weights::Distinct => backend.weighted(weight(number)),
        }
    });
    Membership::new(backends).expect("the addresses are distinct")
}

/// The address of the backend of that number, a port at an address of its own.
///
/// # Panics
///
/// When `number` does not fit three octets.
#[must_use]
pub fn address(number: usize) -> String {
    assert!(number < 1 << 24, "there are three octets to number backends with");
    let [high, middle, low] = [number >> 16, number >> 8 & 255, number & 255];
    format!("10.{high}.{middle}.{low}:8080")
}

fn weight(number: usize) -> Weight {
    let weight = u32::try_from(number + 1).ok().and_then(Weight::new);
    weight.expect("no bench has more backends than there are weights")
}
