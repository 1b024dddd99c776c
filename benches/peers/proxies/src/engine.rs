//! The load generator and the four backends: one thread, one epoll.
//!
//! Both ends live in one loop so that everything that is not the proxy fits on
//! one core with as few system calls as possible: per request one write and one
//! read on either side, and one wait shared by all sockets that became ready
//! meanwhile. Level-triggered, because then one short read per event is correct
//! and nothing has to be read until it would block.

use std::{
    net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream},
    os::fd::AsFd,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use anyhow::{Context as _, Result, bail, ensure};
use rustix::{
    buffer::spare_capacity,
    event::{
        Timespec,
        epoll::{self, CreateFlags, Event, EventData, EventFlags},
    },
    fd::OwnedFd,
    io::Errno,
    net::SocketFlags,
};

use crate::{
    cli::Mode,
    framing::{Framing, Side},
    outbox::Outbox,
    traffic::Traffic,
};

const BACKENDS: usize = 4;
/// Without any event for so long the run has failed.
const SILENCE: Timespec = Timespec { tv_sec: 5, tv_nsec: 0 };

/// Drives clients and backends.
pub(crate) struct Engine {
    epoll: OwnedFd,
    events: Vec<Event>,
    scratch: Box<[u8]>,
    listeners: Vec<Backend>,
    connections: Vec<Slot>,
    free: Vec<usize>,
    traffic: Traffic,
    target: Option<SocketAddr>,
    /// Requests still to be started, and those whose answer is awaited.
    to_start: u64,
    awaited: u64,
    stop: Arc<AtomicBool>,
}

#[derive(Debug)]
struct Backend {
    listener: TcpListener,
    served: u64,
}

/// A place for a connection. Its tag changes with each occupant, so that an event
/// for the previous one, fetched in the same batch, is recognised as stale.
#[derive(Debug)]
struct Slot {
    tag: u32,
    connection: Option<Connection>,
}

#[derive(Debug)]
struct Connection {
    stream: TcpStream,
    role: Role,
    framing: Framing,
    outbox: Outbox,
    /// The kernel has been asked to tell when the socket takes more.
    watches_writes: bool,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Role {
    /// The proxy's client.
    Client(Turn),
    /// A connection of the proxy to the backend of that number.
    Backend(usize),
}

/// Where a client stands between request and answer.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Turn {
    /// May send a request.
    Free,
    /// Waits for its answer.
    Awaiting,
    /// Has its answer; the proxy has yet to close the connection.
    Spent,
}

impl Engine {
    /// Starts the backends.
    pub(crate) fn new(traffic: Traffic, stop: Arc<AtomicBool>) -> Result<Self> {
        let mut engine = Self {
            epoll: epoll::create(CreateFlags::CLOEXEC)?,
            events: Vec::with_capacity(256),
            scratch: vec![0; 256 * 1024].into(),
            listeners: Vec::new(),
            connections: Vec::new(),
            free: Vec::new(),
            traffic,
            target: None,
            to_start: 0,
            awaited: 0,
            stop,
        };
        for number in 0..BACKENDS {
            let listener = listener()?;
            let data = EventData::new_u64(number as u64);
            epoll::add(&engine.epoll, &listener, data, EventFlags::IN)?;
            engine.listeners.push(Backend { listener, served: 0 });
        }
        Ok(engine)
    }

    /// Where the backends listen.
    pub(crate) fn backends(&self) -> Vec<SocketAddr> {
        let address = |backend: &Backend| backend.listener.local_addr().ok();
        self.listeners.iter().filter_map(address).collect()
    }

    /// Opens the client connections to the proxy.
    pub(crate) fn connect(&mut self, target: SocketAddr, connections: usize) -> Result<()> {
        self.target = Some(target);
        for _ in 0..connections {
            self.open_client()?;
        }
        Ok(())
    }

    /// Sends that many requests and returns when all are answered.
    pub(crate) fn run(&mut self, requests: u64) -> Result<()> {
        self.to_start = requests;
        for index in 0..self.connections.len() {
            let slot = &self.connections[index];
            let role = slot.connection.as_ref().map(|connection| connection.role);
            if role == Some(Role::Client(Turn::Free)) {
                self.start_request(index)?;
            }
        }
        while self.to_start > 0 || self.awaited > 0 {
            self.turn()?;
        }
        Ok(())
    }

    /// A proxy that left a backend out did less than it was asked to.
    pub(crate) fn check_all_backends_served(&self) -> Result<()> {
        let served: Vec<u64> = self.listeners.iter().map(|b| b.served).collect();
        let total: u64 = served.iter().sum();
        ensure!(
            served.iter().all(|&count| count * 8 > total),
            "the backends served {served:?} requests: that is not balanced"
        );
        Ok(())
    }

