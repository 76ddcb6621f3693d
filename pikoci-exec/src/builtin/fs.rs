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
/// bit. `put` takes `from`, a path in the working directory, and copies it to
/// `path`; a file appears there whole or not at all.
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
        ParamSpec::only(["from!"])
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
        let from = put.text("from").ok_or_else(|| {
            TypeError::errored("`put` of an `fs` resource needs `from`: what to copy")
        })?;
        let workdir = step.context.workdir.clone();
        let digest = blocking(step.cancel, move |cancel| {
            let source = files::inside(&workdir, &from)?;
            files::replace(&source, &target, cancel)
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
        Ok(Err(error)) => Err(TypeError::errored(error.to_string())),
        Err(_) => Err(TypeError::errored("copying files was given up")),
    }
}
