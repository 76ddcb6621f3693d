//! The `fs` resource type: a file or directory on the worker's machine.

use std::path::{Path, PathBuf};

use async_trait::async_trait;
use pikoci_core::catalog::ParamSpec;
use pikoci_core::context::StepRun;
use pikoci_core::params::Params;
use pikoci_core::version::Metadata;
use pikoci_core::{ResourceType, TypeError, Version};
use tokio_util::sync::CancellationToken;

use crate::declared::resource_name;
use crate::files::{self, FilesError};

/// The `fs` resource type.
///
/// Parameters: `path`, a file or a directory; `ignore`, patterns as in a
/// `.gitignore`; `name`, where a `get` puts it in the working directory (by
/// default a directory goes under the resource's name, a file under its own).
/// A version is `{"sha256": …}` over contents, names, links and the executable
/// bit.
///
/// `put` takes `from`, a path in the working directory, and copies it to
/// `path`; a file appears there whole or not at all. A directory is merged into
/// one that is already there: files of the same name are replaced one by one,
/// nothing else is removed. With `replace = true` the whole directory is
/// exchanged, at once where the system can. A file on a directory, or a
/// directory on a file, fails and changes nothing, unless `replace = true`.
/// Where `path` is a symbolic link, what it leads to is meant.
#[derive(Debug, Clone, Copy, Default)]
pub struct FsResource;

impl FsResource {
    /// The type.
    pub fn new() -> Self {
        Self
    }
}

#[async_trait]
impl ResourceType for FsResource {
    fn params(&self) -> ParamSpec {
        ParamSpec::only(["path!", "name", "ignore"])
    }

    fn put_params(&self) -> ParamSpec {
        ParamSpec::only(["from!", "replace"])
    }

    async fn check(
        &self,
        step: &mut StepRun<'_>,
        params: &Params,
        _from: Option<&Version>,
    ) -> Result<Vec<Version>, TypeError> {
        let path = path(params)?;
        let ignore = params.texts("ignore");
        let digest = blocking(step.cancel, move |cancel| {
            files::digest(&path, &files::ignored(&path, &ignore)?, cancel)
        })
        .await?;
        Ok(vec![version(digest)])
    }

    async fn pull(
        &self,
        step: &mut StepRun<'_>,
        params: &Params,
        wanted: &Version,
    ) -> Result<Metadata, TypeError> {
        let source = path(params)?;
        let ignore = params.texts("ignore");
        let name = params.text("name");
        let resource = resource_name(step.context).to_owned();
        let workdir = step.context.workdir.clone();
        let shown = source.display().to_string();
        let digest = blocking(step.cancel, move |cancel| {
            let name = match name {
                Some(name) => name,
                None if source.is_dir() => resource,
                None => {
                    source.file_name().map_or(resource, |name| name.to_string_lossy().into_owned())
                }
            };
            let target = files::inside(&workdir, &name)?;
            let ignored = files::ignored(&source, &ignore)?;
            files::copy(&source, &target, &ignored, cancel)
        })
        .await?;
        if version(digest) != *wanted {
            return Err(TypeError::errored(format!(
                "`{shown}` has changed since version `{wanted}` was found"
            )));
        }
        Ok(Metadata::new())
    }

    async fn push(
        &self,
        step: &mut StepRun<'_>,
        params: &Params,
        put: &Params,
    ) -> Result<Option<Version>, TypeError> {
        let target = path(params)?;
        let from = put.text("from").filter(|from| !from.is_empty()).ok_or_else(|| {
            TypeError::errored("`put` of an `fs` resource needs `from`: what to copy")
        })?;
        let workdir = step.context.workdir.clone();
        let replace = put.flag("replace");
        let ignore = params.texts("ignore");
        let digest = blocking(step.cancel, move |cancel| {
            let source = files::inside(&workdir, &from)?;
            files::put(&source, &target, replace, cancel)?;
            // What a check will find: other files may be there, too.
            files::digest(&target, &files::ignored(&target, &ignore)?, cancel)
        })
        .await?;
        Ok(Some(version(digest)))
    }
}

fn version(digest: String) -> Version {
    Version::from_pairs([("sha256", digest)])
}

fn path(params: &Params) -> Result<PathBuf, TypeError> {
    let path = params
        .text("path")
        .filter(|path| !path.is_empty())
        .ok_or_else(|| TypeError::errored("an `fs` resource needs `path`: a file or directory"))?;
    Ok(Path::new(&path).to_path_buf())
}

