//! The composition root: the one place that knows both the configuration and the
//! parts that serve.
//!
//! Nothing is decided here. A [`Config`] becomes clusters, the clusters become a
//! [`Service`], the service is started; a signal has the configuration read again,
//! and what differs is said to the parts that run. Sources, checks and signals have
//! a runtime of their own: whatever they do delays no request.

mod announce;
mod attend;
mod carry;
mod farm;
mod feed;
mod gossip;
mod rewrite;
mod save;
mod serve;
mod show;
mod signals;
mod stage;
mod told;
mod watchdog;
mod write;

use std::{net::SocketAddr, num::NonZeroUsize, sync::Arc, thread, time::Duration};

use anyhow::Context as _;
use lb_proxy::{
    AccessLog, AccessLogSettings, ListenerChanges, ListenerSettings, Proxy, Route, Running,
    Service,
    config::{self, Config, Instead},
};
use tokio::{runtime::Runtime, sync::mpsc, task::JoinSet};

use self::{
    carry::with_settings,
    farm::{Draft, Farm},
    serve::{Applied, Read},
    told::{Happened, Told},
};
pub(crate) use self::{
    serve::{Ending, Read as ReadConfig, Reread},
    signals::Signals,
};
use crate::{
    control::{
        ChangeRecord, Desk, Event, EventKind, Events, Inbox, Ledger, Mistakes, Overrides, Overview,
        Texts, in_file, now, take_unfit, unix_millis,
    },
    notify::Notifier,
    state::{Dropped, settle},
};

/// How often is looked whether what people have set is about somebody who is gone.
const EXPIRY: Duration = Duration::from_mins(30);

/// A balancer that runs.
#[derive(Debug)]
pub(crate) struct App {
    running: Running,
    farm: Farm,
    log: Option<Log>,
    /// Those that are served.
    routes: Vec<Route>,
    listeners: Vec<ListenerSettings>,
    /// What is served, as the file has it: without what people have set beside it.
    file: Config,
    origin: String,
    /// The files that say so.
    texts: Texts,
    /// Counts what was served.
    generation: u64,
    /// In milliseconds since 1970.
    started: u64,
    /// What people have set.
    ledger: Ledger,
    desk: Desk,
    inbox: Inbox,
    /// Told to `happened` by whoever follows something in a cluster.
    happening: mpsc::UnboundedSender<Happened>,
    happened: mpsc::UnboundedReceiver<Happened>,
    /// Whoever waits until every worker goes by what he has set.
    answering: JoinSet<()>,
    control: Runtime,
    /// Whom it tells how it is.
    notifier: Arc<Notifier>,
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
    /// As the file has it.
    config: Config,
    origin: String,
    texts: Texts,
    listeners: Vec<ListenerSettings>,
    service: Service,
    draft: Draft,
    log: Option<Log>,
    settled: Settled,
}

/// What people have set, and what of it does not hold with another file.
#[derive(Debug)]
struct Settled {
    kept: Overrides,
    dropped: Vec<Dropped>,
}

impl App {
    /// Binds and starts all that a configuration asks for. Sources have a second to
    /// say who is there, so that the first request finds somebody. What people have set,
    /// as `ledger` has it, holds from the first request on.
    pub(crate) fn start(config: &Config, origin: &str, mut ledger: Ledger) -> anyhow::Result<Self> {
        // One thread, which runs by itself whatever this one does.
        let control = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .thread_name("lb-control")
            .enable_all()
            .build()
            .context("cannot start a thread")?;
        ledger.write_beside(control.handle().clone());
        let events = Events::new();
        let (happening, happened) = mpsc::unbounded_channel();
        let told = Told { events: events.clone(), owner: happening.clone() };
        let mut farm = Farm::new(control.handle().clone(), told);
        let listeners = listeners(config)?;
        let Settled { kept, dropped } = settle_with(&ledger.overrides, config);
        ledger.overrides = kept;
        let effective = with_settings(config, &ledger.overrides);
        let draft = farm.draft(&effective, origin, &listeners, &ledger.overrides);
        let draft = control.block_on(draft)?;
        let log = open_log(config.log.access.as_ref(), None)?;
        let service = service(config, listeners.clone(), &draft, log.as_ref());
        let workers = config
            .workers
            .or_else(|| thread::available_parallelism().ok())
            .unwrap_or(NonZeroUsize::MIN);
        let running = Proxy::start(service, workers)?;
        control.block_on(farm.plant(draft, origin));
        let memory = ledger.memory();
        let journal = Arc::new(move |page, limit| {
            let changes = memory.changes(page, limit)?;
            Ok(changes.iter().map(ChangeRecord::from).collect())
        });
        let (desk, inbox) = Desk::new(Overview::of_nothing(config.clone()), events, journal);
        let (file, origin, started) = (config.clone(), origin.to_owned(), unix_millis());
        let app = Self {
            running,
            farm,
            log,
            routes: config.routes.clone(),
            listeners,
            file,
            origin,
            texts: Texts::default(),
            generation: 1,
            started,
            ledger,
            desk,
            inbox,
            happening,
            happened,
            answering: JoinSet::new(),
            control,
            notifier: Arc::default(),
        };
        app.control.block_on(app.tell_dropped(dropped));
        app.resume_drains();
        app.publish();
        app.watch_traffic();
        let owner = app.happening.clone();
        app.control.spawn(async move {
            let mut hours = tokio::time::interval(EXPIRY);
            loop {
                hours.tick().await;
                if owner.send(Happened::TimePassed).is_err() {
                    return;
                }
            }
        });
        Ok(app)
    }

