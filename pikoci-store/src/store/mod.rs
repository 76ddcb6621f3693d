//! Backends of [`Store`](pikoci_core::Store).
