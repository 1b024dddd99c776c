//! The file as somebody wrote it, to be changed in single places.
//!
//! What a person wants of a running balancer can be written where its value stands: into
//! the file that has it, in the form it has there, and everything around it, comments and
//! blanks too, stays as it is. Pure: texts go in and come out, nothing is read or written
//! on the disk but by the loader.
//!
//! The one hard decision: what a variable says is never written over. Whoever wrote
//! `${NAME}` there decides elsewhere, and the file would say so no more.

mod backends;
mod put;
#[cfg(test)]
mod tests;

use serde_json::Value;
use similar::TextDiff;
use toml_edit::{Document, DocumentMut, Item, TableLike};

use self::backends::Backends;
use super::{cluster::DEFAULT_CLUSTER, expand::first_form, files::read_files, loader::Loader};

/// Something that is to be written.
#[derive(Debug, Clone, PartialEq)]
pub struct Alteration {
    /// The cluster it is about.
    pub cluster: String,
    /// The backend, by its name; `None`: the cluster as such.
    pub backend: Option<String>,
    /// What is to be there.
    pub what: Wording,
}

/// What is to be there.
#[derive(Debug, Clone, PartialEq)]
pub enum Wording {
    /// This value, under these keys below the table of the cluster or the backend.
    Key(Vec<&'static str>, Value),
    /// The backend, as such a table.
    Backend(Value),
    /// No such backend.
    Nothing,
}

/// A file and a line of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Spot {
    /// The name of the file.
    pub file: String,
    /// From 1.
    pub line: usize,
}

impl std::fmt::Display for Spot {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}:{}", self.file, self.line)
    }
}

/// A file that would be another one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Altered {
    /// Its name.
    pub name: String,
    /// What it says.
    pub before: String,
    /// What it would say.
    pub after: String,
}

impl Altered {
    /// What is different, as `diff -u` tells it.
    #[must_use]
    pub fn diff(&self) -> String {
        let (old, new) = (format!("a/{}", self.name), format!("b/{}", self.name));
        let diff = TextDiff::from_lines(&self.before, &self.after);
        diff.unified_diff().header(&old, &new).to_string()
    }
}

/// A file and all that it includes.
#[derive(Debug)]
pub struct Written<'l> {
    files: Vec<File>,
    loader: &'l dyn Loader,
}

#[derive(Debug)]
struct File {
    name: String,
    before: String,
    document: DocumentMut,
}

/// Where the settings of a cluster stand.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Home {
    /// `[cluster.NAME]` of this file.
    Table(usize),
    /// `to = […]` of this file.
    Short(usize),
}

impl Home {
    fn file(self) -> usize {
        match self {
            Self::Table(file) | Self::Short(file) => file,
        }
    }
}

impl<'l> Written<'l> {
    /// Reads a file, and those that it includes. One that is no TOML has nothing in it.
    #[must_use]
    pub fn read(name: &str, text: &str, loader: &'l dyn Loader) -> Self {
        let (files, _) = read_files(name, text, loader);
        let file = |file: super::files::File| File {
            document: file.text.parse().unwrap_or_default(),
            name: file.name,
            before: file.text,
        };
        Self { files: files.into_iter().map(file).collect(), loader }
    }

    /// The names of the files and what they say, the first one first.
    pub fn texts(&self) -> impl Iterator<Item = (&str, &str)> {
        self.files.iter().map(|file| (&*file.name, &*file.before))
    }

    /// The first expression with a variable in any of the files.
    #[must_use]
    pub fn variable(&self) -> Option<String> {
        self.files.iter().find_map(|file| form_within(file.document.as_item()))
    }

    /// Writes. An error says why that is not possible, and changes nothing.
    ///
    /// # Errors
    ///
    /// Why it cannot be written, as the end of a sentence about it.
    pub fn alter(&mut self, alteration: &Alteration) -> Result<(), String> {
        let Alteration { cluster, backend, what } = alteration;
        let home =
            self.home(cluster).ok_or_else(|| format!("no file has the cluster `{cluster}`"))?;
        let (index, loader) = (home.file(), self.loader);
        // What fails half-way is as if it had not been begun.
        let mut document = self.files[index].document.clone();
        match (backend, what) {
            (None, Wording::Key(path, value)) => match home {
                Home::Table(_) => put::put(table_of(&mut document, cluster)?, path, value)?,
                Home::Short(_) => {
                    if self.has_tables() {
                        return Err("`to` makes this cluster, and `[defaults]` are those of \
                                    others too: list its backends in `[cluster.default]`"
                            .to_owned());
                    }
                    put::put(defaults(&mut document)?, path, value)?;
                }
            },
            (None, _) => return Err("clusters are not added or removed".to_owned()),
            (Some(name), what) => {
                let (table, key): (&mut dyn TableLike, _) = match home {
                    Home::Table(_) => (table_of(&mut document, cluster)?, "backends"),
                    Home::Short(_) => (document.as_table_mut(), "to"),
                };
                let mut backends = Backends::of(table, key, loader)?;
                match what {
                    Wording::Key(path, value) => backends.put(name, path, value)?,
                    Wording::Backend(value) => backends.add(name, value)?,
                    Wording::Nothing => backends.remove(name)?,
                }
            }
        }
        self.files[index].document = document;
        Ok(())
    }

