//! `pikoci store …`: moves what stores hold, and looks into them.

mod check;
mod copy;
mod export;
mod import;
mod place;
mod told;

pub(super) use check::check;
pub(super) use copy::copy;
pub(super) use export::export;
pub(super) use import::import;
