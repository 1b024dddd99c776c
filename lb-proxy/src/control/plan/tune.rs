//! Wishes about how a cluster works: its strategy, and keys of its tables.
//!
//! They are understood together with all that is set already, and written down as the
//! reader of files has understood them: two spellings of one value are no change.

use serde_json::{Map, Value};

use super::{Overrides, Planner, Refused, invalid};
use crate::{
    control::settings::{SettingTable, Tuned, Unfit, tune},
    state::{ChangeId, Field, Override, Subject, UnixMillis},
};

impl Planner<'_> {
    pub(super) fn choose(&mut self, cluster: &str, strategy: &Value) -> Result<(), Refused> {
        self.seen(cluster)?;
        if strategy.get("secret").is_some() {
            let detail = "a secret belongs into the file: what is set here is shown";
            return Err(invalid("strategy.secret", detail.to_owned()));
        }
        let subject = Subject::of_cluster(cluster);
        let mut wanted = self.overrides.clone();
        lay(&mut wanted, &subject, Field::Strategy, strategy);
        let strategy = self.tuned(cluster, &wanted)?.cluster.strategy.said();
        self.set(subject, Field::Strategy, Some(strategy));
        Ok(())
    }

    pub(super) fn tune(
        &mut self,
        cluster: &str,
        table: SettingTable,
        set: &Map<String, Value>,
    ) -> Result<(), Refused> {
        self.seen(cluster)?;
        let subject = Subject::of_cluster(cluster);
        let mut wanted = self.overrides.clone();
        let mut fields = Vec::new();
        for (key, value) in set {
            let field = table.field(key).map_err(|(detail, hint)| {
                let field = format!("{}.{key}", table.name());
                Refused::Unfit(Unfit { field, detail, hint })
            })?;
            lay(&mut wanted, &subject, field, value);
            fields.push((field, key, value));
        }
        let said = table.said(&self.tuned(cluster, &wanted)?.cluster);
        // What is off without that need not be switched off.
        let mut without = wanted;
        let off = fields.iter().find(|(_, key, value)| *key == "enabled" && **value == false);
        let off = off.map(|(field, ..)| *field);
        let is_off_anyway = match off {
            Some(enabled) => {
                lay(&mut without, &subject, enabled, &Value::Null);
                table.said(&self.tuned(cluster, &without)?.cluster).is_empty()
            }
            None => false,
        };
        for (field, key, value) in fields {
            let is_left = value.is_null() || is_off_anyway && off == Some(field);
            // What is off says nothing of its keys: they are as they were typed.
            let said = || said.get(key).unwrap_or(value).clone();
            self.set(subject.clone(), field, (!is_left).then(said));
        }
        Ok(())
    }

    /// What is suspicious about how a cluster would work, and was not before.
    ///
    /// # Errors
    ///
    /// What is wished for does not go together with the rest, as after an undo.
    pub(super) fn suspicions(&self, cluster: &str) -> Result<Vec<String>, Refused> {
        let is_of_it =
            |edit: &super::Edit| edit.field.is_of_cluster() && edit.subject.cluster() == cluster;
        if !self.plan.edits.iter().any(is_of_it) {
            return Ok(Vec::new());
        }
        let before = self.tuned(cluster, self.sight.overrides).map(|tuned| tuned.warnings);
        let before = before.unwrap_or_default();
        let after = self.tuned(cluster, &self.overrides)?.warnings;
        Ok(after.into_iter().filter(|one| !before.contains(one)).collect())
    }

    fn tuned(&self, cluster: &str, overrides: &Overrides) -> Result<Tuned, Refused> {
        let mut clusters = self.sight.config.clusters.iter();
        let file = clusters
            .find(|one| *one.name == *cluster)
            .ok_or_else(|| Refused::NoSuchCluster { name: cluster.to_owned(), near: None })?;
        tune(file, overrides).map_err(Refused::Unfit)
    }
}

/// Lays a value over a field, to be read; null gives it back to the file.
fn lay(overrides: &mut Overrides, subject: &Subject, field: Field, value: &Value) {
    let key = (subject.clone(), field);
    if value.is_null() {
        overrides.remove(&key);
        return;
    }
    let one = Override {
        subject: subject.clone(),
        field,
        value: value.clone(),
        basis: Value::Null,
        change: ChangeId::new(u64::MAX),
        seen: UnixMillis::new(0),
    };
    overrides.insert(key, one);
}
