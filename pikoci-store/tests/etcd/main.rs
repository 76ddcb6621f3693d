//! The store in etcd, against real members that the tests start themselves.
//! They need the programs `etcd` and `etcdctl`, and `PIKOCI_TEST_ETCD=1`,
//! which says that these are there.
#![cfg(feature = "etcd")]

mod cluster;
#[path = "../common/mod.rs"]
mod common;
mod login;
mod outcomes;
mod server;
mod space;
mod suite;
mod tls;
mod watch;
