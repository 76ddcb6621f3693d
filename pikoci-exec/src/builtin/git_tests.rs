//! The `git` resource type against repositories made here.

use std::fs;
use std::path::PathBuf;
use std::sync::Arc;

use pikoci_core::params::Params;
use pikoci_core::traits::TypeErrorKind;
use pikoci_core::{ResourceType, TypeError, Version};

use crate::test_support::{Bench, git, params, pipeline};

/// A bare repository with a working copy that feeds it.
struct Origin {
    _dir: tempfile::TempDir,
    bare: PathBuf,
    copy: PathBuf,
}

impl Origin {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        // A blank and a quote in the path: both must survive the scripts.
        let bare = dir.path().join("it's bare.git");
        let copy = dir.path().join("copy");
        fs::create_dir(&bare).unwrap();
        fs::create_dir(&copy).unwrap();
        git(&bare, &["init", "-q", "--bare"]);
        git(&copy, &["init", "-q"]);
        git(&copy, &["remote", "add", "origin", bare.to_str().unwrap()]);
        Self { _dir: dir, bare, copy }
    }

    fn commit(&self, text: &str) -> String {
        fs::write(self.copy.join("file"), text).unwrap();
        git(&self.copy, &["add", "."]);
        git(&self.copy, &["commit", "-q", "-m", text]);
        git(&self.copy, &["push", "-q", "origin", "HEAD:main"]);
        git(&self.copy, &["rev-parse", "HEAD"])
    }

    fn params(&self, more: &[(&str, &str)]) -> Params {
        let mut all = vec![("url", self.bare.to_str().unwrap())];
        all.extend_from_slice(more);
        params(&all)
    }
}

fn the_type() -> Arc<dyn ResourceType> {
    let pipeline = pipeline("resource \"git\" \"app\" { params { url = \"x\" } }");
    crate::types_for(&pipeline, &crate::defaults()).unwrap().resource_types["git"].clone()
}

fn at(commit: &str) -> Version {
    Version::from_pairs([("ref", commit)])
}

async fn check(params: &Params, from: Option<&Version>) -> Result<Vec<Version>, TypeError> {
    let mut bench = Bench::new("check app");
    let result = the_type().check(&mut bench.step(), params, from).await;
    assert!(result.is_ok() || !bench.io.text().is_empty(), "an error was not explained");
    result
}

#[tokio::test]
async fn a_check_finds_the_newest_commit_and_then_those_since() {
    let origin = Origin::new();
    let commits: Vec<_> = ["1", "2", "3"].iter().map(|text| origin.commit(text)).collect();
    let versions: Vec<_> = commits.iter().map(|commit| at(commit)).collect();
    for more in [&[][..], &[("branch", "main")], &[("ref", "refs/heads/main")], &[("ref", "main")]]
    {
        assert_eq!(check(&origin.params(more), None).await.unwrap(), versions[2..], "{more:?}");
        assert_eq!(check(&origin.params(more), Some(&versions[0])).await.unwrap(), versions);
        assert_eq!(check(&origin.params(more), Some(&versions[2])).await.unwrap(), versions[2..]);
    }
    let url = format!("file://{}", origin.bare.to_str().unwrap().replace(' ', "%20"));
    assert_eq!(check(&params(&[("url", &url)]), Some(&versions[1])).await.unwrap(), versions[1..]);
}

#[tokio::test]
async fn a_rewritten_history_yields_the_newest_commit_only() {
    let origin = Origin::new();
    origin.commit("1");
    let gone = origin.commit("2");
    git(&origin.copy, &["reset", "-q", "--hard", "HEAD~1"]);
    fs::write(origin.copy.join("other"), "").unwrap();
    git(&origin.copy, &["add", "."]);
    git(&origin.copy, &["commit", "-q", "-m", "other"]);
    git(&origin.copy, &["push", "-q", "-f", "origin", "HEAD:main"]);
    let newest = git(&origin.copy, &["rev-parse", "HEAD"]);
    assert_eq!(check(&origin.params(&[]), Some(&at(&gone))).await.unwrap(), [at(&newest)]);
    let unknown = "0123456789012345678901234567890123456789";
    assert_eq!(check(&origin.params(&[]), Some(&at(unknown))).await.unwrap(), [at(&newest)]);
}

#[tokio::test]
async fn a_repository_that_is_itself_shallow_can_be_fetched_from() {
    let origin = Origin::new();
    origin.commit("1");
    let newest = origin.commit("2");
    let source = format!("file://{}", origin.bare.to_str().unwrap().replace(' ', "%20"));
    let shallow = origin.copy.with_file_name("shallow");
    git(&origin.copy, &["clone", "-q", "--depth=1", &source, shallow.to_str().unwrap()]);
    git(&shallow, &["checkout", "-q", "--detach"]);
    let params = params(&[("url", shallow.to_str().unwrap())]);
    assert_eq!(check(&params, None).await.unwrap(), [at(&newest)]);
    let mut bench = Bench::new("get app");
    the_type().pull(&mut bench.step(), &params, &at(&newest)).await.unwrap();
    assert_eq!(git(&bench.workdir.join("app"), &["rev-parse", "HEAD"]), newest);
}

#[tokio::test]
async fn an_annotated_tag_stands_for_its_commit() {
    let origin = Origin::new();
    let commit = origin.commit("1");
    git(&origin.copy, &["tag", "-a", "-m", "one", "v1"]);
    git(&origin.copy, &["push", "-q", "origin", "v1"]);
    origin.commit("2");
    let params = origin.params(&[("ref", "v1")]);
    assert_eq!(check(&params, None).await.unwrap(), [at(&commit)]);
    let mut bench = Bench::new("get app");
    the_type().pull(&mut bench.step(), &params, &at(&commit)).await.unwrap();
    assert_eq!(git(&bench.workdir.join("app"), &["rev-parse", "HEAD"]), commit);
}

