//! Waiting for drains to be over.
//!
//! Only the balancer can say that: no request is left, and no worker will send another
//! one. A count of nothing in flight is not enough, so it is asked and not counted here.

use std::{
    io::{IsTerminal as _, stderr},
    time::{Duration, Instant},
};

use super::{client::Client, failure::Failure, pattern::Target};
use crate::{
    admin::dto::{Backend, Cluster},
    cli::{exit::Exit, print},
};

/// How often it is asked.
const PAUSE: Duration = Duration::from_millis(200);
/// How often something is said where that is not overwritten.
const TOLD: Duration = Duration::from_secs(5);

/// Waits until all of these can be stopped. `is_limited`: bound clients have a time limit;
/// `is_quiet`: nothing is said meanwhile.
///
/// # Errors
///
/// When it takes longer than that, or somebody uses them again.
pub(super) async fn until_over(
    client: &Client,
    targets: &[Target],
    limit: Option<Duration>,
    is_limited: bool,
    is_quiet: bool,
) -> Result<Vec<Cluster>, Failure> {
    let start = Instant::now();
    let mut progress = Progress::new(start);
    loop {
        let clusters: Vec<Cluster> = client.get("/api/v1/clusters").await?.read()?;
        let mut left = Vec::new();
        for target in targets {
            match find(&clusters, target) {
                Some(backend) if backend.admin == "enabled" && backend.leaves_at.is_none() => {
                    let text = format!("{target} is enabled again: nobody drains it");
                    return Err(Failure::new(Exit::Refused, text));
                }
                Some(backend) if !is_over(backend) => left.push(backend),
                // Over, or gone altogether.
                _ => {}
            }
        }
        if left.is_empty() {
            return Ok(clusters);
        }
        let text: Vec<String> = left.iter().map(|backend| told(backend)).collect();
        let waited = start.elapsed();
        if limit.is_some_and(|limit| waited >= limit) {
            let text = format!("not drained after {} s: {}", waited.as_secs(), text.join(", "));
            return Err(Failure::new(Exit::TimedOut, text).help("the drain goes on"));
        }
        if !is_quiet
            && progress.told.is_none()
            && !is_limited
            && left.iter().any(|one| admits_bound(one))
        {
            print::diagnostic(
                "note: bound clients may come for ever; `--for 10m` sets them a limit, and \
                 `lb disable` ends it\n",
            );
        }
        if !is_quiet {
            progress.tell(&text.join(", "));
        }
        let rest = limit.map_or(PAUSE, |limit| limit.saturating_sub(waited));
        tokio::time::sleep(PAUSE.min(rest)).await;
    }
}

fn find<'c>(clusters: &'c [Cluster], target: &Target) -> Option<&'c Backend> {
    let cluster = clusters.iter().find(|one| one.name == target.cluster)?;
    cluster.backends.iter().find(|one| one.name == target.backend)
}

fn is_over(backend: &Backend) -> bool {
    match &backend.drain {
        Some(drain) => drain.finished,
        None => backend.in_flight == 0 && backend.held == 0,
    }
}

fn admits_bound(backend: &Backend) -> bool {
    backend.drain.as_ref().is_some_and(|drain| drain.admits_bound)
}

fn told(backend: &Backend) -> String {
    let left = match backend.drain.as_ref().map_or(backend.held, |drain| drain.held) {
        1 => "1 request left".to_owned(),
        many => format!("{many} requests left"),
    };
    let sessions = backend.drain.as_ref().and_then(|drain| drain.bound);
    let bound = match sessions {
        _ if !admits_bound(backend) => String::new(),
        Some(sessions) => format!(", bound clients may come (about {sessions} lately)"),
        None => ", bound clients may come".to_owned(),
    };
    format!("{}/{}: {left}{bound}", backend.cluster, backend.name)
}

/// A line that is overwritten on a terminal, and one each few seconds elsewhere.
struct Progress {
    is_terminal: bool,
    start: Instant,
    told: Option<Instant>,
}

impl Progress {
    fn new(start: Instant) -> Self {
        Self { is_terminal: stderr().is_terminal(), start, told: None }
    }

    fn tell(&mut self, text: &str) {
        let seconds = self.start.elapsed().as_secs();
        if self.is_terminal {
            print::diagnostic(&format!("\r\x1b[K{text} ({seconds} s)"));
        } else if self.told.is_none_or(|told| told.elapsed() >= TOLD) {
            print::diagnostic(&format!("{text} ({seconds} s)\n"));
        } else {
            return;
        }
        self.told = Some(Instant::now());
    }
}

impl Drop for Progress {
    /// Nothing is left of the line.
    fn drop(&mut self) {
        if self.is_terminal && self.told.is_some() {
            print::diagnostic("\r\x1b[K");
        }
    }
}
