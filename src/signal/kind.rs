//! `Kind`: signals by their names. It does not know which of them can be listened to.
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
    /// SIGINT: somebody has typed Ctrl-C at the terminal.
    pub const INTERRUPT: Kind = Kind(libc::SIGINT);
    /// SIGTERM: the process is asked to end.
    pub const TERMINATE: Kind = Kind(libc::SIGTERM);
    /// SIGHUP: the terminal has gone; daemons read their configuration again.
    pub const HANGUP: Kind = Kind(libc::SIGHUP);
    /// SIGUSR1: what it means is the program's choice.
    pub const USER1: Kind = Kind(libc::SIGUSR1);
    /// SIGUSR2: what it means is the program's choice.
    pub const USER2: Kind = Kind(libc::SIGUSR2);
    /// SIGCHLD: at least one child has ended, or was stopped or continued.
    pub const CHILD: Kind = Kind(libc::SIGCHLD);
    /// SIGALRM: a timer of alarm(2) or setitimer(2) has expired.
    pub const ALARM: Kind = Kind(libc::SIGALRM);
    /// SIGWINCH: the terminal's window has another size.
    pub const WINDOW_CHANGE: Kind = Kind(libc::SIGWINCH);
    /// SIGQUIT: somebody has typed Ctrl-\ at the terminal.
    pub const QUIT: Kind = Kind(libc::SIGQUIT);
    /// SIGPIPE: a write to a pipe that nobody reads.
    pub const PIPE: Kind = Kind(libc::SIGPIPE);
    /// SIGIO: a descriptor with `O_ASYNC` is ready.
    pub const IO: Kind = Kind(libc::SIGIO);

    /// The kind with this number, as for real-time signals: `libc::SIGRTMIN() + 1`. Listening finds out whether there is
    /// such a one.
    pub const fn from_raw(signal: i32) -> Kind {
        Kind(signal)
    }

    /// Its number.
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
