//! Type definitions fetched over HTTP: `source = "https://…"`.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::time::Duration;

use pikoci_core::language::SourceLoader;
use ureq::config::Config;
use ureq::http::Uri;
use ureq::unversioned::resolver::{DefaultResolver, ResolvedSocketAddrs, Resolver};
use ureq::unversioned::transport::{DefaultConnector, NextTimeout};

/// The largest definition that is fetched, in bytes.
const MOST_BYTES: u64 = 1024 * 1024;

/// Fetches definitions over HTTPS.
///
/// A pipeline is often written by someone who may not reach the network this
/// program runs in, so addresses of the local network are refused: the address
/// that is connected to is looked at, after every redirect, so that no name can
/// stand for another address meanwhile. An answer may have 1 MiB and take 10 seconds.
#[derive(Debug, Clone)]
pub struct HttpSources {
    allow_http: bool,
    allow_local: bool,
    timeout: Duration,
}

impl Default for HttpSources {
    fn default() -> Self {
        Self::new()
    }
}

impl HttpSources {
    /// HTTPS only, public addresses only.
    pub fn new() -> Self {
        Self { allow_http: false, allow_local: false, timeout: Duration::from_secs(10) }
    }

    /// Whether plain `http://` is allowed.
    #[must_use]
    pub fn allow_http(mut self, allow: bool) -> Self {
        self.allow_http = allow;
        self
    }

    /// Whether addresses of the local network are allowed. Only then is a proxy
    /// from the environment used: what a proxy connects to cannot be seen from here.
    #[must_use]
    pub fn allow_local(mut self, allow: bool) -> Self {
        self.allow_local = allow;
        self
    }
}

impl SourceLoader for HttpSources {
    fn load(&self, url: &str) -> Result<String, String> {
        let scheme = url.split_once("://").map_or("", |(scheme, _)| scheme);
        match scheme.to_ascii_lowercase().as_str() {
            "https" => {}
            "http" if self.allow_http => {}
            "http" => return Err("plain `http://` is not allowed; use `https://`".into()),
            _ => return Err("it is neither `https://` nor `http://`".into()),
        }
        let mut config = Config::builder()
            .https_only(!self.allow_http)
            .max_redirects(5)
            .timeout_global(Some(self.timeout))
            .user_agent(concat!("pikoci/", env!("CARGO_PKG_VERSION")));
        if !self.allow_local {
            config = config.proxy(None);
        }
        let agent = ureq::Agent::with_parts(
            config.build(),
            DefaultConnector::default(),
            GuardedResolver { inner: DefaultResolver::default(), allow_local: self.allow_local },
        );
        let mut response = agent.get(url).call().map_err(told)?;
        response.body_mut().with_config().limit(MOST_BYTES).read_to_string().map_err(told)
    }
}

/// What went wrong, without the address: that may hold a password.
fn told(error: ureq::Error) -> String {
    match error {
        ureq::Error::StatusCode(code) => format!("the server answered with status {code}"),
        ureq::Error::BodyExceedsLimit(_) => "it is larger than 1 MiB".into(),
        ureq::Error::HostNotFound => "there is no such host".into(),
        ureq::Error::Timeout(_) => "the server did not answer in time".into(),
        ureq::Error::RequireHttpsOnly(_) => {
            "it redirects to plain `http://`, which is not allowed".into()
        }
        ureq::Error::Io(error) => error.to_string(),
        other => other.to_string(),
    }
}

/// Resolves names as the system does and refuses addresses of the local network.
#[derive(Debug)]
struct GuardedResolver {
    inner: DefaultResolver,
    allow_local: bool,
}

impl Resolver for GuardedResolver {
    fn resolve(
        &self,
        uri: &Uri,
        config: &Config,
        timeout: NextTimeout,
    ) -> Result<ResolvedSocketAddrs, ureq::Error> {
        let found = self.inner.resolve(uri, config, timeout)?;
        // One local address among public ones is as good as one alone to somebody who asks often.
        match found.iter().find(|it| !self.allow_local && is_local(it.ip())) {
            None => Ok(found),
            Some(address) => Err(ureq::Error::Io(io::Error::new(
                io::ErrorKind::PermissionDenied,
                format!("`{}` is an address of the local network, which is refused", address.ip()),
            ))),
        }
    }
}

/// Whether an address is not one of the public internet.
fn is_local(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => is_local_v4(address),
        IpAddr::V6(address) => match embedded_v4(address) {
            Some(inner) => is_local_v4(inner),
            None => is_local_v6(address),
        },
    }
}

fn is_local_v4(address: Ipv4Addr) -> bool {
    let [a, b, c, _] = address.octets();
    address.is_loopback()
        || address.is_private()
        || address.is_link_local()
        || address.is_multicast()
        || address.is_broadcast()
        || address.is_documentation()
        || a == 0
        || (a == 100 && (64..128).contains(&b)) // shared by carriers (RFC 6598)
        || (a == 192 && b == 0 && c == 0) // protocol assignments (RFC 6890)
        || (a == 198 && (18..20).contains(&b)) // benchmarks (RFC 2544)
        || a >= 240 // reserved
}

