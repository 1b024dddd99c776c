//! The configuration file: read as a whole, judged as a whole.
//!
//! [`Config::parse`] walks the file and those it includes with the small reader, one
//! source file per section, and reports everything that is wrong with it in one go:
//! each finding with its line, the text underlined, the full name of the key and a
//! suggestion. What it answers can only be a configuration that makes sense: every
//! route has a cluster, every weight is positive, no address is listened on twice.
//!
//! Nothing below imports this module. The composition root turns a [`Config`]
//! into the plain values that workers are given.

mod address;
mod admin;
mod announce;
mod backend;
mod bind;
mod cluster;
mod condition;
mod diagnostic;
mod diagnostics;
mod discover;
mod effective;
mod expand;
mod files;
mod gossip;
mod groups;
mod health;
mod keys;
mod limits;
mod listener;
mod loader;
mod log;
mod methods;
mod names;
mod networks;
mod outlier;
mod passive;
mod reader;
mod reports;
mod retry;
mod route;
mod said;
mod schema;
mod secret;
mod short;
mod sticky;
mod strategy;
mod syntax;
mod timeouts;
mod unreachable;
mod written;

use std::num::NonZeroUsize;

use lb_core::Backend;
use toml::{
    Spanned,
    de::{DeTable, Error},
};

pub use self::{
    address::address_help,
    admin::{Admin, AdminSocket, Token},
    announce::{Announce, AnnounceKey, AnnounceSecret},
    bind::Bind,
    cluster::{Cluster, DEFAULT_CLUSTER},
    diagnostic::{Diagnostic, Severity},
    diagnostics::{Diagnostics, Position},
    discover::{Allow, Discover, DiscoverFrom},
    gossip::{Gossip, GossipProfile},
    listener::Listener,
    loader::{Instead, Loader, Machine, NotText, Pretended, read_text},
    log::{Log, level_problem},
    names::name_problem,
    reader::{Setting, did_you_mean},
    schema::schema,
    sticky::cookie_problem,
    strategy::{Strategy, find_strategy, read_key_rule},
    written::{Alteration, Altered, Spot, Wording, Written},
};
use self::{
    admin::read_admin,
    cluster::{ClusterContext, read_clusters, read_defaults},
    effective::correct_defaults,
    expand::{Hole, expand_document},
    files::{File, read_files},
    gossip::refuse_two_minds,
    keys::TOP,
    listener::read_listeners,
    log::read_log,
    reader::{Table, Text, Value, settings_of},
    route::{RawRoute, link_routes, read_routes},
    short::read_short,
    syntax::report_syntax,
};
use crate::{Route, RouteTable};

/// The only version of the format there is.
const VERSION: i128 = 1;

/// More threads than this are a typo.
pub const MOST_WORKERS: usize = 1024;

/// A configuration that makes sense.
#[derive(Debug, Clone)]
pub struct Config {
    /// How many worker threads; `None` is one per core.
    pub workers: Option<NonZeroUsize>,
    /// Where to listen; at least one.
    pub listeners: Vec<Listener>,
    /// Which requests go where; at least one.
    pub routes: Vec<Route>,
    /// The clusters routes point to, by position.
    pub clusters: Vec<Cluster>,
    /// Where the API is served.
    pub admin: Admin,
    /// What is logged.
    pub log: Log,
}

impl Config {
    /// The configuration without a file: one cluster, one route, one listener.
    #[must_use]
    pub fn to_backends(backends: Vec<Backend>) -> Self {
        Self {
            workers: None,
            listeners: vec![Listener::new(Bind::DEFAULT)],
            routes: vec![Route::everything(0)],
            clusters: vec![Cluster::new(DEFAULT_CLUSTER, backends)],
            admin: Admin::default(),
            log: Log::default(),
        }
    }

    /// The routes in the order in which they are tried.
    #[must_use]
    pub fn route_table(&self) -> RouteTable {
        RouteTable::new(self.routes.clone())
    }

