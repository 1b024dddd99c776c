//! The composition root: the one place that knows both the configuration and the
//! parts that serve.
//!
//! Nothing is decided here. A [`Config`] becomes clusters, the clusters become a
//! [`Service`], the service is started; a signal has the configuration read again,
//! and what differs is said to the parts that run. Sources, checks and signals have
//! a runtime of their own: whatever they do delays no request.

mod farm;
mod feed;
mod serve;
mod signals;
mod watchdog;

use std::{fmt::Write as _, net::SocketAddr, num::NonZeroUsize, sync::Arc, thread};

use anyhow::Context as _;
use lb_proxy::{
    AccessLog, AccessLogSettings, ListenerChanges, ListenerSettings, Proxy, Route, Running,
    Service,
    config::{self, Config},
};
use tokio::runtime::Runtime;

use self::{
    farm::{Draft, Farm},
    serve::Applied,
};
pub(crate) use self::{
    serve::{Ending, Reread},
    signals::Signals,
};

/// A balancer that runs.
#[derive(Debug)]
pub(crate) struct App {
    running: Running,
    farm: Farm,
    log: Option<Log>,
    /// Those that are served.
    routes: Vec<Route>,
    control: Runtime,
}

/// The access log that is open, and what was asked for.
#[derive(Debug, Clone)]
struct Log {
    settings: AccessLogSettings,
    log: AccessLog,
}

/// A configuration that only has to be taken up.
#[derive(Debug)]
struct Prepared {
    config: Config,
    origin: String,
    service: Service,
    draft: Draft,
    log: Option<Log>,
}

impl App {
    /// Binds and starts all that a configuration asks for. Sources have a second to
    /// say who is there, so that the first request finds somebody.
    pub(crate) fn start(config: &Config, origin: &str) -> anyhow::Result<Self> {
        // One thread, which runs by itself whatever this one does.
        let control = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .thread_name("lb-control")
            .enable_all()
            .build()
            .context("cannot start a thread")?;
        let mut farm = Farm::new(control.handle().clone());
        let listeners = listeners(config)?;
        let draft = control.block_on(farm.draft(config, origin, &listeners))?;
        let log = open_log(config.log.access.as_ref(), None)?;
        let service = service(config, listeners, &draft, log.as_ref());
        let workers = config
            .workers
            .or_else(|| thread::available_parallelism().ok())
            .unwrap_or(NonZeroUsize::MIN);
        let running = Proxy::start(service, workers)?;
        control.block_on(farm.plant(draft, origin));
        Ok(Self { running, farm, log, routes: config.routes.clone(), control })
    }

    /// Reads the configuration again, and does all that can fail or take long. Nothing
    /// that runs is changed. `None` is that of [`Reread`].
    async fn prepare(&self, reread: &Reread) -> anyhow::Result<Option<Prepared>> {
        let reread = Arc::clone(reread);
        let read = self.aside(move || {
            let Some((config, origin)) = reread() else { return Ok(None) };
            let listeners = listeners(&config)?;
            Ok(Some((config, origin, listeners)))
        });
        let Some((config, origin, listeners)) = read.await? else { return Ok(None) };
        let draft = self.farm.draft(&config, &origin, &listeners).await?;
        let (wanted, open) = (config.log.access.clone(), self.log.clone());
        let log = self.aside(move || open_log(wanted.as_ref(), open.as_ref())).await?;
        let service = service(&config, listeners, &draft, log.as_ref());
        Ok(Some(Prepared { config, origin, service, draft, log }))
    }

    /// Does what may hang, like a look-up of a name, in a thread that nobody waits for at
    /// the end.
    async fn aside<T: Send + 'static>(
        &self,
        what: impl FnOnce() -> anyhow::Result<T> + Send + 'static,
    ) -> anyhow::Result<T> {
        self.control.spawn_blocking(what).await?
    }

    /// Serves what was prepared from now on. Says what has changed.
    ///
    /// An error means that the one before goes on to be served, as if nothing had
    /// been.
    async fn take_up(
        &mut self,
        prepared: Prepared,
        applied: &Applied<'_>,
    ) -> anyhow::Result<String> {
        let Prepared { config, origin, service, draft, log } = prepared;
        let reloaded = self.running.reload(service)?;
        let ListenerChanges { opened, closed, .. } = reloaded.listeners();
        let listening = format!("listeners: {} opened, {} closed", opened.len(), closed.len());
        let changes = self.farm.plant(draft, &origin).await;
        reloaded.await;
        self.log = log;
        let same = self.routes == config.routes;
        self.routes.clone_from(&config.routes);
        applied(&config);
        if config.workers.is_some_and(|workers| workers != self.running.workers()) {
            tracing::warn!("the number of workers changes with the next start only");
        }
        let routes = if same { "as before" } else { "changed" };
        Ok(format!("{changes}; routes: {routes}; {listening}"))
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
        for (index, (name, count)) in self.farm.counts().into_iter().enumerate() {
            let found = config.clusters.iter().find(|cluster| *cluster.name == *name);
            let strategy = found.map_or("", |cluster| cluster.strategy.kind.name());
            let comma = if index == 0 { " " } else { ", " };
            let _ = write!(line, "{comma}{name} ({strategy}, {})", counted(count, "backend"));
        }
        let workers = counted(self.running.workers().get(), "worker");
        let _ = write!(line, "; {workers}; pid {}", std::process::id());
        line
    }

    /// Stops at once.
    pub(crate) fn stop(self) {
        self.running.stop_now();
        self.end_control();
    }

    fn end_control(self) {
        drop(self.running);
        // A look-up of a name may be under way; nobody waits for what it finds.
        self.control.shutdown_background();
    }
}

/// `1 backend`, `2 backends`.
pub(crate) fn counted(count: usize, noun: &str) -> String {
    format!("{count} {noun}{}", if count == 1 { "" } else { "s" })
}

fn service(
    config: &Config,
    listeners: Vec<ListenerSettings>,
    draft: &Draft,
    log: Option<&Log>,
) -> Service {
    Service {
        listeners,
        routes: Arc::new(config.route_table()),
        clusters: draft.clusters(),
        access_log: log.map(|log| log.log.clone()),
    }
}

fn listeners(config: &Config) -> anyhow::Result<Vec<ListenerSettings>> {
    let resolve = |listener: &config::Listener| {
        let bind = listener
            .bind
            .resolve()
            .with_context(|| format!("cannot look up `{}` to listen on", listener.bind))?;
        Ok(ListenerSettings {
            timeouts: listener.timeouts.clone(),
            limits: listener.limits.clone(),
            trusted_proxies: listener.trusted_proxies.clone(),
            request_id: listener.request_id,
            ..ListenerSettings::new(bind)
        })
    };
    config.listeners.iter().map(resolve).collect()
}

/// The log that is wanted: the one that is open, if it is the same.
fn open_log(wanted: Option<&AccessLogSettings>, open: Option<&Log>) -> anyhow::Result<Option<Log>> {
    let Some(settings) = wanted else { return Ok(None) };
    if let Some(open) = open.filter(|open| open.settings == *settings) {
        return Ok(Some(open.clone()));
    }
    let log = AccessLog::open(settings.clone()).with_context(|| match &settings.to {
        lb_proxy::LogTarget::File(path) => {
            format!("cannot open the access log `{}`", path.display())
        }
        _ => "cannot start the access log".to_owned(),
    })?;
    Ok(Some(Log { settings: settings.clone(), log }))
}
