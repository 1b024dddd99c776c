//! Apache's `bytraffic`.

use std::{collections::BTreeMap, sync::Arc};

use super::{
    BuildCx, Choice, Needs, PerGroup, PickCx, Picker, Reason, Strategy, field::Field,
    round_robin::Cursor, scan::Cost,
};
use crate::{
    backend::IncarnationId,
    cluster::{Slot, View},
};

/// The backend that has moved the fewest bytes for its weight, to and from it together;
/// Apache's `mod_lbmethod_bytraffic`. Over time, bytes are shared by weight.
///
/// Four things are not Apache's:
///
/// * Apache's counts go back to its start, so a backend that joins or returns gets
///   everything until it has caught up, which may take hours. Here, whoever comes
///   begins where the one is that has moved least; and a weight that changes counts for
///   the bytes from then on.
/// * The bytes of a request are known at its end. Until then it counts as one of the
///   usual size, or all requests of a moment would go to the same backend. What failed
///   a moment ago counts like that as well ([`View::pressure`]), and each failure is
///   charged as a request of the usual size for good.
/// * Backends that have moved the same take turns.
/// * Up to eight backends are compared one by one. Of more, where Apache goes on comparing
///   all, the best of four draws by weight is taken, as by `LeastConn`.
///
/// O(1) per pick.
#[derive(Debug, Default)]
pub struct ByTraffic {
    cursors: PerGroup<Option<Arc<Cursor>>>,
    /// Of the backends that a group's last picker was built for.
    accounts: PerGroup<BTreeMap<IncarnationId, Account>>,
}

/// What one backend has moved, for its weight.
#[derive(Clone, Copy, Debug, Default)]
struct Account {
    /// Before `mark`, from the least of all at that time on: in 1/256 of a byte by one
    /// unit of weight.
    before: u128,
    /// The count of bytes at the last build.
    mark: u64,
    /// What a byte counts for from then on, in 1/2³² of the unit of `before`.
    rate: u128,
}

impl Account {
    /// The account of a backend that has `before` now.
    fn open(before: u128, view: View<'_>, slot: Slot) -> Self {
        let scale = u128::from(view.full_weight(slot) / view.base_weight(slot));
        let rate = (scale << 40) / u128::from(view.weight(slot));
        Self { before, mark: view.traffic(slot), rate }
    }

    /// What it comes to with so many bytes moved and `more` expected, in 1/256 of one.
    fn with(&self, bytes: u64, more: u128) -> u128 {
        let moved = u128::from(bytes.saturating_sub(self.mark));
        self.before + ((moved * self.rate) >> 32) + ((more * self.rate) >> 40)
    }
}

#[derive(Debug)]
struct LeastTraffic {
    field: Field,
    /// By slot; of those that may be picked.
    accounts: Box<[Account]>,
}

impl Strategy for ByTraffic {
    fn name(&self) -> &'static str {
        "bytraffic"
    }

    fn needs(&self) -> Needs {
        Needs::traffic()
    }

    fn build(&mut self, view: View<'_>, cx: &BuildCx) -> Box<dyn Picker> {
        let slots = view.new_set().as_slice();
        let kept = self.accounts.of(cx.group());
        let moved = |slot: &Slot| {
            let account = kept.get(&view.incarnation(*slot))?;
            Some(account.with(view.traffic(*slot), 0))
        };
        let moved: Vec<Option<u128>> = slots.iter().map(moved).collect();
        let least = moved.iter().flatten().min().copied().unwrap_or(0);
        kept.clear();
        let mut accounts = vec![Account::default(); view.len()];
        for (slot, moved) in slots.iter().zip(moved) {
            let account = Account::open(moved.unwrap_or(least) - least, view, *slot);
            accounts[slot.index()] = account;
            kept.insert(view.incarnation(*slot), account);
        }
        let field = Field::new(view, self.cursors.of(cx.group()), cx.entropy);
        Box::new(LeastTraffic { field, accounts: accounts.into() })
    }
}

impl Picker for LeastTraffic {
    fn pick(&self, view: View<'_>, cx: &PickCx<'_>) -> Option<Choice> {
        let size = u128::from(view.mean_size().max(1));
        let cost = |slot: Slot| {
            let more = u128::from(view.pressure(slot, cx.now())) * size;
            let amount = self.accounts[slot.index()].with(view.traffic(slot), more);
            Cost { amount, weight: 1 }
        };
        let slot = self.field.cheapest(view, cx, cost)?;
        Some(Choice::new(slot, Reason::LeastTraffic))
    }
}
