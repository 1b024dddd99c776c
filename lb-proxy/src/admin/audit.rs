//! Who came, and what he did or was refused.
//!
//! Each entry is a line in the log, in JSON, whatever is logged otherwise; the last ones
//! are kept to be asked for. What was done and what was in vain are kept apart, so that
//! nobody pushes out what he did by being refused. And what is in vain is counted for a
//! second per peer and kind before it is told: a flood is a line a second and not the end
//! of the disk.
//!
//! What requests carry beside their path is not kept: it may be a secret.

use std::{
    collections::{HashMap, VecDeque},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use axum::{
    extract::{Request, State},
    middleware::Next,
    response::Response,
};
use http::{Method, StatusCode};
use tokio::sync::broadcast::error::RecvError;

use super::{
    access::{Caller, Peer, is_reading},
    dto::AuditEntry,
    problem::Told,
    repeated::Again,
};
use crate::control::{Author, Event, EventKind, Events, unix_millis};

/// Entries of each sort that are kept.
const KEPT: usize = 1_000;
/// Peers and kinds that are counted at a time; those beyond count as one peer.
const COUNTED: usize = 256;
/// How long what is in vain is counted before it is told.
const SPAN: Duration = Duration::from_secs(1);
/// Longer paths and details are cut off.
const LONGEST: usize = 200;

/// All clones are one.
#[derive(Debug, Clone)]
pub(super) struct Audit(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    say: fn(&str),
    kept: Mutex<Kept>,
}

#[derive(Debug, Default)]
struct Kept {
    last: u64,
    done: VecDeque<AuditEntry>,
    vain: VecDeque<AuditEntry>,
    /// What is being counted.
    counting: HashMap<Sort, AuditEntry>,
}

/// Where it came from, and which problem it was.
type Sort = (String, String);

/// The numbers of the changes that a request has made, from who made them to who writes
/// them down.
#[derive(Debug, Clone, Default)]
pub(super) struct Made(Arc<Mutex<Vec<u64>>>);

impl Made {
    pub(super) fn note(&self, ids: impl Iterator<Item = u64>) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).extend(ids);
    }

    fn take(&self) -> Vec<u64> {
        std::mem::take(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Audit {
    /// One whose lines go there.
    pub(super) fn new(say: fn(&str)) -> Self {
        Self(Arc::new(Shared { say, kept: Mutex::default() }))
    }

    /// Those kept that came after `since`, oldest first, the last `limit` of them.
    pub(super) fn since(&self, since: u64, limit: usize) -> Vec<AuditEntry> {
        let kept = self.kept();
        let all = kept.done.iter().chain(&kept.vain).filter(|entry| entry.seq > since);
        let mut all: Vec<&AuditEntry> = all.collect();
        all.sort_unstable_by_key(|entry| entry.seq);
        let first = all.len().saturating_sub(limit);
        all[first..].iter().copied().cloned().collect()
    }

    /// Writes down what was done.
    fn done(&self, entry: AuditEntry) {
        self.keep(entry, |kept| &mut kept.done);
    }

    /// Writes down what a signal has reloaded, which is no request, for as long as it runs.
    pub(super) async fn hear(self, events: Events) {
        let (_, mut coming) = events.follow(u64::MAX);
        loop {
            match coming.recv().await {
                Ok(event) => self.heard(&event),
                // Of very many at once some are lost; they are among the events.
                Err(RecvError::Lagged(_)) => {}
                Err(RecvError::Closed) => return,
            }
        }
    }

    fn heard(&self, event: &Event) {
        let status = match event.kind {
            EventKind::Reload => StatusCode::OK,
            EventKind::Rejected => StatusCode::UNPROCESSABLE_ENTITY,
            _ => return,
        };
        let by = Author::of_signal();
        if event.author.as_ref().is_none_or(|author| *author != by.to_string()) {
            return;
        }
        self.done(AuditEntry {
            seq: 0,
            at: event.at,
            kind: "reload".to_owned(),
            from: by.door.to_string(),
            author: Some(by.name.clone()),
            door: Some(by.door.to_string()),
            method: by.name,
            path: String::new(),
            status: status.as_u16(),
            problem: status.is_client_error().then(|| "bad-config".to_owned()),
            detail: Some(cut(&event.why)),
            changes: Vec::new(),
            count: 1,
        });
    }

    /// Counts what was in vain. Whether it is the first of its sort: then somebody has to
    /// [`close`](Self::close) it.
    fn vain(&self, mut entry: AuditEntry) -> Option<Sort> {
        let mut kept = self.kept();
        let kind = entry.problem.clone().unwrap_or_default();
        let mut sort = (entry.from.clone(), kind);
        if !kept.counting.contains_key(&sort) && kept.counting.len() >= COUNTED {
            "others".clone_into(&mut entry.from);
            sort.0.clone_from(&entry.from);
        }
        if let Some(counted) = kept.counting.get_mut(&sort) {
            counted.count += 1;
            return None;
        }
        kept.counting.insert(sort.clone(), entry);
        Some(sort)
    }

    /// Writes down how often it was.
    fn close(&self, sort: &Sort) {
        let counted = self.kept().counting.remove(sort);
        if let Some(entry) = counted {
            self.keep(entry, |kept| &mut kept.vain);
        }
    }

    /// Writes down all that is still being counted.
    pub(super) fn close_all(&self) {
        let sorts: Vec<Sort> = self.kept().counting.keys().cloned().collect();
        sorts.iter().for_each(|sort| self.close(sort));
    }

    fn keep(&self, mut entry: AuditEntry, which: fn(&mut Kept) -> &mut VecDeque<AuditEntry>) {
        let mut kept = self.kept();
        kept.last += 1;
        entry.seq = kept.last;
        // It is all texts and numbers: that cannot fail.
        let line = serde_json::to_string(&entry).unwrap_or_default();
        let entries = which(&mut kept);
        if entries.len() == KEPT {
            entries.pop_front();
        }
        entries.push_back(entry);
        // Under the lock, so that lines come in order. It waits for nobody.
        (self.0.say)(&format!("{{\"audit\":{line}}}\n"));
    }

    fn kept(&self) -> MutexGuard<'_, Kept> {
        self.0.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Writes down what is refused, and what changes something.
pub(super) async fn write_down(
    State(audit): State<Audit>,
    mut request: Request,
    next: Next,
) -> Response {
    let (method, path) = (request.method().clone(), request.uri().path().to_owned());
    let is_dry = request.uri().query().is_some_and(only_asks);
    let peer = request.extensions().get::<Peer>().copied();
    let made = Made::default();
    request.extensions_mut().insert(made.clone());
    let response = next.run(request).await;
    let status = response.status();
    let is_again = response.extensions().get::<Again>().is_some();
    let kind = kind(&method, &path, status, is_dry).filter(|_| !is_again);
    let Some(kind) = kind else { return response };
    let caller = response.extensions().get::<Caller>();
    let told = response.extensions().get::<Told>();
    let entry = AuditEntry {
        seq: 0,
        at: unix_millis(),
        kind: kind.to_owned(),
        from: peer.map_or_else(String::new, Peer::place),
        author: caller.map(|caller| caller.author.name.clone()),
        door: caller.map(|caller| caller.author.door.to_string()),
        method: method.to_string(),
        path: cut(&path),
        status: status.as_u16(),
        problem: told.map(|told| told.kind.to_string()),
        detail: told.and_then(|told| told.detail.as_deref()).map(cut),
        changes: made.take(),
        count: 1,
    };
    if status.as_u16() < 400 {
        audit.done(entry);
    } else if let Some(sort) = audit.vain(entry) {
        tokio::spawn(async move {
            tokio::time::sleep(SPAN).await;
            audit.close(&sort);
        });
    }
    response
}

/// Whether a query says that nothing is to be done, and does not only have the words in a
/// text. Written in another way, it is written down as well.
fn only_asks(query: &str) -> bool {
    query.split('&').any(|pair| pair == "dry_run=true")
}

/// What sort of entry it is; `None` where nothing was changed or refused.
fn kind(method: &Method, path: &str, status: StatusCode, is_dry: bool) -> Option<&'static str> {
    match status {
        StatusCode::UNAUTHORIZED
        | StatusCode::FORBIDDEN
        | StatusCode::MISDIRECTED_REQUEST
        | StatusCode::TOO_MANY_REQUESTS => return Some("refused"),
        _ => {}
    }
    match path {
        "/login" | "/api/v1/login" => Some("login"),
        _ if is_dry || is_reading(method, path) => None,
        "/api/v1/logout" => Some("logout"),
        "/api/v1/config/reload" => Some("reload"),
        _ => Some("change"),
    }
}

/// Short, and fit for whoever reads the log on a terminal: somebody made it up.
fn cut(text: &str) -> String {
    let show = |char: char| match char.is_control() {
        true => char.escape_unicode().to_string(),
        false => char.to_string(),
    };
    let mut short: String = text.chars().take(LONGEST).map(show).collect();
    if text.chars().nth(LONGEST).is_some() {
        short.push('…');
    }
    short
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(from: &str, status: u16) -> AuditEntry {
        AuditEntry {
            seq: 0,
            at: 0,
            kind: "change".to_owned(),
            from: from.to_owned(),
            author: None,
            door: None,
            method: "PUT".to_owned(),
            path: "/".to_owned(),
            status,
            problem: (status >= 400).then(|| "unauthorized".to_owned()),
            detail: None,
            changes: Vec::new(),
            count: 1,
        }
    }

    #[test]
    fn a_flood_is_one_entry_and_pushes_out_nothing_that_was_done() {
        let audit = Audit::new(|_| ());
        audit.done(entry("ann", 200));
        for _ in 0..2 * KEPT {
            let sort = audit.vain(entry("10.0.0.9", 401)).unwrap();
            assert!((0..9).all(|_| audit.vain(entry("10.0.0.9", 401)).is_none()));
            audit.close(&sort);
        }
        let all = audit.since(0, usize::MAX);
        assert_eq!(all.len(), 1 + KEPT);
        assert_eq!((all[0].seq, &*all[0].from), (1, "ann"));
        assert!(all[1..].iter().all(|one| one.count == 10));
        assert_eq!(audit.since(all[KEPT - 1].seq, 100).len(), 1);
    }

    #[test]
    fn however_many_refuse_they_cost_a_bounded_amount() {
        let audit = Audit::new(|_| ());
        let sorts: Vec<Sort> = (0..10_000)
            .filter_map(|number| audit.vain(entry(&format!("peer {number}"), 401)))
            .collect();
        assert_eq!(sorts.len(), COUNTED + 1);
        sorts.iter().for_each(|sort| audit.close(sort));
        let all = audit.since(0, usize::MAX);
        assert_eq!(all.iter().map(|one| one.count).sum::<u64>(), 10_000);
        assert_eq!(all.last().unwrap().from, "others");
    }

    #[test]
    fn a_text_of_others_is_short_and_has_nothing_that_a_terminal_obeys() {
        assert_eq!(cut("a\u{9b}2Jb\u{1b}"), "a\\u{9b}2Jb\\u{1b}");
        assert_eq!(cut(&"ö".repeat(LONGEST)), "ö".repeat(LONGEST));
        assert_eq!(cut(&"ö".repeat(LONGEST + 1)), "ö".repeat(LONGEST) + "…");
    }

    #[test]
    fn what_only_looks_is_not_written_down() {
        let ok = StatusCode::OK;
        let of = |method, path, is_dry| kind(&method, path, ok, is_dry);
        assert_eq!(of(Method::GET, "/api/v1/status", false), None);
        assert_eq!(of(Method::POST, "/api/v1/explain", false), None);
        assert_eq!(of(Method::POST, "/api/v1/changes", true), None);
        assert_eq!(of(Method::POST, "/api/v1/changes", false), Some("change"));
        assert_eq!(of(Method::POST, "/api/v1/config/reload", false), Some("reload"));
        assert_eq!(of(Method::GET, "/login", false), Some("login"));
        for (query, asks) in [
            ("dry_run=true", true),
            ("why=x&dry_run=true", true),
            ("why=dry_run=true", false),
            ("why=a dry_run=true", false),
            ("dry_run=false", false),
        ] {
            assert_eq!(only_asks(query), asks, "{query}");
        }
        let refused = kind(&Method::GET, "/api/v1/status", StatusCode::UNAUTHORIZED, false);
        assert_eq!(refused, Some("refused"));
    }
}
