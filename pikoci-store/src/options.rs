//! A database named by its parts, as `--db-system` and its kin do, instead of by a URL.

use std::fmt;

use pikoci_core::language::suggest::{closest, name_list};
use url::form_urlencoded;

use crate::error::{OpenError, OpenErrorKind};
use crate::url::BackendUrl;

/// The name of a database, or of the file or directory, where none is given.
const DEFAULT_NAME: &str = "pikoci";

/// What `--db-system` takes, with the scheme of the URL that it stands for.
const SYSTEMS: &[(&str, &str)] = &[
    ("mem", "memory"),
    ("memory", "memory"),
    ("sled", "sled"),
    ("sqlite", "sqlite"),
    ("mysql", "mysql"),
    ("mariadb", "mariadb"),
    ("postgres", "postgres"),
    ("postgresql", "postgres"),
    ("etcd", "etcd"),
];

/// A database named by its parts. What is `None` takes its default.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct DbOptions {
    /// `mem`, `memory`, `sled`, `sqlite`, `mysql`, `mariadb`, `postgres`,
    /// `postgresql` or `etcd`.
    pub system: String,
    /// Where the server is, by default `localhost`: a name or an address; for
    /// etcd several with commas between them, each with its port or without.
    pub host: Option<String>,
    /// The port of the server, by default the usual one of the system.
    pub port: Option<u16>,
    /// The name to log in with; without one, what the system takes then.
    pub user: Option<String>,
    /// The password that goes with it.
    pub password: Option<String>,
    /// The name of the database, for sled and SQLite the path; by default `pikoci`.
    pub name: Option<String>,
}

impl DbOptions {
    /// The URL that says the same.
    ///
    /// # Errors
    /// When the system is not known, or an option makes no sense with it.
    pub fn url(&self) -> Result<BackendUrl, OpenError> {
        let scheme = self.scheme()?;
        let name = self.name.as_deref().unwrap_or(DEFAULT_NAME);
        let text = match scheme {
            "memory" => {
                self.only_named_by(false)?;
                "memory:".to_owned()
            }
            "sled" | "sqlite" => {
                self.only_named_by(true)?;
                format!("{scheme}:{name}")
            }
            "etcd" => {
                if self.name.is_some() {
                    return Err(self.wrong("--db-name", "etcd has no databases"));
                }
                format!("etcd://{}{}", self.login()?, self.hosts(2379)?)
            }
            "postgres" => {
                format!("{scheme}://{}{}/{}", self.login()?, self.hosts(5432)?, encoded(name))
            }
            _ => format!("{scheme}://{}{}/{}", self.login()?, self.hosts(3306)?, encoded(name)),
        };
        text.parse()
    }

    fn scheme(&self) -> Result<&'static str, OpenError> {
        let system = self.system.to_ascii_lowercase();
        if let Some((_, scheme)) = SYSTEMS.iter().find(|(name, _)| *name == system) {
            return Ok(scheme);
        }
        let names = || SYSTEMS.iter().map(|(name, _)| *name);
        let hint = match closest(&system, names()) {
            Some(near) => format!("did you mean `{near}`?"),
            None => format!("known are {}", name_list(names(), SYSTEMS.len())),
        };
        let message = format!("`{}` is no database system; {hint}", self.system);
        Err(OpenError::new(OpenErrorKind::Url, message))
    }

    /// Refuses what only a server has; the name too, unless it is a path.
    fn only_named_by(&self, path: bool) -> Result<(), OpenError> {
        let given = [
            ("--db-host", self.host.is_some()),
            ("--db-port", self.port.is_some()),
            ("--db-user", self.user.is_some()),
            ("--db-password", self.password.is_some()),
            ("--db-name", self.name.is_some() && !path),
        ];
        match given.iter().find(|(_, given)| *given) {
            Some((option, _)) if path => {
                Err(self.wrong(option, "it is no server; `--db-name` names its path"))
            }
            Some((option, _)) => Err(self.wrong(option, "it is kept in memory alone")),
            None if path && self.name.as_ref().is_some_and(String::is_empty) => {
                Err(self.wrong("--db-name", "the path must not be empty"))
            }
            None => Ok(()),
        }
    }

    /// `USER:PASSWORD@`, or nothing.
    fn login(&self) -> Result<String, OpenError> {
        match (&self.user, &self.password) {
            (Some(user), Some(password)) => Ok(format!("{}:{}@", encoded(user), encoded(password))),
            (Some(user), None) => Ok(format!("{}@", encoded(user))),
            (None, None) => Ok(String::new()),
            (None, Some(_)) => Err(self.wrong("--db-password", "it needs `--db-user` too")),
        }
    }

    /// `HOST:PORT`, for etcd several.
    fn hosts(&self, usual_port: u16) -> Result<String, OpenError> {
        let port = self.port.unwrap_or(usual_port);
        let hosts = self.host.as_deref().unwrap_or("localhost");
        let several = self.system.eq_ignore_ascii_case("etcd");
        let mut all = Vec::new();
        for host in hosts.split(',').map(str::trim) {
            let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"-._:[]".contains(&byte);
            if host.is_empty() || !host.bytes().all(allowed) {
                let message = format!("`{host}` is no name of a host; say for example `localhost`");
                return Err(OpenError::new(OpenErrorKind::Url, message));
            }
            let colons = host.bytes().filter(|byte| *byte == b':').count();
            all.push(match (host.starts_with('['), colons) {
                (false, 0) => format!("{host}:{port}"),
                (false, 1) if self.port.is_none() => host.to_owned(),
                (false, 1) => return Err(self.wrong("--db-port", "the host names its port")),
                // An IPv6 address is written in brackets in a URL.
                (false, _) => format!("[{host}]:{port}"),
                (true, _) if host.ends_with(']') => format!("{host}:{port}"),
                (true, _) => host.to_owned(),
            });
        }
        if all.len() > 1 && !several {
            return Err(self.wrong("--db-host", "it takes one host"));
        }
        Ok(all.join(","))
    }

    fn wrong(&self, option: &str, why: &str) -> OpenError {
        let message = format!("`{option}` does not go with `--db-system {}`: {why}", self.system);
        OpenError::new(OpenErrorKind::Url, message)
    }
}

