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

use proactor::buf::{IoBuf, IoBufMut, RegisteredBuf};
use proactor::fs::{AnyFile, File, OpenOptions, direct};
use proactor::net;
use proactor::net::{AnyTcpStream, TcpListener, TcpStream};
use proactor::{Config, Feature, Runtime};

use crate::peer::{Aligned, BLOCK, Blocks, Peer};
use crate::wire::Tally;
use crate::workload::Service;

pub struct Ours<R, M = Chunks>(PhantomData<(R, M)>);

/// How it accepts, receives and sends.
pub trait Mode: 'static {
    /// The names of the proactor and the selector in this mode, and its settings.
    const NAMES: [&'static str; 2];
    const SETTINGS: &'static str;

    /// Whether files are the ring's as well, read and written through registered buffers.
    const RING_OWNED: bool = false;

    fn config() -> Config {
        Config::new()
    }

    /// See [`Peer::serve`].
    fn serve(
        listener: std::net::TcpListener,
        service: Service,
        size: usize,
    ) -> impl Future<Output = io::Result<()>>;
}

/// Accepts connections for ever, with a task for each.
async fn accept<F>(listener: std::net::TcpListener, serve: impl Fn(TcpStream) -> F) -> io::Result<()>
where
    F: Future<Output = io::Result<()>> + 'static,
{
    let listener = TcpListener::from_std(listener)?;
    loop {
        let (stream, _) = listener.accept().await?;
        proactor::spawn(serve(stream));
    }
}

/// As the crate's own documents advise.
pub struct Chunks;

impl Chunks {
    async fn echo(stream: impl AnyTcpStream) -> io::Result<()> {
        while let Some(chunk) = stream.recv().await? {
            stream.write_all(chunk).await?;
        }
        Ok(())
    }

    async fn sink(stream: impl AnyTcpStream) -> io::Result<()> {
        let mut tally = Tally::default();
        while let Some(chunk) = stream.recv().await? {
            if let Some(answer) = tally.take(&chunk)? {
                stream.write_all(answer.to_vec()).await?;
            }
        }
        Ok(())
    }
}

impl Mode for Chunks {
    const NAMES: [&'static str; 2] = ["proactor", "selector"];
    const SETTINGS: &'static str = "this checkout; defaults: recv, and write_all of the chunk";

    async fn serve(listener: std::net::TcpListener, service: Service, _: usize) -> io::Result<()> {
        match service {
            Service::Echo => accept(listener, Self::echo).await,
            Service::Sink => accept(listener, Self::sink).await,
        }
    }
}

/// With a buffer for each connection.
pub struct Owned;

impl Owned {
    async fn echo(stream: TcpStream, size: usize) -> io::Result<()> {
        let mut buffer = Vec::with_capacity(size);
        loop {
            let (count, filled) = stream.read(buffer).await?;
            if count == 0 {
                return Ok(());
            }
            buffer = stream.write_all(filled).await?.1;
        }
    }

