//! `[admin]`: where people see the farm and change it.
//!
//! What is served beyond this machine needs a token, and none is made up for it: one
//! that is printed at the start is for who sits at this machine. So such a file is
//! refused, with the line that is missing.

use std::{fmt, net::SocketAddr, path::PathBuf};

use super::{
    bind::{Bind, host_problem},
    diagnostic::Diagnostic,
    diagnostics::Diagnostics,
    listener::Listener,
    loader::Loader,
    reader::{Table, Text, Value},
    secret::read_secret,
};

/// Where the API is served, and to whom.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Admin {
    /// The address; `None`: no address.
    pub listen: Option<Bind>,
    /// Whether somebody asked for that address: it is an error then if it is taken.
    pub is_listen_asked: bool,
    /// The Unix socket.
    pub socket: AdminSocket,
    /// Who has it may do everything.
    pub token: Option<Token>,
    /// Who has it may see everything.
    pub read_token: Option<Token>,
    /// Names under which clients may ask, in lower case, without a port.
    pub hosts: Vec<Box<str>>,
}

/// The Unix socket of the API.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AdminSocket {
    /// Where such sockets usually are, if that can be written.
    Usual,
    /// None.
    Off,
    /// There.
    At(PathBuf),
}

/// A token. Nothing prints it.
#[derive(Clone, PartialEq, Eq)]
pub struct Token(Box<str>);

impl Token {
    /// Shorter ones could be guessed.
    pub const SHORTEST: usize = 16;

    /// Takes a text for a token, without what is around it.
    ///
    /// # Errors
    ///
    /// What is wrong with it; the text is not part of that.
    pub fn new(text: &str) -> Result<Self, String> {
        let text = text.trim();
        if text.len() < Self::SHORTEST {
            return Err(format!("shorter than {} characters", Self::SHORTEST));
        }
        match text.bytes().all(|byte| byte.is_ascii_graphic()) {
            true => Ok(Self(text.into())),
            false => Err("a token has letters, digits and punctuation only".to_owned()),
        }
    }

    /// The token itself.
    #[must_use]
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token(…)")
    }
}

/// How to make a token, and where it goes.
const LINE: &str = "token = { env = \"LB_ADMIN_TOKEN\" }";
const MAKE: &str = "a good one is what `openssl rand -hex 32` prints";

impl Admin {
    /// Nothing is served.
    #[must_use]
    pub fn off() -> Self {
        Self { listen: None, socket: AdminSocket::Off, ..Self::default() }
    }

    /// The address, where that is known without a look-up.
    #[must_use]
    pub fn address(&self) -> Option<SocketAddr> {
        match self.listen {
            Some(Bind::Socket(address)) => Some(address),
            _ => None,
        }
    }

    /// What is wrong with it as a whole: an error and its help.
    #[must_use]
    pub fn problem(&self) -> Option<(String, String)> {
        let listen = self.listen.as_ref().filter(|_| self.token.is_none())?;
        if listen.is_loopback() {
            return None;
        }
        Some((
            format!("the API would be open to everybody who reaches `{listen}`"),
            format!("write `{LINE}` into `[admin]`; {MAKE}"),
        ))
    }
}

impl Default for Admin {
    /// On this machine only.
    fn default() -> Self {
        Self {
            listen: Some(Bind::ADMIN),
            is_listen_asked: false,
            socket: AdminSocket::Usual,
            token: None,
            read_token: None,
            hosts: Vec::new(),
        }
    }
}

