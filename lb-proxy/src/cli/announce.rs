//! `lb announce`: tells balancers that a backend is here, until a signal ends it.
//!
//! It knows nothing of the backend itself. Whoever starts it beside a program ends it
//! with the program; when it is killed, its silence says so.

use std::{
    net::{IpAddr, SocketAddr},
    path::PathBuf,
    time::Duration,
};

use anyhow::Context as _;
use clap::Args;
use lb_core::Weight;
use lb_discovery::announce::{Announcer, Interface, Place, Record, State, Target};
use lb_proxy::{config::name_problem, parse_duration};
use tokio::{
    signal::unix::{Signal, SignalKind, signal},
    time::sleep,
};

use super::{
    exit::Exit,
    key::{random, read_key},
    print,
};

#[derive(Debug, Args)]
#[command(after_help = "\
The key comes from --key-file or LB_ANNOUNCE_KEY, and the balancer has the same one:
  [cluster.static]
  discover = { announce = \"0.0.0.0:7950\", key = { env = \"LB_ANNOUNCE_KEY\" } }

TERM or INT says goodbye, and the balancer sends nothing here any more; without a
goodbye, it waits for three intervals.
")]
pub(super) struct AnnounceArgs {
    /// A balancer; of a name, all addresses are told. May be repeated.
    #[arg(
        long,
        visible_alias = "join",
        value_delimiter = ',',
        value_name = "HOST:PORT",
        required_unless_present = "multicast"
    )]
    #[arg(value_parser = read_target)]
    to: Vec<Box<str>>,

    /// A multicast group that balancers listen to. May be repeated.
    #[arg(long, value_name = "GROUP:PORT", value_parser = read_group)]
    multicast: Vec<SocketAddr>,

    /// Through which interface a group is reached: a name, or its IPv4 address.
    #[arg(long, value_name = "NAME|IP", value_parser = str::parse::<Interface>)]
    interface: Option<Interface>,

    /// Which cluster the backend belongs to.
    #[arg(long, value_name = "NAME", value_parser = read_name)]
    cluster: Box<str>,

    /// Where the backend answers, on the address that the datagrams come from.
    #[arg(long, value_name = "PORT", required_unless_present = "address")]
    #[arg(value_parser = clap::value_parser!(u16).range(1..))]
    pub(super) port: Option<u16>,

    /// Where the backend answers; another address than this machine's needs a key with
    /// `relay`.
    #[arg(long, value_name = "IP:PORT", conflicts_with = "port")]
    pub(super) address: Option<SocketAddr>,

    /// What it is called (default: its address).
    #[arg(long, value_name = "NAME", value_parser = read_name)]
    pub(super) name: Option<Box<str>>,

    /// Its share.
    #[arg(long, value_name = "N", default_value = "1", value_parser = read_weight)]
    weight: Weight,

    /// Its tier; tier 1 is used when nobody of tier 0 can be.
    #[arg(long, value_name = "N", default_value_t = 0)]
    tier: u8,

    /// Its zone.
    #[arg(long, value_name = "NAME", value_parser = read_name)]
    zone: Option<Box<str>>,

    /// How often it is announced; three times this without a word, and it is gone.
    #[arg(long, value_name = "DURATION", default_value = "1s", value_parser = read_interval)]
    interval: Duration,

    /// At the end, take no new clients for so long before the goodbye.
    #[arg(long, value_name = "DURATION", value_parser = parse_duration)]
    pub(super) drain: Option<Duration>,

    /// Which address of this machine to send from (default: the system chooses).
    #[arg(long, value_name = "IP")]
    from: Option<IpAddr>,

    /// The file with the key.
    #[arg(long, value_name = "FILE")]
    key_file: Option<PathBuf>,
}

/// Announces a backend until a signal comes.
pub(super) fn announce(args: &AnnounceArgs) -> Exit {
    let announcer = match announcer(args) {
        Ok(announcer) => announcer,
        Err(error) => {
            print::error(&error);
            return Exit::Usage;
        }
    };
    let ended = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(anyhow::Error::from)
        .and_then(|runtime| runtime.block_on(run(announcer, args)));
    match ended {
        Ok(()) => Exit::Done,
        Err(error) => {
            print::error(&error);
            Exit::Failed
        }
    }
}

