//! Something that picks.

/// A loop of picks on one thread: how many to make, how many of them found nothing.
pub(crate) type Loop = Box<dyn FnMut(u64) -> u64 + Send>;

/// Makes a loop per thread; all of them pick from the same cluster.
pub(crate) struct Contender {
    pub(crate) name: String,
    pub(crate) prepare: Box<dyn Fn(usize) -> Loop>,
}

impl Contender {
    pub(crate) fn new(name: impl Into<String>, prepare: impl Fn(usize) -> Loop + 'static) -> Self {
        Self { name: name.into(), prepare: Box::new(prepare) }
    }
}
