//! URLs of backends, kept so that a password never shows.

use std::fmt;
use std::path::Path;
use std::str::FromStr;

use crate::error::{OpenError, OpenErrorKind};

/// Where a backend is: a scheme, a colon and the rest, such as `sled:ci-data`
/// or `postgres://user:password@host/name`. Shows without its password.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct BackendUrl {
    scheme: String,
    text: String,
}

impl BackendUrl {
    /// What comes before the first colon, in lower case.
    pub fn scheme(&self) -> &str {
        &self.scheme
    }

    /// What comes after the first colon.
    pub fn rest(&self) -> &str {
        &self.text[self.scheme.len() + 1..]
    }

    /// The path of a `scheme:PATH`, taken as it is; `scheme://PATH` is the same.
    ///
    /// # Errors
    /// When there is none.
    pub fn path(&self) -> Result<&Path, OpenError> {
        let rest = self.rest();
        let path = rest.strip_prefix("//").unwrap_or(rest);
        if path.is_empty() {
            let message = format!("`{self}` names no path; say `{}:PATH`", self.scheme);
            return Err(OpenError::new(OpenErrorKind::Url, message));
        }
        Ok(Path::new(path))
    }

    /// The whole as a URL of the usual form, password included.
    ///
    /// # Errors
    /// When it is not of that form.
    pub fn parse(&self) -> Result<url::Url, OpenError> {
        url::Url::parse(&self.text).map_err(|error| {
            OpenError::new(OpenErrorKind::Url, format!("`{self}` is no URL")).caused_by(error)
        })
    }
}

impl FromStr for BackendUrl {
    type Err = OpenError;

    fn from_str(text: &str) -> Result<Self, OpenError> {
        let scheme = text.split_once(':').map(|(scheme, _)| scheme).filter(|scheme| {
            scheme.len() > 1
                && scheme.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"+-.".contains(&byte))
        });
        let Some(scheme) = scheme else {
            // What has an `@` may have a password.
            let text = if text.contains('@') { "it".into() } else { format!("`{text}`") };
            let message = format!("{text} names no backend; say for example `sled:ci-data`");
            return Err(OpenError::new(OpenErrorKind::Url, message));
        };
        let lower = scheme.to_ascii_lowercase();
        Ok(Self { text: format!("{lower}{}", &text[scheme.len()..]), scheme: lower })
    }
}

/// Hides what is or may be a password: everything from the first colon up to
/// the last `@`, since one that is not escaped may hold any character.
impl fmt::Display for BackendUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if PATHS.contains(&self.scheme()) {
            return f.write_str(&self.text);
        }
        let rest = self.rest();
        let (slashes, rest) = rest.strip_prefix("//").map_or(("", rest), |rest| ("//", rest));
        write!(f, "{}:{slashes}", self.scheme)?;
        let tail = match rest.rsplit_once('@') {
            Some((login, tail)) => {
                match login.split_once(':') {
                    Some((user, _)) => write!(f, "{user}:***@")?,
                    // NATS takes a token in the place of a user.
                    None if self.scheme == "nats" || self.scheme == "tls" => f.write_str("***@")?,
                    None => write!(f, "{login}@")?,
                }
                tail
            }
            None => rest,
        };
        let Some((place, query)) = tail.split_once('?') else { return f.write_str(tail) };
        f.write_str(place)?;
        for (at, option) in query.split('&').enumerate() {
            f.write_str(if at == 0 { "?" } else { "&" })?;
            match option.split_once('=') {
                Some((name, _)) if is_secret(name) => write!(f, "{name}=***")?,
                _ => f.write_str(option)?,
            }
        }
        Ok(())
    }
}

/// The schemes whose rest is a path, in which an `@` has no meaning.
const PATHS: [&str; 4] = ["memory", "sled", "sqlite", "file"];

/// Whether an option of this name holds what must not show.
fn is_secret(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    ["password", "passwd", "secret", "token"].iter().any(|word| name.contains(word))
}

impl fmt::Debug for BackendUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "BackendUrl({self})")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn url(text: &str) -> BackendUrl {
        text.parse().expect("a URL")
    }

    #[test]
    fn a_password_never_shows() {
        for (text, shown) in [
            ("postgres://ci:secret@db:5432/ci?x=1", "postgres://ci:***@db:5432/ci?x=1"),
            ("postgres://ci:p@ss:word@db/ci", "postgres://ci:***@db/ci"),
            ("etcd://root:secret@a:2379,b:2379", "etcd://root:***@a:2379,b:2379"),
            ("nats://localhost:4222", "nats://localhost:4222"),
            ("nats://secret@a:4222,b", "nats://***@a:4222,b"),
            ("nats:ci:secret@h", "nats:ci:***@h"),
            ("postgres://ci:pa/secret?#@db/ci", "postgres://ci:***@db/ci"),
            (
                "postgres://ci@db/ci?user=ci&Password=secret&x=1",
                "postgres://ci@db/ci?user=ci&Password=***&x=1",
            ),
            ("s3://b/p?session_token=secret", "s3://b/p?session_token=***"),
            ("sled:/var/lib/a:b@c", "sled:/var/lib/a:b@c"),
        ] {
            assert_eq!(url(text).to_string(), shown);
            assert!(!format!("{:?}", url(text)).contains("secret"));
        }
    }

    #[test]
    fn a_path_is_taken_as_it_is() {
        for (text, path) in [("sled:ci data", "ci data"), ("SLED:///var/x", "/var/x")] {
            assert_eq!(url(text).path().expect("a path"), Path::new(path));
        }
        assert!(url("sled:").path().is_err());
    }

    #[test]
    fn what_names_no_backend_is_refused_with_an_example() {
        for text in ["", "ci-data", ":x", "C:\\ci", "a b:c"] {
            let error = text.parse::<BackendUrl>().expect_err(text);
            assert!(error.message.contains("sled:ci-data"), "{error}");
        }
    }
}
