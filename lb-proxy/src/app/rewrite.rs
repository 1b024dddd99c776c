//! What a file would say with what people have set in it, or in the place of it; read
//! again, so that whatever is written can be served. Nothing is written here.

use std::{collections::BTreeMap, path::Path};

use lb_proxy::config::{
    Alteration, Altered, Config, Instead, Loader as _, Machine, Setting, Spot, Written,
};

use super::serve::{Read, Reread};
use crate::{
    control::{Refused, SavedItem, Saving, Texts, difference, is_said, wording},
    state::Override,
};

/// What would be written, and what it would make of the balancer.
pub(super) struct Draft {
    pub(super) saving: Saving,
    pub(super) read: Option<Read>,
    /// Whether the whole file is another one.
    pub(super) is_replaced: bool,
}

/// What is written of these, if the files still say what they said.
pub(super) fn rewritten(
    texts: &Texts,
    overrides: &[Override],
    reread: &Reread,
) -> Result<Draft, Refused> {
    // Which are not written, and why: that is found out by reading again.
    let mut left_out = LeftOut::new();
    loop {
        let name = &texts[0].0;
        let main = read(name)?;
        let mut written = Written::read(name, &main, &Machine);
        check_unchanged(texts, &written)?;
        let mut items = write(&mut written, overrides, &left_out);
        let files = written.altered();
        if files.is_empty() {
            let saving = Saving { items, ..Saving::default() };
            return Ok(Draft { saving, read: None, is_replaced: false });
        }
        let read = match reread(&instead(&files)) {
            Ok(read) => read,
            Err(mistakes) => {
                let found = misfit((name, &main), overrides, &left_out, reread);
                let (misfits, why) = found.ok_or_else(|| Refused::BadConfig {
                    detail: "the file could not be used any more; nothing was written".to_owned(),
                    mistakes,
                })?;
                left_out.extend(misfits.into_iter().map(|index| (index, why.clone())));
                continue;
            }
        };
        let not_said =
            items.iter().position(|item| item.outcome.is_ok() && !is_said(&read.config, &item.of));
        if let Some(index) = not_said {
            // It holds whatever is written.
            let why = "a flag or a variable of `lb run` says something else";
            left_out.insert(index, why.to_owned());
            continue;
        }
        let old = Written::read(name, &main, &Machine);
        for item in items.iter_mut().filter(|item| item.outcome.is_ok()) {
            let (cluster, backend) = (item.of.subject.cluster(), item.of.subject.backend());
            let keys = item.of.field.keys().unwrap_or_default();
            let spot = written.spot(cluster, backend, &keys);
            let spot = spot.or_else(|| old.spot(cluster, backend, &keys));
            item.outcome = spot.ok_or_else(|| "it is not found again".to_owned());
        }
        let diffs = diffs(name, &main, &files);
        let saving = Saving { items, files, diffs, difference: None };
        return Ok(Draft { saving, read: Some(read), is_replaced: false });
    }
}

/// Those that are not written, by position, and why.
type LeftOut = BTreeMap<usize, String>;

fn write(written: &mut Written<'_>, overrides: &[Override], left_out: &LeftOut) -> Vec<SavedItem> {
    let one = |(index, of): (usize, &Override)| {
        let outcome = match left_out.get(&index) {
            Some(why) => Err(why.clone()),
            None => write_one(written, of),
        };
        SavedItem { of: of.clone(), outcome: outcome.map(|()| NOWHERE) }
    };
    overrides.iter().enumerate().map(one).collect()
}

/// The first of what belongs together with which the file could not be used any more, and
/// why; `None` where that is so without any of it. What is laid over a file goes by other
/// rules than what stands in it: `tcp = true` takes the place of a `path`, and contradicts
/// one that stands beside it.
fn misfit(
    (name, main): (&str, &str),
    overrides: &[Override],
    left_out: &LeftOut,
    reread: &Reread,
) -> Option<(Vec<usize>, String)> {
    let mut parts: Vec<Vec<usize>> = Vec::new();
    for index in (0..overrides.len()).filter(|index| !left_out.contains_key(index)) {
        let is_beside =
            |part: &&mut Vec<usize>| belong_together(&overrides[part[0]], &overrides[index]);
        match parts.iter_mut().find(is_beside) {
            Some(part) => part.push(index),
            None => parts.push(vec![index]),
        }
    }
    let mistakes_in = |count: usize| {
        let later = parts[count..].iter().flatten().map(|index| (*index, String::new()));
        let left_out: LeftOut = left_out.clone().into_iter().chain(later).collect();
        let mut written = Written::read(name, main, &Machine);
        write(&mut written, overrides, &left_out);
        reread(&instead(&written.altered())).err()
    };
    // With all of them it could not be used.
    let counts: Vec<usize> = (0..=parts.len()).collect();
    let first = counts.partition_point(|count| mistakes_in(*count).is_none());
    let mistakes = mistakes_in(first)?;
    let part = parts.swap_remove(first.checked_sub(1)?);
    let mut errors = mistakes.found.iter().filter(|one| one["severity"] == "error");
    let why = errors.find_map(|one| one["message"].as_str()).unwrap_or("it has a mistake");
    Some((part, format!("the file could not be used with it: {why}")))
}

/// Whether one may be right only with the other: all of a backend, and all of one table.
fn belong_together(one: &Override, other: &Override) -> bool {
    let table = |of: &Override| of.field.key().map(|(table, _)| table);
    one.subject == other.subject && table(one) == table(other)
}

/// Stands for a place that is only known when all is written.
const NOWHERE: Spot = Spot { file: String::new(), line: 0 };

fn write_one(written: &mut Written<'_>, of: &Override) -> Result<(), String> {
    let what = wording(of)?;
    let cluster = of.subject.cluster().to_owned();
    let backend = of.subject.backend().map(str::to_owned);
    written.alter(&Alteration { cluster, backend, what })
}

/// What another file would change.
pub(super) fn replacement(
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
    let altered = Altered { name: name.clone(), before: main, after: text.to_owned() };
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
        let main = instead.files.get(Path::new(name)).map_or(main, String::as_str);
        Config::parse(name, main, &instead).1.printable_texts()
    };
    let (old, new) = (printable(|file| &file.before), printable(|file| &file.after));
    let of = |texts: &[(String, String)], name: &str| {
        let found = texts.iter().find(|(one, _)| one == name);
        found.map_or_else(String::new, |(_, text)| text.clone())
    };
    let diff = |Altered { name, .. }: &Altered| {
        let shown = Altered { name: name.clone(), before: of(&old, name), after: of(&new, name) };
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
    let Some(different) =
        different.map(|(known, _)| known.0).or_else(|| (!is_as_many).then_some("it"))
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

pub(super) fn changed(name: &str) -> Refused {
    Refused::FileChanged { file: name.to_owned() }
}

pub(super) fn conflict(detail: String) -> Refused {
    Refused::Conflict { detail }
}

fn invalid(detail: &str) -> Refused {
    Refused::Invalid { field: "file".to_owned(), detail: detail.to_owned() }
}
