//! Writing by `poll_write` and `try_write`: bytes are lent, sent once and in order, and errors come with the next poll.

use std::future::poll_fn;
use std::io::ErrorKind;
use std::net::Shutdown;
use std::os::fd::OwnedFd;
use std::task::Poll;
use std::time::Duration;

use proactor::io::pipe;
use proactor::net::{AnyTcpStream, TcpListener, TcpStream, direct};
use proactor::{Runtime, spawn, yield_now};

use crate::kit::*;

tests! {
    t251_bytes_that_the_kernel_has_room_for_are_not_copied,
    t251_a_large_body_arrives_whole,
    t251_what_was_taken_is_sent_without_further_polls,
    t251_a_dropped_stream_closes_when_what_was_taken_is_sent,
    t251_polled_writes_keep_their_order_with_others,
    t251_an_error_is_reported_by_the_next_poll,
    t251_a_shutdown_comes_behind_what_was_taken,
    t251_a_dropped_half_ends_its_direction_behind_what_was_taken,
    t251_direct_streams_are_written_by_polls,
    t251_pipes_are_written_by_polls,
    t290_a_shutdown_takes_its_turn_behind_writes,
    t290_a_close_waits_for_what_was_taken,
    t290_a_close_reports_that_what_was_taken_is_lost,
}

/// Two ends of a connection with small buffers. They are Unix sockets: one that is full stays full until its peer reads,
/// where TCP moves bytes on at times of its own.
async fn pair() -> (TcpStream, TcpStream) {
    let (client, server) = std::os::unix::net::UnixStream::pair().unwrap();
    let stream = |end| TcpStream::from_std(std::net::TcpStream::from(OwnedFd::from(end))).unwrap();
    let (client, server) = (stream(client), stream(server));
    client.set_send_buffer_size(16 << 10).unwrap();
    (client, server)
}

/// Bytes whose order shows.
fn pattern(start: usize, len: usize) -> Vec<u8> {
    (start..start + len).map(|place| (place % 251) as u8).collect()
}

/// Sends until the kernel takes no more; gives how much it took.
fn fill(stream: &TcpStream) -> usize {
    let mut sent = 0;
    while let Ok(count) = stream.try_write(&pattern(sent, 10_000)) {
        sent += count;
    }
    assert_eq!(stream.bytes_sent(), sent as u64);
    sent
}

async fn write_polled(stream: &TcpStream, mut bytes: &[u8]) {
    while !bytes.is_empty() {
        let taken = poll_fn(|cx| stream.poll_write(cx, bytes)).await.unwrap();
        assert!((1..=bytes.len()).contains(&taken));
        bytes = &bytes[taken..];
    }
}

/// Reads to the end.
async fn read_all(stream: &TcpStream) -> Vec<u8> {
    let mut all = Vec::new();
    while let Some(chunk) = stream.recv().await.unwrap() {
        all.extend_from_slice(&chunk);
    }
    all
}

fn t251_bytes_that_the_kernel_has_room_for_are_not_copied<R: Runtime>() {
    let runtime = R::new().unwrap();
    runtime.block_on(async {
        let (client, server) = pair().await;
        let live = runtime.report().live;
        let text = pattern(0, 1_000);
        assert_eq!(poll_fn(|cx| client.poll_write(cx, &text)).await.unwrap(), 1_000);
        assert_eq!(client.bytes_sent(), 1_000, "the kernel has them");
        assert_eq!(client.try_write(&text[..10]).unwrap(), 10);
        assert_eq!(poll_fn(|cx| client.poll_write(cx, &[])).await.unwrap(), 0);
        assert_eq!(client.try_write(&[]).unwrap(), 0);
        poll_fn(|cx| client.poll_flush(cx)).await.unwrap();
        assert_eq!((runtime.report().live.tasks, runtime.report().live.ops), (live.tasks, live.ops));
        assert_eq!(server.read_exact(vec![0; 1_010]).await.unwrap().1, [&text[..], &text[..10]].concat());
    });
    end(runtime);
}

