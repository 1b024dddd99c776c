//! The file and all that it includes.
//!
//! Every file is given a place in one long text, one behind the other, so that a
//! span alone says which file is meant. Files are read before any is judged: a
//! document borrows the text it was parsed from, and texts must not move then.

use std::{
    io::ErrorKind,
    ops::Range,
    path::{Component, Path, PathBuf},
};

use toml::de::{DeTable, DeValue};

use super::{
    diagnostic::Diagnostic,
    expand::expand,
    loader::Loader,
    names::{fits, has_wildcard},
};

/// More files than this are a loop that was not recognised, through links.
const MOST_FILES: usize = 1000;

/// One file.
#[derive(Debug, Clone)]
pub(super) struct File {
    /// As it is printed.
    pub(super) name: String,
    pub(super) text: String,
    /// Where it begins in the text of all files.
    pub(super) base: usize,
    /// Where it was included, and by which file.
    included: Option<(Range<usize>, usize)>,
}

/// Reads every file that `name` and the files it includes include, in the order in
/// which they are named; of a pattern, in alphabetical order.
pub(super) fn read_files(
    name: &str,
    text: &str,
    loader: &dyn Loader,
) -> (Vec<File>, Vec<Diagnostic>) {
    let first = File { name: name.to_owned(), text: text.to_owned(), base: 0, included: None };
    let mut reading = Reading { files: vec![first], found: Vec::new(), loader };
    let mut next = 0;
    while next < reading.files.len() {
        reading.includes_of(next);
        next += 1;
    }
    (reading.files, reading.found)
}

struct Reading<'l> {
    files: Vec<File>,
    found: Vec<Diagnostic>,
    loader: &'l dyn Loader,
}

impl Reading<'_> {
    fn includes_of(&mut self, index: usize) {
        let File { name, text, base, .. } = self.files[index].clone();
        let (document, _) = DeTable::parse_recoverable(&text);
        let Some(include) = document.get_ref().get("include") else { return };
        let one = std::slice::from_ref(include);
        let patterns = match include.get_ref() {
            DeValue::Array(patterns) => &**patterns,
            _ => one,
        };
        let folder = Path::new(&name).parent().unwrap_or_else(|| Path::new("")).to_owned();
        for pattern in patterns {
            // What is not a string, or names no variable, is reported by whoever
            // reads the file as a whole.
            let Some(text) = pattern.get_ref().as_str() else { continue };
            let Ok(text) = expand(text, self.loader) else { continue };
            let span = pattern.span();
            let span = base + span.start..base + span.end;
            self.include(&folder.join(&text), &text, &span, index);
        }
    }

    fn include(&mut self, path: &Path, pattern: &str, span: &Range<usize>, by: usize) {
        let is_pattern = has_wildcard(pattern);
        let paths = match is_pattern {
            true => self.matching(path),
            false => Ok(vec![normal(path)]),
        };
        let paths = match paths {
            Ok(paths) => paths,
            Err(reason) => {
                self.found.push(
                    Diagnostic::error(format!("cannot read what `{pattern}` stands for"))
                        .at(span.clone(), reason.to_string())
                        .key("include"),
                );
                return;
            }
        };
        if paths.is_empty() {
            self.found.push(
                Diagnostic::warning(format!("`{pattern}` includes nothing"))
                    .at(span.clone(), "no file has such a name")
                    .key("include"),
            );
        }
        for path in paths {
            self.add(&path, span, by);
        }
    }

    fn add(&mut self, path: &Path, span: &Range<usize>, by: usize) {
        let name = path.display().to_string();
        if let Some(first) = self.files.iter().position(|file| same(&file.name, path)) {
            let found = Diagnostic::error(match self.leads_to(first, by) {
                true => format!("`{name}` includes itself"),
                false => format!("`{name}` is included twice"),
            });
            let found = found.at(span.clone(), "included again here").key("include");
            self.found.push(match &self.files[first].included {
                Some((span, _)) => found.related(span.clone(), "first included here"),
                None => found.help("this is the file that everything began with"),
            });
            return;
        }
        if self.files.len() >= MOST_FILES {
            self.found.push(
                Diagnostic::error(format!("more than {MOST_FILES} files are included"))
                    .at(span.clone(), "the first one too many")
                    .key("include"),
            );
            return;
        }
        match self.loader.read(path) {
            Ok(text) => {
                let base = self.files.last().map_or(0, |file| file.base + file.text.len() + 1);
                let included = Some((span.clone(), by));
                self.files.push(File { name, text, base, included });
            }
            Err(error) => {
                let found = Diagnostic::error(format!("cannot read `{name}`"))
                    .at(span.clone(), error.to_string())
                    .key("include");
                self.found.push(match error.kind() {
                    ErrorKind::NotFound => {
                        found.help("a path is relative to the file that names it")
                    }
                    _ => found,
                });
            }
        }
    }

    /// Whether `file` is `outer`, or was included by it, directly or not.
    fn leads_to(&self, outer: usize, mut file: usize) -> bool {
        loop {
            if file == outer {
                return true;
            }
            match &self.files[file].included {
                Some((_, by)) => file = *by,
                None => return false,
            }
        }
    }

    /// The files that a path with wildcards stands for, sorted.
    fn matching(&self, pattern: &Path) -> std::io::Result<Vec<PathBuf>> {
        let mut found = vec![PathBuf::new()];
        for component in pattern.components() {
            let text = component.as_os_str().to_str().unwrap_or_default();
            if !has_wildcard(text) {
                for path in &mut found {
                    path.push(component);
                }
                continue;
            }
            let mut deeper = Vec::new();
            for folder in found {
                let mut names = self.loader.list(&folder)?;
                names.retain(|name| !name.starts_with('.') && fits(text, name));
                deeper.extend(names.into_iter().map(|name| folder.join(name)));
            }
            found = deeper;
        }
        let mut found: Vec<PathBuf> = found.iter().map(|path| normal(path)).collect();
        found.sort();
        Ok(found)
    }
}

fn same(name: &str, path: &Path) -> bool {
    normal(Path::new(name)) == path
}

/// The path without `.`, and without `a/..` where `a` is a name.
fn normal(path: &Path) -> PathBuf {
    let mut normal = PathBuf::new();
    for component in path.components() {
        match component {
            Component::CurDir => {}
            Component::ParentDir
                if matches!(normal.components().next_back(), Some(Component::Normal(_))) =>
            {
                normal.pop();
            }
            other => normal.push(other),
        }
    }
    normal
}