    async fn sink(stream: TcpStream, size: usize) -> io::Result<()> {
        let (mut buffer, mut tally) = (Vec::with_capacity(size), Tally::default());
        loop {
            let (count, filled) = stream.read(buffer).await?;
            if count == 0 {
                return Ok(());
            }
            if let Some(answer) = tally.take(&filled[..count])? {
                stream.write_all(answer.to_vec()).await?;
            }
            buffer = filled;
        }
    }
}

impl Mode for Owned {
    const NAMES: [&'static str; 2] = ["proactor-owned", "selector-owned"];
    const SETTINGS: &'static str = "this checkout; read into a buffer of the connection, and write_all of it";

    async fn serve(listener: std::net::TcpListener, service: Service, size: usize) -> io::Result<()> {
        match service {
            Service::Echo => accept(listener, |stream| Self::echo(stream, size)).await,
            Service::Sink => accept(listener, |stream| Self::sink(stream, size)).await,
        }
    }
}

/// As [`Chunks`], with a buffer for each receive.
pub struct Whole;

impl Mode for Whole {
    const NAMES: [&'static str; 2] = ["proactor-whole", "selector-whole"];
    const SETTINGS: &'static str = "this checkout; recv, without incremental consumption of buffers";

    fn config() -> Config {
        Config::new().mask(Feature::IncrementalBuffers)
    }

    async fn serve(listener: std::net::TcpListener, service: Service, size: usize) -> io::Result<()> {
        Chunks::serve(listener, service, size).await
    }
}

/// As [`Chunks`], without multishot: when there are bytes they are received into a hot buffer.
pub struct Polled;

impl Mode for Polled {
    const NAMES: [&'static str; 2] = ["proactor-polled", "selector-polled"];
    const SETTINGS: &'static str =
        "this checkout; recv, without multishot: polls, and receives into a hot buffer";

    fn config() -> Config {
        Config::new().mask(Feature::MultishotRecv)
    }

    async fn serve(listener: std::net::TcpListener, service: Service, size: usize) -> io::Result<()> {
        Chunks::serve(listener, service, size).await
    }
}

/// As [`Chunks`], with direct descriptors.
pub struct Direct;

impl Mode for Direct {
    const NAMES: [&'static str; 2] = ["proactor-direct", "selector-direct"];
    const SETTINGS: &'static str =
        "this checkout; as proactor, with direct descriptors; files through registered buffers";
    const RING_OWNED: bool = true;

    fn config() -> Config {
        Config::new().direct_descriptors(16_384)
    }

    async fn serve(listener: std::net::TcpListener, service: Service, _: usize) -> io::Result<()> {
        let listener = net::direct::TcpListener::from_std(listener)?;
        loop {
            let stream = listener.accept().await?;
            match service {
                Service::Echo => proactor::spawn(Chunks::echo(stream)),
                Service::Sink => proactor::spawn(Chunks::sink(stream)),
            };
        }
    }
}

/// As [`Chunks`], with sends that don't copy.
pub struct ZeroCopy;

impl ZeroCopy {
    async fn echo(stream: TcpStream) -> io::Result<()> {
        while let Some(chunk) = stream.recv().await? {
            stream.write_all_zerocopy(chunk).await?;
        }
        Ok(())
    }
}

impl Mode for ZeroCopy {
    const NAMES: [&'static str; 2] = ["proactor-zerocopy", "selector-zerocopy"];
    const SETTINGS: &'static str = "this checkout; recv, and write_all_zerocopy of the chunk";

    async fn serve(listener: std::net::TcpListener, service: Service, _: usize) -> io::Result<()> {
        match service {
            Service::Echo => accept(listener, Self::echo).await,
            Service::Sink => accept(listener, Chunks::sink).await,
        }
    }
}

thread_local! {
    /// Asks the runtime that runs on this thread for its count of system calls.
    static COUNTED: RefCell<Option<Box<dyn Fn() -> u64>>> = const { RefCell::new(None) };
}

/// Reads or writes one block after the other.
async fn move_all(
    file: impl AnyFile,
    mut buffer: impl IoBufMut,
    what: Blocks,
    mut next: impl FnMut() -> Option<u64>,
) -> io::Result<()> {
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

impl<R: Runtime + 'static, M: Mode> Peer for Ours<R, M> {
    const NAME: &'static str = M::NAMES[if R::NAME.as_bytes()[0] == b'p' { 0 } else { 1 }];
    const SETTINGS: &'static str = M::SETTINGS;
    type Join<T: 'static> = Join<T>;

    fn block_on<F: Future>(future: F) -> F::Output {
        let runtime = Rc::new(R::with_config(&M::config()).expect("a runtime"));
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
        next: impl FnMut() -> Option<u64> + 'static,
    ) -> impl Future<Output = io::Result<()>> + 'static {
        let path = path.to_owned();
        async move {
            if M::RING_OWNED {
                let mut options = OpenOptions::new();
                let (reads, flags) =
                    (what != Blocks::Write, if what == Blocks::ReadDirect { libc::O_DIRECT } else { 0 });
                options.read(reads).write(!reads).custom_flags(flags);
                let file: direct::File = options.open_direct(&path).await?;
                return move_all(file, RegisteredBuf::new(BLOCK), what, next).await;
            }
            move_all(File::from_std(what.options().open(&path)?), Aligned::new(), what, next).await
        }
    }

    fn serve(
        listener: std::net::TcpListener,
        service: Service,
        size: usize,
    ) -> impl Future<Output = io::Result<()>> {
        M::serve(listener, service, size)
    }
}