fn t251_a_large_body_arrives_whole<R: Runtime>() {
    run::<R>(async {
        let (client, server) = pair().await;
        let body = pattern(0, 3 << 20);
        let writes = async {
            write_polled(&client, &body).await;
            poll_fn(|cx| client.poll_flush(cx)).await.unwrap();
            assert_eq!(client.bytes_sent(), body.len() as u64);
            poll_fn(|cx| client.poll_shutdown(cx)).await.unwrap();
        };
        let ((), received) = join(writes, read_all(&server)).await;
        assert_eq!(received, body);
        client.close().await.unwrap();
    });
}

fn t251_what_was_taken_is_sent_without_further_polls<R: Runtime>() {
    run::<R>(async {
        let (client, server) = pair().await;
        let sent = fill(&client);
        assert_eq!(client.try_write(b"more").unwrap_err().kind(), ErrorKind::WouldBlock);
        let rest = pattern(sent, 200_000);
        let mut taken = 0;
        let write = async { taken = poll_fn(|cx| client.poll_write(cx, &rest)).await.unwrap() };
        write.await;
        assert!(taken > 0 && taken <= 64 << 10, "{taken} bytes are copied at a time");
        // The next one waits, and is given up: it has taken nothing.
        let mut waits = Box::pin(poll_fn(|cx| client.poll_write(cx, &rest[taken..])));
        assert!(poll_once(&mut waits).await.is_pending());
        drop(waits);
        assert_eq!(client.try_write(b"more").unwrap_err().kind(), ErrorKind::WouldBlock);
        let (_, received) = server.read_exact(vec![0; sent + taken]).await.unwrap();
        assert_eq!(received, pattern(0, sent + taken));
        turns(2).await;
        assert_eq!(client.bytes_sent(), (sent + taken) as u64);
        write_polled(&client, &rest[taken..taken + 10]).await;
        let (_, received) = server.read_exact(vec![0; 10]).await.unwrap();
        assert_eq!(received, rest[taken..taken + 10]);
    });
}

fn t251_a_dropped_stream_closes_when_what_was_taken_is_sent<R: Runtime>() {
    run::<R>(async {
        let (client, server) = pair().await;
        let sent = fill(&client);
        let taken = poll_fn(|cx| client.poll_write(cx, &pattern(sent, 50_000))).await.unwrap();
        assert_eq!(taken, 50_000);
        drop(client);
        assert_eq!(read_all(&server).await, pattern(0, sent + taken));
    });
}

fn t251_polled_writes_keep_their_order_with_others<R: Runtime>() {
    run::<R>(async {
        let (client, server) = pair().await;
        let sent = fill(&client);
        let mut first = Box::pin(client.write_all(pattern(sent, 30_000)));
        assert!(poll_once(&mut first).await.is_pending());
        let sent = sent + 30_000;
        // A write is in flight: this one comes behind it.
        let taken = poll_fn(|cx| client.poll_write(cx, &pattern(sent, 40_000))).await.unwrap();
        assert_eq!(taken, 40_000);
        let sent = sent + taken;
        let mut last = Box::pin(client.write_all(pattern(sent, 20_000)));
        assert!(poll_once(&mut last).await.is_pending());
        assert_eq!(client.try_write(b"more").unwrap_err().kind(), ErrorKind::WouldBlock);
        let sent = sent + 20_000;
        let writes = async {
            first.await.unwrap();
            last.await.unwrap();
        };
        let ((), received) = join(writes, server.read_exact(vec![0; sent])).await;
        assert_eq!(received.unwrap().1, pattern(0, sent));
        assert_eq!(client.bytes_sent(), sent as u64);
    });
}

fn t251_an_error_is_reported_by_the_next_poll<R: Runtime>() {
    run::<R>(async {
        let (client, server) = pair().await;
        let sent = fill(&client);
        let taken = poll_fn(|cx| client.poll_write(cx, &pattern(sent, 1_000))).await.unwrap();
        assert_eq!(taken, 1_000);
        server.set_linger(Some(Duration::ZERO)).unwrap();
        drop(server);
        let error = poll_fn(|cx| client.poll_flush(cx)).await.unwrap_err();
        assert!(matches!(error.kind(), ErrorKind::ConnectionReset | ErrorKind::BrokenPipe), "{error}");
        poll_fn(|cx| client.poll_flush(cx)).await.unwrap(); // it is told once
        let error = poll_fn(|cx| client.poll_write(cx, b"more")).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::BrokenPipe);
        assert_eq!(client.try_write(b"more").unwrap_err().kind(), ErrorKind::BrokenPipe);
        assert_eq!(client.bytes_sent(), sent as u64);
    });
}

