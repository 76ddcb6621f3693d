//! What a kind of SQL server says and how it answers.

use std::fmt;

use pikoci_core::store::{Entry, Key, KeyRange, Order, Outcome, Txn};

/// A kind of SQL server, with where it is and the names of its tables.
///
/// The requests it makes are whole: each is sent as it is, in one round trip,
/// and leaves nothing behind on the connection.
pub(crate) trait Dialect: fmt::Debug + Send + Sync + 'static {
    /// A connection.
    type Connection: sqlx::Connection + Send;
    /// A row of an answer.
    type Row: Send;

    /// Whether a connection may go on being used after the server refused a
    /// request. Not so where that leaves a transaction open.
    const GOOD_AFTER_ERROR: bool;

    /// Makes a connection.
    fn connect(&self) -> impl Future<Output = Result<Self::Connection, sqlx::Error>> + Send;

    /// Sends `request` and gathers the whole answer.
    fn ask(
        connection: &mut Self::Connection,
        request: String,
    ) -> impl Future<Output = Result<Vec<Self::Row>, sqlx::Error>> + Send;

    /// The request for the entries of `keys`.
    fn get(&self, keys: &[Key]) -> String;

    /// The request for a part of a range.
    fn scan(&self, range: &KeyRange, order: Order, limit: usize) -> String;

    /// What a `get` or `scan` answered.
    fn entries(&self, rows: Vec<Self::Row>) -> Result<Vec<(Key, Entry)>, Fault>;

    /// The request to do `txn`. With `again` it may have been sent before:
    /// then a conflict is written down too, so that an earlier copy which is
    /// late cannot do what was answered not to be done.
    fn commit(&self, txn: &Txn, again: bool) -> String;

    /// What a `commit` answered.
    fn outcome(&self, rows: Vec<Self::Row>) -> Result<Outcome, Fault>;

    /// What an error means.
    fn fault(error: &sqlx::Error) -> Fault;
}

/// What is said of an answer that makes no sense.
pub(crate) const UNREADABLE: Fault = Fault::Damaged("it answered what cannot be read");

/// What an error of a server means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fault {
    /// The connection broke, or may have: what was sent is done or not.
    Lost,
    /// Undone; the same may work at once (two waited for each other).
    Again,
    /// Not done; it may work later. With what stands in the way.
    Later(&'static str),
    /// Not done: this server takes no writes, but the same address may lead to
    /// one that does. With why it takes none.
    Demoted(&'static str),
    /// A commit is done or not, anything else is not done. With what stands in
    /// the way.
    Unclear(&'static str),
    /// Not done, and refused until somebody helps. With what to do.
    Refused(&'static str),
    /// What is stored cannot be read. With what is wrong.
    Damaged(&'static str),
}
