//! Backends of [`PubSub`](pikoci_core::PubSub).
//!
//! Each has one connection for all topics (or two: one to publish, one to
//! listen), connects again by itself with growing, jittered pauses, and keeps
//! nothing for later. [`open_pubsub`](crate::open_pubsub) answers once the
//! server does, or with an error after at most 10 seconds; a server that goes
//! away afterwards is waited for, however long that takes. If it refuses one
//! topic then that it had granted before, it is asked for that one again every
//! 10 seconds, and the others go on; who listens to it hears
//! [`Missed`](pikoci_core::pubsub::Signal::Missed) once it is granted.
//!
//! Every URL takes the option `?prefix=NAME`, 1 to 14 of `a-z`, `0-9`, `-` and
//! `_`; without it is `pikoci`. A channel of the server is called by the prefix,
//! a dot and the topic, so that those with different prefixes can share one.
//! Characters with a meaning in URLs are written as in every URL: `%40` for `@`.
//!
//! # NATS
//! `nats://user:password@host:4222,host`; `tls://` insists on TLS; a token is
//! `nats://:TOKEN@host`. The user needs the right to publish and subscribe to
//! `pikoci.>`. JetStream is not used.
//!
//! # RabbitMQ
//! `amqp://user:password@host:5672/vhost`, `amqps://` with TLS. Messages go
//! through the exchange `amq.direct`, which every broker has, into one queue
//! for each connection that is gone with it. The user needs the right to
//! configure and read `amq.gen-.*`, to write to it, and to read and write
//! `amq.direct`. A message counts as published once the broker confirms it.
//!
//! # Redis
//! `redis://user:password@host:6379`, `rediss://` with TLS. Channels are not
//! part of a database, so the number of one makes no difference. The user needs
//! `+publish +subscribe +unsubscribe +ping` and `&pikoci.*`.
//!
//! # PostgreSQL
//! `postgres://user:password@host/database`: LISTEN and NOTIFY, which reach
//! those who are connected to the same database. They need a session of their
//! own: a pooler that shares connections between transactions or statements
//! (PgBouncer's `pool_mode=transaction`) drops what is listened to, so name the
//! server itself. Two connections are used.
//!
//! # Kafka
//! `kafka://host:9092,host`, without login and TLS. Each topic of ours is one
//! of Kafka's, of which only partition 0 is used; it is made on the way where
//! the brokers allow that (`auto.create.topics.enable`), or beforehand. How
//! long messages are kept is up to them too; we read none but new ones, so a
//! few minutes do. There is no consumer group to clean up.

#[cfg(feature = "amqp")]
pub(crate) mod amqp;
#[cfg(any(
    feature = "amqp",
    feature = "kafka",
    feature = "nats",
    feature = "postgres",
    feature = "redis"
))]
#[cfg_attr(
    not(all(feature = "amqp", feature = "nats", feature = "postgres", feature = "redis")),
    allow(dead_code, reason = "which of its parts are used depends on the backends built in")
)]
mod hub;
#[cfg(feature = "kafka")]
pub(crate) mod kafka;
#[cfg(feature = "nats")]
pub(crate) mod nats;
#[cfg(feature = "postgres")]
pub(crate) mod postgres;
#[cfg(feature = "redis")]
pub(crate) mod redis;