fn t251_a_shutdown_comes_behind_what_was_taken<R: Runtime>() {
    run::<R>(async {
        let (client, server) = pair().await;
        let sent = fill(&client);
        let taken = poll_fn(|cx| client.poll_write(cx, &pattern(sent, 50_000))).await.unwrap();
        let mut given_up = Box::pin(poll_fn(|cx| client.poll_shutdown(cx)));
        assert!(poll_once(&mut given_up).await.is_pending());
        drop(given_up);
        let ends = poll_fn(|cx| client.poll_shutdown(cx));
        let (ended, received) = join(ends, read_all(&server)).await;
        ended.unwrap();
        assert_eq!(received, pattern(0, sent + taken));
        assert_eq!(client.try_write(b"more").unwrap_err().kind(), ErrorKind::BrokenPipe);
        server.write_all("the other direction").await.unwrap();
        assert_eq!(client.recv().await.unwrap().unwrap(), *b"the other direction");
    });
}

fn t251_a_dropped_half_ends_its_direction_behind_what_was_taken<R: Runtime>() {
    run::<R>(async {
        let (client, server) = pair().await;
        let sent = fill(&client);
        let (reader, writer) = client.into_split();
        let taken = poll_fn(|cx| writer.poll_write(cx, &pattern(sent, 50_000))).await.unwrap();
        drop(writer);
        assert_eq!(read_all(&server).await, pattern(0, sent + taken));
        server.shutdown(Shutdown::Write).await.unwrap();
        assert_eq!(reader.recv().await.unwrap(), None);
    });
}

fn t251_direct_streams_are_written_by_polls<R: Runtime>() {
    run::<R>(async {
        let listener = direct::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let server = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        let client = listener.accept().await.unwrap();
        let body = pattern(0, 1 << 20);
        let writes = async {
            let mut rest = &body[..];
            while !rest.is_empty() {
                let taken = poll_fn(|cx| client.poll_write(cx, rest)).await.unwrap();
                rest = &rest[taken..];
            }
            poll_fn(|cx| client.poll_flush(cx)).await.unwrap();
            assert_eq!(client.bytes_sent(), body.len() as u64);
            poll_fn(|cx| client.poll_shutdown(cx)).await.unwrap();
        };
        let ((), received) = join(writes, read_all(&server)).await;
        assert_eq!(received, body);
    });
}

fn t251_pipes_are_written_by_polls<R: Runtime>() {
    run::<R>(async {
        let (reader, writer) = pipe().unwrap();
        let mut sent = 0;
        while let Ok(count) = writer.try_write(&pattern(sent, 4_096)) {
            sent += count;
        }
        assert!(sent > 0);
        let taken = poll_fn(|cx| writer.poll_write(cx, &pattern(sent, 30_000))).await.unwrap();
        assert_eq!(taken, 30_000);
        let last = spawn(async move {
            let result = writer.write_all(pattern(sent + taken, 10_000)).await;
            poll_fn(|cx| writer.poll_flush(cx)).await.unwrap();
            assert_eq!(writer.bytes_written(), (sent + taken + 10_000) as u64);
            result.unwrap();
        });
        let (_, received) = reader.read_exact(vec![0; sent + taken + 10_000]).await.unwrap();
        assert_eq!(received, pattern(0, sent + taken + 10_000));
        last.await.unwrap();
        // Nobody has the reading end any more.
        let (reader, writer) = pipe().unwrap();
        drop(reader);
        let error = poll_fn(|cx| writer.poll_write(cx, b"more")).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::BrokenPipe);
    });
}

/// Two ends of a connection; the first has taken more bytes than the kernel has room for: so many.
async fn taken<S: AnyTcpStream>() -> (S, TcpStream, usize) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let client = S::connect(listener.local_addr().unwrap()).await.unwrap();
    let (server, _) = listener.accept().await.unwrap();
    let (mut taken, mut tries) = (0, 0);
    // The first that waits may only let other tasks run.
    while tries < 2 {
        match poll_fn(|cx| Poll::Ready(client.poll_write(cx, &pattern(taken, 50_000)))).await {
            Poll::Ready(count) => (taken, tries) = (taken + count.unwrap(), 0),
            Poll::Pending => tries += 1,
        }
        if tries == 1 {
            yield_now().await;
        }
    }
    (client, server, taken)
}

