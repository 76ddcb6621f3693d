//! The C ABI of PikoCI.
//!
//! Nothing is here yet. This crate will hold `pikoci.h` and the functions
//! behind it: opaque handles, JSON in and out, callbacks for custom types.
