//! Who has a key, in a cluster whose strategy goes by keys.

use lb_core::{AdminState, Tick, strategy::PickCx};
use lb_proxy::config::Cluster;

use super::cluster::{assumption, build};

/// The backend that gets the requests with a key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Holder {
    pub(crate) name: String,
    pub(crate) address: String,
}

impl Holder {
    /// By the strategy of a cluster as it is given, all backends in it idle. `None` where
    /// nobody can take it.
    pub(crate) fn of(settings: &Cluster, key: &[u8]) -> Option<Self> {
        let cx = PickCx::new(Tick::ZERO, 0).keyed(key);
        let lease = build(settings).handle().acquire(&cx).ok()?;
        let backend = lease.backend();
        Some(Self { name: backend.name().to_owned(), address: backend.address().to_owned() })
    }

    /// Who would get them if this one could not be had.
    pub(crate) fn next(&self, settings: &Cluster, key: &[u8]) -> Option<Self> {
        let backends = settings.backends.iter().cloned().map(|one| match one.name() == self.name {
            true => one.in_state(AdminState::Disabled),
            false => one,
        });
        let without = Cluster { backends: backends.collect(), ..settings.clone() };
        Self::of(&without, key)
    }

    /// What was taken for granted, if anything.
    pub(crate) fn assumes(settings: &Cluster) -> Option<String> {
        assumption(&settings.strategy)
    }
}

#[cfg(test)]
mod tests {
    use lb_core::{Backend, strategy::StrategyKind};

    use super::*;

    #[test]
    fn a_key_has_a_holder_and_another_one_without_it() {
        let names = ["a", "b", "c"];
        let backends = names.map(|name| Backend::new(format!("{name}:80")).named(name));
        let mut settings = Cluster::new("web", backends.into());
        settings.strategy.kind = StrategyKind::Rendezvous;
        let holder = Holder::of(&settings, b"ann").unwrap();
        assert_eq!(holder.address, format!("{}:80", holder.name));
        assert_eq!(Holder::of(&settings, b"ann"), Some(holder.clone()), "always the same");
        let next = holder.next(&settings, b"ann").unwrap();
        assert_ne!(next, holder);
        let held: Vec<_> =
            (0..50_u8).map(|key| Holder::of(&settings, &[key]).unwrap().name).collect();
        assert!(names.iter().all(|name| held.iter().any(|held| held == name)), "{held:?}");
    }
}
