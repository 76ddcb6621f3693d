//! `--resource type.name=PATH`: a directory or file that stands for a resource.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use ignore::WalkBuilder;
use pikoci_core::catalog::ParamSpec;
use pikoci_core::context::StepRun;
use pikoci_core::event::OutputStream;
use pikoci_core::params::Params;
use pikoci_core::version::Metadata;
use pikoci_core::{Pipeline, ResourceType, TypeError, Types, Value, Version};
use tokio_util::sync::CancellationToken;

use super::LocalError;
use super::flow::listed;
use crate::declared::resource_name;
use crate::files;

/// The parameter that tells an overridden resource from others of its type. It
/// cannot be written in a pipeline: an attribute's name holds no dot.
const PARAM: &str = "pikoci.override";

/// Puts the overrides in place: marks their resources and wraps their types.
pub(super) fn apply(
    pipeline: &mut Pipeline,
    types: &mut Types,
    overrides: &BTreeMap<String, PathBuf>,
) -> Result<(), LocalError> {
    for (name, path) in overrides {
        let cannot = |error| LocalError::Override { name: name.clone(), path: path.clone(), error };
        let real = fs::canonicalize(path).map_err(cannot)?;
        let text = real.to_str().ok_or_else(|| {
            cannot(io::Error::new(io::ErrorKind::InvalidInput, "its name is not UTF-8"))
        })?;
        let known = pipeline.resources.iter().map(|it| format!("{}.{}", it.kind, it.name));
        let known: Vec<_> = known.collect();
        let Some(index) = known.iter().position(|it| it == name) else {
            let names = listed(known.iter().map(String::as_str));
            return Err(LocalError::NoSuchResource { name: name.clone(), names });
        };
        if let Some(resource) = pipeline.resources.get_mut(index) {
            resource.params.insert(PARAM.into(), Value::string(text));
            let inner = types.resource_types.remove(&resource.kind);
            let wrapped = Overridden { kind: resource.kind.clone(), inner };
            types.resource_types.insert(resource.kind.clone(), Arc::new(wrapped));
        }
    }
    Ok(())
}

/// A resource type of which some resources are overridden.
#[derive(Debug)]
struct Overridden {
    kind: String,
    inner: Option<Arc<dyn ResourceType>>,
}

impl Overridden {
    fn inner(&self) -> Result<&dyn ResourceType, TypeError> {
        self.inner
            .as_deref()
            .ok_or_else(|| TypeError::errored(format!("there is no resource type `{}`", self.kind)))
    }
}

fn override_of(params: &Params) -> Option<PathBuf> {
    params.text(PARAM).map(PathBuf::from)
}

#[async_trait]
impl ResourceType for Overridden {
    fn params(&self) -> ParamSpec {
        ParamSpec::any()
    }

    async fn check(
        &self,
        step: &mut StepRun<'_>,
        params: &Params,
        from: Option<&Version>,
    ) -> Result<Vec<Version>, TypeError> {
        match override_of(params) {
            Some(path) => Ok(vec![version(&path)]),
            None => self.inner()?.check(step, params, from).await,
        }
    }

    async fn pull(
        &self,
        step: &mut StepRun<'_>,
        params: &Params,
        version: &Version,
    ) -> Result<Metadata, TypeError> {
        let Some(source) = override_of(params) else {
            return self.inner()?.pull(step, params, version).await;
        };
        let name = match params.text("name") {
            Some(name) => name,
            None if source.is_file() => {
                source.file_name().map(|it| it.to_string_lossy().into_owned()).unwrap_or_default()
            }
            None => resource_name(step.context).to_owned(),
        };
        let target = files::inside(&step.context.workdir, &name)
            .map_err(|error| TypeError::errored(error.to_string()))?;
        say(step, &format!("copying `{}` as it is\n", source.display())).await;
        let token = step.cancel.clone();
        tokio::task::spawn_blocking(move || copy(&source, &target, &token))
            .await
            .map_err(|_| TypeError::errored("copying files was given up"))??;
        Ok(Metadata::new())
    }

    async fn push(
        &self,
        step: &mut StepRun<'_>,
        params: &Params,
        put: &Params,
    ) -> Result<Option<Version>, TypeError> {
        let Some(path) = override_of(params) else {
            return self.inner()?.push(step, params, put).await;
        };
        say(step, &format!("not pushed: `{}` stands for this resource\n", path.display())).await;
        Ok(None)
    }
}

async fn say(step: &mut StepRun<'_>, text: &str) {
    step.io.output(OutputStream::Engine, Bytes::from(text.to_owned())).await;
}

