//! `lb agent`: runs an app and announces it, for as long as it takes requests.

use std::{
    ffi::OsString,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    sync::Arc,
    time::{Duration, Instant},
};

use clap::{Args, ValueEnum};
use lb_proxy::parse_duration;

use super::{
    announce::{AnnounceArgs, announcer, start_line},
    exit::Exit,
    log, print,
};
use crate::{
    agent::{Agent, Format, Limit, Patience, Question, Ready, Restarts, Supervisor, attend},
    notify::Notifier,
};

#[derive(Debug, Args)]
pub(super) struct AgentArgs {
    #[command(flatten)]
    announce: AnnounceArgs,

    /// When the app takes requests: once its port can be connected to (tcp), once a path is
    /// answered with a status below 400, once it says READY=1 to NOTIFY_SOCKET (notify), or
    /// once it writes a line to a file descriptor.
    #[arg(long, value_name = "tcp|http:/PATH|notify|fd:N", default_value = "tcp")]
    #[arg(value_parser = read_ready)]
    ready: ReadyBy,

    /// How long it may take until then; after that it is ended and started again.
    #[arg(long, value_name = "DURATION", default_value = "60s", value_parser = parse_duration)]
    ready_timeout: Duration,

    /// How the app is asked each second how it is: a goodbye after two failures in a row,
    /// and announced again after two successes.
    #[arg(long, value_name = "tcp|http:/PATH|off", default_value = "tcp")]
    #[arg(value_parser = read_check)]
    check: CheckBy,

    /// Where the app is asked, on this machine (default: 127.0.0.1 or ::1).
    #[arg(long, value_name = "IP")]
    at: Option<IpAddr>,

    /// End and restart the app when it has not said WATCHDOG=1 to NOTIFY_SOCKET for so long.
    #[arg(long, value_name = "DURATION", value_parser = parse_duration)]
    watchdog: Option<Duration>,

    /// After the goodbye, requests in flight have so long before the app is told to end.
    #[arg(long, value_name = "DURATION", default_value = "500ms", value_parser = parse_duration)]
    finish: Duration,

    /// Once told to end, the app has so long before it is killed.
    #[arg(long, value_name = "DURATION", default_value = "10s", value_parser = parse_duration)]
    grace: Duration,

    /// End with the app's code when it would be started again more often than this within
    /// 10 minutes, or another time: `5`, `5/1h`; `0` never starts it again.
    #[arg(long, value_name = "N[/DURATION]", value_parser = read_limit)]
    max_restarts: Option<Limit>,

    /// How lines of the app are written: `[node] line`, or as JSON objects.
    #[arg(long, value_name = "FORMAT", default_value = "text")]
    log_format: LogFormat,

    /// Say on this file descriptor, by a line, that the app is ready: for s6.
    #[arg(long, value_name = "FD", value_parser = clap::value_parser!(i32).range(3..=1023))]
    notification_fd: Option<i32>,

    /// The app and its arguments.
    #[arg(last = true, required = true, value_name = "APP")]
    command: Vec<OsString>,
}

/// What stands below the help.
pub(super) const AFTER_HELP: &str = "\
The key comes from --key-file or LB_ANNOUNCE_KEY, which the app does not see.

Example:
  lb agent --join lb.example:7950 --cluster dynamic --port 3000 -- ./app --listen 3000

An app that ends is started again: at once if it had been running, else 1 s after its
start, then 2 s, up to 30 s.

Signals:
  TERM, INT         take no new clients for --drain, say goodbye, let requests in flight
                    end for --finish, pass it on to the app, kill the app after --grace
  QUIT              the same, but without --grace
  TERM, INT again   kill the app at once
  HUP, USR1, USR2, WINCH   are passed on to the app

It ends with the app's code (128 + N for signal N); with 0 if the app was ended by the
signal that was passed on.
";

#[derive(Debug, Clone)]
enum ReadyBy {
    Asking(Ask),
    Notify,
    Fd(i32),
}

#[derive(Debug, Clone)]
enum CheckBy {
    Asking(Ask),
    Off,
}

