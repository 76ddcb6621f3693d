//! A store in an etcd cluster.

mod cluster;
mod commit;
mod config;
mod failure;
mod keys;
mod leases;
mod login;
mod proto;
mod store;
mod watch;

pub use store::EtcdStore;
