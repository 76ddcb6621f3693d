//! Backends of [`Store`](pikoci_core::Store), opened by
//! [`open_store`](crate::open_store).
//!
//! # sled and SQLite
//! `sled:PATH` is a directory, `sqlite:PATH` a file; there are no options.
//!
//! # PostgreSQL
//! `postgres://user:password@host:5432/database`, `postgresql://` is the same.
//! Everything lies in one schema: `pikoci`, or what `?schema=NAME` says.
//! `?pool=N` bounds the connections (10). `?sslmode=`, `?sslrootcert=` and the
//! other options of libpq about TLS are the driver's.
//!
//! # MySQL and MariaDB
//! `mysql://user:password@host:3306/database`, `mariadb://` is the same. The
//! names of the tables begin with `pikoci_`, or what `?prefix=NAME` says.
//! `?pool=N` bounds the connections (10). `?ssl-mode=`, `?ssl-ca=` and their
//! kin are the driver's.
//!
//! # etcd
//! `etcd://user:password@host:2379,host/prefix`; everything lies below the
//! prefix, `pikoci/` without one. `etcds://`, or `?tls=1`, encrypts;
//! `?ca=FILE` names the authority to trust, `?cert=FILE&key=FILE` the client's
//! own certificate. What the cluster needs stands at `EtcdStore`.

#[cfg(any(feature = "sled", feature = "sqlite"))]
mod group;
#[cfg(any(feature = "sled", feature = "sqlite"))]
mod head;
#[cfg(any(feature = "sled", feature = "sqlite"))]
mod lock;
#[cfg(any(feature = "sled", feature = "sqlite"))]
mod panic;
#[cfg(any(feature = "sled", feature = "sqlite"))]
mod plan;
#[cfg(any(feature = "sled", feature = "sqlite"))]
mod recent;
#[cfg(feature = "sled")]
pub(crate) mod sled;
#[cfg(feature = "sqlite")]
pub(crate) mod sqlite;
#[cfg(any(feature = "sled", feature = "sqlite"))]
mod tally;

#[cfg(feature = "sled")]
pub use sled::SledStore;
#[cfg(feature = "etcd")]
mod etcd;

#[cfg(feature = "etcd")]
pub use etcd::EtcdStore;
#[cfg(feature = "sqlite")]
pub use sqlite::SqliteStore;
#[cfg(feature = "mysql")]
pub(crate) mod mysql;
#[cfg(feature = "postgres")]
pub(crate) mod postgres;
#[cfg(any(feature = "mysql", feature = "postgres"))]
mod sql;
