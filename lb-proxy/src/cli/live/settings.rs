//! `lb set-health`, `lb set-sticky`

use clap::Args;
use http::Method;
use serde_json::{Map, Value};

use super::{
    Connect,
    change::{How, exit_of, table_line, told},
    client::{Client, encoded},
    failure::Failure,
    say,
    tune::read_option,
    with,
};
use crate::{
    admin::dto::{Changed, Cluster, SettingChanges},
    cli::exit::Exit,
};

#[derive(Debug, Args)]
pub(in crate::cli) struct HealthArgs {
    #[arg(value_name = "CLUSTER")]
    cluster: String,

    /// Keys of `health` as in the file, `interval=500ms fall=2`, each `KEY=default` for
    /// what the file says; `off` and `on`; `default`: all as the file says.
    #[arg(value_name = "KEY=VALUE", required = true, value_parser = read_setting)]
    settings: Vec<Setting>,

    #[command(flatten)]
    how: How,

    #[command(flatten)]
    connect: Connect,
}

#[derive(Debug, Args)]
pub(in crate::cli) struct StickyArgs {
    #[arg(value_name = "CLUSTER")]
    cluster: String,

    /// Keys of `sticky` as in the file, `cookie=WEB ttl=8h`, each `KEY=default` for what
    /// the file says; `off` and `on`; `default`: all as the file says. Secrets are for
    /// the file alone.
    #[arg(value_name = "KEY=VALUE", required = true, value_parser = read_setting)]
    settings: Vec<Setting>,

    #[command(flatten)]
    how: How,

    #[command(flatten)]
    connect: Connect,
}

/// What is to hold.
#[derive(Debug, Clone, PartialEq)]
enum Setting {
    Key(String, Value),
    /// All that the file says.
    Default,
}

fn read_setting(text: &str) -> Result<Setting, String> {
    let enabled = |value: Value| Ok(Setting::Key("enabled".to_owned(), value));
    match text {
        "default" => Ok(Setting::Default),
        "off" => enabled(false.into()),
        "on" => enabled(true.into()),
        _ => {
            let (key, value) = read_option(text)
                .map_err(|_| "write it like `interval=500ms`, or `off`, `on`, `default`")?;
            Ok(Setting::Key(key, if value == "default" { Value::Null } else { value }))
        }
    }
}

pub(in crate::cli) fn set_health(args: &HealthArgs) -> Exit {
    let HealthArgs { cluster, settings, how, connect } = args;
    with(connect, async |client| set(client, "health", cluster, settings, how, connect).await)
}

pub(in crate::cli) fn set_sticky(args: &StickyArgs) -> Exit {
    let StickyArgs { cluster, settings, how, connect } = args;
    with(connect, async |client| set(client, "sticky", cluster, settings, how, connect).await)
}

async fn set(
    client: &Client,
    table: &str,
    cluster: &str,
    settings: &[Setting],
    how: &How,
    connect: &Connect,
) -> Result<Exit, Failure> {
    let path = format!("/api/v1/clusters/{}", encoded(cluster));
    let mut changes = Map::new();
    if settings.contains(&Setting::Default) {
        let found: Cluster = client.get(&path).await?.read()?;
        let set = found.overrides.iter().filter(|one| one.backend.is_none());
        let keys = set.filter_map(|one| one.field.strip_prefix(table)?.strip_prefix('.'));
        changes.extend(keys.map(|key| (key.to_owned(), Value::Null)));
        // Where nothing is set, that is said.
        changes.insert("enabled".to_owned(), Value::Null);
    }
    for setting in settings {
        if let Setting::Key(key, value) = setting {
            changes.insert(key.clone(), value.clone());
        }
    }
    let path = format!("{path}/{table}{}", how.query(false));
    let answer = client.send(Method::PATCH, &path, &SettingChanges(changes)).await?;
    let changed: Changed = answer.read()?;
    say(connect, &answer, || {
        let now = changed.clusters.iter().find(|one| one.name == cluster);
        let now = now.filter(|_| changed.changes.is_empty()).map(|now| {
            let said = if table == "health" { &now.health } else { &now.cookie };
            table_line(cluster, table, said.as_ref())
        });
        format!("{}{}", now.unwrap_or_default(), told(&changed, &[]))
    })?;
    Ok(exit_of(&changed))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_setting_is_a_key_with_a_value_or_a_word_for_all() {
        let key = |key: &str, value: Value| Ok(Setting::Key(key.to_owned(), value));
        assert_eq!(read_setting("interval=100ms"), key("interval", "100ms".into()));
        assert_eq!(read_setting("fall=2"), key("fall", 2.into()));
        assert_eq!(read_setting("fall=default"), key("fall", Value::Null));
        assert_eq!(read_setting("off"), key("enabled", false.into()));
        assert_eq!(read_setting("default"), Ok(Setting::Default));
        assert!(read_setting("interval").unwrap_err().contains("interval=500ms"));
    }
}
