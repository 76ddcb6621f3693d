//! Who refers to which blob, and the removal of blobs nobody refers to.
//!
//! A reference is written in the same transaction as what refers to the blob:
//!
//! 1. Put the blob.
//! 2. Refer to it ([`BlobReferences::add_in`]), within the grace time of the
//!    collection (a day by default).
//! 3. Look whether it is still there, and put it again if it is not. From the
//!    reference on it stays.
//!
//! The third step is for a blob that was there long before, unreferred to,
//! and was being collected while it was put: what was removed just then would
//! be missing. A collection never removes a blob that is referred to: it
//! marks the blob before, which forbids references until it is done with it.
//! A mark that is an hour old counts as abandoned, so this holds as long as the
//! clocks of two collectors do not differ by that much, and none of them
//! sleeps that long in the middle of a removal.
//!
//! Keys, in which a digest is its 64 hexadecimal digits as text:
//!
//! | key | value |
//! |---|---|
//! | `b`, digest | how many references there are |
//! | `b`, digest, owner | nothing; one for each reference |
//! | `bc`, digest | the blob is being removed: since when, by whom |

mod collect;
mod references;
#[cfg(test)]
mod tests;

pub use collect::{Collected, Collection, DEFAULT_GRACE, TAKE_OVER_AFTER};
pub(super) use references::put;
pub use references::{BlobCheck, BlobReferenceError, BlobReferences, MissingBlob};
