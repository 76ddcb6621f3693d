//! Which variables of this program's own environment a command sees.

use std::ffi::{OsStr, OsString};

/// The names that are passed on by default.
const DEFAULT_PASS: [&str; 18] = [
    "PATH",
    "HOME",
    "USER",
    "LOGNAME",
    "SHELL",
    "LANG",
    "LC_*",
    "TERM",
    "TZ",
    "TMPDIR",
    "HTTP_PROXY",
    "HTTPS_PROXY",
    "NO_PROXY",
    "ALL_PROXY",
    "http_proxy",
    "https_proxy",
    "no_proxy",
    "all_proxy",
];

/// Which variables of this program's own environment a command sees. What is
/// not named here never reaches a build: a worker's tokens stay with the worker.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EnvironmentPolicy {
    /// Names; one that ends with `*` stands for all that begin like it.
    pub pass: Vec<String>,
}

impl Default for EnvironmentPolicy {
    /// `PATH`, `HOME`, `USER`, `LOGNAME`, `SHELL`, `LANG`, `LC_*`, `TERM`, `TZ`,
    /// `TMPDIR`, and the proxy variables in both cases.
    fn default() -> Self {
        Self { pass: DEFAULT_PASS.map(str::to_owned).to_vec() }
    }
}

impl EnvironmentPolicy {
    /// Passes nothing on.
    pub fn nothing() -> Self {
        Self { pass: Vec::new() }
    }

    /// Whether a variable of that name is passed on.
    pub fn passes(&self, name: &OsStr) -> bool {
        let name = name.as_encoded_bytes();
        self.pass.iter().any(|pattern| match pattern.strip_suffix('*') {
            Some(prefix) => name.starts_with(prefix.as_bytes()),
            None => name == pattern.as_bytes(),
        })
    }

    /// The variables of this program's environment that are passed on.
    pub fn inherited(&self) -> impl Iterator<Item = (OsString, OsString)> {
        std::env::vars_os().filter(|(name, _)| self.passes(name))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_listed_names_and_prefixes_pass() {
        let policy = EnvironmentPolicy::default();
        for name in ["PATH", "LC_ALL", "LC_", "https_proxy", "TZ"] {
            assert!(policy.passes(OsStr::new(name)), "{name}");
        }
        for name in [
            "",
            "PATHS",
            "MYPATH",
            "path",
            "LC",
            "GITHUB_TOKEN",
            "AWS_SECRET_ACCESS_KEY",
            "PIKOCI_VAR_x",
        ] {
            assert!(!policy.passes(OsStr::new(name)), "{name}");
        }
        assert!(!EnvironmentPolicy::nothing().passes(OsStr::new("PATH")));
    }
}
