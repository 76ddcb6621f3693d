//! Stub.
use super::Signature;
pub(super) const FUNCTIONS: &[Signature] = &[];
