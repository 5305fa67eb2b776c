//! proactor, on one of its backends.

use std::cell::RefCell;
use std::future::Future;
use std::io;
use std::marker::PhantomData;
use std::path::Path;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::Duration;

use proactor::Runtime;
use proactor::buf::{IoBuf, IoBufMut};
use proactor::fs::File;
use proactor::net::{TcpListener, TcpStream};

use crate::peer::{Aligned, BLOCK, Blocks, Peer};

pub struct Ours<R>(PhantomData<R>);

thread_local! {
    /// Asks the runtime that runs on this thread for its count of system calls.
    static COUNTED: RefCell<Option<Box<dyn Fn() -> u64>>> = const { RefCell::new(None) };
}

pub struct Join<T>(proactor::task::JoinHandle<T>);

impl<T> Future for Join<T> {
    type Output = T;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<T> {
        Pin::new(&mut self.0).poll(cx).map(|result| result.expect("no task is cancelled"))
    }
}

// SAFETY: the memory stays where it is, is zeroed, and belongs to this value.
unsafe impl IoBuf for Aligned {
    fn read_ptr(&self) -> *const u8 {
        self.pointer()
    }

    fn init_len(&self) -> usize {
        BLOCK
    }
}

// SAFETY: as above; all of it may be written, and all of it is always initialised.
unsafe impl IoBufMut for Aligned {
    fn write_ptr(&mut self) -> *mut u8 {
        self.pointer()
    }

    fn total_len(&self) -> usize {
        BLOCK
    }

    unsafe fn set_init(&mut self, _: usize) {}
}

impl<R: Runtime + 'static> Peer for Ours<R> {
    const NAME: &'static str = R::NAME;
    const SETTINGS: &'static str = "this checkout; defaults";
    type Join<T: 'static> = Join<T>;

    fn block_on<F: Future>(future: F) -> F::Output {
        let runtime = Rc::new(R::new().expect("a runtime"));
        let counted = runtime.clone();
        COUNTED.set(Some(Box::new(move || {
            let stats = counted.report().stats;
            stats.kernel_visits + stats.calls
        })));
        let output = runtime.block_on(future);
        COUNTED.take();
        output
    }

    fn counted_calls() -> Option<u64> {
        COUNTED.with_borrow(|counted| counted.as_ref().map(|counted| counted()))
    }

    fn spawn<F: Future + 'static>(future: F) -> Join<F::Output> {
        Join(proactor::spawn(future))
    }

    fn sleep(time: Duration) -> impl Future<Output = ()> {
        proactor::time::sleep(time)
    }

    async fn timeout<F: Future>(time: Duration, future: F) -> bool {
        proactor::time::timeout(time, future).await.is_ok()
    }

    fn yield_now() -> impl Future<Output = ()> {
        proactor::yield_now()
    }

    fn nop() -> Option<impl Future<Output = ()>> {
        Some(async { proactor::io::nop().await.expect("a NOP") })
    }

    fn move_blocks(
        path: &Path,
        what: Blocks,
        mut next: impl FnMut() -> Option<u64> + 'static,
    ) -> impl Future<Output = io::Result<()>> + 'static {
        let path = path.to_owned();
        async move {
            let file = File::from_std(what.options().open(&path)?);
            let mut buffer = Aligned::new();
            while let Some(position) = next() {
                let (count, back) = match what {
                    Blocks::Read | Blocks::ReadDirect => file.read_at(buffer, position).await?,
                    Blocks::Write => file.write_at(buffer, position).await?,
                };
                assert_eq!(count, BLOCK);
                buffer = back;
            }
            Ok(())
        }
    }

    async fn echo(listener: std::net::TcpListener, size: usize) -> io::Result<()> {
        let listener = TcpListener::from_std(listener)?;
        loop {
            let (stream, _) = listener.accept().await?;
            stream.set_nodelay(true)?;
            drop(proactor::spawn(serve(stream, size)));
        }
    }
}

async fn serve(stream: TcpStream, size: usize) -> io::Result<()> {
    let mut buffer = Vec::with_capacity(size);
    loop {
        let (count, filled) = stream.read(buffer).await?;
        if count == 0 {
            return Ok(());
        }
        buffer = stream.write_all(filled).await?.1;
    }
}
