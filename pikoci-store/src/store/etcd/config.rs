//! What an `etcd:` URL says.

use std::path::{Path, PathBuf};

use tonic::transport::{Certificate, ClientTlsConfig, Identity};

use crate::error::{OpenError, OpenErrorKind};
use crate::url::BackendUrl;

/// etcd's port for clients.
const PORT: u16 = 2379;

/// The prefix of who names none.
const PREFIX: &str = "pikoci/";

/// The longest prefix, in bytes: a transaction of 100 keys still fits then.
const MAX_PREFIX_SIZE_BYTES: usize = 256;

/// A user and its password.
#[derive(Clone)]
pub(super) struct Credentials {
    pub(super) user: String,
    pub(super) password: String,
}

/// How to reach the cluster, and what of it is ours.
pub(super) struct Config {
    /// `host:port` each.
    pub(super) endpoints: Vec<String>,
    pub(super) credentials: Option<Credentials>,
    pub(super) tls: Option<ClientTlsConfig>,
    /// Ends in a slash.
    pub(super) prefix: String,
}

impl Config {
    /// Reads `url`, and the files that it names.
    pub(super) fn read(url: &BackendUrl) -> Result<Self, OpenError> {
        let refused = |why: &str| {
            let message = format!("`{url}` {why}; say for example `etcd://host1,host2,host3`");
            OpenError::new(OpenErrorKind::Url, message)
        };
        let rest = url.rest().strip_prefix("//").ok_or_else(|| refused("names no host"))?;
        let (rest, query) = rest.split_once('?').unwrap_or((rest, ""));
        let (authority, path) = rest.split_once('/').unwrap_or((rest, ""));
        let (login, hosts) = match authority.rsplit_once('@') {
            Some((login, hosts)) => (Some(login), hosts),
            None => (None, authority),
        };
        let credentials = match login.map(|login| login.split_once(':')) {
            None => None,
            Some(Some((user, password))) if !user.is_empty() => {
                Some(Credentials { user: decoded(user), password: decoded(password) })
            }
            Some(_) => return Err(refused("has an `@` without `user:password` before it")),
        };
        let endpoints: Vec<String> = hosts.split(',').map(with_port).collect();
        if endpoints.iter().any(|endpoint| endpoint.starts_with(':')) {
            return Err(refused("has a host without a name"));
        }
        let prefix = match decoded(path).trim_matches('/') {
            "" => PREFIX.to_owned(),
            path => format!("{path}/"),
        };
        if prefix.len() > MAX_PREFIX_SIZE_BYTES {
            return Err(refused(&format!(
                "has a prefix of {} bytes, {MAX_PREFIX_SIZE_BYTES} is the most",
                prefix.len()
            )));
        }
        let tls = tls(url, query)?;
        Ok(Self { endpoints, credentials, tls, prefix })
    }
}

/// A host as it is, with the usual port if it has none.
fn with_port(host: &str) -> String {
    let after_address = host.rfind(']').map_or(0, |end| end + 1);
    match host.get(after_address..) {
        Some(tail) if tail.contains(':') => host.to_owned(),
        _ => format!("{host}:{PORT}"),
    }
}

/// Percent-decoded.
fn decoded(text: &str) -> String {
    // The value of a form's field is decoded the same way, but for these two.
    let field = format!("={}", text.replace('+', "%2B").replace('&', "%26"));
    url::form_urlencoded::parse(field.as_bytes()).map(|(_, value)| value.into_owned()).collect()
}

/// How the connection is encrypted; `None` when it is not.
fn tls(url: &BackendUrl, query: &str) -> Result<Option<ClientTlsConfig>, OpenError> {
    let refused = |message: String| OpenError::new(OpenErrorKind::Url, message);
    let mut on = url.scheme() == "etcds";
    let (mut ca, mut cert, mut key) = (None, None, None);
    for (name, value) in url::form_urlencoded::parse(query.as_bytes()) {
        let file = Some(PathBuf::from(&*value));
        match &*name {
            "tls" if ["1", "true"].contains(&&*value) => on = true,
            "ca" => ca = file,
            "cert" => cert = file,
            "key" => key = file,
            _ => {
                return Err(refused(format!(
                    "`{url}` has the option `{name}={value}`; known are `tls=1`, `ca=FILE`, \
                     `cert=FILE` and `key=FILE`"
                )));
            }
        }
    }
    if !on {
        return match ca.or(cert).or(key) {
            None => Ok(None),
            Some(_) => Err(refused(format!(
                "`{url}` names a certificate or key but is not encrypted; say `etcds://…`"
            ))),
        };
    }
    let tls = ClientTlsConfig::new();
    let tls = match ca {
        Some(ca) => tls.ca_certificate(Certificate::from_pem(read(&ca)?)),
        None => tls.with_webpki_roots(),
    };
    match (cert, key) {
        (None, None) => Ok(Some(tls)),
        (Some(cert), Some(key)) => {
            Ok(Some(tls.identity(Identity::from_pem(read(&cert)?, read(&key)?))))
        }
        _ => Err(refused(format!("`{url}` names only one of `cert` and `key`, which go together"))),
    }
}

fn read(path: &Path) -> Result<Vec<u8>, OpenError> {
    std::fs::read(path).map_err(|error| {
        let message = format!("could not read `{}`", path.display());
        OpenError::new(OpenErrorKind::Url, message).caused_by(error)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(url: &str) -> Result<Config, OpenError> {
        Config::read(&url.parse().expect("a URL"))
    }

    #[test]
    fn hosts_without_a_port_have_the_usual_one() {
        let config = config("etcd://a,b:1,[::1],[::1]:2").expect("a cluster");
        assert_eq!(config.endpoints, ["a:2379", "b:1", "[::1]:2379", "[::1]:2"]);
        assert_eq!(config.prefix, "pikoci/");
        assert!(config.credentials.is_none() && config.tls.is_none());
    }

    #[test]
    fn login_prefix_and_encryption_are_read() {
        let config = config("etcds://ci:p%40s+s:w&@a/x%20y/z/").expect("a cluster");
        let credentials = config.credentials.expect("a login");
        assert_eq!((&*credentials.user, &*credentials.password), ("ci", "p@s+s:w&"));
        assert_eq!(config.prefix, "x y/z/");
        assert!(config.tls.is_some());
    }

    #[test]
    fn what_makes_no_sense_is_refused_without_the_password() {
        for (url, told) in [
            ("etcd:a", "names no host"),
            ("etcd://", "a host without a name"),
            ("etcd://a,,b", "a host without a name"),
            ("etcd://ci@a", "without `user:password`"),
            ("etcd://ci:secret@a?tsl=1", "`tsl=1`; known are"),
            ("etcd://a?tls=0", "`tls=0`; known are"),
            ("etcd://ci:secret@a?ca=x.pem", "say `etcds://…`"),
            ("etcds://a?ca=/nowhere/x.pem", "could not read `/nowhere/x.pem`"),
            ("etcds://a?cert=Cargo.toml", "only one of `cert` and `key`"),
        ] {
            let error = config(url).err().expect(url);
            assert_eq!(error.kind, OpenErrorKind::Url);
            assert!(error.message.contains(told), "{url}: {error}");
            assert!(!error.message.contains("secret"), "{error}");
        }
    }
}