    fn watch_traffic(&self) {
        let (traffic, observer) = (self.desk.traffic().clone(), self.running.observer());
        let desk = self.desk.clone();
        self.control.spawn(traffic.follow(observer, move || desk.loads()));
    }

    /// Says which files the configuration is in, so that it can be written there.
    pub(crate) fn is_written_in(&mut self, texts: Texts) {
        self.texts = texts;
        self.publish();
    }

    /// Where people's wishes are taken.
    pub(crate) fn desk(&self) -> &Desk {
        &self.desk
    }

    /// Writes down and tells what does not hold any more, because the file has changed.
    async fn tell_dropped(&self, dropped: Vec<Dropped>) {
        let news = dropped.iter().map(|one| one.to_change(now())).collect();
        let written = match self.ledger.record_all(news).await {
            Ok(written) => written,
            // The next start comes to the same result.
            Err(refused) => return tracing::error!("{}", refused.detail()),
        };
        for one in &written {
            let change = ChangeRecord::from(&one.change);
            tracing::warn!(
                subject = change.subject(),
                field = change.field,
                "what was set does not hold any more: {}",
                change.why.as_deref().unwrap_or_default()
            );
            let event = show::change_event(&change);
            self.desk.events().push(Event { kind: EventKind::Dropped, ..event });
        }
    }

    /// Reads the configuration again, and does all that can fail or take long. Nothing
    /// that runs is changed. What is wrong with it is that of [`Reread`].
    async fn prepare(&self, reread: &Reread) -> anyhow::Result<Result<Prepared, Mistakes>> {
        let reread = Arc::clone(reread);
        let read = self.aside(move || Ok(reread(&Instead::default())));
        let read = match read.await? {
            Ok(read) => read,
            Err(mistakes) => return Ok(Err(mistakes)),
        };
        let settled = settle_with(&self.ledger.overrides, &read.config);
        self.prepare_read(read, settled).await.map(Ok)
    }

    /// The same of what was read, with what people have set that holds with it.
    async fn prepare_read(&self, read: Read, settled: Settled) -> anyhow::Result<Prepared> {
        let Read { config, origin, texts } = read;
        let (config, listeners) = self
            .aside(move || {
                let listeners = listeners(&config)?;
                Ok((config, listeners))
            })
            .await?;
        let effective = with_settings(&config, &settled.kept);
        let draft = self.farm.draft(&effective, &origin, &listeners, &settled.kept).await?;
        let (wanted, open) = (config.log.access.clone(), self.log.clone());
        let log = self.aside(move || open_log(wanted.as_ref(), open.as_ref())).await?;
        let service = service(&config, listeners.clone(), &draft, log.as_ref());
        Ok(Prepared { config, origin, texts, listeners, service, draft, log, settled })
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
        let Prepared { config, origin, texts, listeners, service, draft, log, settled } = prepared;
        let reloaded = self.running.reload(service)?;
        let ListenerChanges { opened, closed, .. } = reloaded.listeners();
        let listening = format!("listeners: {} opened, {} closed", opened.len(), closed.len());
        let changes = self.farm.plant(draft, &origin).await;
        reloaded.await;
        self.log = log;
        let same = self.routes == config.routes;
        self.routes.clone_from(&config.routes);
        let warning = applied(&config);
        (self.listeners, self.origin, self.texts) = (listeners, origin, texts);
        self.ledger.overrides = settled.kept;
        self.generation += 1;
        if config.workers.is_some_and(|workers| workers != self.running.workers()) {
            tracing::warn!("the number of workers changes with the next start only");
        }
        self.file = config;
        self.forget_drains(&settled.dropped);
        self.publish();
        self.tell_dropped(settled.dropped).await;
        let routes = if same { "as before" } else { "changed" };
        let warning = warning.map(|text| format!("; warning: {text}")).unwrap_or_default();
        Ok(format!("{changes}; routes: {routes}; {listening}{warning}"))
    }

    /// Where it listens; port 0 has become the port that was given.
    pub(crate) fn addresses(&self) -> Vec<SocketAddr> {
        self.running.addresses()
    }

    /// Has it tell this supervisor what it does from now on.
    pub(crate) fn tell(&mut self, notifier: Notifier) {
        self.notifier = Arc::new(notifier);
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

/// What of the overrides holds with this file.
fn settle_with(overrides: &Overrides, config: &Config) -> Settled {
    let all = overrides.values().cloned();
    let settled = settle(all, |subject, field| in_file(config, subject, field));
    let by_key = |one: crate::state::Override| ((one.subject.clone(), one.field), one);
    let mut kept: Overrides = settled.kept.into_iter().map(by_key).collect();
    let mut dropped = settled.dropped;
    for cluster in &config.clusters {
        dropped.extend(take_unfit(cluster, &mut kept));
    }
    Settled { kept, dropped }
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

#[cfg(test)]
mod tests;
