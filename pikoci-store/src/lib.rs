//! Stores, pub/sub and blobs for PikoCI, opened by URL.
//!
//! | URL | feature | for |
//! |---|---|---|
//! | `memory:` | | tests and trying out; nothing is kept |
//! | `file:PATH` | `files` | blobs in a local directory |
//! | `s3://BUCKET/PREFIX` | `s3` | blobs in S3 and what speaks like it: `?endpoint=`, `?region=`, `?virtual_hosted=true`, `?allow_http=true` (loopback needs none); keys from `AWS_ACCESS_KEY_ID` and its kin |
//! | `gs://BUCKET/PREFIX` | `s3` | blobs in Google Cloud Storage; keys from `GOOGLE_APPLICATION_CREDENTIALS` |
//! | `az://CONTAINER/PREFIX`, `abfs://CONTAINER@ACCOUNT.dfs.core.windows.net/PREFIX` | `s3` | blobs in Azure; `?account=`, key from `AZURE_STORAGE_ACCOUNT_KEY` |
//! | `sled:PATH` | `sled` | a store in a directory, for one process; the default |
//! | `etcd://host1,host2,host3/PREFIX`, `etcds://` with TLS | `etcd` | a store in a cluster |
//! | `nats://`, `tls://` | `nats` | pub/sub over NATS |
//! | `amqp://`, `amqps://` | `amqp` | pub/sub over RabbitMQ |
//! | `redis://`, `rediss://` | `redis` | pub/sub over Redis |
//! | `postgres://`, `postgresql://` | `postgres` | pub/sub by LISTEN and NOTIFY |
//! | `kafka://` | `kafka` | pub/sub over Kafka; not built by default |
//! | `sqlite:PATH` | `sqlite` | a store in a file of SQLite, for one process |
//! | `mysql://USER:PASSWORD@HOST/NAME?prefix=` | `mysql` | a store on MySQL or MariaDB (`mariadb://` too); see [below](#mysql-and-mariadb) |
//! | `postgres://USER:PASSWORD@HOST/NAME?schema=` | `postgres` | a store on PostgreSQL |
//! | `mysql://USER:PASSWORD@HOST/NAME?prefix=`, `mariadb://` | `mysql` | a store on MySQL or MariaDB |
//! | `postgres://USER:PASSWORD@HOST/NAME?schema=`, `postgresql://` | `postgres` | a store on PostgreSQL |
//!
//! The other options stand in [`store`], those of pub/sub in [`pubsub`].
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
//!
//! # MySQL and MariaDB
//!
//! Commits survive a loss of power where the server has
//! `innodb_flush_log_at_trx_commit` at 1 (or MariaDB's 3) and, if it keeps a
//! binary log, `sync_binlog` at 1. A server that is set otherwise is refused
//! when the store is opened. `?durability=server` takes it as it is: what was
//! answered to be committed may then be lost with the power. A change of these
//! settings while the store is open is not noticed.
//!
//! Where the binary log is off, the store falls short of the contract of
//! [`Store`](pikoci_core::Store) in one point: InnoDB shows a commit to others
//! an instant before it is on the disk. If the server crashes in that instant,
//! somebody may have read what is lost, though nobody was told that it was
//! committed. A commit that checks a lost entry is a conflict. But what was
//! read and is not checked may have been decided upon: entries that a scan of a
//! range found, or missed, and what was told or done outside of the store.
//! Whoever cannot have that turns the binary log on (`log_bin`, `sync_binlog = 1`).

#[cfg(feature = "files")]
pub mod blob;
mod error;
mod open;
mod options;
pub mod pubsub;
pub mod store;
pub mod transfer;
mod url;

pub use error::{OpenError, OpenErrorKind};
pub use open::{open_blobs, open_pubsub, open_store, verify_store};
pub use options::DbOptions;
pub use url::BackendUrl;