    /// Every backend that is one of the listeners, as a sentence. [`parse`](Self::parse)
    /// reports them with their place; this is for what was put together otherwise.
    #[must_use]
    pub fn loops(&self) -> Vec<String> {
        let backends = self.clusters.iter().flat_map(|cluster| &cluster.backends);
        let looped = backends.filter_map(|backend| {
            let admin = self.admin.listen.as_ref();
            if let Some(admin) = admin.filter(|own| own.is_reached_by(backend.address())) {
                return Some(format!(
                    "backend `{}` is where this balancer is changed: the API listens on `{admin}`; \
                     no request may come there",
                    backend.address()
                ));
            }
            let reached = |own: &&Listener| own.bind.is_reached_by(backend.address());
            let listener = self.listeners.iter().find(reached)?;
            Some(format!(
                "backend `{}` is this balancer itself, which listens on `{}`; \
                 requests would go round in circles",
                backend.address(),
                listener.bind
            ))
        });
        looped.collect()
    }

    /// Reads a file. `name` is its path: what it includes is found beside it.
    ///
    /// The configuration is there exactly when the diagnostics hold no error.
    #[must_use]
    pub fn parse(name: &str, text: &str, loader: &dyn Loader) -> (Option<Self>, Diagnostics) {
        let (files, found) = read_files(name, text, loader);
        let out = Diagnostics::new(files.clone());
        let documents: Vec<Document<'_>> =
            files.iter().map(|file| Document::parse(file, loader)).collect();
        let layers = documents.iter().map(|one| (one.document.get_ref(), one.file.base));
        let config = Self::read(Table::root(layers, &TOP, &out), loader, &out);
        found.into_iter().for_each(|found| out.push(found));
        for document in &documents {
            document.report(&out);
        }
        out.sort();
        let config = (!out.has_errors()).then_some(config);
        (config, out)
    }

    /// Every value that holds, defaults included, with the place that says so.
    #[must_use]
    pub fn settings(name: &str, text: &str, loader: &dyn Loader) -> Vec<Setting> {
        let (files, _) = read_files(name, text, loader);
        let out = Diagnostics::new(files.clone());
        let documents: Vec<Document<'_>> =
            files.iter().map(|file| Document::parse(file, loader)).collect();
        let layers = documents.iter().map(|one| (one.document.get_ref(), one.file.base));
        let mut settings = settings_of(Table::root(layers, &TOP, &out), &out);
        if let (Some(config), _) = Self::parse(name, text, loader) {
            correct_defaults(&mut settings, &config);
        }
        settings
    }

    fn read(mut file: Table<'_>, loader: &dyn Loader, out: &Diagnostics) -> Self {
        read_version(&mut file, out);
        for include in file.take_each("include").into_iter().flat_map(Value::one_or_more) {
            // It was followed before; only its type is left to be judged.
            let _ = include.text();
        }
        let workers = read_workers(&mut file, out);
        let listeners = read_listeners(&mut file, out);
        let admin = read_admin(file.take_table("admin"), &listeners, loader, out);
        let defaults_table = file.take_table("defaults");
        let (defaults, fails) = read_defaults(defaults_table.clone(), loader, out);
        let cx = ClusterContext {
            defaults: &defaults,
            fails,
            listeners: &listeners,
            admin: &admin,
            loader,
            out,
        };
        let short = read_short(&mut file, &cx);
        let listed = read_routes(&mut file, out);
        let (mut clusters, names) = read_clusters(&mut file, defaults_table.as_ref(), &cx);
        let mut named: Vec<&str> = names.iter().map(Text::as_str).collect();
        if listed.is_none() && short.is_none() {
            out.push(goes_nowhere(&named));
        }
        let mut raw_routes = listed.unwrap_or_default();
        if let Some(short) = short {
            short.join(&mut clusters, &mut raw_routes, &names, out);
            named.push(DEFAULT_CLUSTER);
        }
        let routes = link_routes(&raw_routes, &clusters, &named, out);
        // A route that leads nowhere was probably meant for one of these clusters.
        if routes.len() == raw_routes.len() && !routes.is_empty() {
            warn_unused(&names, &raw_routes, out);
        }
        warn_shared_cookies(&clusters, &names, out);
        refuse_two_minds(&clusters, &names, out);
        let log = read_log(file.take_table("log"), loader, out);
        file.finish();
        Self { workers, listeners, routes, clusters, admin, log }
    }
}

