//! What every source promises, asked of every source.
//!
//! A new source implements [`Bench`]: how to make one, how to change what it
//! reads, and how to break it. What a source cannot do (a fixed list never changes)
//! it says, and is spared.

#![expect(clippy::unwrap_used, reason = "a test that can't go on may panic")]

mod announcing;
mod benches;
mod gossiping;
mod suite;

use announcing::Announcing;
use benches::{ListFile, NodeFolder, Scripted, Typed, Variable};
use gossiping::Gossiping;

macro_rules! every_source {
    ($($name:ident: $bench:expr;)*) => {$(
        mod $name {
            use super::*;

            #[tokio::test]
            async fn the_first_call_returns_the_first_set() {
                suite::the_first_call_returns_the_first_set(&mut $bench).await;
            }

            #[tokio::test]
            async fn an_empty_set_is_an_answer() {
                suite::an_empty_set_is_an_answer(&mut $bench).await;
            }

            #[tokio::test]
            async fn a_change_is_reported_and_then_nothing_until_the_next() {
                suite::a_change_is_reported_and_then_nothing_until_the_next(&mut $bench).await;
            }

            #[tokio::test]
            async fn names_are_unique_and_the_order_is_stable() {
                suite::names_are_unique_and_the_order_is_stable(&mut $bench).await;
            }

            #[tokio::test]
            async fn a_call_that_is_dropped_loses_nothing() {
                suite::a_call_that_is_dropped_loses_nothing(&mut $bench).await;
            }

            #[tokio::test]
            async fn an_error_is_said_once_and_its_end_is_a_set() {
                suite::an_error_is_said_once_and_its_end_is_a_set(&mut $bench).await;
            }

            #[tokio::test]
            async fn an_error_never_shrinks_what_a_feed_knows() {
                suite::an_error_never_shrinks_what_a_feed_knows(&mut $bench).await;
            }
        }
    )*};
}

every_source! {
    fixed: Typed::default();
    env: Variable::default();
    announced: Announcing::default();
    file_folder: NodeFolder::new();
    file_list: ListFile::new();
    scripted: Scripted::default();
}

/// Without the promise that is asked with two hundred backends: so many members in one
/// process test the machine.
mod gossiped {
    use super::*;

    #[tokio::test]
    async fn the_first_call_returns_the_first_set() {
        suite::the_first_call_returns_the_first_set(&mut Gossiping::default()).await;
    }

    #[tokio::test]
    async fn an_empty_set_is_an_answer() {
        suite::an_empty_set_is_an_answer(&mut Gossiping::default()).await;
    }

    #[tokio::test]
    async fn a_change_is_reported_and_then_nothing_until_the_next() {
        let mut bench = Gossiping::default();
        suite::a_change_is_reported_and_then_nothing_until_the_next(&mut bench).await;
    }

    #[tokio::test]
    async fn a_call_that_is_dropped_loses_nothing() {
        suite::a_call_that_is_dropped_loses_nothing(&mut Gossiping::default()).await;
    }

    #[tokio::test]
    async fn an_error_never_shrinks_what_a_feed_knows() {
        suite::an_error_never_shrinks_what_a_feed_knows(&mut Gossiping::default()).await;
    }
}
