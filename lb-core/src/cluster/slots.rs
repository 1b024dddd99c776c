//! Positions in a snapshot, and sets of them.

/// A backend's position in one snapshot. Means nothing in another.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Slot(u32);

impl Slot {
    /// The slot at this position.
    ///
    /// # Panics
    ///
    /// When `index` is above `u32::MAX`.
    #[inline]
    #[must_use]
    pub fn new(index: usize) -> Self {
        Self(u32::try_from(index).expect("a cluster has less than 2^32 backends"))
    }

    #[inline]
    pub(crate) fn from_number(number: u32) -> Self {
        Self(number)
    }

    /// The position.
    #[inline]
    #[must_use]
    pub fn index(self) -> usize {
        self.0 as usize
    }
}

/// Some of a snapshot's slots: as a list in order, and as bits.
#[derive(Clone, Debug, Default)]
pub struct SlotSet {
    list: Box<[Slot]>,
    bits: Box<[u64]>,
}

impl SlotSet {
    pub(super) fn new(slots: impl IntoIterator<Item = Slot>, total: usize) -> Self {
        let list: Box<[Slot]> = slots.into_iter().collect();
        let mut bits = vec![0; total.div_ceil(64)];
        for slot in &list {
            bits[slot.index() / 64] |= 1 << (slot.index() % 64);
        }
        Self { list, bits: bits.into() }
    }

    /// The slots in order.
    #[inline]
    #[must_use]
    pub fn as_slice(&self) -> &[Slot] {
        &self.list
    }

    /// Whether `slot` is one of them. O(1).
    #[inline]
    #[must_use]
    pub fn contains(&self, slot: Slot) -> bool {
        self.bits.get(slot.index() / 64).is_some_and(|word| word >> (slot.index() % 64) & 1 != 0)
    }

    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.list.len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.list.is_empty()
    }
}