/// A file that was parsed, its variables expanded.
struct Document<'f> {
    file: &'f File,
    document: Spanned<DeTable<'f>>,
    mistakes: Vec<Error>,
    holes: Vec<Hole>,
}

impl<'f> Document<'f> {
    fn parse(file: &'f File, loader: &dyn Loader) -> Self {
        let (mut document, mistakes) = DeTable::parse_recoverable(&file.text);
        let holes = expand_document(document.get_mut(), &file.text, file.base, loader);
        Self { file, document, mistakes, holes }
    }

    /// Adds what is wrong with the file as such.
    fn report(&self, out: &Diagnostics) {
        for hole in &self.holes {
            // What was found out about a value that is not there means nothing, and
            // what is suspicious about a list with such a value means little.
            out.retain(|found| {
                let Some((span, _)) = found.place() else { return true };
                let is_inside = hole.span.start <= span.start && span.end <= hole.span.end;
                let is_around = span.start <= hole.span.start && hole.span.end <= span.end;
                !(is_inside || is_around && found.severity() < Severity::Error)
            });
            out.push(hole.found.clone());
        }
        report_syntax(self.file, self.document.get_ref(), &self.mistakes, out);
    }
}

fn read_version(file: &mut Table<'_>, out: &Diagnostics) {
    let Some(value) = file.take("version") else { return };
    if let Some(version) = value.any_integer().filter(|version| *version != VERSION) {
        let error = value.error("must be 1", "not a version this program knows");
        out.push(if version > VERSION {
            error.help("the file was written for a newer `lb`")
        } else {
            error.help("leave the key out, or write `version = 1`")
        });
    }
}

fn read_workers(file: &mut Table<'_>, out: &Diagnostics) -> Option<NonZeroUsize> {
    let value = file.take("workers")?;
    let count = value.any_integer()?;
    let workers = usize::try_from(count)
        .ok()
        .filter(|count| *count <= MOST_WORKERS)
        .and_then(NonZeroUsize::new);
    if workers.is_none() {
        out.push(
            value
                .error(&format!("must be 1 to {MOST_WORKERS}"), "out of range")
                .help("leave `workers` out to have one per core"),
        );
    }
    workers
}

fn goes_nowhere(named: &[&str]) -> Diagnostic {
    let nowhere = Diagnostic::error("requests have nowhere to go: no `to` and no `[[route]]`")
        .key("to")
        .absence();
    match named {
        [] => nowhere.help(
            "add `to = [\"127.0.0.1:9001\", \"127.0.0.1:9002\"]`, the addresses of your backends",
        ),
        [name, ..] => nowhere.help(format!("add `[[route]]` and below it `to = \"{name}\"`")),
    }
}

fn warn_unused(names: &[Text<'_>], routes: &[RawRoute<'_>], out: &Diagnostics) {
    for name in names {
        if !routes.iter().any(|route| route.leads_to(name.as_str())) {
            out.push(
                Diagnostic::warning(format!("cluster `{}` gets no requests", name.as_str()))
                    .at(name.span(), "no route leads here")
                    .key(name.path())
                    .absence(),
            );
        }
    }
}

/// Cookies of one name and scope overwrite each other in the browser.
fn warn_shared_cookies(clusters: &[Cluster], names: &[Text<'_>], out: &Diagnostics) {
    let place = |cluster: &Cluster| names.iter().find(|name| name.as_str() == &*cluster.name);
    for (position, cluster) in clusters.iter().enumerate() {
        let Some(own) = &cluster.sticky else { continue };
        let same = |other: &&Cluster| {
            other.sticky.as_ref().is_some_and(|other| {
                (&other.cookie, &other.path, &other.domain) == (&own.cookie, &own.path, &own.domain)
            })
        };
        let Some(other) = clusters[..position].iter().find(same) else { continue };
        if let (Some(own_place), Some(other)) = (place(cluster), place(other)) {
            let message = format!("two clusters use the cookie `{}`", own.cookie);
            out.push(
                Diagnostic::warning(message)
                    .at(own_place.span(), "overwrites the cookie of the other one")
                    .related(other.span(), "the other one")
                    .key(format!("{}.sticky", own_place.path()))
                    .help("give each a cookie of its own, or a `path` of its own"),
            );
        }
    }
}

#[cfg(test)]
mod tests;
