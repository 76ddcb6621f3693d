//! What logs must do, whatever happens to those who write and read them.

mod crash;
mod format;
mod life;
mod model;
mod support;
mod writing;
