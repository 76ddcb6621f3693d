//! The typed layer above the store: records, indexes, counters, queues and leases.

mod compatibility;
mod counters_and_queues;
mod indexes;
mod leases;
mod listing;
mod model;
mod overhead;
mod records;
mod support;
mod transactions;
