//! Checks that any implementation of a trait must pass.
