//! The points of one server of nginx's ring.

/// The places of its first `count` points, each the checksum of the name and of the place
/// before it. nginx took that from `Cache::Memcached::Fast`.
pub(super) fn places(server: &str, count: u32) -> impl Iterator<Item = u32> + use<> {
    let (host, port) = host_and_port(server);
    let mut name = crc32fast::Hasher::new();
    name.update(host.as_bytes());
    name.update(&[0]);
    name.update(port.as_bytes());
    let mut last: u32 = 0;
    (0..count).map(move |_| {
        let mut place = name.clone();
        place.update(&last.to_le_bytes());
        last = place.finalize();
        last
    })
}

/// What nginx takes for the host and for the port: the port is what digits there are
/// after the last colon, and not filled in where it was left out; the socket `unix:PATH`
/// is a host called PATH.
fn host_and_port(server: &str) -> (&str, &str) {
    if let Some((scheme, path)) = server.split_at_checked(5)
        && scheme.eq_ignore_ascii_case("unix:")
    {
        return (path, "");
    }
    match server.rsplit_once(':') {
        Some((host, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => (host, port),
        _ => (server, ""),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn servers_are_taken_apart_as_nginx_does() {
        let cases = [
            ("10.0.0.1:80", ("10.0.0.1", "80")),
            ("[::1]:8080", ("[::1]", "8080")),
            ("[::1]", ("[::1]", "")),
            ("web", ("web", "")),
            ("web:", ("web", "")),
            ("web:http", ("web:http", "")),
            ("80", ("80", "")),
            ("unix:/run/web:1", ("/run/web:1", "")),
            ("UNIX:/run/web", ("/run/web", "")),
            ("", ("", "")),
        ];
        for (server, parts) in cases {
            assert_eq!(host_and_port(server), parts, "{server}");
        }
    }

    #[test]
    fn a_point_is_the_checksum_of_the_name_and_the_point_before() {
        let places: Vec<u32> = places("a:1", 2).collect();
        assert_eq!(places[0], crc32fast::hash(b"a\x001\0\0\0\0"));
        let second = [&b"a\x001"[..], &places[0].to_le_bytes()].concat();
        assert_eq!(places[1], crc32fast::hash(&second));
    }
}
