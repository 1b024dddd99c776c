//! Sessions of browsers: what stands for a token in a cookie.
//!
//! A page must not keep a token where its scripts can read it, so a browser gives its
//! token once and is given a number of 256 bits, of which only the digest is kept here. A
//! session is no right of its own: it leads to the token that it was begun with, and is
//! over when that is.

use std::{
    collections::HashMap,
    io,
    sync::{Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use super::{
    caller::Digest,
    rules::{digest, random_text},
};

/// Sessions end when they are not used for so long,
pub(super) const IDLE: Duration = Duration::from_mins(30);
/// and in any case after this.
pub(super) const LONGEST: Duration = Duration::from_hours(12);
/// Beyond, the one that was not used for the longest time ends: of all,
const MOST: usize = 256;
/// and of those with one token, so that who may only see ends no admin's.
const MOST_OF_ONE: usize = 128;
/// How long the link of the start leads in.
const LINK: Duration = Duration::from_mins(15);

/// Those that are open.
#[derive(Debug, Default)]
pub(super) struct Sessions(Mutex<HashMap<Digest, Session>>);

#[derive(Debug, Clone, Copy)]
struct Session {
    /// What it was begun with.
    token: Digest,
    begun: Instant,
    used: Instant,
}

impl Session {
    fn ends(&self) -> Instant {
        (self.begun + LONGEST).min(self.used + IDLE)
    }
}

impl Sessions {
    /// Begins one; returns its number, which is nowhere else.
    ///
    /// # Errors
    ///
    /// There is no randomness.
    pub(super) fn begin(&self, token: Digest, now: Instant) -> io::Result<String> {
        let number = random_text()?;
        let mut open = self.open(now);
        let is_own = |one: &Session| one.token == token;
        let is_much = open.values().filter(|one| is_own(one)).count() >= MOST_OF_ONE;
        if is_much || open.len() >= MOST {
            let may_end = open.iter().filter(|(_, one)| !is_much || is_own(one));
            let oldest = may_end.min_by_key(|(_, one)| one.used).map(|(key, _)| *key);
            oldest.map(|oldest| open.remove(&oldest));
        }
        open.insert(digest(number.as_bytes()), Session { token, begun: now, used: now });
        Ok(number)
    }

    /// The token of a session that is used now.
    pub(super) fn used(&self, key: Digest, now: Instant) -> Option<Digest> {
        let mut open = self.open(now);
        let session = open.get_mut(&key)?;
        session.used = now;
        Some(session.token)
    }

    /// The token of a session, and how long it lasts if it is not used.
    pub(super) fn token(&self, key: Digest, now: Instant) -> Option<(Digest, Duration)> {
        let open = self.open(now);
        let session = open.get(&key)?;
        Some((session.token, session.ends().saturating_duration_since(now)))
    }

    pub(super) fn end(&self, key: Digest, now: Instant) {
        self.open(now).remove(&key);
    }

    /// Those that are not over.
    fn open(&self, now: Instant) -> MutexGuard<'_, HashMap<Digest, Session>> {
        let mut open = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        open.retain(|_, session| now < session.ends());
        open
    }
}

/// A link that leads in once.
#[derive(Debug)]
pub(super) struct Link(Mutex<Option<(Digest, Instant)>>);

impl Link {
    /// One for this code.
    pub(super) fn new(code: &str, now: Instant) -> Self {
        Self(Mutex::new(Some((digest(code.as_bytes()), now + LINK))))
    }

    /// Whether it leads in; then it did so for the last time.
    pub(super) fn take(&self, code: &str, now: Instant) -> bool {
        let mut link = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        link.take_if(|(expected, end)| *expected == digest(code.as_bytes()) || now >= *end)
            .is_some_and(|(_, end)| now < end)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TOKEN: Digest = [7; 32];

    fn key(number: &str) -> Digest {
        digest(number.as_bytes())
    }

    #[test]
    fn a_session_ends_when_it_is_not_used_and_in_any_case_after_twelve_hours() {
        let sessions = Sessions::default();
        let start = Instant::now();
        let number = sessions.begin(TOKEN, start).unwrap();
        let half = IDLE / 2;
        let mut now = start;
        while now + half < start + LONGEST {
            now += half;
            assert_eq!(sessions.used(key(&number), now), Some(TOKEN), "{:?}", now - start);
        }
        assert_eq!(sessions.used(key(&number), start + LONGEST), None);
        let idle = sessions.begin(TOKEN, start).unwrap();
        assert_eq!(sessions.token(key(&idle), start), Some((TOKEN, IDLE)));
        assert_eq!(sessions.used(key(&idle), start + IDLE), None);
    }

    #[test]
    fn looking_whether_it_lasts_is_no_use_of_it() {
        let sessions = Sessions::default();
        let start = Instant::now();
        let number = sessions.begin(TOKEN, start).unwrap();
        assert!(sessions.token(key(&number), start + IDLE - Duration::from_secs(1)).is_some());
        assert!(sessions.token(key(&number), start + IDLE).is_none());
    }

    #[test]
    fn there_are_only_so_many_and_the_least_used_goes() {
        let sessions = Sessions::default();
        let start = Instant::now();
        let first = sessions.begin(TOKEN, start).unwrap();
        let second = sessions.begin(TOKEN, start).unwrap();
        let later = start + Duration::from_secs(1);
        sessions.used(key(&first), later);
        let other = sessions.begin([8; 32], start).unwrap();
        for _ in 2..=MOST_OF_ONE {
            sessions.begin(TOKEN, later).unwrap();
        }
        assert_eq!(sessions.used(key(&first), later), Some(TOKEN));
        assert_eq!(sessions.used(key(&second), later), None);
        assert_eq!(sessions.used(key(&other), later), Some([8; 32]), "it is of another token");
        for token in 0..200 {
            sessions.begin([token; 32], later).unwrap();
        }
        assert_eq!(sessions.open(later).len(), MOST);
    }

    #[test]
    fn a_link_leads_in_once_and_not_for_ever() {
        let now = Instant::now();
        let link = Link::new("code", now);
        assert_eq!(
            ["other", "code", "code"].map(|code| link.take(code, now)),
            [false, true, false]
        );
        assert!(!Link::new("code", now).take("code", now + LINK));
    }
}