#[tokio::test]
async fn a_cache_serves_two_checks_one_after_the_other() {
    let origin = Origin::new();
    let first = at(&origin.commit("1"));
    let cache = tempfile::tempdir().unwrap();
    for text in ["2", "3"] {
        let newest = at(&origin.commit(text));
        let mut bench = Bench::new("check app");
        bench.context.cache_dir = Some(cache.path().to_path_buf());
        let found = the_type().check(&mut bench.step(), &origin.params(&[]), Some(&first)).await;
        assert_eq!(found.unwrap().last(), Some(&newest));
    }
    let left = git(&cache.path().join("history.git"), &["for-each-ref"]);
    assert_eq!(left, "", "a check left refs behind");
}

#[tokio::test]
async fn a_pull_checks_out_exactly_the_version_also_when_it_is_old() {
    let origin = Origin::new();
    let commits: Vec<_> = ["1", "2", "3"].iter().map(|text| origin.commit(text)).collect();
    for (more, directory) in [
        (&[][..], "app"),
        (&[("branch", "main"), ("depth", "1"), ("name", "src/deep")], "src/deep"),
        (&[("depth", "2"), ("name", "a b")], "a b"),
    ] {
        for (commit, text) in commits.iter().zip(["1", "2", "3"]) {
            let mut bench = Bench::new("get app");
            let pulled =
                the_type().pull(&mut bench.step(), &origin.params(more), &at(commit)).await;
            assert!(pulled.is_ok(), "{more:?}: {pulled:?} {}", bench.io.text());
            let directory = bench.workdir.join(directory);
            assert_eq!(git(&directory, &["rev-parse", "HEAD"]), *commit, "{more:?}");
            assert_eq!(fs::read_to_string(directory.join("file")).unwrap(), text);
            // An attempt after one that broke off does no harm.
            the_type().pull(&mut bench.step(), &origin.params(more), &at(commit)).await.unwrap();
        }
    }
}

#[tokio::test]
async fn what_looks_like_an_option_or_leads_out_is_refused() {
    let origin = Origin::new();
    let commit = at(&origin.commit("1"));
    let marker = tempfile::tempdir().unwrap();
    let evil = format!("--upload-pack=touch {}/pwned", marker.path().display());
    for bad in [
        params(&[("url", "")]),
        params(&[("url", &evil)]),
        origin.params(&[("branch", &evil)]),
        origin.params(&[("ref", "-f")]),
        origin.params(&[("branch", "no-such")]),
        origin.params(&[("branch", "$(touch pwned)`touch pwned`;touch pwned")]),
        params(&[("url", &format!("ext::touch {}/pwned", marker.path().display()))]),
        params(&[("url", "/nonexistent")]),
    ] {
        let error = check(&bad, None).await.unwrap_err();
        assert_eq!(error.kind, TypeErrorKind::Errored, "{bad:?}");
    }
    for bad in [
        origin.params(&[("name", "../out")]),
        origin.params(&[("name", "/out")]),
        origin.params(&[("name", "-out")]),
        origin.params(&[("depth", "1 --upload-pack=x")]),
    ] {
        let mut bench = Bench::new("get app");
        the_type().pull(&mut bench.step(), &bad, &commit).await.unwrap_err();
        assert!(!bench.workdir.parent().unwrap().join("out").exists());
    }
    for version in ["", "--help", "main", "$(id)"] {
        let mut bench = Bench::new("get app");
        the_type().pull(&mut bench.step(), &origin.params(&[]), &at(version)).await.unwrap_err();
        let expected = format!(
            "git: '{version}' is no commit; a tag or branch goes into the resource's 'ref' or \
             'branch'\n"
        );
        assert_eq!(bench.io.text(), expected);
    }
    assert_eq!(fs::read_dir(marker.path()).unwrap().count(), 0, "something was run");
}

#[tokio::test]
async fn a_push_goes_to_the_branch_and_tells_the_version() {
    let origin = Origin::new();
    let base = origin.commit("1");
    let mut bench = Bench::new("put app");
    let resource = origin.params(&[("branch", "main")]);
    the_type().pull(&mut bench.step(), &resource, &at(&base)).await.unwrap();
    let directory = bench.workdir.join("app");
    fs::write(directory.join("new"), "").unwrap();
    git(&directory, &["add", "."]);
    git(&directory, &["commit", "-q", "-m", "new"]);
    // Meanwhile somebody else pushes.
    let other = origin.commit("2");
    let refused = the_type().push(&mut bench.step(), &resource, &params(&[])).await.unwrap_err();
    assert_eq!(refused.kind, TypeErrorKind::Failed);
    let put = params(&[("rebase", "true"), ("repository", "app")]);
    let made = the_type().push(&mut bench.step(), &resource, &put).await.unwrap().unwrap();
    assert_eq!(made, at(&git(&origin.bare, &["rev-parse", "main"])));
    assert_eq!(git(&origin.bare, &["rev-parse", "main~1"]), other);
    for bad in [&[("branch", "a b")][..], &[("branch", "-x")], &[("repository", "../..")]] {
        let put = params(bad);
        the_type().push(&mut bench.step(), &resource, &put).await.unwrap_err();
    }
}