    fn turn(&mut self) -> Result<()> {
        let mut events = std::mem::take(&mut self.events);
        match epoll::wait(&self.epoll, spare_capacity(&mut events), Some(&SILENCE)) {
            Ok(0) => bail!("nothing happened for {} seconds", SILENCE.tv_sec),
            Ok(_) | Err(Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
        ensure!(!self.stop.load(Ordering::Relaxed), "interrupted");
        for event in events.drain(..) {
            let data = event.data.u64();
            if data < BACKENDS as u64 {
                self.accept(data as usize)?;
            } else {
                self.ready(data, event.flags)?;
            }
        }
        self.events = events;
        Ok(())
    }

    fn ready(&mut self, data: u64, flags: EventFlags) -> Result<()> {
        let (index, tag) = unpack(data);
        let slot = &self.connections[index];
        if slot.tag != tag || slot.connection.is_none() {
            return Ok(());
        }
        if flags.contains(EventFlags::OUT) {
            self.write(index)?;
        }
        if flags.intersects(EventFlags::IN | EventFlags::HUP | EventFlags::ERR) {
            self.read(index)?;
        }
        Ok(())
    }

    fn read(&mut self, index: usize) -> Result<()> {
        let Some(connection) = &mut self.connections[index].connection else {
            return Ok(());
        };
        let role = connection.role;
        let bytes = match rustix::io::read(&connection.stream, &mut *self.scratch) {
            Ok(0) => return self.closed(index),
            Ok(bytes) => bytes,
            Err(Errno::AGAIN | Errno::INTR) => return Ok(()),
            // A proxy may reset a backend connection it no longer needs.
            Err(Errno::CONNRESET) if connection.framing.is_idle() => return self.closed(index),
            Err(error) => return Err(error).with_context(|| format!("reading, {role:?}")),
        };
        let ended = connection.framing.feed(&self.scratch[..bytes])?;
        match role {
            Role::Backend(number) if ended > 0 => {
                self.listeners[number].served += ended as u64;
                connection.outbox.push(ended);
                self.write(index)
            }
            Role::Client(turn) if ended > 0 => {
                ensure!(ended == 1 && turn == Turn::Awaiting, "more answers than requests");
                self.awaited -= 1;
                match self.traffic.mode {
                    Mode::KeepAlive => {
                        connection.role = Role::Client(Turn::Free);
                        self.start_request(index)
                    }
                    Mode::NewConnections => {
                        connection.role = Role::Client(Turn::Spent);
                        Ok(())
                    }
                }
            }
            Role::Backend(_) | Role::Client(_) => Ok(()),
        }
    }

    fn write(&mut self, index: usize) -> Result<()> {
        let slot = &mut self.connections[index];
        let Some(connection) = &mut slot.connection else {
            return Ok(());
        };
        let message = match connection.role {
            Role::Client(_) => &self.traffic.request,
            Role::Backend(_) => &self.traffic.response,
        };
        let done = connection
            .outbox
            .flush(&connection.stream, message)
            .with_context(|| format!("writing, {:?}", connection.role))?;
        if done == connection.watches_writes {
            connection.watches_writes = !done;
            let mut flags = EventFlags::IN;
            flags.set(EventFlags::OUT, !done);
            epoll::modify(&self.epoll, &connection.stream, pack(index, slot.tag), flags)?;
        }
        Ok(())
    }

    fn start_request(&mut self, index: usize) -> Result<()> {
        if self.to_start == 0 {
            return Ok(());
        }
        self.to_start -= 1;
        self.awaited += 1;
        if let Some(connection) = &mut self.connections[index].connection {
            connection.role = Role::Client(Turn::Awaiting);
            connection.outbox.push(1);
        }
        self.write(index)
    }

    /// The other side closed.
    fn closed(&mut self, index: usize) -> Result<()> {
        let slot = &mut self.connections[index];
        let Some(connection) = slot.connection.take() else {
            return Ok(());
        };
        slot.tag = slot.tag.wrapping_add(1);
        self.free.push(index);
        let clean = connection.framing.is_idle() && connection.outbox.is_empty();
        ensure!(clean, "closed in the middle of a message, {:?}", connection.role);
        if let Role::Client(turn) = connection.role {
            ensure!(turn == Turn::Spent, "the proxy closed a connection it had to keep, {turn:?}");
            drop(connection);
            let index = self.open_client()?;
            self.start_request(index)?;
        }
        Ok(())
    }

    fn open_client(&mut self) -> Result<usize> {
        let target = self.target.context("no proxy to connect to")?;
        // On loopback the handshake is over when this returns, so it may block.
        let stream = TcpStream::connect(target).context("connecting to the proxy")?;
        stream.set_nonblocking(true)?;
        stream.set_nodelay(true)?;
        self.adopt(stream, Role::Client(Turn::Free), Side::Responses)
    }

    fn accept(&mut self, number: usize) -> Result<()> {
        loop {
            let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
            let accepted = rustix::net::accept_with(&self.listeners[number].listener, flags);
            match accepted {
                Ok(socket) => {
                    let stream = TcpStream::from(socket);
                    stream.set_nodelay(true)?;
                    self.adopt(stream, Role::Backend(number), Side::Requests)?;
                }
                Err(Errno::AGAIN) => return Ok(()),
                Err(Errno::INTR | Errno::CONNABORTED) => {}
                Err(error) => return Err(error.into()),
            }
        }
    }

    fn adopt(&mut self, stream: TcpStream, role: Role, side: Side) -> Result<usize> {
        let index = self.free.pop().unwrap_or_else(|| {
            self.connections.push(Slot { tag: 0, connection: None });
            self.connections.len() - 1
        });
        let slot = &mut self.connections[index];
        epoll::add(&self.epoll, stream.as_fd(), pack(index, slot.tag), EventFlags::IN)?;
        slot.connection = Some(Connection {
            stream,
            role,
            framing: Framing::new(side),
            outbox: Outbox::default(),
            watches_writes: false,
        });
        Ok(index)
    }
}

/// A listener whose backlog holds whatever a proxy opens at once.
fn listener() -> Result<TcpListener> {
    let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None)?;
    socket.bind(&SocketAddr::from((Ipv4Addr::LOCALHOST, 0)).into())?;
    socket.listen(4096)?;
    socket.set_nonblocking(true)?;
    Ok(socket.into())
}

/// Numbers below `BACKENDS` are the listeners'.
fn pack(index: usize, tag: u32) -> EventData {
    EventData::new_u64(((index + BACKENDS) as u64) << 32 | u64::from(tag))
}

fn unpack(data: u64) -> (usize, u32) {
    ((data >> 32) as usize - BACKENDS, data as u32)
}
