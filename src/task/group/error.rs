//! `GroupError`: every error of a task group, in one; asyncio's `ExceptionGroup`.
//!
//! A group inside a group makes a tree: the inner group's error is one of the outer group's errors.
#![forbid(unsafe_code)]

use std::error::Error;
use std::fmt::{self, Write};
use std::io;

/// The errors of a task group's children and of its body, in the order in which they occurred.
///
/// An empty one means that a cancellation ended the group before its body had a result, and did not end the task (see
/// [`task_group`](crate::task::task_group())).
///
/// `Display` shows a tree, one error per line, with those of inner groups indented.
///
/// # The `?` operator on the result of a group
/// It depends on the error type of the children, and on the return type of the function:
///
/// | children return | `?` in `io::Result<T>` | in `Result<T, Box<dyn Error>>` | in `Result<T, Box<dyn Error + Send + Sync>>` |
/// |---|---|---|---|
/// | `io::Result<C>`; another error that is `Send + Sync` | yes | yes | yes |
/// | `Result<C, Box<dyn Error + Send + Sync>>` | yes | yes | yes |
/// | `Result<C, Box<dyn Error>>`, the default of `GroupError` | no | yes | no |
///
/// The two that are missing are impossible: `io::Error` and the last type can be sent to other threads, and so must be
/// what they contain. A plain `Box<dyn Error>` can't, and `?` on such an error alone does not compile there either. Let
/// the children return `Box<dyn Error + Send + Sync>`, or keep only the text:
///
/// ```
/// use proactor::task::{GroupError, task_group};
/// use std::{error::Error, io};
///
/// type AnyError = Box<dyn Error + Send + Sync>;
///
/// async fn read(text: &str) -> Result<u16, AnyError> {
///     if text.is_empty() {
///         return Err("no port".into());
///     }
///     Ok(text.parse()?)
/// }
///
/// fn main() -> io::Result<()> {
///     proactor::run(async {
///         let ports = task_group(async |g| {
///             let (a, b) = (g.spawn(read("80")), g.spawn(read("443")));
///             Ok([a.await?, b.await?])
///         }).await?; // a `GroupError<AnyError>` becomes an `io::Error`
///         assert_eq!(ports, [80, 443]);
///
///         let texts: Result<(), GroupError> = task_group(async |g| { // of `Box<dyn Error>`
///             g.spawn(async { Ok("8080".parse::<u16>()?) });
///             Ok(())
///         }).await;
///         texts.map_err(|errors| io::Error::other(errors.to_string()))
///     })
/// }
/// ```
///
/// If the compiler asks for the type of the error ("type annotations needed"), no child and no line of the body names
/// it: give the result a type, as in `let ended: Result<(), GroupError> = ...`, or the body's last line, as in
/// `Ok::<_, io::Error>(())`.
///
/// # Examples
/// ```
/// use proactor::task::{GroupError, task_group};
/// proactor::run(async {
///     let ended: Result<(), GroupError<_>> = task_group(async |g| {
///         for text in ["1", "x", ""] {
///             g.spawn(async move { text.parse::<i32>() });
///         }
///         Ok(())
///     }).await;
///     let error = ended.unwrap_err();
///     assert_eq!(error.len(), 1); // the first one ended the others
///     assert_eq!(error.to_string(), "1 error in a task group\n- invalid digit found in string");
/// });
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GroupError<E = Box<dyn Error>> {
    errors: Vec<E>,
}

impl<E> GroupError<E> {
    pub(in crate::task) fn new(errors: Vec<E>) -> Self {
        GroupError { errors }
    }

    /// The errors of this group. Errors of inner groups are inside one of them.
    pub fn iter(&self) -> std::slice::Iter<'_, E> {
        self.errors.iter()
    }

    /// The number of errors.
    pub fn len(&self) -> usize {
        self.errors.len()
    }

    /// Whether there are no errors.
    pub fn is_empty(&self) -> bool {
        self.errors.is_empty()
    }

    /// Splits the errors into those for which `matches` is true, and the others; an empty part is `None`. asyncio's
    /// `split` looks into inner groups as well: for that there is [`downcast`](GroupError::downcast).
    ///
    /// # Examples
    /// ```
    /// use proactor::task::task_group;
    /// proactor::run(async {
    ///     let ended = task_group(async |g| {
    ///         g.spawn(async { Err::<(), _>(404) });
    ///         g.spawn(async { Err::<(), _>(500) });
    ///         Ok(())
    ///     }).await;
    ///     let (server, client) = ended.unwrap_err().split(|status| *status >= 500);
    ///     assert!(server.is_none() && client.unwrap().into_iter().eq([404])); // which had ended the other
    /// });
    /// ```
    pub fn split(self, mut matches: impl FnMut(&E) -> bool) -> (Option<Self>, Option<Self>) {
        let (matching, rest) = self.errors.into_iter().partition(|error| matches(error));
        (Self::some(matching), Self::some(rest))
    }

    fn some(errors: Vec<E>) -> Option<Self> {
        (!errors.is_empty()).then_some(GroupError { errors })
    }
}

