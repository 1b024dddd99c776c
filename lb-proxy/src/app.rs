//! The composition root: the one place that knows both the configuration and the
//! parts that serve.
//!
//! Nothing is decided here. A [`Config`] becomes clusters, the clusters become a
//! [`Service`], the service is started; signals stop it.

use std::{
    fmt::Write as _,
    hash::{BuildHasher as _, Hasher as _, RandomState},
    io,
    net::SocketAddr,
    num::NonZeroUsize,
    sync::Arc,
    thread,
};

use anyhow::Context as _;
use lb_core::{Cluster, Membership};
use lb_discovery::{Fixed, Source};
use lb_proxy::{
    ClusterSettings, ListenerSettings, Proxy, Running, Service,
    config::{self, Config},
};
use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::follow::{at_once, follow};

/// A balancer that runs.
#[derive(Debug)]
pub(crate) struct App {
    running: Running,
    /// What goes on telling who is there.
    sources: Vec<(Cluster, Box<dyn Source>)>,
    workers: NonZeroUsize,
}

/// How serving ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ending {
    /// Every request was finished, or had its time to.
    Drained,
    /// Somebody did not want to wait.
    Interrupted,
    /// Without a signal: every worker has panicked.
    Died,
}

impl App {
    /// Binds and starts all that a configuration asks for.
    pub(crate) fn start(config: &Config, origin: &str) -> anyhow::Result<Self> {
        let mut clusters = Vec::new();
        let mut sources = Vec::new();
        for settings in &config.clusters {
            let backends = Membership::new(settings.backends.iter().cloned())?;
            let mut source: Box<dyn Source> = Box::new(Fixed::new(origin, backends));
            let cluster = build_cluster(settings, config, at_once(&mut *source));
            sources.push((cluster.clone(), source));
            clusters.push(ClusterSettings {
                timeouts: settings.timeouts.clone(),
                ..ClusterSettings::new(cluster)
            });
        }
        let service = Service {
            listeners: config
                .listeners
                .iter()
                .map(resolve_listener)
                .collect::<anyhow::Result<_>>()?,
            routes: Arc::new(config.route_table()),
            clusters,
            access_log: None,
        };
        let workers = config
            .workers
            .or_else(|| thread::available_parallelism().ok())
            .unwrap_or(NonZeroUsize::MIN);
        let running = Proxy::start(service, workers)?;
        Ok(Self { running, sources, workers })
    }

    /// Where it listens; port 0 has become the port that was given.
    pub(crate) fn addresses(&self) -> Vec<SocketAddr> {
        self.running.addresses()
    }

    /// One line that says what runs.
    pub(crate) fn start_line(&self, config: &Config, origin: &str) -> String {
        let mut line = format!("lb {} listens on", env!("CARGO_PKG_VERSION"));
        // Writing to a string cannot fail.
        for (index, address) in self.addresses().iter().enumerate() {
            let _ = write!(line, "{}http://{address}", if index == 0 { " " } else { ", " });
        }
        let _ = write!(line, "; configured by {origin}; clusters");
        for (index, cluster) in config.clusters.iter().enumerate() {
            let _ = write!(
                line,
                "{}{} ({}, {})",
                if index == 0 { " " } else { ", " },
                cluster.name,
                config.strategy_of(cluster),
                counted(cluster.backends.len(), "backend"),
            );
        }
        let workers = counted(self.workers.get(), "worker");
        let _ = write!(line, "; {workers}; pid {}", std::process::id());
        line
    }

