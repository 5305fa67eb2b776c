//! `Kind`: signals by name. It does not know which of them can be listened for.
#![forbid(unsafe_code)]

use std::fmt;

/// A kind of signal.
///
/// # Examples
/// ```
/// use proactor::signal::Kind;
/// assert_eq!(Kind::from_raw(libc::SIGTERM), Kind::TERMINATE);
/// assert_eq!(Kind::TERMINATE.to_string(), "SIGTERM");
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Kind(i32);

impl Kind {
    /// SIGINT: Ctrl-C was typed at the terminal.
    pub const INTERRUPT: Kind = Kind(libc::SIGINT);
    /// SIGTERM: the process is asked to end.
    pub const TERMINATE: Kind = Kind(libc::SIGTERM);
    /// SIGHUP: the terminal was closed; daemons reload their configuration.
    pub const HANGUP: Kind = Kind(libc::SIGHUP);
    /// SIGUSR1: its meaning is up to the program.
    pub const USER1: Kind = Kind(libc::SIGUSR1);
    /// SIGUSR2: its meaning is up to the program.
    pub const USER2: Kind = Kind(libc::SIGUSR2);
    /// SIGCHLD: at least one child has ended, or was stopped or continued.
    pub const CHILD: Kind = Kind(libc::SIGCHLD);
    /// SIGALRM: a timer of alarm(2) or setitimer(2) has expired.
    pub const ALARM: Kind = Kind(libc::SIGALRM);
    /// SIGWINCH: the size of the terminal's window has changed.
    pub const WINDOW_CHANGE: Kind = Kind(libc::SIGWINCH);
    /// SIGQUIT: Ctrl-\ was typed at the terminal.
    pub const QUIT: Kind = Kind(libc::SIGQUIT);
    /// SIGPIPE: a write to a pipe without readers.
    pub const PIPE: Kind = Kind(libc::SIGPIPE);
    /// SIGIO: a descriptor with `O_ASYNC` is ready.
    pub const IO: Kind = Kind(libc::SIGIO);

    /// Creates a kind from a signal number, for example of a real-time signal: `libc::SIGRTMIN() + 1`.
    ///
    /// The number is checked when a listener is created.
    pub const fn from_raw(signal: i32) -> Kind {
        Kind(signal)
    }

    /// Returns the signal number.
    pub const fn as_raw(self) -> i32 {
        self.0
    }

    fn name(self) -> Option<&'static str> {
        Some(match self {
            Kind::INTERRUPT => "SIGINT",
            Kind::TERMINATE => "SIGTERM",
            Kind::HANGUP => "SIGHUP",
            Kind::USER1 => "SIGUSR1",
            Kind::USER2 => "SIGUSR2",
            Kind::CHILD => "SIGCHLD",
            Kind::ALARM => "SIGALRM",
            Kind::WINDOW_CHANGE => "SIGWINCH",
            Kind::QUIT => "SIGQUIT",
            Kind::PIPE => "SIGPIPE",
            Kind::IO => "SIGIO",
            _ => return None,
        })
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.name() {
            Some(name) => f.write_str(name),
            None => write!(f, "signal {}", self.0),
        }
    }
}

impl fmt::Debug for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Kind({self})")
    }
}
