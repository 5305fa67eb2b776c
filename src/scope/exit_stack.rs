//! `ExitStack`: closes its resources in reverse order.
//!
//! Resources are entered through a shared reference and lent for as long as the stack lives. So entries are only added, and
//! each resource is in a box that never moves.
#![forbid(unsafe_code)]

use std::any::Any;
use std::cell::{Cell, OnceCell};
use std::fmt;
use std::future::Future;
use std::io;
use std::panic::Location;
use std::pin::Pin;

use super::{AsyncClose, Closing};
use crate::task::cancel::cleanup::defer;

/// A stack of resources and calls that run in reverse order at the end; asyncio's `AsyncExitStack`.
///
/// Use it through [`exit_stack`], which closes it. When it is dropped, cleanups of the task do the same.
///
/// # Examples
/// ```
/// use proactor::net::{TcpListener, TcpStream};
/// use proactor::scope::exit_stack;
/// proactor::run(async {
///     exit_stack(async |stack| {
///         let listener = stack.enter(TcpListener::bind("127.0.0.1:0").await?);
///         let mut streams = Vec::new();
///         for _ in 0..3 {
///             streams.push(stack.enter(TcpStream::connect(listener.local_addr()?).await?));
///         }
///         stack.defer(async || {
///             println!("called first, since it was added last");
///             Ok(())
///         });
///         streams[1].write_all("hello").await?;
///         std::io::Result::Ok(())
///     }).await
/// }).unwrap();
/// ```
#[derive(Default)]
pub struct ExitStack {
    chunks: [OnceCell<Chunk>; CHUNKS],
    len: Cell<usize>,
}

/// A chunk of entries, which never move. Each chunk has room for twice as many as the one before.
type Chunk = Box<[OnceCell<Entry>]>;
const CHUNKS: usize = 32;

/// A resource or call to be closed, and the location where it was entered.
struct Entry {
    exit: Box<dyn Exit>,
    location: &'static Location<'static>,
}

/// A close with an erased type.
trait Exit: Any {
    fn exit(self: Box<Self>) -> Pin<Box<dyn Future<Output = io::Result<()>>>>;
    fn as_any(&self) -> &dyn Any;
}

struct Resource<R>(R);

impl<R: AsyncClose + 'static> Exit for Resource<R> {
    fn exit(self: Box<Self>) -> Pin<Box<dyn Future<Output = io::Result<()>>>> {
        Box::pin(async move { self.0.close().await }) // `close` may panic when it is called
    }

    fn as_any(&self) -> &dyn Any {
        &self.0
    }
}

struct Call<F>(F);

impl<F: AsyncFnOnce() -> io::Result<()> + 'static> Exit for Call<F> {
    fn exit(self: Box<Self>) -> Pin<Box<dyn Future<Output = io::Result<()>>>> {
        Box::pin(async move { (self.0)().await })
    }

    fn as_any(&self) -> &dyn Any {
        &()
    }
}

impl ExitStack {
    /// Makes an empty stack.
    pub fn new() -> Self {
        ExitStack::default()
    }

    /// Adds a resource, which will be closed at the end, and lends it; asyncio's `enter_async_context`.
    #[track_caller]
    pub fn enter<R: AsyncClose + 'static>(&self, resource: R) -> &R {
        let exit = self.push(Box::new(Resource(resource)));
        exit.as_any().downcast_ref().expect("the resource was just added")
    }

    /// Adds a call that is awaited at the end; asyncio's `push_async_callback`.
    #[track_caller]
    pub fn defer(&self, call: impl AsyncFnOnce() -> io::Result<()> + 'static) {
        self.push(Box::new(Call(call)));
    }

    /// The number of resources and calls that it holds.
    pub fn len(&self) -> usize {
        self.len.get()
    }

    /// Whether it holds no resources and calls.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Moves all that it holds into a new stack, and leaves this one empty; asyncio's `pop_all`.
    pub fn pop_all(&mut self) -> ExitStack {
        std::mem::take(self)
    }

    /// Closes all that it holds, the last first, one after the other, also when one fails.
    ///
    /// # Errors
    /// The first error, after all are closed.
    ///
    /// # Cancellation
    /// When this future is dropped, cleanups of the task close the rest.
    pub async fn close(mut self) -> io::Result<()> {
        let mut result = Ok(());
        let mut exits = Exits(self.take());
        while let Some(Entry { exit, location }) = exits.0.pop() {
            let closed = Closing { close: Some(exit.exit()), location }.await;
            result = result.and(closed);
        }
        result
    }

    #[track_caller]
    fn push(&self, exit: Box<dyn Exit>) -> &dyn Exit {
        let entry = Entry { exit, location: Location::caller() };
        let number = self.len.get() + 1;
        let chunk = number.ilog2();
        let first = 1 << chunk;
        let places =
            self.chunks[chunk as usize].get_or_init(|| (0..first).map(|_| OnceCell::new()).collect());
        self.len.set(number);
        &*places[number - first].get_or_init(|| entry).exit
    }

    /// Takes its entries, in the order in which they were entered.
    fn take(&mut self) -> Vec<Entry> {
        self.len.set(0);
        let chunks = self.chunks.iter_mut().filter_map(OnceCell::take);
        chunks.flat_map(|chunk| chunk.into_vec()).filter_map(OnceCell::into_inner).collect()
    }
}

/// The entries that are still to be closed, in the order in which they were entered.
struct Exits(Vec<Entry>);

impl Drop for Exits {
    fn drop(&mut self) {
        self.0.drain(..).rev().for_each(|Entry { exit, location }| defer(location, exit.exit()));
    }
}

impl Drop for ExitStack {
    fn drop(&mut self) {
        drop(Exits(self.take()));
    }
}

impl fmt::Debug for ExitStack {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ExitStack").field("len", &self.len()).finish_non_exhaustive()
    }
}

/// Calls a body with an [`ExitStack`], and closes the stack when the body has ended; asyncio's `async with
/// AsyncExitStack() as stack`.
///
/// # Errors
/// The error of the body, else the first error of closing.
///
/// # Cancellation
/// When it is dropped, cleanups of the task close what the stack holds, in the same order.
///
/// # Examples
/// See [`ExitStack`].
pub async fn exit_stack<T, E, F>(body: F) -> Result<T, E>
where
    F: AsyncFnOnce(&ExitStack) -> Result<T, E>,
    E: From<io::Error>,
{
    let stack = ExitStack::new();
    let result = body(&stack).await;
    let closed = stack.close().await;
    let value = result?;
    closed?;
    Ok(value)
}
