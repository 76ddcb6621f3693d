//! Tests of all functions.
