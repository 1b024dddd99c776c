//! What the process logs, as long as somebody wants it otherwise.
//!
//! A person's level lies on top of the usual one, for a while or until he takes it away;
//! nobody writes it down. So a reload changes what it will go back to, and a start begins
//! with the usual one.

use std::{
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

type Setter = Box<dyn Fn(&str) + Send + Sync>;

/// All clones are one.
#[derive(Clone)]
pub(crate) struct LogLevel(Arc<Shared>);

struct Shared {
    set: Setter,
    /// `LB_LOG` says what is usual, and wins against the file.
    is_pinned: bool,
    state: Mutex<State>,
}

struct State {
    usual: String,
    wanted: Option<Wanted>,
    /// Counts what people wanted.
    last: u64,
}

struct Wanted {
    level: String,
    by: String,
    until: Option<u64>,
}

/// What is logged now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Logged {
    pub(crate) level: String,
    pub(crate) usual: String,
    /// Who has set another one than the usual.
    pub(crate) by: Option<String>,
    /// When it goes back by itself, in milliseconds since 1970.
    pub(crate) until: Option<u64>,
}

impl LogLevel {
    /// One that has been set to `usual`, and is from now on by `set`.
    pub(crate) fn new(
        usual: &str,
        is_pinned: bool,
        set: impl Fn(&str) + Send + Sync + 'static,
    ) -> Self {
        let state = Mutex::new(State { usual: usual.to_owned(), wanted: None, last: 0 });
        Self(Arc::new(Shared { set: Box::new(set), is_pinned, state }))
    }

    /// What the file says is usual from now on.
    pub(crate) fn usual(&self, level: &str) {
        if self.0.is_pinned {
            return;
        }
        let mut state = self.state();
        level.clone_into(&mut state.usual);
        if state.wanted.is_none() {
            (self.0.set)(level);
        }
    }

    /// Logs by another filter from now on. Returns the number to give it back by.
    pub(crate) fn want(&self, level: &str, by: String, until: Option<u64>) -> u64 {
        let mut state = self.state();
        state.wanted = Some(Wanted { level: level.to_owned(), by, until });
        state.last += 1;
        (self.0.set)(level);
        state.last
    }

    /// Logs what is usual; with a number only if nobody has wanted anything since.
    pub(crate) fn give_back(&self, number: Option<u64>) -> bool {
        let mut state = self.state();
        if number.is_some_and(|number| number != state.last) || state.wanted.is_none() {
            return false;
        }
        state.wanted = None;
        (self.0.set)(&state.usual);
        true
    }

    pub(crate) fn now(&self) -> Logged {
        let state = self.state();
        let wanted = state.wanted.as_ref();
        Logged {
            level: wanted.map_or(&state.usual, |one| &one.level).clone(),
            usual: state.usual.clone(),
            by: wanted.map(|one| one.by.clone()),
            until: wanted.and_then(|one| one.until),
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for LogLevel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("LogLevel").field(&self.now()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A level, and all that it was set to.
    fn level(is_pinned: bool) -> (LogLevel, Arc<Mutex<Vec<String>>>) {
        let set = Arc::<Mutex<Vec<String>>>::default();
        let seen = Arc::clone(&set);
        let note = move |level: &str| seen.lock().unwrap().push(level.to_owned());
        (LogLevel::new("info", is_pinned, note), set)
    }

    #[test]
    fn what_a_person_wants_outlasts_a_reload_and_goes_back_to_what_that_says() {
        let (level, set) = level(false);
        let number = level.want("debug", "ann".to_owned(), Some(9));
        level.usual("warn");
        let now = level.now();
        assert_eq!((&*now.level, &*now.usual, now.until), ("debug", "warn", Some(9)));
        assert!(level.give_back(Some(number)));
        assert!(!level.give_back(Some(number)));
        assert_eq!(*set.lock().unwrap(), ["debug", "warn"]);
    }

    #[test]
    fn the_end_of_one_wish_is_not_that_of_the_next() {
        let (level, set) = level(false);
        let first = level.want("debug", "ann".to_owned(), Some(9));
        level.want("trace", "bob".to_owned(), None);
        assert!(!level.give_back(Some(first)));
        assert_eq!(level.now().by.as_deref(), Some("bob"));
        assert_eq!(*set.lock().unwrap(), ["debug", "trace"]);
    }

    #[test]
    fn a_variable_wins_against_the_file_and_not_against_a_person() {
        let (level, set) = level(true);
        level.usual("warn");
        level.want("debug", "ann".to_owned(), None);
        level.give_back(None);
        assert_eq!(*set.lock().unwrap(), ["debug", "info"]);
    }
}
