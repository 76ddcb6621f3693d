//! The `env` and `file` secret types.

use std::fmt;
use std::path::Path;

use async_trait::async_trait;
use pikoci_core::catalog::ParamSpec;
use pikoci_core::context::StepRun;
use pikoci_core::params::Params;
use pikoci_core::secret::{SecretFields, SecretString};
use pikoci_core::{SecretType, TypeError};

/// The largest secrets file that is read, in bytes.
const MOST_BYTES: u64 = 1024 * 1024;

/// The `env` secret type: variables of the worker's own environment.
///
/// `key` (or `path`) is the variable's name; the answer has one field, `value`,
/// and the same under the variable's name. A variable that is empty is an
/// error as a missing one is.
pub struct EnvSecret {
    lookup: Box<Lookup>,
}

type Lookup = dyn Fn(&str) -> Option<String> + Send + Sync;

impl EnvSecret {
    /// Reads this process's environment, at every use.
    pub fn new() -> Self {
        Self::with_lookup(|name| std::env::var(name).ok())
    }

    /// Reads `lookup` instead of this process's environment.
    pub fn with_lookup(lookup: impl Fn(&str) -> Option<String> + Send + Sync + 'static) -> Self {
        Self { lookup: Box::new(lookup) }
    }
}

impl Default for EnvSecret {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for EnvSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EnvSecret").finish_non_exhaustive()
    }
}

#[async_trait]
impl SecretType for EnvSecret {
    fn params(&self) -> ParamSpec {
        ParamSpec::only(["key", "path"])
    }

    async fn get(
        &self,
        _step: &mut StepRun<'_>,
        params: &Params,
    ) -> Result<SecretFields, TypeError> {
        let name = params.text("path").or_else(|| params.text("key")).ok_or_else(|| {
            TypeError::errored("secret type `env` needs `key`: the name of a variable")
        })?;
        // The environment's own functions panic on such names.
        if name.is_empty() || name.contains(['=', '\0']) {
            return Err(TypeError::errored(format!("`{name}` is no name of a variable")));
        }
        let missing = |how| format!("`{name}` is {how} in the worker's environment");
        let value = match (self.lookup)(&name) {
            None => return Err(TypeError::errored(missing("not set"))),
            Some(value) if value.is_empty() => return Err(TypeError::errored(missing("empty"))),
            Some(value) => value,
        };
        let value = SecretString::from(value);
        let mut fields = SecretFields::from([(name, value.clone())]);
        // With `key` given, the engine looks for a field of that name.
        fields.entry("value".to_owned()).or_insert(value);
        if params.get("key").is_none() {
            fields.retain(|field, _| field == "value");
        }
        Ok(fields)
    }
}

/// The `file` secret type: a file on the worker.
///
/// `path` is absolute or relative to the worker's own directory. `format` is
/// `json`, `yaml`, `env` (lines `KEY=VALUE`) or `raw` (one field, `content`,
/// without the last newline); by default it follows the file's name.
#[derive(Debug, Clone, Copy, Default)]
pub struct FileSecret;

impl FileSecret {
    /// The type.
    pub fn new() -> Self {
        Self
    }
}

#[async_trait]
impl SecretType for FileSecret {
    fn params(&self) -> ParamSpec {
        ParamSpec::only(["path!", "format", "key"])
    }

    async fn get(
        &self,
        _step: &mut StepRun<'_>,
        params: &Params,
    ) -> Result<SecretFields, TypeError> {
        let path = params.text("path").ok_or_else(|| {
            TypeError::errored("secret type `file` needs `path`: the path of a file")
        })?;
        let format = params.text("format");
        tokio::task::spawn_blocking(move || read_file(&path, format.as_deref()))
            .await
            .map_err(|_| TypeError::errored("reading a secrets file was given up"))?
            .map_err(TypeError::errored)
    }
}

fn read_file(path: &str, format: Option<&str>) -> Result<SecretFields, String> {
    use std::io::Read;
    let cannot = |error: std::io::Error| format!("cannot read secrets file `{path}`: {error}");
    let file = std::fs::File::open(path).map_err(cannot)?;
    if !file.metadata().map_err(cannot)?.is_file() {
        return Err(format!("cannot read secrets file `{path}`: it is no regular file"));
    }
    let mut text = String::new();
    file.take(MOST_BYTES + 1).read_to_string(&mut text).map_err(cannot)?;
    if text.len() as u64 > MOST_BYTES {
        return Err(format!("secrets file `{path}` is larger than 1 MiB"));
    }
    let name = Path::new(path);
    let extension = name.extension().and_then(|it| it.to_str()).unwrap_or_default();
    let is_dotenv = name.file_name().is_some_and(|it| it == ".env");
    let format = format.unwrap_or(match extension {
        "json" => "json",
        "yaml" | "yml" => "yaml",
        "env" => "env",
        _ if is_dotenv => "env",
        _ => "raw",
    });
    match format {
        "json" => fields(serde_json::from_str(&text).ok(), path, "JSON"),
        "yaml" => fields(serde_saphyr::from_str(&text).ok(), path, "YAML"),
        "env" => env_fields(&text, path),
        "raw" => {
            let content = text.strip_suffix('\n').unwrap_or(&text);
            let content = content.strip_suffix('\r').unwrap_or(content);
            Ok(SecretFields::from([("content".to_owned(), SecretString::from(content))]))
        }
        other => Err(format!(
            "`{other}` is no format of a secrets file; use `json`, `yaml`, `env` or `raw`"
        )),
    }
}

