//! The URL of a store on a SQL server: what of it is ours, and what the driver's.

use pikoci_core::language::suggest::{closest, name_list};
use url::Url;

use crate::error::{OpenError, OpenErrorKind};
use crate::url::BackendUrl;

/// The option for the most connections at a time.
const POOL: &str = "pool";

/// The most connections at a time where the URL does not say.
const DEFAULT_POOL: u32 = 10;

/// The largest value of `pool`.
const MAX_POOL: u32 = 1000;

/// What a URL says.
#[derive(Debug)]
pub(crate) struct Settings {
    /// Keeps our tables apart from those of others: a schema, or how the names
    /// of the tables begin.
    pub namespace: String,
    /// The most connections at a time.
    pub pool: u32,
    /// The options that only this store has, with their values.
    pub own: Vec<(String, String)>,
    /// The rest, for the driver.
    pub url: Url,
}

/// What a server's URL may say.
#[derive(Debug)]
pub(crate) struct Allowed {
    /// The option for the namespace.
    pub namespace: &'static str,
    /// The namespace where the URL names none.
    pub default_namespace: &'static str,
    /// The longest namespace, in bytes.
    pub longest_namespace: usize,
    /// The options that only this store has, each with its values.
    pub own: &'static [(&'static str, &'static [&'static str])],
    /// The options that the driver takes.
    pub driver: &'static [&'static str],
}

impl Settings {
    /// What `url` says.
    pub(crate) fn of(url: &BackendUrl, allowed: &Allowed) -> Result<Self, OpenError> {
        let wrong = |message: String| OpenError::new(OpenErrorKind::Url, message);
        let mut parsed = url.parse()?;
        let mut namespace = allowed.default_namespace.to_owned();
        let mut pool = DEFAULT_POOL;
        let mut own: Vec<(String, String)> = Vec::new();
        let mut rest: Vec<(String, String)> = Vec::new();
        for (name, value) in parsed.query_pairs() {
            if name == allowed.namespace {
                if !is_name(&value, allowed.longest_namespace) {
                    return Err(wrong(format!(
                        "`{name}={value}` is no name: it takes small letters, digits and `_`, \
                         a letter first, {} at most",
                        allowed.longest_namespace
                    )));
                }
                namespace = value.into_owned();
            } else if name == POOL {
                pool = value.parse().ok().filter(|pool| (1..=MAX_POOL).contains(pool)).ok_or_else(
                    || wrong(format!("`{name}={value}` is no number from 1 to {MAX_POOL}")),
                )?;
            } else if let Some((_, values)) = allowed.own.iter().find(|(own, _)| name == *own) {
                if !values.contains(&&*value) {
                    let known = name_list(values.iter().copied(), usize::MAX);
                    return Err(wrong(format!(
                        "`{name}={value}` makes no sense; known are {known}"
                    )));
                }
                own.push((name.into_owned(), value.into_owned()));
            } else if allowed.driver.contains(&&*name) {
                rest.push((name.into_owned(), value.into_owned()));
            } else if name == "password" {
                // There it would show wherever the URL does.
                let message = "the password goes before the host: `//USER:PASSWORD@HOST`";
                return Err(wrong(message.to_owned()));
            } else {
                let names = || {
                    let own = allowed.own.iter().map(|(name, _)| *name);
                    let driver = allowed.driver.iter().copied();
                    [allowed.namespace, POOL].into_iter().chain(own).chain(driver)
                };
                let hint = match closest(&name, names()) {
                    Some(near) => format!("did you mean `{near}`?"),
                    None => format!("known are {}", name_list(names(), usize::MAX)),
                };
                return Err(wrong(format!("`{name}` is no option of `{}:`; {hint}", url.scheme())));
            }
        }
        parsed.set_query(None);
        if !rest.is_empty() {
            parsed.query_pairs_mut().extend_pairs(rest);
        }
        Ok(Self { namespace, pool, own, url: parsed })
    }
}

/// Whether `text` can name a table without quotes, on every server alike.
fn is_name(text: &str, longest: usize) -> bool {
    text.len() <= longest
        && text.starts_with(|first: char| first.is_ascii_lowercase() || first == '_')
        && text.bytes().all(|byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'_'))
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALLOWED: Allowed = Allowed {
        namespace: "schema",
        default_namespace: "pikoci",
        longest_namespace: 8,
        own: &[("durability", &["server"])],
        driver: &["sslmode"],
    };

    fn settings(url: &str) -> Result<Settings, OpenError> {
        Settings::of(&url.parse().expect("a URL"), &ALLOWED)
    }

    #[test]
    fn what_is_ours_is_taken_and_the_rest_goes_on() {
        let plain = settings("postgres://ci@db/ci").expect("a good URL");
        assert_eq!((&*plain.namespace, plain.pool), ("pikoci", DEFAULT_POOL));
        assert!(plain.own.is_empty());
        let full = "postgres://ci@db/ci?schema=ci_2&sslmode=require&pool=3&durability=server";
        let full = settings(full);
        let full = full.expect("a good URL");
        assert_eq!((&*full.namespace, full.pool), ("ci_2", 3));
        assert_eq!(full.own, [("durability".to_owned(), "server".to_owned())]);
        assert_eq!(full.url.as_str(), "postgres://ci@db/ci?sslmode=require");
    }

    #[test]
    fn what_is_wrong_is_refused_with_what_is_right() {
        for (query, said) in [
            ("shema=x", "did you mean `schema`?"),
            ("colour=red", "known are `schema`, `pool`, `durability`, `sslmode`"),
            ("durability=none", "known are `server`"),
            ("pool=0", "`pool=0` is no number from 1 to 1000"),
            ("pool=many", "is no number"),
            ("schema=Ci", "small letters"),
            ("schema=a\"b", "small letters"),
            ("schema=2a", "a letter first"),
            ("schema=abcdefghi", "8 at most"),
            ("password=secret", "before the host"),
        ] {
            let error = settings(&format!("postgres://ci@db/ci?{query}")).expect_err(query);
            assert_eq!(error.kind, OpenErrorKind::Url);
            assert!(error.message.contains(said), "{error}");
            assert!(!error.message.contains("secret"), "{error}");
        }
    }
}
