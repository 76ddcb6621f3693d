//! Where in an object store what lies.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

use object_store::ObjectStore;
use object_store::path::Path;
use pikoci_core::blob::Digest;
use uuid::Uuid;

/// The group of names of blobs.
const BLOBS: &str = "sha256";

/// The group of names of content that is on its way.
const UPLOADS: &str = "tmp";

/// The names below a prefix.
#[derive(Debug, Clone)]
pub(super) struct Layout {
    prefix: Path,
}

impl Layout {
    pub(super) fn new(prefix: Path) -> Self {
        Self { prefix }
    }

    /// The name of a blob.
    pub(super) fn blob(&self, digest: &Digest) -> Path {
        let hex = digest.to_hex();
        self.blobs().join(&hex[..2]).join(hex.as_str())
    }

    /// What all names of blobs begin with.
    pub(super) fn blobs(&self) -> Path {
        self.prefix.clone().join(BLOBS)
    }

    /// The blob that has this name; `None` for other names.
    pub(super) fn digest(&self, name: &Path) -> Option<Digest> {
        let digest = Digest::from_hex(name.filename()?).ok()?;
        (self.blob(&digest) == *name).then_some(digest)
    }

    /// A new name for content that is on its way.
    pub(super) fn new_upload(&self) -> Path {
        self.uploads().join(Uuid::now_v7().to_string())
    }

    /// What all names of uploads begin with.
    pub(super) fn uploads(&self) -> Path {
        self.prefix.clone().join(UPLOADS)
    }

    /// Whether this is a name that [`Self::new_upload`] made.
    pub(super) fn is_upload(&self, name: &Path) -> bool {
        name.filename().is_some_and(is_upload)
            && name.prefix_match(&self.uploads()).is_some_and(|rest| rest.count() == 1)
    }
}

/// Whether the last part of a name is one of ours.
pub(super) fn is_upload(name: &str) -> bool {
    name.len() == 36 && Uuid::try_parse(name).is_ok()
}

/// A store that is open, and how to use it. Clones share it.
#[derive(Clone)]
pub(super) struct Place {
    pub(super) store: Arc<dyn ObjectStore>,
    pub(super) layout: Layout,
    /// How it is called in messages.
    pub(super) name: Arc<str>,
    /// How much of a blob goes in one piece.
    pub(super) part_bytes: usize,
    /// Where its files lie, if they do.
    pub(super) directory: Option<PathBuf>,
}

impl fmt::Debug for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Place").field(&self.name).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_blob_is_known_by_its_whole_name() {
        let layout = Layout::new(Path::from("a/b"));
        let digest = Digest::of(b"x");
        let hex = digest.to_hex();
        let name = layout.blob(&digest);
        assert_eq!(name.as_ref(), format!("a/b/sha256/{}/{hex}", &hex[..2]));
        assert_eq!(layout.digest(&name), Some(digest));
        for other in [
            format!("sha256/{}/{hex}", &hex[..2]),
            format!("a/b/sha256/00/{hex}"),
            format!("a/b/sha256/{hex}"),
            format!("a/b/sha256/{}/{hex}.old", &hex[..2]),
        ] {
            assert_eq!(layout.digest(&Path::from(other)), None);
        }
    }

    #[test]
    fn only_names_made_here_count_as_uploads() {
        let layout = Layout::new(Path::from("a"));
        assert!(layout.is_upload(&layout.new_upload()));
        let uuid = Uuid::nil();
        for other in
            [format!("tmp/{uuid}"), format!("a/tmp/x/{uuid}"), "a/tmp/notes".into(), "a/tmp".into()]
        {
            assert!(!layout.is_upload(&Path::from(other.as_str())), "{other}");
        }
    }
}
