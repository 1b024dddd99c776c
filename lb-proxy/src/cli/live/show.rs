//! `lb config show` of what runs now.

use lb_proxy::config::Setting;

use super::{
    block_on,
    client::Client,
    failed,
    failure::Failure,
    place::{Place, Places},
    words::Said,
};
use crate::{
    admin::dto::EffectiveConfig,
    cli::{config::listed, exit::Exit, print},
};

/// Shows the configuration of a running `lb`. `None` where none is reachable and nobody
/// said that one is: then a file has to do.
pub(in crate::cli) fn show_running(admin: Option<&Place>, is_json: bool) -> Option<Exit> {
    let places = match Places::new(admin) {
        Ok(places) => places,
        Err(mistake) => return Some(failed(&Failure::new(Exit::Usage, mistake))),
    };
    let done = block_on(async {
        let client = Client::find(&places).await?;
        let answer = client.get("/api/v1/config").await?;
        let config: EffectiveConfig = answer.read()?;
        print::result(&match is_json {
            true => format!("{}\n", answer.as_text()),
            false => told(&config),
        })?;
        Ok(Exit::Done)
    });
    match done {
        Ok(exit) => Some(exit),
        Err(failure) if places.is_said => Some(failed(&failure)),
        Err(failure) => match failure.exit {
            Exit::NotRunning => None,
            Exit::NotAuthorised => {
                print::diagnostic(
                    "note: a running lb wants a token (`LB_TOKEN`): told from the file\n",
                );
                None
            }
            _ => Some(failed(&failure)),
        },
    }
}

fn told(config: &EffectiveConfig) -> String {
    let setting = |line: &crate::admin::dto::SettingLine| Setting {
        key: line.key.clone(),
        value: line.value.clone(),
        place: line.file.clone().zip(line.line),
        variables: None,
    };
    let settings: Vec<Setting> = config.settings.iter().map(setting).collect();
    let mut text = listed(&settings);
    for one in &config.overrides {
        let subject = match &one.backend {
            Some(backend) => format!("{}/{backend}", one.cluster),
            None => one.cluster.clone(),
        };
        let (value, change) = (Said(&one.value), one.change);
        text += &format!("# set: {subject} {}: {value} (lb undo {change})\n", one.field);
    }
    text
}
