//! The error of an operation that owns a buffer: it carries the buffer back to the caller.
//!
//! It knows neither the type of the buffer nor the operation that failed.

use std::{error, fmt, io};

/// Result of an operation on an owned buffer: a value and the buffer, or an error and the buffer.
///
/// ```
/// use proactor::buf::BufResult;
///
/// fn first_byte(buf: Vec<u8>) -> BufResult<u8, Vec<u8>> {
///     Ok((buf[0], buf))
/// }
/// assert_eq!(first_byte(vec![7, 8]).unwrap(), (7, vec![7, 8]));
/// ```
pub type BufResult<T, B> = Result<(T, B), BufError<B>>;

/// An I/O error together with the buffer of the operation that failed.
///
/// It turns into a plain [`io::Error`] with `?`, which drops the buffer.
///
/// ```
/// use proactor::buf::BufError;
/// use std::io;
///
/// fn failing() -> io::Result<()> {
///     Err(BufError::new(io::ErrorKind::TimedOut.into(), vec![1u8]))?
/// }
/// assert_eq!(failing().unwrap_err().kind(), io::ErrorKind::TimedOut);
/// ```
pub struct BufError<B> {
    error: io::Error,
    buf: B,
}

impl<B> BufError<B> {
    /// Makes an error that carries the buffer it concerns.
    ///
    /// ```
    /// use proactor::buf::BufError;
    ///
    /// let failed = BufError::new(std::io::Error::other("no luck"), vec![1u8]);
    /// assert_eq!(failed.to_string(), "no luck");
    /// ```
    pub fn new(error: io::Error, buf: B) -> Self {
        Self { error, buf }
    }

    /// Returns the error.
    ///
    /// ```
    /// use proactor::buf::BufError;
    ///
    /// let failed = BufError::new(std::io::Error::from_raw_os_error(9), ());
    /// assert_eq!(failed.error().raw_os_error(), Some(9));
    /// ```
    pub fn error(&self) -> &io::Error {
        &self.error
    }

    /// Returns the kind of the error.
    ///
    /// ```
    /// use proactor::buf::BufError;
    /// use std::io::ErrorKind;
    ///
    /// assert_eq!(BufError::new(ErrorKind::BrokenPipe.into(), ()).kind(), ErrorKind::BrokenPipe);
    /// ```
    pub fn kind(&self) -> io::ErrorKind {
        self.error.kind()
    }

    /// Returns the error and the buffer.
    ///
    /// ```
    /// use proactor::buf::BufError;
    ///
    /// let failed = BufError::new(std::io::Error::other("no luck"), vec![1u8]);
    /// let (error, buf) = failed.into_parts();
    /// assert_eq!((error.to_string().as_str(), buf), ("no luck", vec![1]));
    /// ```
    pub fn into_parts(self) -> (io::Error, B) {
        (self.error, self.buf)
    }

    /// Returns the buffer and drops the error.
    ///
    /// ```
    /// use proactor::buf::BufError;
    ///
    /// assert_eq!(BufError::new(std::io::Error::other("no luck"), vec![1u8]).into_buf(), vec![1]);
    /// ```
    pub fn into_buf(self) -> B {
        self.buf
    }
}

impl<B> fmt::Debug for BufError<B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.error, f)
    }
}

impl<B> fmt::Display for BufError<B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.error.fmt(f)
    }
}

impl<B> error::Error for BufError<B> {
    // The text is that of the I/O error already, so the chain of sources continues behind it.
    fn source(&self) -> Option<&(dyn error::Error + 'static)> {
        self.error.source()
    }
}

impl<B> From<BufError<B>> for io::Error {
    fn from(failed: BufError<B>) -> Self {
        failed.error
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Opaque;

    #[test]
    fn shows_the_error_without_the_buffer() {
        let failed = BufError::new(io::Error::from(io::ErrorKind::NotFound), Opaque);
        assert!(format!("{failed:?}").contains("NotFound"));
        assert_eq!(failed.to_string(), io::Error::from(io::ErrorKind::NotFound).to_string());
        assert_eq!(io::Error::from(failed).kind(), io::ErrorKind::NotFound);
    }

    #[test]
    fn is_an_error_for_every_buffer() {
        let boxed: Box<dyn error::Error> = Box::new(BufError::new(io::Error::other("inner"), Opaque));
        assert_eq!(boxed.to_string(), "inner");
        assert!(boxed.source().is_none());
    }
}
