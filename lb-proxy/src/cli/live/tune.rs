//! `lb set-weight`, `lb set-strategy`

use clap::Args;
use http::Method;
use serde_json::{Map, Value};

use super::{
    Connect,
    change::{How, exit_of, make, told},
    client::encoded,
    pattern::{Target, resolve},
    save::AlsoSave,
    say, with,
};
use crate::{
    admin::dto::{BackendChanges, Changed, Cluster, NewStrategy, Operation},
    cli::exit::Exit,
};

#[derive(Debug, Args)]
pub(in crate::cli) struct WeightArgs {
    /// `CLUSTER/BACKEND`; in quotes with `*` and `?` for several.
    #[arg(value_name = "TARGET")]
    target: String,

    /// 1 to 65535, of which only the ratio counts; or `default`, which is what the file
    /// or the source says.
    #[arg(value_name = "N|default", value_parser = read_weight)]
    weight: Wanted,

    /// Also all backends of a cluster.
    #[arg(long)]
    force: bool,

    #[command(flatten)]
    how: How,

    #[command(flatten)]
    also: AlsoSave,

    #[command(flatten)]
    connect: Connect,
}

/// A weight, or that of the file.
#[derive(Debug, Clone, Copy)]
struct Wanted(Option<u32>);

fn read_weight(text: &str) -> Result<Wanted, String> {
    if text == "default" {
        return Ok(Wanted(None));
    }
    match text.parse() {
        Ok(0) => Err("nobody new at all is `lb drain`, and nobody at all `lb disable`".to_owned()),
        Ok(weight @ 1..=65_535) => Ok(Wanted(Some(weight))),
        _ => Err("a weight is 1 to 65535, or `default`".to_owned()),
    }
}

pub(in crate::cli) fn set_weight(args: &WeightArgs) -> Exit {
    let WeightArgs { target, weight: Wanted(weight), force, how, also, connect } = args;
    with(connect, async |client| {
        let clusters: Vec<Cluster> = client.get("/api/v1/clusters").await?.read()?;
        let targets = resolve(std::slice::from_ref(target), &clusters, *force)?;
        let operation = |target: &Target| Operation::Patch {
            cluster: target.cluster.clone(),
            backend: target.backend.clone(),
            set: BackendChanges { weight: Some(*weight), ..BackendChanges::default() },
        };
        let operations = targets.iter().map(operation).collect();
        let (answer, changed) = make(client, operations, &how.query(*force)).await?;
        say(connect, &answer, || told(&changed, &targets))?;
        let saved = also.after(client, &changed, &targets, connect).await?;
        Ok(exit_of(&changed).or(saved))
    })
}

#[derive(Debug, Args)]
pub(in crate::cli) struct StrategyArgs {
    #[arg(value_name = "CLUSTER")]
    cluster: String,

    /// `round-robin`, `maglev`, …: as in the file.
    #[arg(value_name = "STRATEGY")]
    strategy: String,

    /// What else may stand in its table: `key=header:x-user`, `draws=3`.
    #[arg(value_name = "OPTION=VALUE", value_parser = read_option)]
    options: Vec<(String, Value)>,

    #[command(flatten)]
    how: How,

    #[command(flatten)]
    also: AlsoSave,

    #[command(flatten)]
    connect: Connect,
}

/// What is JSON is what it is; all else is a text.
pub(super) fn read_option(text: &str) -> Result<(String, Value), String> {
    let (key, value) = text.split_once('=').ok_or("write it like `key=client-ip`")?;
    let value = match serde_json::from_str::<Value>(value) {
        Ok(value) if !value.is_null() => value,
        _ => value.into(),
    };
    Ok((key.trim().to_owned(), value))
}

pub(in crate::cli) fn set_strategy(args: &StrategyArgs) -> Exit {
    let StrategyArgs { cluster, strategy, options, how, also, connect } = args;
    let strategy = match &**options {
        [] => Value::from(&**strategy),
        options => {
            let name = [("name".to_owned(), Value::from(&**strategy))];
            name.into_iter().chain(options.iter().cloned()).collect::<Map<_, _>>().into()
        }
    };
    with(connect, async |client| {
        let path = format!("/api/v1/clusters/{}/strategy{}", encoded(cluster), how.query(false));
        let answer = client.send(Method::PUT, &path, &NewStrategy { strategy }).await?;
        let changed: Changed = answer.read()?;
        say(connect, &answer, || match &*changed.changes {
            [] if !changed.dry_run => {
                let now = changed.clusters.iter().find(|one| one.name == *cluster);
                let now =
                    now.map_or_else(String::new, |now| format!("strategy {}\n", now.strategy));
                format!("{cluster}: {now}{}", told(&changed, &[]))
            }
            _ => told(&changed, &[]),
        })?;
        also.after(client, &changed, &[], connect).await
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_weight_that_means_nobody_is_refused_with_what_does() {
        assert_eq!(read_weight("default").unwrap().0, None);
        assert_eq!(read_weight("65535").unwrap().0, Some(65_535));
        assert!(read_weight("0").unwrap_err().contains("lb drain"));
        for wrong in ["banana", "-1", "65536", "50%", ""] {
            assert!(read_weight(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn an_option_is_what_a_file_would_have() {
        let value = |text| read_option(text).unwrap().1;
        assert_eq!(value("draws=3"), 3);
        assert_eq!(value("memory=true"), true);
        assert_eq!(value("key=header:x-user"), "header:x-user");
        assert_eq!(value("decay=10s"), "10s");
        assert!(read_option("key").is_err());
    }
}
