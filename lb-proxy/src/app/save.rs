//! Writing what people have set into the file that it differs from, and putting another
//! file into its place.
//!
//! What is written is served the same moment, by the same steps as any reload: so it is
//! drafted, read and prepared before a byte is written, and what was set stops being set
//! only when the file says it. Whatever cannot be written stays set, and is told with the
//! reason.

use lb_proxy::config::{Altered, Config, did_you_mean};

use super::{
    App, Prepared, Settled,
    rewrite::{Draft, changed, conflict, replacement, rewritten},
    serve::{Applied, Interrupting, Reread},
    settle_with,
    show::change_event,
    signals::Taken,
    write::{Unwritten, keep, take_back, write_all},
};
use crate::{
    control::{
        Asked, Author, ChangeRecord, EventKind, Overrides, Refused, SavedItem, Saving, Texts,
        Which, Wish, in_file, meant, now,
    },
    state::{NewChange, Override, Setting, is_same},
};

/// A draft that only has to be carried out.
struct Ready {
    draft: Draft,
    prepared: Option<Prepared>,
}

impl App {
    /// Writes what somebody wants into the file, and serves that. Returns what a signal
    /// wanted meanwhile and is still to be done.
    pub(super) async fn save(
        &mut self,
        asked: Asked,
        reread: &Reread,
        applied: &Applied<'_>,
        taken: &mut Taken,
    ) -> Option<Interrupting> {
        let Asked { ask, answer } = asked;
        let mut next = None;
        let ready = match self.meanwhile(self.draft(&ask.wishes, reread), taken, &mut next).await {
            Ok(Ok(ready)) => ready,
            // He may have gone away, here and below.
            Ok(Err(refused)) => {
                let _ = answer.send(Err(refused));
                return next;
            }
            Err(ends) => return Some(ends),
        };
        let Ready { draft: Draft { saving, is_replaced, .. }, prepared } = ready;
        let Some(prepared) = prepared.filter(|_| !ask.dry_run) else {
            self.answer_reload(Ok(said(&saving, ask.dry_run)), Vec::new(), Some(saving), answer);
            return next;
        };
        let before = self.ledger.overrides.clone();
        let done = self.carry_out_saving(&saving, is_replaced, prepared, applied).await;
        let changes = match done {
            Ok(says) => {
                tracing::info!("saved: {says}");
                self.tell_of_reload(EventKind::Reload, &ask.author, says);
                self.note_saved(&saving, &before, &ask.author, ask.why.as_deref()).await
            }
            Err(refused) => {
                self.tell_of_reload(EventKind::Rejected, &ask.author, refused.detail());
                let _ = answer.send(Err(refused));
                return next;
            }
        };
        self.answer_reload(Ok(said(&saving, false)), changes, Some(saving), answer);
        next
    }

    /// Reads, rewrites, reads again and prepares. Nothing is changed.
    async fn draft(&self, wishes: &[Wish], reread: &Reread) -> Result<Ready, Refused> {
        if self.texts.is_empty() {
            let detail = format!("there is no file to write into: {} says what runs", self.origin);
            return Err(conflict(detail));
        }
        let (texts, reread) = (Texts::clone(&self.texts), Reread::clone(reread));
        let draft = match wishes {
            [Wish::Replace { text }] => {
                let (text, file) = (text.clone(), self.file.clone());
                self.aside(move || Ok(replacement(&texts, &file, &text, &reread))).await
            }
            [Wish::Save(which)] => {
                let overrides = self.meant(which)?;
                self.aside(move || Ok(rewritten(&texts, &overrides, &reread))).await
            }
            _ => return Err(conflict("it is asked for on its own".to_owned())),
        };
        let mut draft = draft.map_err(|error| unservable(&error))??;
        let Some(read) = draft.read.take() else { return Ok(Ready { draft, prepared: None }) };
        let settled = match draft.is_replaced {
            true => settle_with(&self.ledger.overrides, &read.config),
            false => self.settle_saved(&draft.saving, &read.config),
        };
        let prepared =
            self.prepare_read(read, settled).await.map_err(|error| unservable(&error))?;
        Ok(Ready { draft, prepared: Some(prepared) })
    }

    fn meant(&self, which: &Which) -> Result<Vec<Override>, Refused> {
        for (cluster, backend) in &which.subjects {
            let overview = self.desk.overview();
            let is_set = |one: &Override| {
                one.subject.cluster() == cluster
                    && backend.as_deref().is_none_or(|name| one.subject.backend() == Some(name))
            };
            let found = overview.cluster(cluster);
            let is_there = found.is_some_and(|found| match backend {
                Some(name) => found.cluster.snapshot().find(name).is_some(),
                None => true,
            });
            if is_there || self.ledger.overrides.values().any(is_set) {
                continue;
            }
            return Err(match (found, backend) {
                (Some(found), Some(name)) => {
                    let snapshot = found.cluster.snapshot();
                    let view = snapshot.view();
                    let names = view.slots().map(|slot| view.backend(slot).name());
                    let near = did_you_mean(name, names).map(str::to_owned);
                    let (cluster, name) = (cluster.clone(), name.clone());
                    Refused::NoSuchBackend { cluster, name, near }
                }
                _ => {
                    let names = overview.clusters.iter().map(|one| &*one.name);
                    let near = did_you_mean(cluster, names).map(str::to_owned);
                    Refused::NoSuchCluster { name: cluster.clone(), near }
                }
            });
        }
        Ok(meant(&self.ledger.overrides, which))
    }

