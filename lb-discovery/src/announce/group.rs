//! Sockets, and the groups that several machines hear at once.

use std::{
    fmt, io,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    str::FromStr,
};

use rustix::net::{netdevice::name_to_index, sockopt::set_ip_multicast_if_with_ifindex};
use socket2::{Domain, InterfaceIndexOrAddress, Protocol, Socket, Type};
use tokio::net::UdpSocket;

/// A multicast group, and where to hear or reach it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Group {
    /// Its address.
    pub address: IpAddr,
    /// Through which interface; `None`: the one that the system takes.
    pub interface: Option<Interface>,
}

/// A network interface.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Interface {
    /// The one of this name.
    Name(Box<str>),
    /// The one with this address.
    Address(Ipv4Addr),
}

/// A socket for announcements. A group can be heard by several processes.
pub(crate) fn listen(bind: SocketAddr, is_shared: bool) -> io::Result<UdpSocket> {
    let socket = open(bind)?;
    if is_shared {
        socket.set_reuse_address(true)?;
    }
    // All nodes may speak at once. The system gives what it is willing to.
    socket.set_recv_buffer_size(1 << 20)?;
    match bind {
        // Otherwise whatever group another process has joined would be heard here too.
        SocketAddr::V4(_) => socket.set_multicast_all_v4(false)?,
        SocketAddr::V6(_) => {
            socket.set_only_v6(false)?;
            socket.set_multicast_all_v6(false)?;
        }
    }
    socket.bind(&bind.into())?;
    UdpSocket::from_std(socket.into())
}

/// A socket to send from.
pub(super) fn speak(from: SocketAddr) -> io::Result<UdpSocket> {
    let socket = open(from)?;
    match from {
        SocketAddr::V4(_) => {
            socket.set_multicast_ttl_v4(1)?;
            socket.set_multicast_loop_v4(true)?;
        }
        SocketAddr::V6(_) => {
            socket.set_multicast_hops_v6(1)?;
            socket.set_multicast_loop_v6(true)?;
        }
    }
    socket.bind(&from.into())?;
    UdpSocket::from_std(socket.into())
}

fn open(address: SocketAddr) -> io::Result<Socket> {
    let socket = Socket::new(Domain::for_address(address), Type::DGRAM, Some(Protocol::UDP))?;
    socket.set_nonblocking(true)?;
    Ok(socket)
}

impl Group {
    /// Has a socket hear it.
    pub(super) fn join(&self, socket: &UdpSocket) -> io::Result<()> {
        let raw = socket2::SockRef::from(socket);
        match (self.address, &self.interface) {
            (IpAddr::V4(group), None) => raw.join_multicast_v4(&group, &Ipv4Addr::UNSPECIFIED),
            (IpAddr::V4(group), Some(Interface::Address(address))) => {
                raw.join_multicast_v4_n(&group, &InterfaceIndexOrAddress::Address(*address))
            }
            (IpAddr::V4(group), Some(Interface::Name(name))) => {
                let index = name_to_index(socket, name)?;
                raw.join_multicast_v4_n(&group, &InterfaceIndexOrAddress::Index(index))
            }
            (IpAddr::V6(group), interface) => {
                raw.join_multicast_v6(&group, index(socket, interface.as_ref())?)
            }
        }
    }

    /// Has a socket reach it.
    pub(super) fn reach(&self, socket: &UdpSocket) -> io::Result<()> {
        let raw = socket2::SockRef::from(socket);
        match (self.address, &self.interface) {
            (_, None) => Ok(()),
            (IpAddr::V4(_), Some(Interface::Address(address))) => raw.set_multicast_if_v4(address),
            (IpAddr::V4(_), Some(Interface::Name(name))) => {
                let index = name_to_index(socket, name)?;
                let any = Ipv4Addr::UNSPECIFIED;
                Ok(set_ip_multicast_if_with_ifindex(socket, &any, &any, index)?)
            }
            (IpAddr::V6(_), interface) => {
                raw.set_multicast_if_v6(index(socket, interface.as_ref())?)
            }
        }
    }
}

fn index(socket: &UdpSocket, interface: Option<&Interface>) -> io::Result<u32> {
    match interface {
        None => Ok(0),
        Some(Interface::Name(name)) => Ok(name_to_index(socket, name)?),
        Some(Interface::Address(_)) => {
            Err(io::Error::other("an interface for IPv6 is given by its name"))
        }
    }
}

impl FromStr for Interface {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if let Ok(address) = text.parse() {
            return Ok(Self::Address(address));
        }
        let is_name = (1..16).contains(&text.len())
            && text.bytes().all(|byte| byte.is_ascii_graphic() && !b"/:".contains(&byte));
        let reason = "an interface is a name like `eth0`, or its IPv4 address";
        if is_name { Ok(Self::Name(text.into())) } else { Err(reason) }
    }
}

impl fmt::Display for Interface {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Name(name) => f.write_str(name),
            Self::Address(address) => address.fmt(f),
        }
    }
}

impl fmt::Display for Group {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.address.fmt(f)?;
        self.interface.as_ref().map_or(Ok(()), |interface| write!(f, " on {interface}"))
    }
}

/// All addresses of the family of this one, any port.
pub(super) fn any_like(target: SocketAddr) -> SocketAddr {
    match target {
        SocketAddr::V4(_) => (Ipv4Addr::UNSPECIFIED, 0).into(),
        SocketAddr::V6(_) => (Ipv6Addr::UNSPECIFIED, 0).into(),
    }
}
