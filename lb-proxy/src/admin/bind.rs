//! Opening what `[admin]` asks for.
//!
//! What somebody asked for is there or the start fails. What is only usual, because
//! nobody said anything, may be taken by a second balancer on the machine: then this one
//! goes on without, and says so.

use std::{
    env, io,
    net::{SocketAddr, TcpListener},
    path::{Path, PathBuf},
    sync::Arc,
};

use anyhow::Context as _;
use lb_proxy::config::{Admin as Settings, AdminSocket, Bind, Config, Token};
use rustix::fs::{Access as May, access};
use socket2::{Domain, Protocol, Type};

use super::{access::Access, rules::make_token, socket::Socket};

/// What listens, and is not served yet.
#[derive(Debug)]
pub(crate) struct Bound {
    pub(super) tcp: Option<(TcpListener, SocketAddr)>,
    pub(super) socket: Option<Socket>,
    pub(super) access: Arc<Access>,
    made: Option<Token>,
}

/// Opens the address and the socket.
pub(crate) fn bind(config: &Config) -> anyhow::Result<Bound> {
    let settings = &config.admin;
    let tcp = match &settings.listen {
        None => None,
        Some(bind) if settings.is_listen_asked => {
            let bound = listen(bind);
            Some(bound.with_context(|| format!("cannot serve the API on `{bind}`"))?)
        }
        Some(bind) => listen_if_free(bind, config),
    };
    let socket = match &settings.socket {
        AdminSocket::Off => None,
        AdminSocket::At(path) => {
            let bound = Socket::bind(path);
            Some(bound.with_context(|| format!("cannot serve the API on `{}`", path.display()))?)
        }
        AdminSocket::Usual => usual_socket().and_then(|path| socket_if_free(&path)),
    };
    let made = match (&tcp, &settings.token) {
        (Some(_), None) => Some(make_token().context("cannot make a token")?),
        _ => None,
    };
    let access = Access::new(settings, made.clone()).context("cannot make a link")?;
    let access = Arc::new(access);
    Ok(Bound { tcp, socket, access, made })
}

impl Bound {
    /// Lines that say where the API is; none where it is not.
    pub(crate) fn lines(&self, settings: &Settings) -> Vec<String> {
        let link = self.tcp.as_ref().zip(self.access.code());
        let link = link.filter(|_| settings.token.is_none()).map(|((_, address), code)| {
            format!("in a browser, once, within 15 minutes: http://{address}/login?once={code}")
        });
        self.line(settings).into_iter().chain(link).collect()
    }

    fn line(&self, settings: &Settings) -> Option<String> {
        let mut places = Vec::new();
        places.extend(self.tcp.as_ref().map(|(_, address)| format!("http://{address}")));
        places.extend(self.socket.as_ref().map(|one| one.file.path().display().to_string()));
        let places = (!places.is_empty()).then(|| places.join(" and "))?;
        Some(match (&self.made, &settings.token) {
            (Some(token), _) => format!("the API is on {places}; token {}", token.reveal()),
            (None, _) => format!("the API is on {places}"),
        })
    }
}

/// Connections that wait to be accepted.
const BACKLOG: i32 = 128;

fn listen(bind: &Bind) -> io::Result<(TcpListener, SocketAddr)> {
    let address = bind.resolve()?;
    let socket =
        socket2::Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    if address.is_ipv6() {
        // As those that clients connect to: `[::]` is not `0.0.0.0` as well.
        socket.set_only_v6(true)?;
    }
    socket.set_reuse_address(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    let listener = TcpListener::from(socket);
    listener.set_nonblocking(true)?;
    let address = listener.local_addr()?;
    Ok((listener, address))
}

fn listen_if_free(bind: &Bind, config: &Config) -> Option<(TcpListener, SocketAddr)> {
    // The listeners are opened after this.
    if config.listeners.iter().any(|listener| listener.bind.collides(bind)) {
        tracing::warn!("a listener has `{bind}`: the API is not served on an address");
        return None;
    }
    let bound = listen(bind);
    if let Err(error) = &bound {
        tracing::warn!(%error, "the API is not served on `{bind}`; `--admin` names another address");
    }
    bound.ok()
}

fn socket_if_free(path: &Path) -> Option<Socket> {
    let bound = Socket::bind(path);
    if let Err(error) = &bound {
        let path = path.display();
        tracing::warn!(%error, "the API is not served on `{path}`; `socket` of `[admin]` names another");
    }
    bound.ok()
}

/// Where such sockets usually are, if we may make one there.
fn usual_socket() -> Option<PathBuf> {
    let own = env::var_os("XDG_RUNTIME_DIR").map(PathBuf::from).filter(|path| path.is_absolute());
    let candidates = own.map(|own| own.join("lb.sock")).into_iter();
    let candidates = candidates.chain([PathBuf::from("/run/lb/lb.sock")]);
    let may_write = |path: &PathBuf| {
        path.parent().is_some_and(|folder| access(folder, May::WRITE_OK | May::EXEC_OK).is_ok())
    };
    candidates.into_iter().find(may_write)
}
