//! The file that keeps what people change while `lb run` serves.

use std::{
    fs,
    path::{Path, PathBuf},
};

use crate::{
    control::now,
    state::{Because, OpenError, Place, Problem, Store, Surroundings, place},
};

/// The file that was said, or else the usual one of this configuration. `None` where
/// nothing is kept, of which whoever would expect it is told.
pub(super) fn open(
    said: Option<&Path>,
    config: Option<&Path>,
) -> anyhow::Result<Option<(PathBuf, Store)>> {
    let file = match place(said, config, &Surroundings::of_this_process()) {
        Place::File(file) => file,
        Place::Nowhere(because) => {
            if because == Because::NoFolder {
                tracing::warn!("what is changed while running is not kept: no folder; see --state");
            }
            return Ok(None);
        }
    };
    Ok(open_or_go_on(&file, said.is_some())?.map(|store| (file, store)))
}

/// `None` where the file is not one that somebody named, cannot be written, and has
/// nothing to be remembered: that is no reason not to serve.
fn open_or_go_on(file: &Path, is_named: bool) -> anyhow::Result<Option<Store>> {
    match Store::open(file, now()) {
        Ok(store) => Ok(Some(store)),
        Err(OpenError { problem: Problem::NotWritable(why), .. })
            if !is_named && fs::metadata(file).map_or(true, |found| found.len() == 0) =>
        {
            let file = file.display();
            tracing::warn!(
                "what is changed while running is not kept: cannot write `{file}`: {why}; \
                 see --state"
            );
            Ok(None)
        }
        Err(error) => Err(error.into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_state_file_that_was_named_has_to_be_written() {
        let nowhere = Path::new("/proc/none/lb.db");
        assert!(open_or_go_on(nowhere, false).unwrap().is_none());
        assert!(open_or_go_on(nowhere, true).is_err());
    }
}