#[derive(Debug, Clone)]
enum Ask {
    Tcp,
    Http(Box<str>),
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum LogFormat {
    Text,
    Json,
}

/// Runs an app until it is over for good.
pub(super) fn agent(args: &AgentArgs) -> Exit {
    let prepared = log::start("info").and_then(|_| prepare(args));
    let agent = match prepared {
        Ok(agent) => agent,
        Err(error) => {
            print::error(&error);
            return Exit::Usage;
        }
    };
    let ended = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(anyhow::Error::from)
        .and_then(|runtime| runtime.block_on(attend(agent)));
    match ended {
        Ok(code) => Exit::OfApp(code),
        Err(error) => {
            print::error(&error);
            Exit::Failed
        }
    }
}

fn prepare(args: &AgentArgs) -> anyhow::Result<Agent> {
    let announcer = announcer(&args.announce)?;
    let question = |ask: &Ask| match ask {
        Ask::Tcp => Question { at: places(args), path: None },
        Ask::Http(path) => Question { at: places(args), path: Some(path.clone()) },
    };
    let ready = match &args.ready {
        ReadyBy::Asking(ask) => Ready::Answers(question(ask)),
        ReadyBy::Notify => Ready::Notifies,
        ReadyBy::Fd(number) => Ready::Writes(*number),
    };
    let check = match &args.check {
        CheckBy::Asking(ask) => Some(question(ask)),
        CheckBy::Off => None,
    };
    let patience = Patience {
        ready: args.ready_timeout,
        drain: args.announce.drain.unwrap_or_default(),
        finish: args.finish,
        grace: args.grace,
        watchdog: args.watchdog,
    };
    let notifier = Notifier::new(args.notification_fd)?;
    print::result(&format!("{}\n", start_line(&announcer, &args.announce)))?;
    Ok(Agent {
        command: args.command.clone(),
        ready,
        check,
        node: node(args),
        format: match args.log_format {
            LogFormat::Text => Format::Text,
            LogFormat::Json => Format::Json,
        },
        watchdog: args.watchdog,
        supervisor: Supervisor::new(patience, Restarts::new(args.max_restarts), Instant::now()),
        announcer,
        notifier: Arc::new(notifier),
        notification_fd: args.notification_fd,
    })
}

/// What this node is called in the app's lines.
fn node(args: &AgentArgs) -> String {
    let host = || rustix::system::uname().nodename().to_string_lossy().into_owned();
    args.announce.name.as_deref().map_or_else(host, ToOwned::to_owned)
}

/// Where the app may be asked.
fn places(args: &AgentArgs) -> Vec<SocketAddr> {
    let announced = args.announce.address;
    let port = announced.map(|address| address.port()).or(args.announce.port).unwrap_or_default();
    match args.at.or_else(|| announced.map(|address| address.ip())) {
        Some(ip) => vec![SocketAddr::new(ip, port)],
        None => vec![(Ipv4Addr::LOCALHOST, port).into(), (Ipv6Addr::LOCALHOST, port).into()],
    }
}

fn read_ready(text: &str) -> Result<ReadyBy, String> {
    let number = |text: &str| text.parse().ok().filter(|number| (0..=1023).contains(number));
    match (text, text.strip_prefix("fd:")) {
        ("notify", _) => Ok(ReadyBy::Notify),
        (_, Some(fd)) => match number(fd) {
            Some(1..=2) | None => Err("write it like `fd:3`: 1 and 2 are printed to".to_owned()),
            Some(number) => Ok(ReadyBy::Fd(number)),
        },
        _ => read_ask(text)
            .map(ReadyBy::Asking)
            .ok_or_else(|| "it is one of `tcp`, `http:/path`, `notify`, `fd:3`".to_owned()),
    }
}

fn read_check(text: &str) -> Result<CheckBy, String> {
    match text {
        "off" => Ok(CheckBy::Off),
        _ => read_ask(text)
            .map(CheckBy::Asking)
            .ok_or_else(|| "it is one of `tcp`, `http:/path`, `off`".to_owned()),
    }
}

fn read_ask(text: &str) -> Option<Ask> {
    if text == "tcp" {
        return Some(Ask::Tcp);
    }
    let path = text.strip_prefix("http:").filter(|path| path.starts_with('/'))?;
    path.parse::<http::Uri>().ok().map(|_| Ask::Http(path.into()))
}

fn read_limit(text: &str) -> Result<Limit, String> {
    let (count, within) = match text.split_once('/') {
        Some((count, within)) => (count, parse_duration(within)?),
        None => (text, DEFAULT_WITHIN),
    };
    let count = count.parse().map_err(|_| "write it like `5`, or `5/1h`".to_owned())?;
    Ok(Limit { count, within })
}

const DEFAULT_WITHIN: Duration = Duration::from_mins(10);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_limit_of_restarts_is_a_number_within_a_time() {
        let limit = |count, secs| Limit { count, within: Duration::from_secs(secs) };
        assert_eq!(read_limit("5"), Ok(limit(5, 600)));
        assert_eq!(read_limit("0/1h"), Ok(limit(0, 3_600)));
        for wrong in ["", "x", "5/", "-1", "5/10"] {
            assert!(read_limit(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn readiness_that_cannot_be_is_refused() {
        for right in ["tcp", "http:/", "http:/ready?x", "notify", "fd:0", "fd:3"] {
            assert!(read_ready(right).is_ok(), "{right}");
        }
        for wrong in ["", "off", "http", "http:ready", "http:/a b", "fd:1", "fd:x", "fd:-1"] {
            assert!(read_ready(wrong).is_err(), "{wrong}");
        }
    }
}
