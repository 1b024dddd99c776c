//! What runs and what is changed, as people see it.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Write as _,
    sync::Arc,
};

use lb_core::{Cause, cluster::CauseKind};
use lb_proxy::config::Config;
use serde_json::Value;

use super::{App, counted};
use crate::{
    control::{Ask, ChangeRecord, Drift, Edit, Event, EventKind, Overview, Plan, said_by_file},
    state::{ChangeId, Subject},
};

impl App {
    /// What a supervisor shows of it.
    pub(crate) fn state_line(&self) -> String {
        let addresses: Vec<String> = self.addresses().iter().map(ToString::to_string).collect();
        format!("serving on {}; configuration {}", addresses.join(", "), self.generation)
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

    /// Shows what runs now.
    pub(super) fn publish(&self) {
        self.desk.publish(self.overview());
    }

    pub(super) fn overview(&self) -> Overview {
        let present = self.farm.present();
        let drift = self.ledger.overrides.values().map(|one| Drift {
            cluster: one.subject.cluster().to_owned(),
            backend: one.subject.backend().map(str::to_owned),
            field: one.field.name().to_owned(),
            value: one.value.clone(),
            file: said_by_file(&self.file, &one.subject, one.field),
            change: one.change.get(),
            is_absent: !is_there(&present, &one.subject),
        });
        Overview {
            started: self.started,
            origin: self.origin.clone(),
            texts: self.texts.clone(),
            config_generation: self.generation,
            config: Arc::new(self.file.clone()),
            listeners: self.running.addresses(),
            routes: self.routes.clone(),
            clusters: self.farm.overview(&self.file),
            prober: self.farm.prober(),
            drift: drift.collect(),
        }
    }
}

/// Whether somebody has what was set of it.
pub(super) fn is_there(present: &BTreeMap<&str, BTreeSet<Arc<str>>>, subject: &Subject) -> bool {
    let cluster = present.get(subject.cluster());
    cluster.is_some_and(|names| subject.backend().is_none_or(|name| names.contains(name)))
}

/// `anna (token ops): d1 state draining: new disk`
pub(super) fn cause(ask: &Ask, plan: &Plan, name: &str) -> Cause {
    let edits = plan.edits.iter().filter(|edit| edit.subject.cluster() == name);
    let edits: Vec<String> = edits
        .map(|edit| {
            let what = words(edit.after.value());
            format!("{} {} {what}", edit.subject.backend().unwrap_or(name), edit.field)
        })
        .collect();
    let why = ask.why.as_ref().map(|why| format!(": {why}")).unwrap_or_default();
    Cause::new(CauseKind::Person, format!("{}: {}{why}", ask.author, edits.join(", ")))
}

/// A value as it is said.
pub(super) fn words(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Null => "none".to_owned(),
        value if value.get("draining").is_some() => "draining".to_owned(),
        value => match value.get("address").or_else(|| value.get("name")) {
            Some(Value::String(name)) => name.clone(),
            _ => value.to_string(),
        },
    }
}

pub(super) fn would_be(ask: &Ask, edit: &Edit) -> ChangeRecord {
    ChangeRecord {
        id: 0,
        at: 0,
        author: ask.author.name.clone(),
        door: ask.author.door.to_string(),
        why: ask.why.clone(),
        cluster: edit.subject.cluster().to_owned(),
        backend: edit.subject.backend().map(str::to_owned),
        field: edit.field.name().to_owned(),
        before: edit.before.value().clone(),
        after: edit.after.value().clone(),
        is_override: edit.after.is_override(),
        undoes: edit.undoes.map(ChangeId::get),
    }
}

pub(super) fn change_event(change: &ChangeRecord) -> Event {
    let why = match (&change.undoes, &change.why) {
        (Some(undone), None) => format!("undoes change {undone}"),
        (Some(undone), Some(why)) => format!("undoes change {undone}: {why}"),
        (None, why) => why.clone().unwrap_or_default(),
    };
    Event {
        kind: EventKind::Change,
        cluster: Some(change.cluster.clone()),
        backend: change.backend.clone(),
        field: Some(change.field.clone()),
        // What was saved is as it was.
        from: (!change.is_given_over()).then(|| words(&change.before)),
        to: Some(words(&change.after)),
        why,
        author: Some(change.whom()),
        change: Some(change.id),
        ..Event::default()
    }
}