impl GroupError {
    /// The errors of this group and of inner groups, without the groups themselves.
    pub fn leaves(&self) -> impl Iterator<Item = &(dyn Error + 'static)> {
        let mut stack = vec![self.iter()];
        std::iter::from_fn(move || {
            loop {
                match stack.last_mut()?.next().map(|error| &**error) {
                    None => drop(stack.pop()),
                    Some(error) => match error.downcast_ref::<GroupError>() {
                        Some(group) => stack.push(group.iter()),
                        None => return Some(error),
                    },
                }
            }
        })
    }

    /// Whether one of the [`leaves`](Self::leaves) is a `T`.
    pub fn contains<T: Error + 'static>(&self) -> bool {
        self.leaves().any(|error| error.is::<T>())
    }

    /// Takes the errors of type `T` out of the tree, and returns them and the rest; asyncio's `except* T`. An error
    /// that was empty from the beginning is the rest.
    ///
    /// # Examples
    /// ```
    /// use proactor::task::{GroupError, task_group};
    /// use std::{io, num::ParseIntError};
    /// proactor::run(async {
    ///     let outer: Result<(), GroupError> = task_group(async |g| {
    ///         g.spawn(async {
    ///             let inner: Result<(), GroupError> = task_group(async |h| {
    ///                 h.spawn(async { Ok("x".parse::<i32>()?) });
    ///                 Ok(())
    ///             }).await;
    ///             Ok(inner?)
    ///         });
    ///         Ok(())
    ///     }).await;
    ///     let (numbers, rest) = outer.unwrap_err().downcast::<ParseIntError>();
    ///     assert_eq!((numbers.len(), rest.is_none()), (1, true));
    /// });
    /// ```
    pub fn downcast<T: Error + 'static>(self) -> (Vec<T>, Option<Self>) {
        if self.is_empty() {
            return (Vec::new(), Some(self));
        }
        let (mut found, mut rest) = (Vec::new(), Vec::new());
        for error in self.errors {
            match error.downcast::<T>() {
                Ok(error) => found.push(*error),
                Err(error) => match error.downcast::<GroupError>() {
                    Ok(group) => {
                        let (inner, left) = group.downcast::<T>();
                        found.extend(inner);
                        rest.extend(left.map(|left| Box::new(left) as Box<dyn Error>));
                    }
                    Err(error) => rest.push(error),
                },
            }
        }
        (found, Self::some(rest))
    }
}

impl<E> IntoIterator for GroupError<E> {
    type Item = E;
    type IntoIter = std::vec::IntoIter<E>;

    fn into_iter(self) -> Self::IntoIter {
        self.errors.into_iter()
    }
}

impl<'a, E> IntoIterator for &'a GroupError<E> {
    type Item = &'a E;
    type IntoIter = std::slice::Iter<'a, E>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

impl<E: fmt::Display> fmt::Display for GroupError<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.len() {
            0 => return f.write_str("the task group was cancelled"),
            1 => f.write_str("1 error in a task group")?,
            count => write!(f, "{count} errors in a task group")?,
        }
        for error in self {
            f.write_str("\n- ")?;
            write!(Indented(f), "{error}")?;
        }
        Ok(())
    }
}

/// A writer that indents all lines after the first.
struct Indented<'a, 'f>(&'a mut fmt::Formatter<'f>);

impl Write for Indented<'_, '_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        for (number, line) in text.split('\n').enumerate() {
            if number > 0 {
                self.0.write_str("\n  ")?;
            }
            self.0.write_str(line)?;
        }
        Ok(())
    }
}

impl<E: fmt::Display + fmt::Debug> Error for GroupError<E> {}

/// For children that fail with an [`io::Error`], a `Box<dyn Error + Send + Sync>`, or a message. The `GroupError` is the
/// inner error ([`io::Error::get_ref`]), and the kind is [`Other`](io::ErrorKind::Other).
impl<E: fmt::Display + fmt::Debug + Send + Sync + 'static> From<GroupError<E>> for io::Error {
    fn from(error: GroupError<E>) -> Self {
        io::Error::other(error)
    }
}
