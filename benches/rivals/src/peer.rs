//! A runtime, as the workloads see it.
//!
//! Each is used as its own documentation advises, at the settings that serve it best, which it names. What a
//! runtime does not have it answers with `None`, and its row says so.

use std::future::Future;
use std::path::Path;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use crate::workload::Service;

/// Bytes that one read of the file workloads asks for.
pub const BLOCK: usize = 4_096;

/// What is done with the blocks of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Blocks {
    Read,
    /// Past the page cache.
    ReadDirect,
    Write,
}

impl Blocks {
    /// How the file is opened for it.
    pub fn options(self) -> std::fs::OpenOptions {
        use std::os::unix::fs::OpenOptionsExt;
        let mut options = std::fs::File::options();
        options.read(self != Blocks::Write).write(self == Blocks::Write);
        options.custom_flags(if self == Blocks::ReadDirect { libc::O_DIRECT } else { 0 });
        options
    }
}

/// What a runtime must bring for the workloads to run on it.
pub trait Peer: 'static {
    const NAME: &'static str;
    /// Its version, and the settings that it runs with.
    const SETTINGS: &'static str;

    type Join<T: 'static>: Future<Output = T>;

    /// Makes the runtime, runs the future on it, and ends it.
    fn block_on<F: Future>(future: F) -> F::Output;
    fn spawn<F: Future + 'static>(future: F) -> Self::Join<F::Output>;
    fn sleep(time: Duration) -> impl Future<Output = ()>;
    /// Whether the future was in time.
    fn timeout<F: Future>(time: Duration, future: F) -> impl Future<Output = bool>;

    /// Lets the others run once.
    fn yield_now() -> impl Future<Output = ()> {
        Yield(false)
    }

    /// System calls that the runtime's own counters know of, since it was made.
    fn counted_calls() -> Option<u64> {
        None
    }

    /// An operation of the kernel that does nothing.
    fn nop() -> Option<impl Future<Output = ()>> {
        None::<std::future::Ready<()>>
    }

    /// Reads or writes blocks of a file, at the positions that `next` names, one after the other until it names no
    /// more.
    fn move_blocks(
        path: &Path,
        what: Blocks,
        next: impl FnMut() -> Option<u64> + 'static,
    ) -> impl Future<Output = std::io::Result<()>> + 'static;

    /// Accepts connections for ever, and serves each, with buffers of this size where it brings buffers itself.
    fn serve(
        listener: std::net::TcpListener,
        service: Service,
        size: usize,
    ) -> impl Future<Output = std::io::Result<()>>;
}

/// For runtimes that have none of their own.
pub struct Yield(pub bool);

impl Future for Yield {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        if std::mem::replace(&mut self.0, true) {
            return Poll::Ready(());
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    }
}

/// Memory that a read past the page cache accepts.
pub struct Aligned(*mut u8);

impl Aligned {
    const LAYOUT: std::alloc::Layout = match std::alloc::Layout::from_size_align(BLOCK, BLOCK) {
        Ok(layout) => layout,
        Err(_) => unreachable!(),
    };

    pub fn new() -> Self {
        // SAFETY: the layout has a size.
        let memory = unsafe { std::alloc::alloc_zeroed(Self::LAYOUT) };
        assert!(!memory.is_null());
        Aligned(memory)
    }

    pub fn pointer(&self) -> *mut u8 {
        self.0
    }
}

impl Drop for Aligned {
    fn drop(&mut self) {
        // SAFETY: `new` made it with this layout.
        unsafe { std::alloc::dealloc(self.0, Self::LAYOUT) };
    }
}