    /// What is still set once the file says the rest. Of whoever comes into the file only
    /// with this, what the file says now is no news: what was set of him stays set.
    fn settle_saved(&self, saving: &Saving, config: &Config) -> Settled {
        let is_saved = |one: &Override| {
            let mut written = saving.items.iter().filter(|item| item.outcome.is_ok());
            written.any(|item| (&item.of.subject, item.of.field) == (&one.subject, one.field))
        };
        let mut settled = settle_with(&self.ledger.overrides, config);
        settled.dropped.retain(|dropped| {
            let of = &dropped.of;
            let was = in_file(&self.file, &of.subject, of.field);
            let is_new = was.is_none_or(|was| is_same(&was, &of.basis));
            if is_new && !is_saved(of) {
                let basis = in_file(config, &of.subject, of.field).unwrap_or_default();
                let kept = Override { basis, ..of.clone() };
                settled.kept.insert((of.subject.clone(), of.field), kept);
            }
            !is_new
        });
        settled.kept.retain(|_, one| !is_saved(one));
        settled
    }

    async fn carry_out_saving(
        &mut self,
        saving: &Saving,
        is_replaced: bool,
        prepared: Prepared,
        applied: &Applied<'_>,
    ) -> Result<String, Refused> {
        let files = saving.files.clone();
        let written = self.aside(move || {
            if let Some(Altered { name, before, .. }) = files.first().filter(|_| is_replaced)
                && let Err(why) = keep(name, before)
            {
                return Ok(Err(why));
            }
            Ok(write_all(&files))
        });
        match written.await.map_err(|error| unservable(&error))? {
            Ok(()) => {}
            Err(Unwritten::Changed(name)) => return Err(changed(&name)),
            Err(Unwritten::Failed(why)) => return Err(conflict(why)),
        }
        let taken_up = self.take_up(prepared, applied).await;
        if taken_up.is_err() {
            let files = saving.files.clone();
            let back = self.aside(move || {
                take_back(&files);
                Ok(())
            });
            if let Err(error) = back.await {
                tracing::error!("{error:#}");
            }
        }
        taken_up.map_err(|error| unservable(&error))
    }

    /// Writes down that it is the file that says it from now on. Where that fails, the next
    /// start finds it out.
    async fn note_saved(
        &mut self,
        saving: &Saving,
        before: &Overrides,
        author: &Author,
        why: Option<&str>,
    ) -> Vec<ChangeRecord> {
        let why = why.map_or_else(String::new, |why| format!(": {why}"));
        let saved = saving.items.iter().filter_map(|item| {
            let SavedItem { of, outcome: Ok(spot) } = item else { return None };
            let says = in_file(&self.file, &of.subject, of.field).unwrap_or_default();
            Some(NewChange {
                at: now(),
                author: author.name.clone(),
                door: author.door.to_string(),
                why: Some(format!("saved into {spot}{why}")),
                subject: of.subject.clone(),
                field: of.field,
                before: Setting::Override(of.value.clone()),
                // The file may say it in other words.
                after: Setting::Configured(of.value.clone()),
                basis: says,
                undoes: None,
            })
        });
        // What is set of whoever came into the file holds, whatever that says of him.
        let kept = self.ledger.overrides.iter().filter(|(key, one)| {
            before.get(*key).is_some_and(|was| !is_same(&was.basis, &one.basis))
        });
        let kept = kept.map(|(_, of)| NewChange {
            at: now(),
            author: "lb".to_owned(),
            door: "itself".to_owned(),
            why: Some("still set: the file has its backend now, and cannot say this".to_owned()),
            subject: of.subject.clone(),
            field: of.field,
            before: Setting::Configured(of.basis.clone()),
            after: Setting::Override(of.value.clone()),
            basis: of.basis.clone(),
            undoes: None,
        });
        let news: Vec<NewChange> = saved.chain(kept).collect();
        let written = match self.ledger.record_all(news).await {
            Ok(written) => written,
            Err(refused) => {
                tracing::error!("{}; the file says it all the same", refused.detail());
                return Vec::new();
            }
        };
        self.ledger.take(&written);
        self.publish();
        let records: Vec<ChangeRecord> =
            written.iter().map(|one| ChangeRecord::from(&one.change)).collect();
        records.iter().for_each(|one| self.desk.events().push(change_event(one)));
        records
    }
}

fn unservable(error: &anyhow::Error) -> Refused {
    Refused::BadConfig { detail: format!("{error:#}"), mistakes: Default::default() }
}

/// What was written, in a sentence.
fn said(saving: &Saving, dry_run: bool) -> String {
    let names: Vec<&str> = saving.files.iter().map(|file| &*file.name).collect();
    let kept = saving.items.iter().filter(|item| item.outcome.is_err()).count();
    let what = match (names.is_empty(), dry_run) {
        (true, _) => "nothing is to be written".to_owned(),
        (false, true) => format!("would write {}", names.join(", ")),
        (false, false) => format!("wrote {}", names.join(", ")),
    };
    match kept {
        0 => what,
        kept => format!("{what}; {kept} stay set beside the file"),
    }
}
