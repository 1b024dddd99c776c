//! Which position has which place of a table.

/// The owners of places. In two octets each as long as they fit, because how fast a
/// look-up is depends on how much of the table is near.
#[derive(Debug)]
pub(in crate::strategy) enum Owners {
    /// Fewer than 65,536 positions.
    Few(Box<[u16]>),
    /// More.
    Many(Box<[u32]>),
}

impl Owners {
    /// How many places there are.
    pub(in crate::strategy) fn len(&self) -> usize {
        match self {
            Self::Few(owners) => owners.len(),
            Self::Many(owners) => owners.len(),
        }
    }

    /// Whose the place is; `None` where there is none.
    #[inline]
    pub(in crate::strategy) fn get(&self, place: usize) -> Option<usize> {
        match self {
            Self::Few(owners) => owners.get(place).map(|owner| usize::from(*owner)),
            Self::Many(owners) => owners.get(place).map(|owner| *owner as usize),
        }
    }

    /// All owners, place by place.
    #[cfg(test)]
    pub(in crate::strategy) fn iter(&self) -> impl Iterator<Item = usize> {
        (0..self.len()).filter_map(|place| self.get(place))
    }
}

impl FromIterator<u32> for Owners {
    fn from_iter<I: IntoIterator<Item = u32>>(owners: I) -> Self {
        Box::<[u32]>::from_iter(owners).into()
    }
}

impl From<Box<[u32]>> for Owners {
    fn from(owners: Box<[u32]>) -> Self {
        let narrow: Result<Box<[u16]>, _> = owners.iter().map(|it| u16::try_from(*it)).collect();
        narrow.map_or(Self::Many(owners), Self::Few)
    }
}

impl Default for Owners {
    fn default() -> Self {
        Self::Few(Box::default())
    }
}
