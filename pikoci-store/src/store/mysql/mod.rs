//! The store on MySQL and MariaDB: `mysql://USER:PASSWORD@HOST:PORT/DATABASE`,
//! `mariadb://` is the same.
//!
//! The names of its tables begin with `pikoci_` or what `?prefix=` says: see
//! [`schema`]. `?pool=` bounds the connections (10), `?ssl-mode=` and its kin
//! are the driver's.
//!
//! A commit is one batch of statements, sent and answered as a whole.
//!
//! Two things are the server's to keep:
//! - A commit survives a loss of power only where the server is set so. Where
//!   it is not, the store does not open, unless the URL says
//!   `?durability=server`: see [`server`].
//! - Where the binary log is off, InnoDB shows a commit to others an instant
//!   before it is on the disk. If the server crashes in that instant, somebody
//!   may have read what nobody was told to be done, and what is lost. No commit
//!   that checks a lost entry comes of it: the check does not hold. But what
//!   was read and not checked may have been decided upon, foremost what a scan
//!   of a range found, and what was told or done outside of the store. The
//!   binary log, with `sync_binlog` 1, closes the gap.
//!
//! Several writable servers of one cluster (Galera, group replication with
//! many primaries) do not see each other's locks. All programs must name the
//! same one.

mod dialect;
mod fault;
mod open;
mod schema;
mod server;

pub(crate) use open::open;
