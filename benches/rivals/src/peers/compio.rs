//! compio, on io_uring.

use std::future::Future;
use std::io;
use std::mem::MaybeUninit;
use std::path::Path;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use compio::BufResult;
use compio::buf::{IoBuf, IoBufMut, SetLen};
use compio::fs::OpenOptions;
use compio::io::{AsyncRead, AsyncReadAt, AsyncWriteAt, AsyncWriteExt};
use compio::net::TcpStream;
use compio::runtime::{JoinHandle, ResumeUnwind};

use crate::peer::{Aligned, BLOCK, Blocks, Peer};
use crate::wire::Tally;
use crate::workload::Service;

pub struct Compio;

pub struct Join<T>(JoinHandle<T>);

impl<T> Future for Join<T> {
    type Output = T;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<T> {
        Pin::new(&mut self.0).poll(cx).map(|result| result.resume_unwind().expect("no task is cancelled"))
    }
}

impl IoBuf for Aligned {
    fn as_init(&self) -> &[u8] {
        // SAFETY: the memory belongs to this value, is zeroed, and this long.
        unsafe { std::slice::from_raw_parts(self.pointer(), BLOCK) }
    }
}

impl SetLen for Aligned {
    unsafe fn set_len(&mut self, _: usize) {}
}

impl IoBufMut for Aligned {
    fn as_uninit(&mut self) -> &mut [MaybeUninit<u8>] {
        // SAFETY: the memory belongs to this value and is this long.
        unsafe { std::slice::from_raw_parts_mut(self.pointer().cast(), BLOCK) }
    }
}

impl Peer for Compio {
    const NAME: &'static str = "compio";
    const SETTINGS: &'static str = "0.20.0-beta.1, io_uring, 1,024 entries, COOP_TASKRUN, TASKRUN_FLAG";
    type Join<T: 'static> = Join<T>;

    fn block_on<F: Future>(future: F) -> F::Output {
        let mut ring = compio::driver::ProactorBuilder::new();
        ring.capacity(1_024).coop_taskrun(true).taskrun_flag(true);
        let mut builder = compio::runtime::RuntimeBuilder::new();
        builder.with_proactor(ring).build().expect("a runtime").block_on(future)
    }

    fn spawn<F: Future + 'static>(future: F) -> Join<F::Output> {
        Join(compio::runtime::spawn(future))
    }

    fn sleep(time: Duration) -> impl Future<Output = ()> {
        compio::time::sleep(time)
    }

    async fn timeout<F: Future>(time: Duration, future: F) -> bool {
        compio::time::timeout(time, future).await.is_ok()
    }

    fn move_blocks(
        path: &Path,
        what: Blocks,
        mut next: impl FnMut() -> Option<u64> + 'static,
    ) -> impl Future<Output = io::Result<()>> + 'static {
        let path = path.to_owned();
        async move {
            let mut options = OpenOptions::new();
            options.read(what != Blocks::Write).write(what == Blocks::Write);
            options.custom_flags(if what == Blocks::ReadDirect { libc::O_DIRECT } else { 0 });
            let mut file = options.open(&path).await?;
            let mut buffer = Aligned::new();
            while let Some(position) = next() {
                let BufResult(count, back) = match what {
                    Blocks::Read | Blocks::ReadDirect => file.read_at(buffer, position).await,
                    Blocks::Write => file.write_at(buffer, position).await,
                };
                assert_eq!(count?, BLOCK);
                buffer = back;
            }
            Ok(())
        }
    }

    async fn serve(listener: std::net::TcpListener, service: Service, size: usize) -> io::Result<()> {
        let listener = compio::net::TcpListener::from_std(listener)?;
        loop {
            let (stream, _) = listener.accept().await?;
            match service {
                Service::Echo => compio::runtime::spawn(echo(stream, size)).detach(),
                Service::Sink => compio::runtime::spawn(sink(stream, size)).detach(),
            }
        }
    }
}

async fn echo(mut stream: TcpStream, size: usize) -> io::Result<()> {
    let mut buffer = Vec::with_capacity(size);
    loop {
        buffer.clear();
        let BufResult(count, filled) = stream.read(buffer).await;
        if count? == 0 {
            return Ok(());
        }
        let BufResult(written, back) = stream.write_all(filled).await;
        written?;
        buffer = back;
    }
}

async fn sink(mut stream: TcpStream, size: usize) -> io::Result<()> {
    let (mut buffer, mut tally) = (Vec::with_capacity(size), Tally::default());
    loop {
        buffer.clear();
        let BufResult(count, filled) = stream.read(buffer).await;
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
