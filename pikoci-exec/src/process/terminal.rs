//! Commands and the terminal this program may run in.

/// Keeps commands from hanging at the terminal this program runs in; for a
/// program's start, and of no effect where there is no terminal.
///
/// A command runs in a process group of its own, so that Ctrl-C reaches this
/// program alone. To the terminal that is a group in the background, and one
/// that asks for a password there, as `git`, `ssh` and `sudo` do, is stopped
/// until someone brings it to the front, which no one can. When this program
/// ignores those two signals, its commands do so too, and the question fails
/// at once instead. (A session for each command would do the same, but takes a
/// fork where the standard library otherwise gets by with posix_spawn.)
///
/// This changes how this whole program takes SIGTTIN and SIGTTOU: it may then
/// write to the terminal from the background without being stopped.
#[expect(unsafe_code, reason = "there is no safe way to ignore a signal so that children do, too")]
pub fn keep_off_the_terminal() {
    for signal in [libc::SIGTTIN, libc::SIGTTOU] {
        // SAFETY: to ignore a signal runs no code of this program, and no one
        // else here handles these two.
        unsafe {
            libc::signal(signal, libc::SIG_IGN);
        }
    }
}
