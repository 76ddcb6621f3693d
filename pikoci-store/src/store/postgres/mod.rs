//! The store on PostgreSQL: `postgres://USER:PASSWORD@HOST:PORT/DATABASE`.
//!
//! All of it lies in one schema, `pikoci` or what `?schema=` says: see
//! [`schema`]. `?pool=` bounds the connections (10), `?sslmode=` and the
//! other options of libpq about TLS are the driver's.
//!
//! A commit is one call of a function in the database, `commit.sql`. It works
//! through a pooler that hands out a connection for each transaction.

mod dialect;
mod fault;
mod open;
mod schema;

pub(crate) use open::open;
