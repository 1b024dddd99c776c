//! The socket of a member, and the task that serves it: timers must not wait until
//! somebody asks for backends, or the others would take this one for dead.
//!
//! Sources at the same address share a member, also those of a configuration before and
//! the one after. The task ends with the last of them.

use std::{
    collections::BTreeMap,
    fmt, io,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    sync::{Arc, Mutex, MutexGuard, PoisonError, Weak},
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use lb_core::Tick;
use rustix::rand::{GetRandomFlags, getrandom};
use tokio::{
    net::{TcpStream, UdpSocket, lookup_host},
    sync::Notify,
    task::{AbortHandle, JoinSet, yield_now},
    time::{Instant, sleep, sleep_until, timeout},
};

use super::{
    engine::{Engine, Errands},
    envelope::{MAX_LENGTH, Ring},
    node::Node,
    post::{Post, UNIQUE},
    profile::Profile,
    view::View,
    watch::Answer,
};
use crate::{
    announce::{Moment, Refusals, group::listen},
    source::SourceError,
};

/// How to be a member.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// Where datagrams are received.
    pub bind: SocketAddr,
    /// Where others reach it, if that is not `bind`; unless set, the address of this
    /// machine on its way to them.
    pub advertise: Option<SocketAddr>,
    /// Whom to ask for the others: `host:port`, of which all addresses are asked.
    pub join: Vec<Box<str>>,
    /// The keys.
    pub ring: Ring,
    /// Without keys, whoever can send is believed. That is refused unless this is set or
    /// only this machine can send.
    pub insecure: bool,
    /// How fast deaths are noticed.
    pub profile: Profile,
    /// How far the clock of a member may be from the one here.
    pub max_skew: Duration,
}

/// All members of a process, so that sources at the same address share one.
#[derive(Clone, Debug, Default)]
pub struct Meshes(Arc<Mutex<BTreeMap<Place, Weak<Mesh>>>>);

type Place = (SocketAddr, Option<SocketAddr>, Profile);

/// One member.
pub(super) struct Mesh {
    settings: Mutex<Settings>,
    start: Instant,
    pub(super) refusals: Arc<Refusals>,
    running: Mutex<Option<Running>>,
}

struct Running {
    shared: Arc<Shared>,
    task: AbortHandle,
}

/// What the task and others share.
pub(super) struct Shared {
    socket: UdpSocket,
    start: Instant,
    engine: Mutex<Engine>,
    join: Mutex<Vec<Box<str>>>,
    /// Something is to be sent.
    poked: Notify,
}

/// The part of a source that others can reach.
#[derive(Debug)]
pub(super) struct Reader {
    view: Mutex<View>,
    /// There may be something to say.
    pub(super) told: Notify,
}

impl Meshes {
    /// The member there, with these settings from now on.
    pub(super) fn at(&self, settings: Settings) -> Arc<Mesh> {
        let mut all = lock(&self.0);
        all.retain(|_, mesh| mesh.strong_count() > 0);
        let place = (settings.bind, settings.advertise, settings.profile);
        if let Some(mesh) = all.get(&place).and_then(Weak::upgrade) {
            mesh.change(settings);
            return mesh;
        }
        let mesh = Arc::new(Mesh::new(settings));
        all.insert(place, Arc::downgrade(&mesh));
        mesh
    }
}

impl Mesh {
    pub(super) fn new(settings: Settings) -> Self {
        Self {
            settings: Mutex::new(settings),
            start: Instant::now(),
            refusals: Arc::default(),
            running: Mutex::default(),
        }
    }

    fn change(&self, settings: Settings) {
        if let Some(running) = &*lock(&self.running) {
            running.shared.engine().post.ring = settings.ring.clone();
            (*lock(&running.shared.join)).clone_from(&settings.join);
        }
        *lock(&self.settings) = settings;
    }

    pub(super) fn settings(&self) -> Settings {
        lock(&self.settings).clone()
    }

    /// Where others reach it, once it runs.
    pub(super) fn address(&self) -> Option<SocketAddr> {
        lock(&self.running).as_ref()?.shared.socket.local_addr().ok()
    }

