//! Configuration files.

use std::path::Path;

use crate::config::{Config, Pretended};

/// Any text is either a configuration or explained, and the explanation can be
/// printed. A line `#file NAME` begins another file, which the first may include; a
/// line `#env NAME=VALUE` sets a variable.
pub fn config(input: &[u8]) {
    let Ok(text) = str::from_utf8(input) else { return };
    let mut world = Pretended::default();
    let mut name = "fuzz.toml";
    for line in text.split_inclusive('\n') {
        let plain = line.trim_end();
        if let Some(next) = plain.strip_prefix("#file ") {
            name = next;
        } else if let Some((name, value)) =
            plain.strip_prefix("#env ").and_then(|variable| variable.split_once('='))
        {
            world.variables.insert(name.to_owned(), value.to_owned());
        } else {
            *world.files.entry(name.into()).or_default() += line;
        }
    }
    let text = world.files.get(Path::new("fuzz.toml")).cloned().unwrap_or_default();
    let (config, diagnostics) = Config::parse("fuzz.toml", &text, &world);
    assert_eq!(config.is_some(), !diagnostics.has_errors());
    assert_eq!(diagnostics.is_empty(), diagnostics.render(false).is_empty());
    let settings = Config::settings("fuzz.toml", &text, &world);
    if let Some(config) = config {
        assert!(!config.listeners.is_empty() && !config.routes.is_empty());
        assert!(config.routes.iter().all(|route| route.cluster < config.clusters.len()));
        assert!(config.route_table().shadowed().is_empty());
        assert!(settings.iter().any(|setting| setting.key == "version"));
    }
}
