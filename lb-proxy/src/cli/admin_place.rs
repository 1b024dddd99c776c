//! `--admin`: where the API is served.

use std::path::PathBuf;

use lb_proxy::config::{Admin, AdminSocket, Bind};

/// Where the API is to be served.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum AdminPlace {
    Off,
    Address(Bind),
    Socket(PathBuf),
}

impl AdminPlace {
    /// Has it served there.
    pub(super) fn put_into(self, admin: &mut Admin) {
        match self {
            Self::Off => (admin.listen, admin.socket) = (None, AdminSocket::Off),
            Self::Address(bind) => (admin.listen, admin.is_listen_asked) = (Some(bind), true),
            Self::Socket(path) => {
                admin.socket = AdminSocket::At(path);
                // An address only if the file asks for one.
                admin.listen = admin.listen.take().filter(|_| admin.is_listen_asked);
            }
        }
    }
}

/// As its clients have it too: with `http://` or `unix:`, or without.
pub(super) fn read_admin(text: &str) -> Result<AdminPlace, String> {
    if let Some(path) = text.strip_prefix("unix:").filter(|path| !path.is_empty()) {
        return Ok(AdminPlace::Socket(path.into()));
    }
    match text.strip_prefix("http://").unwrap_or(text) {
        "off" => Ok(AdminPlace::Off),
        path if path.contains('/') => Ok(AdminPlace::Socket(path.into())),
        address => Bind::parse(address).map(AdminPlace::Address),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_a_path_and_nothing_are_told_apart() {
        let put = |text: &str| {
            let mut admin = Admin::default();
            read_admin(text).expect(text).put_into(&mut admin);
            (admin.listen.map(|bind| bind.to_string()), admin.socket)
        };
        let address = Some("127.0.0.1:1".to_owned());
        assert_eq!(put("off"), (None, AdminSocket::Off));
        assert_eq!(put("127.0.0.1:1"), (address.clone(), AdminSocket::Usual));
        assert_eq!(put("http://127.0.0.1:1"), (address, AdminSocket::Usual));
        assert_eq!(put("/run/lb.sock"), (None, AdminSocket::At("/run/lb.sock".into())));
        assert!(read_admin("9900").is_err());
    }
}
