//! pingora-load-balancing: `LoadBalancer::select`, as its users call it.

use std::{hint::black_box, sync::Arc};

use lb_benches::{Entropy, address};
use pingora_load_balancing::{
    LoadBalancer,
    selection::{BackendIter, BackendSelection, Consistent, FNVHash, Random, RoundRobin},
};

use crate::contender::Contender;

/// The selections it comes with.
pub(crate) fn all(size: usize, max_iterations: usize) -> Vec<Contender> {
    contenders(size, max_iterations, false)
}

/// The same with nine of ten backends disabled: what a failed check amounts to,
/// read one step earlier.
pub(crate) fn all_mostly_down(size: usize, max_iterations: usize) -> Vec<Contender> {
    contenders(size, max_iterations, true)
}

fn contenders(size: usize, max_iterations: usize, mostly_down: bool) -> Vec<Contender> {
    vec![
        contender::<RoundRobin>("RoundRobin", size, max_iterations, mostly_down),
        contender::<Random>("Random", size, max_iterations, mostly_down),
        contender::<FNVHash>("FNVHash", size, max_iterations, mostly_down),
        contender::<Consistent>("Consistent", size, max_iterations, mostly_down),
    ]
}

fn contender<S>(name: &str, size: usize, max_iterations: usize, mostly_down: bool) -> Contender
where
    S: BackendSelection<Iter: BackendIter> + Send + Sync + 'static,
{
    let balancer = LoadBalancer::<S>::try_from_iter((0..size).map(address));
    let balancer = Arc::new(balancer.expect("the addresses are valid"));
    if mostly_down {
        for (position, backend) in balancer.backends().get_backend().iter().enumerate() {
            balancer.backends().set_enable(backend, position % 10 == 0);
        }
    }
    Contender::new(format!("pingora {name}"), move |thread| {
        let balancer = Arc::clone(&balancer);
        let entropy = Entropy::new(thread as u64);
        Box::new(move |picks| {
            let mut without = 0;
            for pick in 0..picks {
                // A key as long as a hashed address or session; not every selection reads it.
                let key = entropy.of(pick).to_ne_bytes();
                let backend = balancer.select(black_box(&key), max_iterations);
                without += u64::from(black_box(&backend).is_none());
            }
            without
        })
    })
}