/// Runs `work` where it may block; it looks at the token now and then.
async fn blocking<T: Send + 'static>(
    cancel: &CancellationToken,
    work: impl FnOnce(&CancellationToken) -> Result<T, FilesError> + Send + 'static,
) -> Result<T, TypeError> {
    let token = cancel.clone();
    match tokio::task::spawn_blocking(move || work(&token)).await {
        Ok(Ok(value)) => Ok(value),
        Ok(Err(FilesError::Cancelled)) => Err(TypeError::cancelled()),
        Ok(Err(FilesError::Refused(message))) => Err(TypeError::failed(message)),
        Ok(Err(error)) => Err(TypeError::errored(error.to_string())),
        Err(_) => Err(TypeError::errored("copying files was given up")),
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use pikoci_core::traits::TypeErrorKind;

    use super::*;
    use crate::test_support::{Bench, params};

    #[tokio::test]
    async fn a_file_goes_under_its_own_name_and_a_directory_under_the_resources() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("config.yaml");
        fs::write(&file, "a: 1").unwrap();
        let it = FsResource::new();
        for (path, name, expected) in [
            (file.as_path(), None, "config.yaml"),
            (file.as_path(), Some("etc/app.yaml"), "etc/app.yaml"),
            (dir.path(), None, "conf/config.yaml"),
            (dir.path(), Some("."), "config.yaml"),
        ] {
            let mut given = vec![("path", path.to_str().unwrap())];
            given.extend(name.map(|name| ("name", name)));
            let given = params(&given);
            let mut bench = Bench::new("get conf");
            let versions = it.check(&mut bench.step(), &given, None).await.unwrap();
            it.pull(&mut bench.step(), &given, &versions[0]).await.unwrap();
            let text = fs::read_to_string(bench.workdir.join(expected));
            assert_eq!(text.ok().as_deref(), Some("a: 1"), "{name:?}");
        }
    }

    #[tokio::test]
    async fn what_has_changed_since_is_not_passed_off_as_the_version() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("file");
        fs::write(&file, "1").unwrap();
        let given = params(&[("path", file.to_str().unwrap())]);
        let it = FsResource::new();
        let mut bench = Bench::new("get conf");
        let versions = it.check(&mut bench.step(), &given, None).await.unwrap();
        fs::write(&file, "2").unwrap();
        let error = it.pull(&mut bench.step(), &given, &versions[0]).await.unwrap_err();
        assert!(error.message.contains("has changed since"), "{}", error.message);
    }

    #[tokio::test]
    async fn a_put_copies_out_of_the_workspace_and_from_nowhere_else() {
        let dir = tempfile::tempdir().unwrap();
        let target = dir.path().join("out/report.txt");
        let given = params(&[("path", target.to_str().unwrap())]);
        let it = FsResource::new();
        let mut bench = Bench::new("put report");
        fs::write(bench.workdir.join("report.txt"), "fine").unwrap();
        let put = params(&[("from", "report.txt")]);
        let made = it.push(&mut bench.step(), &given, &put).await.unwrap();
        assert_eq!(fs::read_to_string(&target).unwrap(), "fine");
        let found = it.check(&mut bench.step(), &given, None).await.unwrap();
        assert_eq!(made.as_ref(), found.first());
        for bad in ["/etc/passwd", "../x", ""] {
            let put = params(&[("from", bad)]);
            let pushed = it.push(&mut bench.step(), &given, &put).await;
            assert!(pushed.is_err(), "{bad}");
        }
    }

    #[tokio::test]
    async fn a_put_loses_nothing_unless_it_is_told_to_replace() {
        let dir = tempfile::tempdir().unwrap();
        let target = dir.path().join("site");
        fs::create_dir(&target).unwrap();
        fs::write(target.join("keep"), "old").unwrap();
        let given = params(&[("path", target.to_str().unwrap()), ("ignore", "keep")]);
        let it = FsResource::new();
        let mut bench = Bench::new("put site");
        fs::create_dir(bench.workdir.join("public")).unwrap();
        fs::write(bench.workdir.join("public/index"), "new").unwrap();
        let directory = params(&[("from", "public")]);
        let made = it.push(&mut bench.step(), &given, &directory).await.unwrap();
        assert_eq!(fs::read_to_string(target.join("keep")).unwrap(), "old");
        assert_eq!(fs::read_to_string(target.join("index")).unwrap(), "new");
        let found = it.check(&mut bench.step(), &given, None).await.unwrap();
        assert_eq!(made.as_ref(), found.first(), "a check finds what was put");

        let file = params(&[("from", "public/index")]);
        let error = it.push(&mut bench.step(), &given, &file).await.unwrap_err();
        assert_eq!(error.kind, TypeErrorKind::Failed);
        assert!(error.message.contains("site` is a directory"), "{}", error.message);
        assert!(target.join("keep").exists());

        let mut directory = directory;
        directory.insert("replace", true);
        it.push(&mut bench.step(), &given, &directory).await.unwrap();
        assert!(!target.join("keep").exists() && target.join("index").exists());
    }
}