/// Reads `[admin]`.
pub(super) fn read_admin(
    table: Option<Table<'_>>,
    listeners: &[Listener],
    loader: &dyn Loader,
    out: &Diagnostics,
) -> Admin {
    let Some(mut table) = table else { return Admin::default() };
    let mut admin = Admin::default();
    let place = table.take("listen");
    if let Some(listen) = place.clone() {
        admin.is_listen_asked = true;
        admin.listen = read_listen(listen, listeners, out);
    }
    if let Some(socket) = table.take("socket") {
        admin.socket = match socket.is_off() {
            true => AdminSocket::Off,
            false => read_socket(socket, out),
        };
    }
    let token = table.take("token");
    let has_token = token.is_some();
    admin.token = token.and_then(|token| read_token(&token, loader, out));
    let read_only = table.take("read_token");
    if let Some(value) = read_only {
        admin.read_token = read_token(&value, loader, out);
        if admin.read_token.is_some() && admin.read_token == admin.token {
            out.push(
                value
                    .error("is the same as `token`", "who may only see could change everything")
                    .help(MAKE),
            );
        }
    }
    let hosts = table.take("hosts").and_then(|hosts| hosts.list(Some("write `hosts = [\"…\"]`")));
    admin.hosts = hosts.into_iter().flatten().filter_map(read_host).collect();
    if let (Some((message, help)), Some(place), false) = (admin.problem(), place, has_token) {
        out.push(
            Diagnostic::error(message)
                .at(place.span(), "not this machine only")
                .key(place.path())
                .help(help),
        );
    }
    table.finish();
    admin
}

fn read_listen(value: Value<'_>, listeners: &[Listener], out: &Diagnostics) -> Option<Bind> {
    if value.is_off() {
        return None;
    }
    let text = value.text()?;
    let bind = match Bind::parse(text.as_str()) {
        Ok(bind) => bind,
        Err(reason) => {
            let message = format!("`{}` is not an address to listen on", text.as_str());
            text.report(text.error(message, reason).help("`\"off\"` switches it off"));
            return None;
        }
    };
    if listeners.iter().any(|listener| listener.bind.collides(&bind)) {
        out.push(
            text.error(format!("a listener wants `{bind}` too"), "taken by a listener")
                .help("what people change the farm by has an address of its own"),
        );
    }
    Some(bind)
}

fn read_socket(value: Value<'_>, out: &Diagnostics) -> AdminSocket {
    let Some(text) = value.text() else { return AdminSocket::Usual };
    match text.as_str().contains('/') {
        true => AdminSocket::At(out.beside(&text.span(), text.as_str())),
        false => {
            let message = format!("`{}` must be the path of a socket, or `\"off\"`", text.path());
            let error = text.error(message, "this is neither");
            text.report(error.help(format!("in the current folder: `./{}`", text.as_str())));
            AdminSocket::Usual
        }
    }
}

fn read_token(value: &Value<'_>, loader: &dyn Loader, out: &Diagnostics) -> Option<Token> {
    let text = read_secret(value.clone(), "token", loader, out)?;
    match Token::new(&text) {
        Ok(token) => Some(token),
        Err(problem) => {
            out.push(value.error("is no token", &problem).help(MAKE));
            None
        }
    }
}

fn read_host(value: Value<'_>) -> Option<Box<str>> {
    let text: Text<'_> = value.text()?;
    match host_problem(text.as_str()) {
        None => Some(text.as_str().to_ascii_lowercase().into()),
        Some(problem) => {
            text.report(text.error(format!("`{}` is not a host", text.as_str()), problem));
            None
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_open_to_others_needs_a_token() {
        let at =
            |text: &str| Admin { listen: Some(Bind::parse(text).expect(text)), ..Admin::default() };
        for closed in ["127.0.0.1:9900", "127.0.0.9:1", "[::1]:9900", "localhost:9900"] {
            assert_eq!(at(closed).problem(), None, "{closed}");
        }
        for open in [":9900", "10.0.0.1:9900", "[::]:9900", "edge:9900"] {
            let (message, help) = at(open).problem().expect(open);
            assert!(message.contains("everybody") && help.contains(LINE), "{message}; {help}");
            let token = Token::new("0123456789abcdef").ok();
            assert_eq!(Admin { token, ..at(open) }.problem(), None, "{open}");
        }
        assert_eq!(Admin::off().problem(), None);
    }

    #[test]
    fn a_token_is_never_printed() {
        let token = Token::new(" 0123456789abcdef\n").expect("long enough");
        assert_eq!((token.reveal(), &*format!("{token:?}")), ("0123456789abcdef", "Token(…)"));
        let short = Token::new("0123456789abcde").expect_err("too short");
        assert!(!short.contains("0123"), "{short}");
    }
}
