//! Stores, pub/sub and blobs for PikoCI, opened by URL.
//!
//! | URL | feature | for |
//! |---|---|---|
//! | `memory:` | | tests and trying out; nothing is kept |
//!
//! ```
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), pikoci_store::OpenError> {
//! let store = pikoci_store::open_store("memory:").await?;
//! let pubsub = pikoci_store::open_pubsub("memory:").await?;
//! let blobs = pikoci_store::open_blobs("memory:").await?;
//! # Ok(())
//! # }
//! ```

pub mod blob;
mod error;
mod open;
pub mod pubsub;
pub mod store;
mod url;

pub use error::{OpenError, OpenErrorKind};
pub use open::{open_blobs, open_pubsub, open_store};
pub use url::BackendUrl;
