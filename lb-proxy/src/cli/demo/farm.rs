//! The demo's backends, and the balancer in front of them.

use std::{
    io,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    sync::Arc,
};

use anyhow::{Context as _, ensure};
use lb_proxy::{
    config::{Bind, Config, Pretended},
    demo::{DemoBackend, DemoOptions},
};

use crate::{
    app::{App, Ending, Reread, Signals},
    control::{Ledger, Mistakes},
};

/// Two clusters, as a person would write them down.
const FILE: &str = r#"listen = "{listen}"

[[route]]
path  = "/api/"
strip = true                      # /api/x reaches the backend as /x
to    = "dynamic"

[[route]]
to = "static"

[cluster.static]
sticky   = { cookie = "ROUTEID" }
health   = { path = "/", interval = "250ms", timeout = "250ms", rise = 1, fall = 2 }
backends = [
  { address = "{s1}", name = "s1" },
  { address = "{s2}", name = "s2" },
]

[cluster.dynamic]
strategy = "round-robin"
health   = { path = "/", interval = "250ms", timeout = "250ms", rise = 1, fall = 2 }
backends = [
  { address = "{d1}", name = "d1" },
  { address = "{d2}", name = "d2" },
]
"#;

pub(super) struct Farm {
    config: Config,
    file: String,
    app: App,
    members: Vec<Member>,
}

/// A backend that can be killed and comes back where it was.
struct Member {
    name: &'static str,
    address: SocketAddr,
    running: Option<DemoBackend>,
}

impl Farm {
    pub(super) fn start(bind: &Bind) -> anyhow::Result<Self> {
        let members: Vec<Member> = ["s1", "s2", "d1", "d2"]
            .into_iter()
            .map(|name| {
                let running = DemoOptions::named(name).start()?;
                Ok(Member { name, address: running.address(), running: Some(running) })
            })
            .collect::<io::Result<_>>()
            .context("cannot start the backends")?;
        let mut file = FILE.replace("{listen}", &bind.to_string());
        for member in &members {
            file = file.replace(&format!("{{{}}}", member.name), &member.address.to_string());
        }
        let (config, found) = Config::parse("lb demo", &file, &Pretended::default());
        let config = config.with_context(|| found.render(false))?;
        let app = App::start(&config, "demo", Ledger::forgetful()?)?;
        Ok(Self { config, file, app, members })
    }

    /// The configuration it runs.
    pub(super) fn file(&self) -> &str {
        &self.file
    }

    /// Where clients find it.
    pub(super) fn address(&self) -> anyhow::Result<SocketAddr> {
        let listening = self.app.addresses().first().copied();
        listening.map(reachable).context("nothing is listened on")
    }

    /// Ends a backend in the middle of whatever it is doing.
    pub(super) fn kill(&mut self, name: &str) -> anyhow::Result<()> {
        let running = self.member(name)?.running.take();
        ensure!(running.is_some(), "{name} is not running");
        Ok(())
    }

    /// Starts a killed one again, at its old address.
    pub(super) fn revive(&mut self, name: &str) -> anyhow::Result<()> {
        let member = self.member(name)?;
        let revived = DemoOptions::named(member.name).bind(member.address).start();
        member.running = Some(revived.with_context(|| format!("{name} cannot come back"))?);
        Ok(())
    }

    fn member(&mut self, name: &str) -> anyhow::Result<&mut Member> {
        let found = self.members.iter_mut().find(|member| member.name == name);
        found.with_context(|| format!("there is no backend {name}"))
    }

    pub(super) fn serve(self, signals: Signals) -> Ending {
        let unread: Reread = Arc::new(|_| Err(Mistakes::default()));
        self.app.serve(signals, &unread, &|_| None)
    }

    pub(super) fn stop(self) {
        self.app.stop();
    }

    /// What runs, and what to try.
    pub(super) fn tour(&self) -> anyhow::Result<String> {
        let url = format!("http://{}", self.address()?);
        let mut text = format!("{}\n\n", self.app.start_line(&self.config, "lb demo"));
        for line in self.file.lines() {
            let indent = if line.is_empty() { "" } else { "    " };
            text += &format!("{indent}{line}\n");
        }
        let tries = [
            (
                format!("for i in 1 2 3 4; do curl -s {url}/api/x; done"),
                "d1 and d2 in turn, asked for /x",
            ),
            (
                format!("for i in 1 2 3 4; do curl -s -b jar -c jar {url}/; done"),
                "one of s1 and s2",
            ),
            (format!("curl {url}/headers"), "what a backend is told"),
            (format!("curl -o /dev/null {url}/bytes/1000000000"), "a gigabyte, streamed"),
            ("lb demo --check".to_owned(), "kills and revives, and counts what is lost"),
        ];
        let width = tries.iter().map(|(command, _)| command.len()).max().unwrap_or(0);
        text += "\nTry:\n\n";
        for (command, what) in tries {
            text += &format!("  {command:width$}   # {what}\n");
        }
        text += "\nCtrl-C ends it.\n";
        Ok(text)
    }
}

/// An address that a browser on this machine can be given.
fn reachable(mut address: SocketAddr) -> SocketAddr {
    match address.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => address.set_ip(Ipv4Addr::LOCALHOST.into()),
        IpAddr::V6(ip) if ip.is_unspecified() => address.set_ip(Ipv6Addr::LOCALHOST.into()),
        _ => {}
    }
    address
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_for_all_interfaces_is_shown_as_one_that_can_be_reached() {
        for (listening, shown) in [
            ("0.0.0.0:80", "127.0.0.1:80"),
            ("[::]:80", "[::1]:80"),
            ("10.0.0.1:80", "10.0.0.1:80"),
        ] {
            let listening: SocketAddr = listening.parse().expect("an address");
            assert_eq!(reachable(listening).to_string(), shown);
        }
    }
}
