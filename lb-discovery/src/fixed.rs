//! The list a person wrote down.

use std::future;

use lb_core::Membership;

use crate::source::{NextSet, Source};

/// A set that never changes: reported once, then silence.
///
/// ```
/// use lb_core::{Backend, Membership};
/// use lb_discovery::{Fixed, Source};
///
/// # #[tokio::main(flavor = "current_thread")] async fn main() {
/// let backends = Membership::new([Backend::new("10.0.0.1:80")]).unwrap();
/// let mut source = Fixed::new("command line", backends.clone());
/// assert_eq!(source.next().await.unwrap().set, backends);
/// # }
/// ```
#[derive(Debug)]
pub struct Fixed {
    name: String,
    /// `None` once it was reported.
    set: Option<Membership>,
}

impl Fixed {
    /// A source of this name that reports this set.
    pub fn new(name: impl Into<String>, set: Membership) -> Self {
        Self { name: name.into(), set: Some(set) }
    }
}

impl Source for Fixed {
    fn name(&self) -> &str {
        &self.name
    }

    fn next(&mut self) -> NextSet<'_> {
        Box::pin(async {
            match self.set.take() {
                Some(set) => Ok(set.into()),
                None => future::pending().await,
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use std::task::{Context, Poll, Waker};

    use lb_core::Backend;

    use super::*;

    fn poll(source: &mut dyn Source) -> Poll<Membership> {
        let mut cx = Context::from_waker(Waker::noop());
        source.next().as_mut().poll(&mut cx).map(|report| report.unwrap().set)
    }

    #[test]
    fn the_set_is_reported_once_and_then_never_differs() {
        let set = Membership::new([Backend::new("a")]).unwrap();
        let mut source = Fixed::new("test", set.clone());
        assert_eq!(poll(&mut source), Poll::Ready(set));
        assert_eq!(poll(&mut source), Poll::Pending);
    }

    #[test]
    fn an_empty_set_is_an_answer() {
        let mut source = Fixed::new("test", Membership::default());
        assert_eq!(poll(&mut source), Poll::Ready(Membership::default()));
    }

    #[test]
    fn a_call_that_was_dropped_before_it_was_polled_loses_nothing() {
        let set = Membership::new([Backend::new("a")]).unwrap();
        let mut source = Fixed::new("test", set.clone());
        drop(source.next());
        assert_eq!(poll(&mut source), Poll::Ready(set));
        assert_eq!(poll(&mut source), Poll::Pending);
        assert_eq!(poll(&mut source), Poll::Pending, "dropped while it was waiting");
    }
}
