//! Writing what people have set into the file that it differs from, and putting another
//! file into its place.
//!
//! What is written is served the same moment, by the same steps as any reload: so it is
//! drafted, read and prepared before a byte is written, and what was set stops being set
//! only when the file says it. Whatever cannot be written stays set, and is told with the
//! reason.

use lb_proxy::config::{
    Alteration, Altered, Config, Instead, Loader as _, Machine, Setting, Written,
};

use super::{
    App, Prepared, Settled,
    serve::{Applied, Interrupting},
    settle_with,
    show::change_event,
    signals::Taken,
    write::{Unwritten, keep, take_back, write_all},
};
use crate::{
    app::serve::{Read, Reread},
    control::{
        Asked, Author, ChangeRecord, EventKind, Refused, SavedItem, Saving, Texts, Which, Wish,
        difference, in_file, is_said, meant, now, wording,
    },
    state::{NewChange, Override, Setting as Set, is_same},
};

/// What would be written, and what it would make of the balancer.
struct Draft {
    saving: Saving,
    read: Option<Read>,
    /// Whether the whole file is another one.
    is_replaced: bool,
}

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
        let done = self.carry_out_saving(&saving, is_replaced, prepared, applied).await;
        let changes = match done {
            Ok(says) => {
                tracing::info!("saved: {says}");
                self.tell_of_reload(EventKind::Reload, &ask.author, says);
                self.note_saved(&saving, &ask.author, ask.why.as_deref()).await
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
        let prepared = self.prepare_read(read, settled).await.map_err(|error| unservable(&error))?;
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
            let near = None;
            return Err(match (found, backend) {
                (Some(_), Some(name)) => Refused::NoSuchBackend {
                    cluster: cluster.clone(),
                    name: name.clone(),
                    near,
                },
                _ => Refused::NoSuchCluster { name: cluster.clone(), near },
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
                before: Set::Override(of.value.clone()),
                after: Set::Configured(says.clone()),
                basis: says,
                undoes: None,
            })
        });
        // What is set of whoever came into the file holds, whatever that says of him.
        let kept = self.ledger.overrides.values().filter(|one| {
            saving.items.iter().any(|item| item.of.subject == one.subject && item.outcome.is_ok())
        });
        let kept = kept.map(|of| NewChange {
            at: now(),
            author: "lb".to_owned(),
            door: "itself".to_owned(),
            why: Some("still set: the file has its backend now, and cannot say this".to_owned()),
            subject: of.subject.clone(),
            field: of.field,
            before: Set::Override(of.value.clone()),
            after: Set::Override(of.value.clone()),
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

/// What is written of these, if the files still say what they said.
fn rewritten(texts: &Texts, overrides: &[Override], reread: &Reread) -> Result<Draft, Refused> {
    // What a flag says holds whatever is written, which is found out by reading again.
    let mut hidden: Vec<usize> = Vec::new();
    loop {
        let name = &texts[0].0;
        let main = read(name)?;
        let mut written = Written::read(name, &main, &Machine);
        check_unchanged(texts, &written)?;
        let write = |(index, of): (usize, &Override)| {
            let outcome = match hidden.contains(&index) {
                true => Err("a flag or a variable of `lb run` says something else".to_owned()),
                false => write_one(&mut written, of),
            };
            SavedItem { of: of.clone(), outcome: outcome.map(|()| NOWHERE) }
        };
        let mut items: Vec<SavedItem> = overrides.iter().enumerate().map(write).collect();
        let files = written.altered();
        if files.is_empty() {
            let saving = Saving { items, ..Saving::default() };
            return Ok(Draft { saving, read: None, is_replaced: false });
        }
        let read = reread(&instead(&files)).map_err(|mistakes| Refused::BadConfig {
            detail: "with this in it the file could not be used; nothing was written".to_owned(),
            mistakes,
        })?;
        let not_said = items.iter().position(|item| {
            item.outcome.is_ok() && !is_said(&read.config, &item.of)
        });
        if let Some(index) = not_said {
            hidden.push(index);
            continue;
        }
        let old = Written::read(name, &main, &Machine);
        for item in items.iter_mut().filter(|item| item.outcome.is_ok()) {
            let (cluster, backend) = (item.of.subject.cluster(), item.of.subject.backend());
            let keys = item.of.field.keys().unwrap_or_default();
            let spot = written.spot(cluster, backend, keys);
            let spot = spot.or_else(|| old.spot(cluster, backend, keys));
            item.outcome = spot.ok_or_else(|| "it is not found again".to_owned());
        }
        let diffs = diffs(name, &main, &files);
        let saving = Saving { items, files, diffs, difference: None };
        return Ok(Draft { saving, read: Some(read), is_replaced: false });
    }
}

/// Stands for a place that is only known when all is written.
const NOWHERE: lb_proxy::config::Spot = lb_proxy::config::Spot { file: String::new(), line: 0 };

fn write_one(written: &mut Written<'_>, of: &Override) -> Result<(), String> {
    let what = wording(of)?;
    let cluster = of.subject.cluster().to_owned();
    let backend = of.subject.backend().map(str::to_owned);
    written.alter(&Alteration { cluster, backend, what })
}

/// What another file would change.
fn replacement(
    texts: &Texts,
    file: &Config,
    text: &str,
    reread: &Reread,
) -> Result<Draft, Refused> {
    let [(name, known)] = &**texts else {
        return Err(conflict("it includes other files: change those where they are".to_owned()));
    };
    let main = read(name)?;
    let (now, new) = (Written::read(name, &main, &Machine), Written::read(name, text, &Machine));
    check_unchanged(texts, &now)?;
    if let Some(form) = now.variable() {
        return Err(conflict(format!("`{name}` has variables in it, {form}, which would be lost")));
    }
    if new.texts().count() > 1 || includes(text) {
        return Err(invalid("a file that is sent includes no others"));
    }
    if let Some(form) = new.variable() {
        return Err(invalid(&format!("a file that is sent has no variables in it: {form}")));
    }
    let altered =
        Altered { name: name.clone(), before: main, after: text.to_owned() };
    let files: Vec<Altered> =
        Some(altered).filter(|file| file.before != file.after).into_iter().collect();
    let read = reread(&Instead { files: [(name.into(), text.to_owned())].into() });
    let read = read.map_err(|mistakes| Refused::BadConfig {
        detail: "the file that was sent could not be used; nothing was changed".to_owned(),
        mistakes,
    })?;
    let old = settings(name, known, texts);
    let new = settings(name, text, &[(name.clone(), text.to_owned())].into());
    let difference = Some(difference((file, &old), (&read.config, &new)));
    let diffs = files.first().map_or_else(Vec::new, |file| diffs(name, &file.before, &files));
    let saving = Saving { items: Vec::new(), difference, files, diffs };
    let read = Some(read).filter(|_| !saving.files.is_empty());
    Ok(Draft { saving, read, is_replaced: true })
}

/// What is different in these files, without the secrets in them.
fn diffs(name: &str, main: &str, files: &[Altered]) -> Vec<(String, String)> {
    let printable = |text: fn(&Altered) -> &String| {
        let texts = files.iter().map(|file| ((&file.name).into(), text(file).clone()));
        let instead = Instead { files: texts.collect() };
        let main = instead.files.get(std::path::Path::new(name)).map_or(main, String::as_str);
        Config::parse(name, main, &instead).1.printable_texts()
    };
    let (old, new) = (printable(|file| &file.before), printable(|file| &file.after));
    let of = |texts: &[(String, String)], name: &str| {
        let found = texts.iter().find(|(one, _)| one == name);
        found.map_or_else(String::new, |(_, text)| text.clone())
    };
    let diff = |Altered { name, .. }: &Altered| {
        let shown =
            Altered { name: name.clone(), before: of(&old, name), after: of(&new, name) };
        (name.clone(), shown.diff())
    };
    files.iter().map(diff).collect()
}

fn includes(text: &str) -> bool {
    text.parse::<toml_edit::DocumentMut>().is_ok_and(|document| document.contains_key("include"))
}

/// Whether the disk says what is served. Other comments and blanks are no difference.
fn check_unchanged(texts: &Texts, now: &Written<'_>) -> Result<(), Refused> {
    let known = texts.iter().map(|(name, text)| (&**name, &**text));
    let different = known.zip(now.texts()).find(|(known, now)| known != now);
    let is_as_many = texts.len() == now.texts().count();
    let Some(different) = different.map(|(known, _)| known.0).or((!is_as_many).then_some("it"))
    else {
        return Ok(());
    };
    let (name, main) = &texts[0];
    let on_disk: Texts =
        now.texts().map(|(name, text)| (name.to_owned(), text.to_owned())).collect();
    let values = |main: &str, texts: &Texts| -> Vec<(String, String)> {
        let all = settings(name, main, texts).into_iter();
        all.map(|one| (one.key, one.value)).collect()
    };
    let now_main = on_disk.first().map_or("", |(_, text)| text);
    match values(main, texts) == values(now_main, &on_disk) {
        true => Ok(()),
        false => Err(changed(different)),
    }
}

fn settings(name: &str, main: &str, texts: &Texts) -> Vec<Setting> {
    let files = texts.iter().map(|(name, text)| (name.into(), text.clone()));
    Config::settings(name, main, &Instead { files: files.collect() })
}

fn instead(files: &[Altered]) -> Instead {
    let files = files.iter().map(|file| ((&file.name).into(), file.after.clone()));
    Instead { files: files.collect() }
}

fn read(name: &str) -> Result<String, Refused> {
    let read = Machine.read(name.as_ref());
    read.map_err(|error| conflict(format!("`{name}` cannot be read any more: {error}")))
}

fn changed(name: &str) -> Refused {
    Refused::FileChanged { file: name.to_owned() }
}

fn conflict(detail: String) -> Refused {
    Refused::Conflict { detail }
}

fn invalid(detail: &str) -> Refused {
    Refused::Invalid { field: "file".to_owned(), detail: detail.to_owned() }
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