    /// Serves until a signal ends it.
    ///
    /// TERM and INT drain, for at most `timeout.shutdown`; QUIT drains for as long
    /// as it takes. A second TERM or INT stops at once.
    pub(crate) fn serve(self, signals: Signals) -> Ending {
        let Signals { runtime, mut terminate, mut interrupt, mut quit, refused } = signals;
        runtime.block_on(async {
            // Dropped, and so ended, with this block.
            let mut tasks = tokio::task::JoinSet::new();
            for (cluster, source) in self.sources {
                tasks.spawn(follow(source, cluster));
            }
            for (name, signal) in refused {
                tasks.spawn(refuse(name, signal));
            }
            let limited = tokio::select! {
                _ = terminate.recv() => true,
                _ = interrupt.recv() => true,
                _ = quit.recv() => false,
                () = self.running.ended() => {
                    tracing::error!("every worker has ended; nobody is served any more");
                    return Ending::Died;
                }
            };
            tracing::info!(limited, "draining: no new connections, requests in flight go on");
            let drained = async {
                if limited {
                    self.running.drain().await;
                } else {
                    self.running.drain_without_limit().await;
                }
            };
            let ending = tokio::select! {
                () = drained => Ending::Drained,
                _ = terminate.recv() => Ending::Interrupted,
                _ = interrupt.recv() => Ending::Interrupted,
            };
            match ending {
                Ending::Interrupted => tracing::warn!("stopped at once: requests were cut off"),
                _ => tracing::info!("stopped"),
            }
            self.running.stop_now();
            ending
        })
    }

    /// Stops at once.
    pub(crate) fn stop(self) {
        self.running.stop_now();
    }
}

/// The signals that stop a balancer. Made before it starts, so that none is missed.
#[derive(Debug)]
pub(crate) struct Signals {
    runtime: tokio::runtime::Runtime,
    terminate: Signal,
    interrupt: Signal,
    quit: Signal,
    /// Those that make other servers reload. Here they must not do what the system
    /// does with a signal nobody takes, which is to end the process without a drain.
    refused: Vec<(&'static str, Signal)>,
}

impl Signals {
    /// For a program in a terminal, which ends with the terminal.
    pub(crate) fn of_a_program() -> io::Result<Self> {
        Self::listen(&[])
    }

    /// For a service.
    pub(crate) fn of_a_service() -> io::Result<Self> {
        Self::listen(&[
            ("HUP", SignalKind::hangup()),
            ("USR1", SignalKind::user_defined1()),
            ("USR2", SignalKind::user_defined2()),
        ])
    }

    fn listen(refused: &[(&'static str, SignalKind)]) -> io::Result<Self> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let inside = runtime.enter();
        let terminate = signal(SignalKind::terminate())?;
        let interrupt = signal(SignalKind::interrupt())?;
        let quit = signal(SignalKind::quit())?;
        let refused = refused
            .iter()
            .map(|(name, kind)| Ok((*name, signal(*kind)?)))
            .collect::<io::Result<_>>()?;
        drop(inside);
        Ok(Self { runtime, terminate, interrupt, quit, refused })
    }
}

async fn refuse(name: &'static str, mut signal: Signal) {
    while signal.recv().await.is_some() {
        tracing::warn!(signal = name, "this version does not reload; still serving");
    }
}

/// `1 backend`, `2 backends`.
pub(crate) fn counted(count: usize, noun: &str) -> String {
    format!("{count} {noun}{}", if count == 1 { "" } else { "s" })
}

fn build_cluster(settings: &config::Cluster, config: &Config, first: Membership) -> Cluster {
    Cluster::builder(&*settings.name)
        .boxed_strategy(config.strategy_of(settings).build())
        .membership(first)
        // Several balancers in front of the same backends must not begin with the same one.
        .entropy(RandomState::new().build_hasher().finish())
        .build()
}

fn resolve_listener(listener: &config::Listener) -> anyhow::Result<ListenerSettings> {
    let bind = listener
        .bind
        .resolve()
        .with_context(|| format!("cannot look up `{}` to listen on", listener.bind))?;
    Ok(ListenerSettings {
        timeouts: listener.timeouts.clone(),
        limits: listener.limits.clone(),
        ..ListenerSettings::new(bind)
    })
}
