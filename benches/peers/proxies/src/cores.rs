//! Which core runs what, and a port that is free.

use std::net::{Ipv4Addr, SocketAddr, TcpListener};

use anyhow::{Context as _, Result, ensure};
use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};

/// Refuses a machine or a choice of cores on which the figures would mean nothing.
pub(crate) fn check(proxy: usize, driver: usize) -> Result<()> {
    ensure!(proxy != driver, "the proxy and the driver need a core each");
    let allowed = sched_getaffinity(None).context("reading the CPU affinity")?;
    for core in [proxy, driver] {
        ensure!(
            core < CpuSet::MAX_CPU && allowed.is_set(core),
            "core {core} is not available to this process"
        );
    }
    Ok(())
}

/// Pins the calling thread, and with it every process it starts from now on.
pub(crate) fn pin_this_thread(core: usize) -> Result<()> {
    let mut set = CpuSet::new();
    set.set(core);
    sched_setaffinity(None, &set).with_context(|| format!("pinning to core {core}"))
}

/// A loopback address nobody listens on at the moment.
///
/// Somebody may take it before the proxy does; then the proxy fails to start and
/// the run says so.
pub(crate) fn free_port() -> Result<SocketAddr> {
    let probe = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    Ok(probe.local_addr()?)
}