/// All but letters, digits and `*-._` as `%XX`, so that nothing in it ends a part of the URL.
fn encoded(text: &str) -> String {
    // The encoding of forms, but for its spaces.
    form_urlencoded::byte_serialize(text.as_bytes()).collect::<String>().replace('+', "%20")
}

impl fmt::Debug for DbOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DbOptions")
            .field("system", &self.system)
            .field("host", &self.host)
            .field("port", &self.port)
            .field("user", &self.user)
            .field("password", &self.password.as_ref().map(|_| "***"))
            .field("name", &self.name)
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn options(system: &str) -> DbOptions {
        DbOptions { system: system.to_owned(), ..DbOptions::default() }
    }

    fn whole(url: &BackendUrl) -> String {
        format!("{}:{}", url.scheme(), url.rest())
    }

    fn refused(options: &DbOptions) -> String {
        let error = options.url().expect_err("it makes no sense");
        assert_eq!(error.kind, OpenErrorKind::Url);
        error.message
    }

    #[test]
    fn each_system_has_its_defaults() {
        for (system, url) in [
            ("mem", "memory:"),
            ("memory", "memory:"),
            ("sled", "sled:pikoci"),
            ("sqlite", "sqlite:pikoci"),
            ("mysql", "mysql://localhost:3306/pikoci"),
            ("mariadb", "mariadb://localhost:3306/pikoci"),
            ("postgres", "postgres://localhost:5432/pikoci"),
            ("PostgreSQL", "postgres://localhost:5432/pikoci"),
            ("etcd", "etcd://localhost:2379"),
        ] {
            assert_eq!(whole(&options(system).url().expect(system)), url);
        }
    }

    #[test]
    fn each_part_reaches_the_server_as_it_was_given() {
        let hard = "p@ss/w:r d%41+?#";
        let given = DbOptions {
            host: Some("db.example".to_owned()),
            port: Some(6000),
            user: Some("c@i:x".to_owned()),
            password: Some(hard.to_owned()),
            name: Some("my/ci?".to_owned()),
            ..options("postgres")
        };
        let url = given.url().expect("a URL");
        assert_eq!(url.to_string(), "postgres://c%40i%3Ax:***@db.example:6000/my%2Fci%3F");
        let parsed = url.parse().expect("of the usual form");
        let password = parsed.password().expect("a password");
        let decoded: String = form_urlencoded::parse(format!("x={password}").as_bytes())
            .map(|(_, value)| value.into_owned())
            .collect();
        assert_eq!(decoded, hard);
        assert!(!format!("{given:?}{url:?}").contains("p@ss"), "{given:?}");
    }

    #[test]
    fn a_path_and_addresses_are_taken() {
        let path = DbOptions { name: Some("/var/lib/ci data".to_owned()), ..options("sqlite") };
        assert_eq!(whole(&path.url().expect("a URL")), "sqlite:/var/lib/ci data");
        for (system, host, url) in [
            ("mysql", "::1", "mysql://[::1]:3306/pikoci"),
            ("mysql", "[::1]", "mysql://[::1]:3306/pikoci"),
            ("mysql", "db:3307", "mysql://db:3307/pikoci"),
            ("etcd", "a, b:9999,c", "etcd://a:2379,b:9999,c:2379"),
        ] {
            let given = DbOptions { host: Some(host.to_owned()), ..options(system) };
            assert_eq!(whole(&given.url().expect(host)), url);
        }
    }

    #[test]
    fn what_makes_no_sense_is_refused_with_what_does() {
        assert!(refused(&options("postgras")).contains("did you mean `postgres`?"));
        assert!(refused(&options("oracle")).contains("known are `mem`, `memory`, `sled`"));
        let host = || Some("db".to_owned());
        assert!(refused(&DbOptions { host: host(), ..options("sqlite") }).contains("`--db-name`"));
        assert!(refused(&DbOptions { name: host(), ..options("mem") }).contains("in memory"));
        assert!(refused(&DbOptions { name: host(), ..options("etcd") }).contains("no databases"));
        let password = DbOptions { password: host(), ..options("mysql") };
        assert!(refused(&password).contains("`--db-user`"));
        for wrong in ["a,b", "", "a b", "u@h", "h/x"] {
            refused(&DbOptions { host: Some(wrong.to_owned()), ..options("mysql") });
        }
        let twice = DbOptions { host: Some("db:1".to_owned()), port: Some(2), ..options("mysql") };
        assert!(refused(&twice).contains("the host names its port"));
        refused(&DbOptions { name: Some(String::new()), ..options("sled") });
    }
}
