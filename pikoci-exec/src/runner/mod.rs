//! Where commands run: the built-in runners and those declared in HCL.

mod declared;
mod docker;
mod exec;
pub mod expand;
mod script;
mod shell;

pub use declared::DeclaredRunner;
pub use docker::DockerRunner;
pub use exec::ExecRunner;
pub(crate) use exec::scripts;
pub use shell::ShellRunner;
