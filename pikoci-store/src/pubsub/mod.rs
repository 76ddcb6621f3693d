//! Backends of [`PubSub`](pikoci_core::PubSub).