fn t290_a_shutdown_takes_its_turn_behind_writes<R: Runtime>() {
    async fn of<S: AnyTcpStream>() {
        for how in [Shutdown::Write, Shutdown::Both] {
            let (client, server, sent) = taken::<S>().await;
            let write = client.write_all(pattern(sent, 50_000));
            let writes = join(write, client.shutdown(how));
            let ((written, ended), received) = join(writes, read_all(&server)).await;
            written.unwrap();
            ended.unwrap();
            assert!(received == pattern(0, sent + 50_000), "{how:?}: {} of {sent} bytes", received.len());
            let refused = client.write("more").await.unwrap_err();
            assert_eq!(refused.kind(), ErrorKind::BrokenPipe);
            poll_fn(|cx| client.poll_flush(cx)).await.unwrap();
        }
        let (client, server, sent) = taken::<S>().await;
        let mut given_up = client.shutdown(Shutdown::Write);
        assert!(poll_once(&mut given_up).await.is_pending());
        assert_eq!(given_up.cancel().await.unwrap_err().raw_os_error(), Some(libc::ECANCELED));
        client.shutdown(Shutdown::Read).await.unwrap();
        let write = client.write_all(pattern(sent, 50_000));
        let ends = poll_fn(|cx| client.poll_shutdown(cx));
        let ((written, ended), received) = join(join(write, ends), read_all(&server)).await;
        written.unwrap();
        ended.unwrap();
        assert!(received == pattern(0, sent + 50_000), "{} of {sent} bytes", received.len());
    }
    run::<R>(async {
        of::<TcpStream>().await;
        of::<direct::TcpStream>().await;
        // A half that is dropped shuts its direction down as well.
        let (client, server, sent) = taken::<TcpStream>().await;
        let (reader, writer) = client.into_split();
        let mut write = writer.write_all(pattern(sent, 50_000));
        let begun = poll_once(&mut write).await;
        drop(writer);
        assert!(begun.is_pending());
        let (written, received) = join(write, read_all(&server)).await;
        written.unwrap();
        assert!(received == pattern(0, sent + 50_000), "{} of {sent} bytes", received.len());
        drop(reader);
    });
}

fn t290_a_close_waits_for_what_was_taken<R: Runtime>() {
    async fn of<S: AnyTcpStream>() {
        let (client, server, sent) = taken::<S>().await;
        let (closed, received) = join(client.close(), read_all(&server)).await;
        closed.unwrap();
        assert!(received == pattern(0, sent), "{} of {sent} bytes", received.len());
        // A close that is cancelled leaves the rest to the runtime.
        let (client, server, sent) = taken::<S>().await;
        let mut close = client.close();
        assert!(poll_once(&mut close).await.is_pending());
        assert_eq!(close.cancel().await.unwrap_err().raw_os_error(), Some(libc::ECANCELED));
        assert!(read_all(&server).await == pattern(0, sent));
    }
    run::<R>(async {
        of::<TcpStream>().await;
        of::<direct::TcpStream>().await;
        let (reader, writer) = pipe().unwrap();
        let mut sent = 0;
        while let Poll::Ready(count) =
            poll_fn(|cx| Poll::Ready(writer.poll_write(cx, &pattern(sent, 50_000)))).await
        {
            sent += count.unwrap();
        }
        let reads = async {
            let mut all = Vec::new();
            while let Some(chunk) = reader.recv().await.unwrap() {
                all.extend_from_slice(&chunk);
            }
            all
        };
        let (closed, received) = join(writer.close(), reads).await;
        closed.unwrap();
        assert!(received == pattern(0, sent), "{} of {sent} bytes", received.len());
    });
}

fn t290_a_close_reports_that_what_was_taken_is_lost<R: Runtime>() {
    run::<R>(async {
        let (reader, writer) = pipe().unwrap();
        while poll_fn(|cx| Poll::Ready(writer.poll_write(cx, &[1; 50_000]))).await.is_ready() {}
        drop(reader);
        assert_eq!(writer.close().await.unwrap_err().kind(), ErrorKind::BrokenPipe);
    });
}
