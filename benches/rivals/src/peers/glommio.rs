//! glommio.

use std::future::Future;
use std::io;
use std::os::fd::{FromRawFd, IntoRawFd};
use std::path::Path;
use std::time::Duration;

use futures_lite::{AsyncReadExt, AsyncWriteExt};
use glommio::io::{DmaFile, OpenOptions};
use glommio::net::{TcpListener, TcpStream};
use glommio::{GlommioError, LocalExecutorBuilder, Placement};

use crate::peer::{BLOCK, Blocks, Peer};
use crate::wire::Tally;
use crate::workload::Service;

pub struct Glommio;

fn plain<T>(result: Result<T, GlommioError<()>>) -> io::Result<T> {
    result.map_err(io::Error::from)
}

impl Peer for Glommio {
    const NAME: &'static str = "glommio";
    const SETTINGS: &'static str =
        "0.9, unbound, ring depth 1,024, preempt timer 100 ms, 4 MiB of I/O memory";
    type Join<T: 'static> = glommio::Task<T>;

    fn block_on<F: Future>(future: F) -> F::Output {
        let builder = LocalExecutorBuilder::new(Placement::Unbound).ring_depth(1_024).io_memory(4 << 20);
        builder.preempt_timer(Duration::from_millis(100)).make().expect("an executor").run(future)
    }

    fn spawn<F: Future + 'static>(future: F) -> Self::Join<F::Output> {
        glommio::spawn_local(future)
    }

    fn sleep(time: Duration) -> impl Future<Output = ()> {
        glommio::timer::sleep(time)
    }

    async fn timeout<F: Future>(time: Duration, future: F) -> bool {
        let future = async {
            future.await;
            Ok::<_, GlommioError<()>>(())
        };
        glommio::timer::timeout(time, future).await.is_ok()
    }

    async fn yield_now() {
        glommio::executor().yield_task_queue_now().await;
    }

    fn move_blocks(
        path: &Path,
        what: Blocks,
        mut next: impl FnMut() -> Option<u64> + 'static,
    ) -> impl Future<Output = io::Result<()>> + 'static {
        let path = path.to_owned();
        async move {
            if what == Blocks::ReadDirect {
                let file = plain(DmaFile::open(&path).await)?;
                while let Some(position) = next() {
                    assert_eq!(plain(file.read_at_aligned(position, BLOCK).await)?.len(), BLOCK);
                }
                plain(file.close().await)
            } else {
                let options = &mut OpenOptions::new();
                options.read(what == Blocks::Read).write(what == Blocks::Write);
                let file = plain(options.buffered_open(&path).await)?;
                if what == Blocks::Write {
                    while let Some(position) = next() {
                        // It takes the buffer and does not give it back.
                        assert_eq!(plain(file.write_at(vec![0; BLOCK], position).await)?, BLOCK);
                    }
                }
                while let Some(position) = next() {
                    assert_eq!(plain(file.read_at(position, BLOCK).await)?.len(), BLOCK);
                }
                plain(file.close().await)
            }
        }
    }

    async fn serve(listener: std::net::TcpListener, service: Service, size: usize) -> io::Result<()> {
        // SAFETY: the number's owner has just given it up.
        let listener = unsafe { TcpListener::from_raw_fd(listener.into_raw_fd()) };
        loop {
            let stream = plain(listener.accept().await)?;
            match service {
                Service::Echo => drop(glommio::spawn_local(echo(stream, size)).detach()),
                Service::Sink => drop(glommio::spawn_local(sink(stream, size)).detach()),
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
