//! Running one command with everything it starts.
//!
//! [`run`] starts a program in a process group of its own, with a cleared
//! environment, hands on what it prints, and comes back only when the program
//! and all its descendants have ended, wherever they went. How the
//! descendants are found is told in `registry.rs`, how they are ended in
//! `tree.rs`, and what to do about services that outlive their step at
//! [`end_build`].
//!
//! On Linux descendants are found by ancestry, process group, session and a
//! mark in their environment. One that wiped its environment, left its session
//! and lost its parent is found only when this program is a child subreaper:
//! [`become_subreaper`]. On other systems there is only the process group.

mod environment;
mod lookup;
mod output;
mod procfs;
mod registry;
mod spawn;
mod terminal;
#[cfg(test)]
mod tests;
mod tree;

pub use environment::EnvironmentPolicy;
pub use lookup::{ProcessError, find_program};
pub use registry::OtherChildren;
pub use spawn::{ProcessSpec, abort_all, become_subreaper, end_build, end_by_marker, run};
pub use terminal::keep_off_the_terminal;