    /// The member, started if need be.
    pub(super) fn open(&self) -> Result<Arc<Shared>, SourceError> {
        let mut running = lock(&self.running);
        if let Some(running) = &*running {
            return Ok(Arc::clone(&running.shared));
        }
        let settings = self.settings();
        let shared = Arc::new(self.start(&settings)?);
        let task = tokio::spawn(serve(Arc::clone(&shared))).abort_handle();
        *running = Some(Running { shared: Arc::clone(&shared), task });
        Ok(shared)
    }

    fn start(&self, settings: &Settings) -> Result<Shared, SourceError> {
        let Settings { bind, profile, ring, .. } = settings;
        if ring.is_empty() && !settings.insecure && !bind.ip().is_loopback() {
            return Err(SourceError::new("gossip without a key is believed from anybody"));
        }
        let cannot = |what: String| move |error: io::Error| SourceError::new(what).because(error);
        let socket =
            listen(*bind, false).map_err(cannot(format!("cannot listen on udp {bind}")))?;
        let bound = socket.local_addr().map_err(cannot("the socket has no address".to_owned()))?;
        let me = own_address(settings, bound).map_err(cannot(
            "cannot tell where others reach this machine, which `advertise` would say".to_owned(),
        ))?;
        let mut unique = [0; UNIQUE];
        getrandom(&mut unique, GetRandomFlags::empty())
            .map_err(|error| cannot("there is no randomness".to_owned())(error.into()))?;
        let mut entropy = [0; 8];
        entropy.copy_from_slice(&unique[..8]);
        let now = now(self.start);
        let node = Node::new(
            me,
            now.unix_ms,
            *profile,
            Vec::new(),
            // Chance is no secret; nonces are none either.
            u64::from_be_bytes(entropy),
            now.tick,
        );
        let refusals = Arc::clone(&self.refusals);
        let post = Post::new(ring.clone(), me, now.unix_ms, unique, settings.max_skew, refusals);
        Ok(Shared {
            socket,
            start: self.start,
            engine: Mutex::new(Engine::new(node, post, *profile, now.tick)),
            join: Mutex::new(settings.join.clone()),
            poked: Notify::new(),
        })
    }

    pub(super) fn now(&self) -> Tick {
        now(self.start).tick
    }
}

impl Drop for Mesh {
    fn drop(&mut self) {
        if let Some(running) = &*lock(&self.running) {
            running.task.abort();
        }
    }
}

impl Shared {
    pub(super) fn engine(&self) -> MutexGuard<'_, Engine> {
        lock(&self.engine)
    }

    pub(super) fn now(&self) -> Moment {
        now(self.start)
    }

    pub(super) fn instant(&self, at: Tick) -> Instant {
        self.start + at.since(Tick::ZERO)
    }

    /// Sends what there is to send, now.
    pub(super) fn poke(&self) {
        self.poked.notify_one();
    }

    /// Hands in what has arrived, for a while at most. Says whether that was all.
    fn read(&self) -> bool {
        let mut bytes = [0; MAX_LENGTH + 1];
        for _ in 0..AT_ONCE {
            match self.socket.try_recv_from(&mut bytes) {
                Ok((length, from)) => {
                    let from = from.ip().to_canonical();
                    self.engine().hear(&bytes[..length], from, self.now());
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return true,
                // What a datagram sent earlier came to: somebody is not there.
                Err(_) => {}
            }
        }
        false
    }

    fn send(&self, errands: &Errands) {
        for (to, bytes) in &errands.datagrams {
            // One that cannot be sent is lost, as others are.
            let _ = self.socket.try_send_to(bytes, *to);
        }
    }
}

impl Reader {
    pub(super) fn new(view: View) -> Self {
        Self { view: Mutex::new(view), told: Notify::new() }
    }

    pub(super) fn view(&self) -> MutexGuard<'_, View> {
        lock(&self.view)
    }
}

impl fmt::Debug for Mesh {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Mesh").field("settings", &self.settings).finish_non_exhaustive()
    }
}

/// What was begun and has ended.
enum Done {
    Tried { node: SocketAddr, begun: Tick, answer: Option<Answer> },
    Found(Vec<SocketAddr>),
}