/// The IPv4 address that an IPv6 address stands for: mapped, translated
/// (64:ff9b::/96), 6to4 (2002::/16).
fn embedded_v4(address: Ipv6Addr) -> Option<Ipv4Addr> {
    let [a, b, c, d, e, f, g, h] = address.segments();
    let v4 = |high: u16, low: u16| {
        let [w, x] = high.to_be_bytes();
        let [y, z] = low.to_be_bytes();
        Ipv4Addr::new(w, x, y, z)
    };
    match (a, b) {
        (0, 0) if (c, d, e, f) == (0, 0, 0, 0xffff) => Some(v4(g, h)),
        (0x64, 0xff9b) => Some(v4(g, h)),
        (0x2002, _) => Some(v4(b, c)),
        _ => None,
    }
}

fn is_local_v6(address: Ipv6Addr) -> bool {
    let [a, b, ..] = address.segments();
    // Only 2000::/3 is routed; in it, documentation and Teredo are not for us.
    a & 0xe000 != 0x2000 || (a == 0x2001 && (b == 0xdb8 || b == 0))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{Read, Write};
    use std::net::TcpListener;

    #[test]
    fn addresses_of_the_local_network_are_known() {
        for local in [
            "127.0.0.1",
            "127.8.8.8",
            "0.0.0.0",
            "10.1.2.3",
            "172.16.0.1",
            "172.31.255.255",
            "192.168.1.1",
            "169.254.169.254",
            "100.64.0.1",
            "100.127.255.255",
            "198.18.0.1",
            "224.0.0.1",
            "255.255.255.255",
            "::",
            "::1",
            "fe80::1",
            "fc00::1",
            "fd12::1",
            "ff02::1",
            "::ffff:127.0.0.1",
            "::ffff:10.0.0.1",
            "::127.0.0.1",
            "64:ff9b::7f00:1",
            "64:ff9b::10.0.0.1",
            "2002:7f00:1::",
            "2001:db8::1",
            "2001::1",
            "fec0::1",
        ] {
            assert!(is_local(local.parse().unwrap()), "{local}");
        }
        for public in [
            "1.1.1.1",
            "172.32.0.1",
            "100.128.0.1",
            "192.169.0.1",
            "2606:4700::1111",
            "::ffff:1.1.1.1",
            "64:ff9b::1.1.1.1",
            "2a00:1450::1",
        ] {
            assert!(!is_local(public.parse().unwrap()), "{public}");
        }
    }

    /// Answers each connection with the next of `answers`; gives the port.
    fn server(answers: Vec<Vec<u8>>) -> (u16, std::thread::JoinHandle<()>) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let thread = std::thread::spawn(move || {
            for answer in answers {
                let (mut stream, _) = listener.accept().unwrap();
                let mut request = [0; 4096];
                let _ = stream.read(&mut request);
                let _ = stream.write_all(&answer);
            }
        });
        (port, thread)
    }

    fn ok(body: &[u8]) -> Vec<u8> {
        let mut out = format!(
            "HTTP/1.1 200 OK\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
            body.len()
        )
        .into_bytes();
        out.extend_from_slice(body);
        out
    }

    fn lenient() -> HttpSources {
        HttpSources::new().allow_http(true).allow_local(true)
    }

    #[test]
    fn a_definition_is_fetched_where_that_is_allowed() {
        let redirect =
            b"HTTP/1.1 302 Found\r\nLocation: /b\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";
        let (port, thread) = server(vec![redirect.to_vec(), ok(b"resource_type {}")]);
        let text = lenient().load(&format!("http://127.0.0.1:{port}/a"));
        assert_eq!(text.as_deref(), Ok("resource_type {}"));
        thread.join().unwrap();
    }

    #[test]
    fn the_local_network_and_plain_http_are_refused_by_default() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        for host in ["127.0.0.1", "localhost", "2130706433", "0x7f.1", "[::ffff:127.0.0.1]"] {
            for sources in [HttpSources::new(), HttpSources::new().allow_http(true)] {
                let url = format!("https://{host}:{port}/");
                let error = sources.load(&url).unwrap_err();
                assert!(!error.is_empty());
            }
        }
        listener.set_nonblocking(true).unwrap();
        assert!(listener.accept().is_err(), "something was connected to");
        let error = HttpSources::new().allow_http(true).load(&format!("http://127.0.0.1:{port}/"));
        assert_eq!(
            error.unwrap_err(),
            "`127.0.0.1` is an address of the local network, which is refused"
        );
        let error = HttpSources::new().load("http://example.org/").unwrap_err();
        assert_eq!(error, "plain `http://` is not allowed; use `https://`");
        assert!(lenient().load("file:///etc/passwd").is_err());
        assert!(lenient().load("ftp://127.0.0.1/").is_err());
    }

    #[test]
    fn what_a_server_answers_is_bounded() {
        let big = vec![b'x'; MOST_BYTES as usize + 1];
        let (port, thread) = server(vec![
            ok(&big),
            b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\nConnection: close\r\n\r\n".to_vec(),
        ]);
        let url = format!("http://127.0.0.1:{port}/");
        assert_eq!(lenient().load(&url), Err("it is larger than 1 MiB".into()));
        assert_eq!(lenient().load(&url), Err("the server answered with status 404".into()));
        thread.join().unwrap();
    }

    #[test]
    fn a_server_that_says_nothing_is_given_up() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let sources = HttpSources { timeout: Duration::from_millis(50), ..lenient() };
        assert_eq!(
            sources.load(&format!("http://127.0.0.1:{port}/")),
            Err("the server did not answer in time".into())
        );
    }
}