/// The fields of an object. What the parser has to say is left out: it quotes the text.
fn fields(
    json: Option<serde_json::Value>,
    path: &str,
    format: &str,
) -> Result<SecretFields, String> {
    let Some(serde_json::Value::Object(map)) = json else {
        return Err(format!("secrets file `{path}` is no {format} object"));
    };
    Ok(map
        .into_iter()
        .filter(|(_, value)| !value.is_null())
        .map(|(key, value)| match value {
            serde_json::Value::String(text) => (key, SecretString::from(text)),
            other => (key, SecretString::from(other.to_string())),
        })
        .collect())
}

/// Lines `KEY=VALUE`, with `export`, comments and quotes as shells' env files have them.
fn env_fields(text: &str, path: &str) -> Result<SecretFields, String> {
    let mut out = SecretFields::new();
    for (index, line) in text.lines().enumerate() {
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let line = line.strip_prefix("export ").unwrap_or(line);
        let (key, value) = line.split_once('=').ok_or_else(|| {
            format!("line {} of secrets file `{path}` is no `KEY=VALUE`", index + 1)
        })?;
        let value = value.trim();
        let value = ['"', '\'']
            .into_iter()
            .find_map(|quote| value.strip_prefix(quote)?.strip_suffix(quote))
            .unwrap_or(value);
        out.insert(key.trim().to_owned(), SecretString::from(value));
    }
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::test_support::{Bench, params};
    use pikoci_core::secret::ExposeSecret;

    fn plain(fields: SecretFields) -> Vec<(String, String)> {
        fields.into_iter().map(|(key, value)| (key, value.expose_secret().to_owned())).collect()
    }

    fn pairs(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
        pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
    }

    #[test]
    fn a_file_is_read_by_its_format() {
        let dir = tempfile::tempdir().unwrap();
        type Row<'a> = (&'a str, Option<&'a str>, &'a str, &'a [(&'a str, &'a str)]);
        let table: &[Row<'_>] = &[
            (
                "a.json",
                None,
                r#"{"a":"x","n":1,"o":{"p":true},"z":null}"#,
                &[("a", "x"), ("n", "1"), ("o", r#"{"p":true}"#)],
            ),
            ("a.yaml", None, "a: x\nn: 1\n", &[("a", "x"), ("n", "1")]),
            ("a.yml", None, "a: x\n", &[("a", "x")]),
            (
                ".env",
                None,
                "# c\nexport A=x y\nB='q'\n\nC=\"=\"\n",
                &[("A", "x y"), ("B", "q"), ("C", "=")],
            ),
            ("token", None, "abc\n", &[("content", "abc")]),
            ("token.json", Some("raw"), "{}\r\n", &[("content", "{}")]),
        ];
        for (name, format, text, expected) in table {
            let path = dir.path().join(name);
            std::fs::write(&path, text).unwrap();
            let fields = read_file(path.to_str().unwrap(), *format).unwrap();
            assert_eq!(plain(fields), pairs(expected), "{name}");
        }
    }

    #[tokio::test]
    async fn a_variable_answers_under_its_name_and_as_value() {
        let it = EnvSecret::with_lookup(|name| match name {
            "TOKEN" => Some("t".into()),
            "EMPTY" => Some(String::new()),
            _ => None,
        });
        let mut bench = Bench::new("task x");
        let fields = it.get(&mut bench.step(), &params(&[("key", "TOKEN")])).await.unwrap();
        assert_eq!(plain(fields), pairs(&[("TOKEN", "t"), ("value", "t")]));
        let fields = it.get(&mut bench.step(), &params(&[("path", "TOKEN")])).await.unwrap();
        assert_eq!(plain(fields), pairs(&[("value", "t")]));
        for (name, expected) in [
            ("EMPTY", "`EMPTY` is empty in the worker's environment"),
            ("MISSING", "`MISSING` is not set in the worker's environment"),
            ("A=B", "`A=B` is no name of a variable"),
            ("", "`` is no name of a variable"),
        ] {
            let error = it.get(&mut bench.step(), &params(&[("key", name)])).await.unwrap_err();
            assert_eq!(error.message, expected);
        }
        assert!(EnvSecret::new().get(&mut bench.step(), &params(&[])).await.is_err());
    }

    #[test]
    fn errors_never_quote_the_file() {
        let dir = tempfile::tempdir().unwrap();
        for (name, format) in
            [("a.json", None), ("a.yaml", None), ("a.env", None), ("a", Some("toml"))]
        {
            let path = dir.path().join(name);
            std::fs::write(&path, "hunter2: [hunter2\n\u{7}").unwrap();
            let error = read_file(path.to_str().unwrap(), format).unwrap_err();
            assert!(!error.contains("hunter2"), "{error}");
        }
        let missing = read_file("/nonexistent/secret", None).unwrap_err();
        assert!(missing.contains("`/nonexistent/secret`"), "{missing}");
        let directory = read_file(dir.path().to_str().unwrap(), None).unwrap_err();
        assert!(directory.contains("no regular file"), "{directory}");
    }
}