async fn serve(shared: Arc<Shared>) {
    let mut tasks = JoinSet::new();
    let join = lock(&shared.join).clone();
    tasks.spawn(find(join, Duration::ZERO));
    loop {
        // Whoever has spoken while this was not running must be heard before anybody is
        // taken for silent.
        for _ in 0..ROUNDS {
            if shared.read() {
                break;
            }
            yield_now().await;
        }
        let (errands, wakes_at) = {
            let mut engine = shared.engine();
            let now = shared.now();
            (engine.turn(now), engine.wakes_at(now.tick))
        };
        shared.send(&errands);
        for (node, backend) in errands.connections {
            if tasks.len() < MAX_TASKS {
                tasks.spawn(connect(node, backend, shared.now().tick));
            }
        }
        tokio::select! {
            // An error is seen by the next read.
            _ = shared.socket.readable() => {}
            () = shared.poked.notified() => {}
            () = sleep_until(shared.instant(wakes_at)) => {}
            Some(Ok(done)) = tasks.join_next() => match done {
                Done::Tried { node, begun, answer: Some(answer) } => {
                    let now = shared.now().tick;
                    shared.engine().tried(node, begun, answer, now);
                }
                Done::Tried { .. } => {}
                Done::Found(seeds) => {
                    let is_somebody = !seeds.is_empty();
                    let join = lock(&shared.join).clone();
                    let pause = if is_somebody { FOUND_FOR } else { Duration::from_secs(1) };
                    tasks.spawn(find(join, pause));
                    let now = shared.now().tick;
                    shared.engine().node.set_seeds(seeds, now);
                }
            },
        }
    }
}

/// Looks for those who are asked for the others.
async fn find(join: Vec<Box<str>>, pause: Duration) -> Done {
    sleep(pause).await;
    let mut seeds = Vec::new();
    for one in &join {
        // One that cannot be found is looked for again.
        if let Ok(Ok(found)) = timeout(Duration::from_secs(2), lookup_host(&**one)).await {
            seeds.extend(found);
        }
    }
    Done::Found(seeds)
}

async fn connect(node: SocketAddr, backend: SocketAddr, begun: Tick) -> Done {
    let answer = match timeout(Duration::from_secs(2), TcpStream::connect(backend)).await {
        Ok(Ok(_)) => Some(Answer::Accepted),
        Ok(Err(error)) if error.kind() == io::ErrorKind::ConnectionRefused => Some(Answer::Refused),
        // Whoever is not reached says nothing.
        Ok(Err(_)) | Err(_) => None,
    };
    Done::Tried { node, begun, answer }
}

/// Where others reach this machine.
fn own_address(settings: &Settings, bound: SocketAddr) -> io::Result<SocketAddr> {
    if let Some(advertise) = settings.advertise {
        return Ok(advertise);
    }
    if !bound.ip().is_unspecified() {
        return Ok(bound);
    }
    // The system tells which of its addresses it would send from; nothing is sent.
    let (any, elsewhere): (IpAddr, IpAddr) = match bound {
        SocketAddr::V4(_) => (Ipv4Addr::UNSPECIFIED.into(), Ipv4Addr::new(192, 0, 2, 1).into()),
        SocketAddr::V6(_) => {
            (Ipv6Addr::UNSPECIFIED.into(), Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 1).into())
        }
    };
    let mut seeds = settings.join.iter().filter_map(|one| one.parse::<SocketAddr>().ok());
    let to = seeds.find(|seed| seed.is_ipv4() == bound.is_ipv4() && *seed != bound);
    let to = to.unwrap_or_else(|| SocketAddr::new(elsewhere, 9));
    let socket = std::net::UdpSocket::bind((any, 0))?;
    socket.connect(to)?;
    Ok(SocketAddr::new(socket.local_addr()?.ip(), bound.port()))
}

fn now(start: Instant) -> Moment {
    let unix = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let unix_ms = u64::try_from(unix.as_millis()).unwrap_or(u64::MAX);
    let tick = Tick::ZERO + Instant::now().saturating_duration_since(start);
    Moment { tick, unix_ms }
}

/// A panic while it was held leaves what was there before, or one datagram more.
pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// How many datagrams are read before anything else is done,
const AT_ONCE: usize = 64;
/// and how often that is, before it is the turn of timers.
const ROUNDS: usize = 64;
/// How many connections are tried at a time, and the search for seeds.
const MAX_TASKS: usize = 257;
/// One who is asked for the others and moves is found again within this time.
const FOUND_FOR: Duration = Duration::from_secs(30);
