//! Two rules that hold for every error of the crate, as macros.
//!
//! Its `Debug` reads like its `Display`: `unwrap`, `expect` and a `main` that returns a `Result` print `Debug`, and cause
//! and cure must not be lost there. An error that holds another one (`BufError`, `PromiseError`, `GroupError`) shows the
//! `Debug` of that one instead.
//!
//! And `?` turns it into an `io::Error` that carries it, except where it hands values of one thread back.

/// Implements `Debug` with the text of `Display`.
macro_rules! debug_as_display {
    ($($error:ident $(<$value:ident>)?),*) => {$(
        impl$(<$value>)? std::fmt::Debug for $error$(<$value>)? {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                std::fmt::Display::fmt(self, f)
            }
        }
    )*};
}

/// Implements the conversion into an `io::Error` of a kind, which depends on the error's variant. An error that hands a
/// value back is carried without it: `SendError(value) => BrokenPipe, SendError(())`.
macro_rules! into_io_error {
    ($error:ident: $($variant:pat => $kind:ident),+) => {
        impl From<$error> for std::io::Error {
            fn from(error: $error) -> Self {
                let kind = match &error {
                    $($variant => std::io::ErrorKind::$kind),+
                };
                std::io::Error::new(kind, error)
            }
        }
    };
    ($error:ident<T>: $($variant:pat => $kind:ident, $carried:expr);+) => {
        impl<T> From<$error<T>> for std::io::Error {
            fn from(error: $error<T>) -> Self {
                match error {
                    $($variant => std::io::Error::new(std::io::ErrorKind::$kind, $carried)),+
                }
            }
        }
    };
}
