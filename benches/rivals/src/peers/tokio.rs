//! tokio, on one thread.

use std::future::Future;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::LocalSet;

use crate::peer::{Aligned, BLOCK, Blocks, Peer};
use crate::wire::Tally;
use crate::workload::Service;

pub struct Tokio;

pub struct Join<T>(tokio::task::JoinHandle<T>);

impl<T> Future for Join<T> {
    type Output = T;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<T> {
        Pin::new(&mut self.0).poll(cx).map(|result| result.expect("no task is cancelled"))
    }
}

struct Block(Aligned);

// SAFETY: the memory belongs to this value.
unsafe impl Send for Block {}

impl Peer for Tokio {
    const NAME: &'static str = "tokio";
    const SETTINGS: &'static str =
        "1.54, current thread, LocalSet, event_interval 61, file reads with spawn_blocking";
    type Join<T: 'static> = Join<T>;

    fn block_on<F: Future>(future: F) -> F::Output {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        LocalSet::new().block_on(&runtime, future)
    }

    fn spawn<F: Future + 'static>(future: F) -> Join<F::Output> {
        Join(tokio::task::spawn_local(future))
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

    fn move_blocks(
        path: &Path,
        what: Blocks,
        mut next: impl FnMut() -> Option<u64> + 'static,
    ) -> impl Future<Output = io::Result<()>> + 'static {
        let path = path.to_owned();
        async move {
            let file = Arc::new(what.options().open(&path)?);
            let mut block = Block(Aligned::new());
            while let Some(position) = next() {
                let file = file.clone();
                // What tokio::fs does itself, without its copy: one job per block.
                let (count, back) = tokio::task::spawn_blocking(move || {
                    let block = block;
                    // SAFETY: the memory is this job's while it runs, zeroed, and this long.
                    let bytes = unsafe { std::slice::from_raw_parts_mut(block.0.pointer(), BLOCK) };
                    let count = match what {
                        Blocks::Read | Blocks::ReadDirect => file.read_at(bytes, position),
                        Blocks::Write => file.write_at(bytes, position),
                    };
                    (count, block)
                })
                .await?;
                assert_eq!(count?, BLOCK);
                block = back;
            }
            Ok(())
        }
    }

    async fn serve(listener: std::net::TcpListener, service: Service, size: usize) -> io::Result<()> {
        listener.set_nonblocking(true)?;
        let listener = tokio::net::TcpListener::from_std(listener)?;
        loop {
            let (stream, _) = listener.accept().await?;
            match service {
                Service::Echo => drop(tokio::task::spawn_local(echo(stream, size))),
                Service::Sink => drop(tokio::task::spawn_local(sink(stream, size))),
            }
        }
    }
}

async fn echo(mut stream: TcpStream, size: usize) -> io::Result<()> {
    let mut buffer = vec![0; size];
    loop {
        let count = stream.read(&mut buffer).await?;
        if count == 0 {
            return Ok(());
        }
        stream.write_all(&buffer[..count]).await?;
    }
}

async fn sink(mut stream: TcpStream, size: usize) -> io::Result<()> {
    let (mut buffer, mut tally) = (vec![0; size], Tally::default());
    loop {
        let count = stream.read(&mut buffer).await?;
        if count == 0 {
            return Ok(());
        }
        if let Some(answer) = tally.take(&buffer[..count])? {
            stream.write_all(&answer).await?;
        }
    }
}
