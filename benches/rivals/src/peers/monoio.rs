//! monoio, on io_uring.

use std::future::Future;
use std::io;
use std::path::Path;
use std::time::Duration;

use monoio::buf::{IoBuf, IoBufMut};
use monoio::io::{AsyncReadRent, AsyncWriteRentExt};
use monoio::net::{TcpListener, TcpStream};

use crate::peer::{Aligned, BLOCK, Blocks, Peer};
use crate::wire::Tally;
use crate::workload::Service;

pub struct Monoio;

// SAFETY: the memory stays where it is, is zeroed, and belongs to this value.
unsafe impl IoBuf for Aligned {
    fn read_ptr(&self) -> *const u8 {
        self.pointer()
    }

    fn bytes_init(&self) -> usize {
        BLOCK
    }
}

// SAFETY: as above; all of it may be written.
unsafe impl IoBufMut for Aligned {
    fn write_ptr(&mut self) -> *mut u8 {
        self.pointer()
    }

    fn bytes_total(&mut self) -> usize {
        BLOCK
    }

    unsafe fn set_init(&mut self, _: usize) {}
}

impl Peer for Monoio {
    const NAME: &'static str = "monoio";
    const SETTINGS: &'static str = "0.2.4, io_uring, 1,024 entries, timer, feature sync";
    type Join<T: 'static> = monoio::task::JoinHandle<T>;

    fn block_on<F: Future>(future: F) -> F::Output {
        let builder = monoio::RuntimeBuilder::<monoio::IoUringDriver>::new().with_entries(1_024);
        builder.enable_timer().build().expect("a runtime").block_on(future)
    }

    fn spawn<F: Future + 'static>(future: F) -> Self::Join<F::Output> {
        monoio::spawn(future)
    }

    fn sleep(time: Duration) -> impl Future<Output = ()> {
        monoio::time::sleep(time)
    }

    async fn timeout<F: Future>(time: Duration, future: F) -> bool {
        monoio::time::timeout(time, future).await.is_ok()
    }

    fn move_blocks(
        path: &Path,
        what: Blocks,
        mut next: impl FnMut() -> Option<u64> + 'static,
    ) -> impl Future<Output = io::Result<()>> + 'static {
        let path = path.to_owned();
        async move {
            let file = what.options().open(&path)?;
            let file = monoio::fs::File::from_std(file)?;
            let mut buffer = Aligned::new();
            while let Some(position) = next() {
                let (count, back) = match what {
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
        let listener = TcpListener::from_std(listener)?;
        loop {
            let (stream, _) = listener.accept().await?;
            match service {
                Service::Echo => drop(monoio::spawn(echo(stream, size))),
                Service::Sink => drop(monoio::spawn(sink(stream, size))),
            }
        }
    }
}

async fn echo(mut stream: TcpStream, size: usize) -> io::Result<()> {
    let mut buffer = Vec::with_capacity(size);
    loop {
        let (count, filled) = stream.read(buffer).await;
        if count? == 0 {
            return Ok(());
        }
        let (written, back) = stream.write_all(filled).await;
        written?;
        buffer = back;
    }
}

async fn sink(mut stream: TcpStream, size: usize) -> io::Result<()> {
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
