//! What the stores on SQL servers share: connections, retries, the settling
//! of commits whose outcome is unknown. Each server speaks its own
//! [`Dialect`](dialect::Dialect).
//!
//! Every call is one request and one answer over a connection that carries no
//! state from call to call: no prepared statement, no setting of the session,
//! no transaction left open. So a pooler may stand in between that gives each
//! transaction another connection.
//!
//! A commit writes its id beside what it writes, in the same transaction. When
//! the connection breaks before the answer is there, the same request is sent
//! again: the server finds the id and answers what it answered, or does what
//! never reached it. A first copy that comes after all finds the id too, and
//! does nothing.

pub(super) mod dialect;
pub(super) mod hex;
mod pool;
pub(super) mod settings;
mod store;

pub(super) use store::SqlStore;
