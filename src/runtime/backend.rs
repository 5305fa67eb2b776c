//! The kernel interface that a runtime uses.
#![forbid(unsafe_code)]

use std::fmt;

/// The kernel interface that a runtime uses for I/O.
///
/// # Examples
/// ```
/// use proactor::{Backend, Selector};
/// assert_eq!(Selector::new().unwrap().backend(), Backend::Selector);
/// assert_eq!(Backend::Proactor.to_string(), "proactor");
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Backend {
    /// Completions, by io_uring.
    Proactor,
    /// Readiness, by epoll.
    Selector,
}

impl fmt::Display for Backend {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Backend::Proactor => "proactor",
            Backend::Selector => "selector",
        })
    }
}
