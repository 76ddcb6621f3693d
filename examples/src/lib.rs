//! Runnable programs for each kind of user of PikoCI.
//!
//! * `pikoci.hcl` beside this crate is the pipeline that the README's first
//!   command runs on this very repository.
//! * `src/bin/tiny-redis.rs` is the service it starts where no `redis-server` is installed.
//! * [`log_store`] is a store of one's own, which passes the public suite.

pub mod log_store;
