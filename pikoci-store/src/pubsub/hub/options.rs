//! What the URLs of all pub/sub backends have in common.

use url::form_urlencoded;

use crate::error::{OpenError, OpenErrorKind};
use crate::url::BackendUrl;

/// What channels are called by default: `pikoci.` and the topic.
const PREFIX: &str = "pikoci";

/// The longest prefix, in bytes: a channel of PostgreSQL has at most 63, a
/// topic 48, and a dot stands between.
const MAX_PREFIX_SIZE_BYTES: usize = 14;

/// A URL taken apart. Without `Debug`: it holds the password.
pub(in crate::pubsub) struct Options {
    /// The URL without its query, password included.
    pub(in crate::pubsub) base: String,
    /// What comes before the topic in the name of a channel.
    pub(in crate::pubsub) prefix: String,
    /// The other options.
    pub(in crate::pubsub) others: Vec<(String, String)>,
}

/// Who connects. Without `Debug`: it holds the password.
pub(in crate::pubsub) struct Login {
    pub(in crate::pubsub) user: String,
    pub(in crate::pubsub) password: String,
}

impl Options {
    /// Takes `url` apart.
    pub(in crate::pubsub) fn of(url: &BackendUrl) -> Result<Self, OpenError> {
        let rest = url.rest();
        let (base, query) = rest.split_once('?').unwrap_or((rest, ""));
        let (prefixes, others): (Vec<_>, Vec<_>) = form_urlencoded::parse(query.as_bytes())
            .into_owned()
            .partition(|(name, _)| name == "prefix");
        let prefix = prefixes.into_iter().next_back().map_or(PREFIX.to_owned(), |(_, value)| value);
        let fine = (1..=MAX_PREFIX_SIZE_BYTES).contains(&prefix.len())
            && prefix.bytes().all(|byte| {
                byte.is_ascii_lowercase() || byte.is_ascii_digit() || matches!(byte, b'-' | b'_')
            });
        if !fine {
            let message = format!(
                "`{url}`: a `prefix` takes 1 to {MAX_PREFIX_SIZE_BYTES} of a-z, 0-9, `-` and `_`"
            );
            return Err(OpenError::new(OpenErrorKind::Url, message));
        }
        let options = Self { base: format!("{}:{base}", url.scheme()), prefix, others };
        if options.hosts().1.next().is_none() {
            let message = format!("`{url}` names no server; say `{}://HOST`", url.scheme());
            return Err(OpenError::new(OpenErrorKind::Url, message));
        }
        Ok(options)
    }

    /// An error when there are other options, for a backend that has none.
    pub(in crate::pubsub) fn no_others(&self, url: &BackendUrl) -> Result<(), OpenError> {
        let Some((name, _)) = self.others.first() else { return Ok(()) };
        let message = format!("`{url}`: there is no option `{name}`; there is `prefix`");
        Err(OpenError::new(OpenErrorKind::Url, message))
    }

    /// The URL with all other options, password included.
    pub(in crate::pubsub) fn url(&self) -> String {
        if self.others.is_empty() {
            return self.base.clone();
        }
        let query =
            form_urlencoded::Serializer::new(String::new()).extend_pairs(&self.others).finish();
        format!("{}?{query}", self.base)
    }

    /// User and password, if there are any, and the hosts of
    /// `scheme://user:password@host,host`.
    pub(in crate::pubsub) fn hosts(&self) -> (Option<Login>, impl Iterator<Item = &str>) {
        let rest = self.base.split_once("://").map_or("", |(_, rest)| rest);
        // A password may hold any character but those that end the authority.
        let authority = rest.split('/').next().unwrap_or_default();
        let (login, hosts) = match authority.rsplit_once('@') {
            Some((login, hosts)) => {
                let (user, password) = login.split_once(':').unwrap_or((login, ""));
                (Some(Login { user: decoded(user), password: decoded(password) }), hosts)
            }
            None => (None, authority),
        };
        (login, hosts.split(',').filter(|host| !host.is_empty()))
    }
}

/// `text` with its `%40` and such as what they stand for.
fn decoded(text: &str) -> String {
    // In a form these have a meaning that they have not got here.
    let plain = text.replace('+', "%2B").replace('&', "%26").replace('=', "%3D");
    let mut pairs = form_urlencoded::parse(plain.as_bytes());
    pairs.next().map_or(String::new(), |(text, _)| text.into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn options(url: &str) -> Result<Options, OpenError> {
        Options::of(&url.parse().expect("a URL"))
    }

    #[test]
    fn a_prefix_is_taken_out_of_the_url_and_the_rest_is_kept() {
        let plain = options("nats://h:4222").expect("options");
        assert_eq!((plain.prefix.as_str(), plain.url().as_str()), ("pikoci", "nats://h:4222"));
        let given = options("redis://u:p%3F@h/0?a=b%26c&prefix=team-1&d=").expect("options");
        assert_eq!(given.prefix, "team-1");
        assert_eq!(given.url(), "redis://u:p%3F@h/0?a=b%26c&d=");
    }

    #[test]
    fn a_prefix_that_some_server_would_not_take_is_refused_without_the_password() {
        for bad in ["", "a.b", "A", "a*", "fifteen-letters"] {
            let error = options(&format!("nats://u:secret@h?prefix={bad}")).err().expect(bad);
            assert_eq!(error.kind, OpenErrorKind::Url);
            assert!(!error.to_string().contains("secret"), "{error}");
        }
    }

    #[test]
    fn a_url_without_a_server_is_refused() {
        for bad in ["nats:", "nats://", "nats:h", "nats:///x", "nats://u:p@", "nats://,"] {
            let error = options(bad).err().expect(bad);
            assert!(error.message.contains("nats://HOST"), "{error}");
        }
    }

    #[test]
    fn an_option_that_nobody_reads_is_refused() {
        let url: BackendUrl = "nats://h?prefx=a".parse().expect("a URL");
        let error = options("nats://h?prefx=a").expect("options").no_others(&url);
        assert!(error.is_err_and(|error| error.to_string().contains("`prefx`")));
    }

    #[test]
    fn a_url_may_name_several_hosts() {
        let several = options("nats://u%3A:p@ss:%25+&=%40@a:1,b,c:3/x").expect("options");
        let (login, hosts) = several.hosts();
        let login = login.expect("a login");
        assert_eq!((login.user.as_str(), login.password.as_str()), ("u:", "p@ss:%+&=@"));
        assert_eq!(hosts.collect::<Vec<_>>(), ["a:1", "b", "c:3"]);
    }
}
