//! How many streams of events there are, and whose.
//!
//! A stream costs a task and a queue for as long as somebody wants. So there are only so
//! many; of one identity few, or one page that is opened again and again would keep all
//! others out; and those who may only see leave some to those who act. Those over the
//! socket are counted by themselves: who comes by an address does not keep out the people
//! of the machine.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
};

use http::StatusCode;

use super::{
    caller::{Caller, Identity, Role},
    problem::Problem,
};

/// Streams at a time, by addresses and over the socket each.
const MOST: usize = 16;
const MOST_OF_ONE: usize = 4;
const MOST_OF_VIEWERS: usize = 12;

/// All clones are one.
#[derive(Debug, Clone, Default)]
pub(super) struct Streams(Arc<Mutex<HashMap<(Identity, Role), usize>>>);

/// One stream, until it is dropped.
#[derive(Debug)]
pub(super) struct StreamPlace {
    taken: Streams,
    whose: (Identity, Role),
}

impl Streams {
    /// # Errors
    ///
    /// There are too many.
    pub(super) fn take(&self, caller: &Caller) -> Result<StreamPlace, Problem> {
        let whose = (caller.identity, caller.role);
        let mut taken = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let is_local = |identity: Identity| matches!(identity, Identity::User(_));
        let beside = |(identity, _): (Identity, Role)| is_local(identity) == is_local(whose.0);
        let sum = |of: &dyn Fn((Identity, Role)) -> bool| -> usize {
            taken.iter().filter(|(whose, _)| of(**whose)).map(|(_, count)| count).sum()
        };
        if taken.get(&whose).is_some_and(|count| *count >= MOST_OF_ONE) {
            return Err(too_many(&format!("{MOST_OF_ONE} are yours")));
        }
        let viewers = sum(&|one| beside(one) && one.1 == Role::Viewer);
        let is_full = caller.role == Role::Viewer && viewers >= MOST_OF_VIEWERS;
        if is_full || sum(&beside) >= MOST {
            return Err(too_many("others have them all"));
        }
        *taken.entry(whose).or_default() += 1;
        Ok(StreamPlace { taken: self.clone(), whose })
    }
}

impl Drop for StreamPlace {
    fn drop(&mut self) {
        let mut taken = self.taken.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = taken.get_mut(&self.whose) {
            *count -= 1;
            if *count == 0 {
                taken.remove(&self.whose);
            }
        }
    }
}

fn too_many(detail: &str) -> Problem {
    Problem::new(StatusCode::SERVICE_UNAVAILABLE, "too-many-streams", "Too many streams")
        .detail(detail)
        .hint("close one, or ask for a list now and then")
}

#[cfg(test)]
mod tests {
    use std::net::{IpAddr, Ipv4Addr};

    use super::*;
    use crate::{
        admin::caller::Leave,
        control::{Author, Door},
    };

    fn caller(role: Role, address: u8) -> Caller {
        let remote = IpAddr::V4(Ipv4Addr::new(10, 0, 0, address));
        Caller {
            author: Author { name: "x".to_owned(), door: Door::Browser },
            role,
            leave: Leave::Token([0; 32]),
            identity: Identity::of_token([0; 32], remote),
        }
    }

    #[test]
    fn nobody_holds_all_streams() {
        let streams = Streams::default();
        let one = caller(Role::Viewer, 1);
        let mut held: Vec<_> = (0..4).map(|_| streams.take(&one).unwrap()).collect();
        assert!(streams.take(&one).is_err(), "four of one");
        for address in 2..=3 {
            let other = caller(Role::Viewer, address);
            held.extend((0..4).map(|_| streams.take(&other).unwrap()));
        }
        assert!(streams.take(&caller(Role::Viewer, 9)).is_err(), "some are left to admins");
        held.extend((0..4).map(|_| streams.take(&caller(Role::Admin, 1)).unwrap()));
        assert!(streams.take(&caller(Role::Admin, 2)).is_err(), "sixteen in all");
        let local = streams.take(&Caller::of_socket(0));
        assert!(local.is_ok(), "the socket has its own");
        held.pop();
        assert!(streams.take(&caller(Role::Admin, 2)).is_ok(), "a place is given back");
        drop((held, local));
        assert!(streams.0.lock().unwrap().is_empty());
    }
}
