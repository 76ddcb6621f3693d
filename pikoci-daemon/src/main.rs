//! The `pikoci` binary: hands over to the library and exits with its code.

use std::process::ExitCode;

fn main() -> ExitCode {
    pikoci_daemon::main()
}