    /// The files that say something else by now.
    #[must_use]
    pub fn altered(&self) -> Vec<Altered> {
        let one = |file: &File| Altered {
            name: file.name.clone(),
            before: file.before.clone(),
            after: file.document.to_string(),
        };
        self.files.iter().map(one).filter(|file| file.before != file.after).collect()
    }

    /// Where a value stands, or without keys a backend; `None` where no file says it.
    #[must_use]
    pub fn spot(&self, cluster: &str, backend: Option<&str>, path: &[&str]) -> Option<Spot> {
        let home = self.home(cluster)?;
        let file = &self.files[home.file()];
        let spanned = Document::parse(file.document.to_string()).ok()?;
        let root = spanned.as_table();
        let table = root.get("cluster").and_then(|item| item.as_table_like()?.get(cluster));
        let span = match backend {
            Some(name) => {
                let list = match home {
                    Home::Table(_) => table?.as_table_like()?.get("backends"),
                    Home::Short(_) => root.get("to"),
                }?;
                backends::span(list, name, path, self.loader)?
            }
            None => {
                let own = table.and_then(|table| put::find(table, path));
                match own.and_then(Item::span) {
                    Some(span) => span,
                    None => return self.default_spot(path),
                }
            }
        };
        Some(spot(&file.name, spanned.raw(), span.start))
    }

    /// Where `[defaults]` say it.
    fn default_spot(&self, path: &[&str]) -> Option<Spot> {
        self.files.iter().find_map(|file| {
            let spanned = Document::parse(file.document.to_string()).ok()?;
            let span = put::find(spanned.as_table().get("defaults")?, path)?.span()?;
            Some(spot(&file.name, spanned.raw(), span.start))
        })
    }

    fn home(&self, cluster: &str) -> Option<Home> {
        let has_table = |file: &File| {
            let clusters = file.document.get("cluster").and_then(Item::as_table_like);
            clusters.is_some_and(|clusters| clusters.get(cluster).is_some())
        };
        if let Some(index) = self.files.iter().position(has_table) {
            return Some(Home::Table(index));
        }
        let short = self.files.iter().position(|file| file.document.contains_key("to"));
        short.filter(|_| cluster == DEFAULT_CLUSTER).map(Home::Short)
    }

    fn has_tables(&self) -> bool {
        self.files.iter().any(|file| file.document.contains_key("cluster"))
    }
}

fn table_of<'d>(
    document: &'d mut DocumentMut,
    cluster: &str,
) -> Result<&'d mut dyn TableLike, String> {
    let clusters = document.get_mut("cluster").and_then(Item::as_table_like_mut);
    let table = clusters.and_then(|clusters| clusters.get_mut(cluster));
    table
        .and_then(Item::as_table_like_mut)
        .ok_or_else(|| format!("the cluster `{cluster}` is not written as a table"))
}

fn defaults(document: &mut DocumentMut) -> Result<&mut dyn TableLike, String> {
    let table = document.entry("defaults").or_insert_with(toml_edit::table);
    table.as_table_like_mut().ok_or_else(|| "`defaults` is not a table there".to_owned())
}

fn spot(file: &str, text: &str, at: usize) -> Spot {
    let before = text.get(..at).unwrap_or(text);
    Spot { file: file.to_owned(), line: before.matches('\n').count() + 1 }
}

/// The first expression with a variable in a value.
fn form_within(item: &Item) -> Option<String> {
    if let Some(text) = item.as_str() {
        return first_form(text).map(str::to_owned);
    }
    if let Some(table) = item.as_table_like() {
        return table.iter().find_map(|(_, item)| form_within(item));
    }
    if let Some(tables) = item.as_array_of_tables() {
        return tables.iter().find_map(|table| table.iter().find_map(|(_, one)| form_within(one)));
    }
    let array = item.as_array()?;
    array.iter().find_map(|value| form_within(&Item::Value(value.clone())))
}

/// What is said where a variable stands.
fn decided(form: &str) -> String {
    format!("`{form}` stands there, so a variable decides it")
}
