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
            let message = "it names no backend; say for example `sled:ci-data` or `memory:`";
            return Err(OpenError::new(OpenErrorKind::Url, message));
        };
        let lower = scheme.to_ascii_lowercase();
        Ok(Self { text: format!("{lower}{}", &text[scheme.len()..]), scheme: lower })
    }
}

impl fmt::Display for BackendUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some((head, rest)) = self.text.split_once("://") else {
            return f.write_str(&self.text);
        };
        // A password may hold any character but those that end the authority.
        let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
        let (authority, tail) = rest.split_at(end);
        match authority.rsplit_once('@') {
            Some((login, hosts)) if login.contains(':') => {
                let user = login.split_once(':').map_or(login, |(user, _)| user);
                write!(f, "{head}://{user}:***@{hosts}{tail}")
            }
            _ => f.write_str(&self.text),
        }
    }
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
