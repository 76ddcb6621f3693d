//! The pub/sub backends against real servers.
//!
//! The URL of each server comes from the environment, such as
//! `PIKOCI_TEST_NATS=nats://127.0.0.1:4222`; without it the tests that need it
//! are skipped. Every test has channels of its own.

#![cfg(any(
    feature = "amqp",
    feature = "kafka",
    feature = "nats",
    feature = "postgres",
    feature = "redis"
))]

#[cfg(feature = "amqp")]
mod amqp;
#[cfg(feature = "kafka")]
mod kafka;
#[cfg(feature = "nats")]
mod nats;
#[cfg(feature = "postgres")]
mod postgres;
#[cfg(feature = "redis")]
mod redis;
mod server;
mod support;

#[path = "../common/mod.rs"]
mod common;
