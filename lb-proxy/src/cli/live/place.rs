//! Where a running `lb` is asked, and by whose leave.
//!
//! What was said is asked and nothing else. What nobody said is looked for: the sockets
//! first, since they need no token.

use std::{env, fmt, fs, path::PathBuf};

use http::{HeaderValue, uri::Authority};

use crate::cli::variable::variable;

/// Where `lb run` serves the API unless it is told otherwise.
const USUAL_SOCKET: &str = "/run/lb/lb.sock";
const USUAL_ADDRESS: &str = "127.0.0.1:9900";

/// Where an API is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::cli) enum Place {
    Socket(PathBuf),
    Address(Authority),
}

impl Place {
    /// Reads `unix:PATH` or `http://HOST:PORT`, or either without its beginning, as the
    /// flag of `lb run` has it.
    pub(in crate::cli) fn parse(text: &str) -> Result<Self, String> {
        if let Some(path) = text.strip_prefix("unix:") {
            return match path {
                "" => Err("the path of the socket is missing".to_owned()),
                path => Ok(Self::Socket(PathBuf::from(path))),
            };
        }
        if text.starts_with("https://") {
            return Err("the API is served in the clear: `http://HOST:PORT`, or `ssh -L` \
                        to reach it from elsewhere"
                .to_owned());
        }
        if !text.starts_with("http://") && text.contains('/') {
            return Ok(Self::Socket(PathBuf::from(text)));
        }
        let bare = text.strip_prefix("http://").unwrap_or(text);
        let bare = bare.strip_suffix('/').unwrap_or(bare);
        // Where `lb run` is said to listen everywhere, it is here as well.
        let bare = match bare.rsplit_once(':') {
            Some(("" | "*" | "0.0.0.0", port)) => format!("127.0.0.1:{port}"),
            Some(("[::]", port)) => format!("[::1]:{port}"),
            _ => bare.to_owned(),
        };
        let authority = bare.parse::<Authority>().ok();
        match authority.filter(|one| one.port_u16().is_some() && !bare.contains('@')) {
            Some(authority) => Ok(Self::Address(authority)),
            None => {
                Err("write it like `unix:/run/lb/lb.sock` or `http://127.0.0.1:9900`".to_owned())
            }
        }
    }

    /// What it is called in a request.
    pub(super) fn host(&self) -> &str {
        match self {
            Self::Socket(_) => "localhost",
            Self::Address(authority) => authority.as_str(),
        }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Socket(path) => write!(f, "unix:{}", path.display()),
            Self::Address(authority) => write!(f, "http://{authority}"),
        }
    }
}

/// Where to ask, in this order.
#[derive(Debug)]
pub(super) struct Places {
    pub(super) all: Vec<Place>,
    /// Somebody said so: it has to be there.
    pub(super) is_said: bool,
}

impl Places {
    /// By a flag, or by `LB_ADMIN`, or where one usually is.
    ///
    /// # Errors
    ///
    /// What is wrong with the variable.
    pub(super) fn new(flag: Option<&Place>) -> Result<Self, String> {
        if let Some(place) = flag {
            return Ok(Self { all: vec![place.clone()], is_said: true });
        }
        let read = |text: &str| match text {
            // As it is said to `lb run`: there is no API, so nobody is looked for.
            "off" => Ok(None),
            text => Place::parse(text).map(Some),
        };
        Ok(match variable("LB_ADMIN", read)? {
            Some(Some(place)) => Self { all: vec![place], is_said: true },
            Some(None) => Self { all: Vec::new(), is_said: false },
            None => Self { all: usual(), is_said: false },
        })
    }
}

fn usual() -> Vec<Place> {
    let own = env::var_os("XDG_RUNTIME_DIR").map(PathBuf::from).filter(|path| path.is_absolute());
    let sockets = own.map(|own| own.join("lb.sock")).into_iter();
    let sockets = sockets.chain([PathBuf::from(USUAL_SOCKET)]).map(Place::Socket);
    sockets.chain([Place::Address(Authority::from_static(USUAL_ADDRESS))]).collect()
}

/// The value of `Authorization`, if a variable has a token.
///
/// # Errors
///
/// A sentence that names the variable, and never the token.
pub(super) fn authorization() -> Result<Option<HeaderValue>, String> {
    let is_set = |name| env::var_os(name).filter(|value| !value.is_empty());
    let (token, from) = match (is_set("LB_TOKEN"), is_set("LB_TOKEN_FILE")) {
        (Some(_), Some(_)) => {
            return Err("the token is in `LB_TOKEN` or in `LB_TOKEN_FILE`, not in both".to_owned());
        }
        (None, None) => return Ok(None),
        (Some(token), None) => {
            let token = token.into_string().map_err(|_| "`LB_TOKEN` is not text".to_owned())?;
            (token, "LB_TOKEN")
        }
        (None, Some(path)) => {
            let path = PathBuf::from(path);
            let token = fs::read_to_string(&path)
                .map_err(|error| format!("`LB_TOKEN_FILE={}`: {error}", path.display()))?;
            (token, "LB_TOKEN_FILE")
        }
    };
    let mut value = HeaderValue::from_str(&format!("Bearer {}", token.trim()))
        .map_err(|_| format!("`{from}` is no token: it is one line of letters and digits"))?;
    value.set_sensitive(true);
    Ok(Some(value))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_a_socket_or_an_address_with_a_port() {
        let shown = |text| Place::parse(text).map(|place| place.to_string());
        assert_eq!(shown("unix:/run/lb.sock"), Ok("unix:/run/lb.sock".to_owned()));
        for text in ["http://[::1]:9900/", "[::1]:9900"] {
            assert_eq!(shown(text), Ok("http://[::1]:9900".to_owned()));
        }
        assert_eq!(shown("/run/lb.sock"), Ok("unix:/run/lb.sock".to_owned()));
        for text in ["", "unix:", "off", "https://a:1", "a", "a@b:1", "http://a:1/x"] {
            assert!(shown(text).is_err(), "{text}");
        }
    }
}