pub(super) fn announcer(args: &AnnounceArgs) -> anyhow::Result<Announcer> {
    let key = read_key(args.key_file.as_deref())?;
    let place = args.address.map(Place::Address).or_else(|| args.port.map(Place::Port));
    let record = Record {
        name: args.name.clone(),
        weight: args.weight,
        tier: args.tier,
        zone: args.zone.clone(),
        ..Record::new(args.cluster.clone(), place.context("neither `--port` nor `--address`")?)
    };
    let target = |to| Target { to, interface: args.interface.clone() };
    let groups = args.multicast.iter().map(|group| group.to_string().into());
    let targets = args.to.iter().cloned().chain(groups).map(target).collect();
    let boot_id = u64::from_ne_bytes(random()?);
    let announcer = Announcer::new(key, record, targets, args.interval, boot_id)
        .context("this cannot be announced")?;
    Ok(match args.from {
        Some(from) => announcer.from(from),
        None => announcer,
    })
}

async fn run(mut announcer: Announcer, args: &AnnounceArgs) -> anyhow::Result<()> {
    let mut ends = Ends::listen()?;
    print::result(&format!("{}\n", start_line(&announcer, args)))?;
    let mut trouble = Trouble::default();
    repeat(&mut announcer, State::Up, &mut ends, &mut trouble).await;
    if let Some(drain) = args.drain {
        // A second signal ends the wait.
        let draining = repeat(&mut announcer, State::Draining, &mut ends, &mut trouble);
        let _ = tokio::time::timeout(drain, draining).await;
    }
    announcer.leave().await.context("the goodbye was not sent")
}

/// Sends until a signal comes.
async fn repeat(announcer: &mut Announcer, state: State, ends: &mut Ends, trouble: &mut Trouble) {
    loop {
        let sent = tokio::select! {
            sent = announcer.beat(state) => sent,
            () = ends.next() => return,
        };
        trouble.tell(sent);
        tokio::select! {
            () = sleep(announcer.pause()) => {}
            () = ends.next() => return,
        }
    }
}

pub(super) fn start_line(announcer: &Announcer, args: &AnnounceArgs) -> String {
    let groups = args.multicast.iter().map(ToString::to_string);
    let to: Vec<String> = args.to.iter().map(ToString::to_string).chain(groups).collect();
    let (key, interval) = (announcer.key_id(), args.interval);
    format!("announcing {} to {} every {interval:?}; key {key}", announcer.record(), to.join(", "))
}

/// The signals that end it.
struct Ends {
    terminate: Signal,
    interrupt: Signal,
}

impl Ends {
    fn listen() -> std::io::Result<Self> {
        let terminate = signal(SignalKind::terminate())?;
        Ok(Self { terminate, interrupt: signal(SignalKind::interrupt())? })
    }

    async fn next(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }
}

/// Whether it could be sent, told when that changes.
#[derive(Default)]
struct Trouble(Option<String>);

impl Trouble {
    fn tell(&mut self, sent: std::io::Result<()>) {
        let now = sent.err().map(|error| error.to_string());
        match (&self.0, &now) {
            (_, Some(text)) if self.0 != now => {
                print::diagnostic(&format!("warning: {text}; trying on\n"));
            }
            (Some(_), None) => print::diagnostic("announcing again\n"),
            _ => {}
        }
        self.0 = now;
    }
}

fn read_target(text: &str) -> Result<Box<str>, String> {
    let (host, port) = text.rsplit_once(':').ok_or("the port is missing: `lb.example:7950`")?;
    if host.is_empty() || host.contains("://") {
        return Err("write it like `lb.example:7950`".to_owned());
    }
    match port.parse::<u16>() {
        Ok(1..) => Ok(text.into()),
        _ => Err(format!("`{port}` is not a port from 1 to 65535")),
    }
}

fn read_group(text: &str) -> Result<SocketAddr, String> {
    let address = text.parse::<SocketAddr>().ok();
    address
        .filter(|address| address.ip().is_multicast() && address.port() != 0)
        .ok_or_else(|| "write it like `239.255.70.70:7950`".to_owned())
}

fn read_name(text: &str) -> Result<Box<str>, String> {
    name_problem(text).map_or_else(|| Ok(text.into()), Err)
}

fn read_weight(text: &str) -> Result<Weight, String> {
    let weight = text.parse().ok().and_then(Weight::new);
    weight.ok_or_else(|| "a weight is 1 to 65535".to_owned())
}

fn read_interval(text: &str) -> Result<Duration, String> {
    let interval = parse_duration(text)?;
    let (least, most) = (Duration::from_millis(100), Announcer::longest_interval());
    match (least..=most).contains(&interval) {
        true => Ok(interval),
        false => Err(format!("it must be {least:?} to {} min", most.as_secs() / 60)),
    }
}
