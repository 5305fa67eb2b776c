//! tokio-uring.

use std::future::Future;
use std::io;
use std::path::Path;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio_uring::buf::{BoundedBuf, IoBuf, IoBufMut};
use tokio_uring::net::TcpStream;

use crate::peer::{Aligned, BLOCK, Blocks, Peer};
use crate::wire::Tally;
use crate::workload::Service;

pub struct TokioUring;

pub struct Join<T>(tokio::task::JoinHandle<T>);

impl<T> Future for Join<T> {
    type Output = T;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<T> {
        Pin::new(&mut self.0).poll(cx).map(|result| result.expect("no task is cancelled"))
    }
}

// SAFETY: the memory stays where it is, is zeroed, and belongs to this value.
unsafe impl IoBuf for Aligned {
    fn stable_ptr(&self) -> *const u8 {
        self.pointer()
    }

    fn bytes_init(&self) -> usize {
        BLOCK
    }

    fn bytes_total(&self) -> usize {
        BLOCK
    }
}

// SAFETY: as above; all of it may be written.
unsafe impl IoBufMut for Aligned {
    fn stable_mut_ptr(&mut self) -> *mut u8 {
        self.pointer()
    }

    unsafe fn set_init(&mut self, _: usize) {}
}

impl Peer for TokioUring {
    const NAME: &'static str = "tokio-uring";
    const SETTINGS: &'static str = "0.5, 1,024 entries, COOP_TASKRUN";
    type Join<T: 'static> = Join<T>;

    fn block_on<F: Future>(future: F) -> F::Output {
        let mut ring = tokio_uring::uring_builder();
        ring.setup_coop_taskrun();
        tokio_uring::builder().entries(1_024).uring_builder(&ring).start(future)
    }

    fn spawn<F: Future + 'static>(future: F) -> Join<F::Output> {
        Join(tokio_uring::spawn(future))
    }

    fn sleep(time: Duration) -> impl Future<Output = ()> {
        tokio::time::sleep(time)
    }

    async fn timeout<F: Future>(time: Duration, future: F) -> bool {
        tokio::time::timeout(time, future).await.is_ok()
    }

    fn yield_now() -> impl Future<Output = ()> {
        tokio::task::yield_now()
    }

    fn nop() -> Option<impl Future<Output = ()>> {
        Some(async { tokio_uring::no_op().await.expect("a NOP") })
    }

    fn move_blocks(
        path: &Path,
        what: Blocks,
        mut next: impl FnMut() -> Option<u64> + 'static,
    ) -> impl Future<Output = io::Result<()>> + 'static {
        let path = path.to_owned();
        async move {
            let file = what.options().open(&path)?;
            let file = tokio_uring::fs::File::from_std(file);
            let mut buffer = Aligned::new();
            while let Some(position) = next() {
                let (count, back) = match what {
                    Blocks::Read | Blocks::ReadDirect => file.read_at(buffer, position).await,
                    Blocks::Write => file.write_at(buffer, position).submit().await,
                };
                assert_eq!(count?, BLOCK);
                buffer = back;
            }
            Ok(())
        }
    }

    async fn serve(listener: std::net::TcpListener, service: Service, size: usize) -> io::Result<()> {
        let listener = tokio_uring::net::TcpListener::from_std(listener);
        loop {
            let (stream, _) = listener.accept().await?;
            match service {
                Service::Echo => drop(tokio_uring::spawn(echo(stream, size))),
                Service::Sink => drop(tokio_uring::spawn(sink(stream, size))),
            }
        }
    }
}

async fn echo(stream: TcpStream, size: usize) -> io::Result<()> {
    let mut buffer = Vec::with_capacity(size);
    loop {
        let (count, filled) = stream.read(buffer).await;
        let count = count?;
        if count == 0 {
            return Ok(());
        }
        // The buffer's length only grows, so what came has to be cut out.
        let (written, back) = stream.write_all(filled.slice(..count)).await;
        written?;
        buffer = back.into_inner();
    }
}

async fn sink(stream: TcpStream, size: usize) -> io::Result<()> {
    let (mut buffer, mut tally) = (Vec::with_capacity(size), Tally::default());
    loop {
        let (count, filled) = stream.read(buffer).await;
        let count = count?;
        if count == 0 {
            return Ok(());
        }
        if let Some(answer) = tally.take(&filled[..count])? {
            stream.write_all(answer.to_vec()).await.0?;
        }
        buffer = filled;
    }
}