/// The commit that is checked out, where the override is a git repository;
/// else a word that says what this is.
fn version(path: &Path) -> Version {
    let head = head_commit(path).unwrap_or_else(|| "local".into());
    Version::from_pairs([("ref", head)])
}

/// The commit `HEAD` of the repository at `path`, read from its files so that
/// it needs no program and runs nobody's hooks.
fn head_commit(path: &Path) -> Option<String> {
    let dot_git = path.join(".git");
    let git_dir = match fs::read_to_string(&dot_git) {
        // A worktree or a submodule: the file says where the directory is.
        Ok(text) => path.join(text.strip_prefix("gitdir:")?.trim()),
        Err(_) => dot_git,
    };
    let common = match fs::read_to_string(git_dir.join("commondir")) {
        Ok(text) => git_dir.join(text.trim()),
        Err(_) => git_dir.clone(),
    };
    let head = fs::read_to_string(git_dir.join("HEAD")).ok()?;
    let commit = match head.trim().strip_prefix("ref:").map(str::trim) {
        None => head.trim().to_owned(),
        Some(name) => match fs::read_to_string(common.join(name)) {
            Ok(text) => text.trim().to_owned(),
            Err(_) => fs::read_to_string(common.join("packed-refs"))
                .ok()?
                .lines()
                .find_map(|line| line.strip_suffix(name)?.strip_suffix(' '))?
                .to_owned(),
        },
    };
    (commit.len() >= 40 && commit.bytes().all(|byte| byte.is_ascii_hexdigit())).then_some(commit)
}

/// Copies a working copy: everything but what its `.gitignore` files name,
/// uncommitted changes and `.git` included, so that builds which stamp
/// themselves with a version work. Git's own objects never change and are
/// linked, not copied, where that is possible.
fn copy(source: &Path, target: &Path, cancel: &CancellationToken) -> Result<(), TypeError> {
    let at = |path: &Path, error: &dyn std::fmt::Display| {
        TypeError::errored(format!("`{}`: {error}", path.display()))
    };
    let walk = WalkBuilder::new(source)
        .hidden(false)
        .ignore(false)
        .follow_links(false)
        .sort_by_file_name(std::ffi::OsStr::cmp)
        .build();
    for entry in walk {
        if cancel.is_cancelled() {
            return Err(TypeError::cancelled());
        }
        let entry = entry.map_err(|error| at(source, &error))?;
        let path = entry.path();
        let relative = path.strip_prefix(source).unwrap_or(Path::new(""));
        let copy = if relative.as_os_str().is_empty() {
            target.to_path_buf()
        } else {
            target.join(relative)
        };
        let Some(kind) = entry.file_type() else { continue };
        let done = if kind.is_dir() {
            fs::create_dir_all(&copy)
        } else if kind.is_symlink() {
            let _ = fs::remove_file(&copy);
            fs::read_link(path).and_then(|to| std::os::unix::fs::symlink(to, &copy))
        } else if kind.is_file() {
            if let Some(parent) = copy.parent() {
                fs::create_dir_all(parent).map_err(|error| at(parent, &error))?;
            }
            let _ = fs::remove_file(&copy);
            let linked = relative.starts_with(".git/objects") && fs::hard_link(path, &copy).is_ok();
            if linked { Ok(()) } else { fs::copy(path, &copy).map(drop) }
        } else {
            Ok(())
        };
        done.map_err(|error| at(path, &error))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_working_copy_is_copied_with_changes_and_without_what_is_ignored() {
        let dir = tempfile::tempdir().unwrap();
        let source = dir.path().join("source");
        let write = |path: &str, text: &str| {
            let path = source.join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        };
        let commit = "0123456789012345678901234567890123456789";
        write(".git/HEAD", "ref: refs/heads/main\n");
        write(".git/packed-refs", &format!("# x\n{commit} refs/heads/main\n"));
        write(".git/objects/pack/a.pack", "pack");
        write(".gitignore", "target/\n*.log\n");
        write("target/big", "");
        write("src/a.log", "");
        write("src/new", "not committed");
        std::os::unix::fs::symlink("/etc/passwd", source.join("link")).unwrap();
        let target = dir.path().join("work/app");
        copy(&source, &target, &CancellationToken::new()).unwrap();
        let there = |path: &str| fs::symlink_metadata(target.join(path)).is_ok();
        assert!(there("src/new") && there(".git/objects/pack/a.pack") && there(".gitignore"));
        assert!(!there("target") && !there("src/a.log"));
        assert!(target.join("link").is_symlink());
        assert_eq!(version(&source), Version::from_pairs([("ref", commit)]));
        assert_eq!(version(dir.path()), Version::from_pairs([("ref", "local")]));
    }
}
