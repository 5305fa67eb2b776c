//! Safe programs that try to break the crate: wakers that panic while something is half done, and buffers that panic or
//! change when they are asked for their memory.

use std::cell::Cell;
use std::future::Future;
use std::io::{Read, Write};
use std::net::Ipv4Addr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Wake, Waker};

use proactor::buf::{IoBuf, IoBufMut};
use proactor::fs::{File, OpenOptions};
use proactor::net::{TcpListener, UdpSocket};
use proactor::task::JoinError;
use proactor::{Runtime, spawn};

use crate::kit::*;

tests! {
    t95_a_waker_that_panics_at_a_gate_loses_no_datagram,
    t95_a_waker_that_panics_at_a_gate_loses_no_bytes,
    t95_a_waker_that_panics_at_a_gate_loses_no_connection,
    t95_a_waker_that_panics_while_a_task_unwinds_does_not_abort,
    t96_a_buffer_whose_length_changes_with_a_move_is_not_overrun,
    t96_a_buffer_whose_length_changes_with_a_move_is_not_read_beyond_its_end,
    t97_a_buffer_that_panics_when_it_is_read_into_leaves_nothing,
    t97_a_buffer_that_panics_when_it_is_written_from_leaves_nothing,
    t97_a_buffer_that_panics_loses_nothing_that_had_arrived,
    t97_a_waker_that_panics_when_it_is_cloned_leaves_nothing,
    ; proactor:
    t99_a_touch_of_a_buffer_that_the_kernel_has_is_seen,
}

struct Panics;

impl Wake for Panics {
    fn wake(self: Arc<Self>) {
        panic!("expected: the waker");
    }
}

fn panicking_waker() -> Waker {
    Waker::from(Arc::new(Panics))
}

/// Polls a future with a waker that panics; it must have to wait.
fn wait_with_panicking_waker<F: Future + Unpin>(future: &mut F) {
    assert!(Pin::new(future).poll(&mut Context::from_waker(&panicking_waker())).is_pending());
}

fn t95_a_waker_that_panics_at_a_gate_loses_no_datagram<R: Runtime>() {
    run::<R>(async {
        for into_buffer in [true, false] {
            let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
            let sender = std::net::UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
            let address = socket.local_addr().unwrap();
            let socket = std::rc::Rc::new(socket);
            let shared = socket.clone();
            let task = spawn(async move {
                if into_buffer {
                    shared.recv_from(vec![0; 16]).await.unwrap().1
                } else {
                    shared.recv_chunk().await.unwrap().0.to_vec()
                }
            });
            turns(2).await;
            // Waits behind the task at the gate, and is woken when the task's receive has ended.
            let mut behind = socket.recv_from(vec![0; 16]);
            wait_with_panicking_waker(&mut behind);
            sender.send_to(b"datagram", address).unwrap();
            let received = task.await.expect("the task is not concerned by another's waker");
            assert_eq!(received, b"datagram");
            sender.send_to(b"next", address).unwrap();
            assert_eq!(behind.await.unwrap().1, b"next");
        }
    });
}

fn t95_a_waker_that_panics_at_a_gate_loses_no_bytes<R: Runtime>() {
    run::<R>(async {
        for into_buffer in [true, false] {
            let (stream, mut peer) = half_pair();
            let stream = std::rc::Rc::new(stream);
            let shared = stream.clone();
            let task = spawn(async move {
                if into_buffer {
                    shared.read(Vec::with_capacity(16)).await.unwrap().1
                } else {
                    shared.recv().await.unwrap().unwrap().to_vec()
                }
            });
            turns(2).await;
            let mut behind = stream.read(Vec::with_capacity(16));
            wait_with_panicking_waker(&mut behind);
            peer.write_all(b"bytes").unwrap();
            assert_eq!(task.await.expect("the task is not concerned by another's waker"), b"bytes");
            peer.write_all(b"more").unwrap();
            assert_eq!(behind.await.unwrap().1, b"more");
        }
    });
}

fn t95_a_waker_that_panics_at_a_gate_loses_no_connection<R: Runtime>() {
    run::<R>(async {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        let listener = std::rc::Rc::new(listener);
        let shared = listener.clone();
        let task = spawn(async move { shared.accept().await.unwrap().1 });
        turns(2).await;
        let mut behind = Box::pin(listener.accept());
        wait_with_panicking_waker(&mut behind);
        let first = std::net::TcpStream::connect(address).unwrap();
        let accepted = task.await.expect("the task is not concerned by another's waker");
        assert_eq!(accepted, first.local_addr().unwrap());
        let second = std::net::TcpStream::connect(address).unwrap();
        assert_eq!(behind.await.unwrap().1, second.local_addr().unwrap());
    });
}

fn t95_a_waker_that_panics_while_a_task_unwinds_does_not_abort<R: Runtime>() {
    alone(|| {
        run::<R>(async {
            let (stream, mut peer) = half_pair();
            let stream = std::rc::Rc::new(stream);
            let shared = stream.clone();
            let task = spawn(async move {
                let mut read = shared.read(vec![0; 16]);
                assert!(poll_once(&mut read).await.is_pending());
                turns(2).await;
                panic!("expected: with a read that others wait for");
            });
            turns(1).await;
            let mut behind = stream.read(Vec::with_capacity(16));
            wait_with_panicking_waker(&mut behind);
            assert!(task.await.unwrap_err().is_panic());
            peer.write_all(b"bytes").unwrap();
            assert_eq!(behind.await.unwrap().1, b"bytes");
        });
    });
}

const ROOM: usize = 32;

/// A buffer that is longer before it has been moved than afterwards. What lies behind the shorter length is its own, so
/// that a write there shows and harms nobody.
#[repr(C)]
struct Shrinks {
    memory: [u8; ROOM],
    behind: [u8; ROOM],
    /// Where it was when it was asked for its length first.
    place: Cell<usize>,
}

impl Shrinks {
    fn new() -> Self {
        Shrinks { memory: [b'm'; ROOM], behind: [b'b'; ROOM], place: Cell::new(0) }
    }

    /// One that has been asked already, in a place that it has left.
    fn moved() -> Self {
        let elsewhere = Box::new(Shrinks::new());
        assert_eq!(elsewhere.len(), 2 * ROOM);
        *elsewhere
    }

    fn len(&self) -> usize {
        let here = std::ptr::from_ref(self).addr();
        if self.place.get() == 0 {
            self.place.set(here);
        }
        if self.place.get() == here { 2 * ROOM } else { ROOM }
    }
}

// SAFETY: it breaks the rule that lengths do not change by a move, which is what is tested; the longer one is its own.
unsafe impl IoBuf for Shrinks {
    fn read_ptr(&self) -> *const u8 {
        std::ptr::from_ref(self).cast()
    }

    fn init_len(&self) -> usize {
        self.len()
    }
}

// SAFETY: as above.
unsafe impl IoBufMut for Shrinks {
    fn write_ptr(&mut self) -> *mut u8 {
        std::ptr::from_mut(self).cast()
    }

    fn total_len(&self) -> usize {
        self.len()
    }

    unsafe fn set_init(&mut self, _: usize) {}
}

#[track_caller]
fn assert_not_overrun(buffer: &Shrinks) {
    assert_eq!(buffer.behind, [b'b'; ROOM], "bytes behind the buffer were written");
}

fn t96_a_buffer_whose_length_changes_with_a_move_is_not_overrun<R: Runtime>() {
    run::<R>(async {
        let bytes = [b'x'; 3 * ROOM];
        let folder = TempDir::new();
        let path = folder.file("bytes", &bytes);
        let file = File::open(&path).await.unwrap();
        let (count, buffer) = file.read_at(Shrinks::new(), 0).await.unwrap();
        assert!(count <= ROOM);
        assert_not_overrun(&buffer);
        let (_, buffers) = file.read_vectored_at([Shrinks::moved(), Shrinks::moved()], 0).await.unwrap();
        buffers.iter().for_each(assert_not_overrun);
        match file.read_exact_at(Shrinks::new(), 0).await {
            Ok((_, buffer)) => assert_not_overrun(&buffer),
            Err(error) => assert_not_overrun(&error.into_buf()),
        }

        // Bytes that come when the receive is in its place, and bytes that are there before.
        for waits in [true, false] {
            let (stream, mut peer) = half_pair();
            if !waits {
                peer.write_all(&bytes).unwrap();
            }
            let reading = spawn(async move { stream.read(Shrinks::new()).await.unwrap() });
            turns(2).await;
            if waits {
                peer.write_all(&bytes).unwrap();
            }
            let (count, buffer) = reading.await.unwrap();
            assert!(count <= 2 * ROOM);
            assert_not_overrun(&buffer);
        }
        let (reader, mut writer) = std::io::pipe().unwrap();
        let reader = proactor::io::PipeReader::from_fd(reader.into()).unwrap();
        let reading = spawn(async move { reader.read(Shrinks::new()).await.unwrap() });
        turns(2).await;
        writer.write_all(&bytes).unwrap();
        assert_not_overrun(&reading.await.unwrap().1);

        let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let sender = std::net::UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        sender.send_to(&bytes, socket.local_addr().unwrap()).unwrap();
        assert_not_overrun(&socket.recv_from(Shrinks::moved()).await.unwrap().1);
    });
}

fn t96_a_buffer_whose_length_changes_with_a_move_is_not_read_beyond_its_end<R: Runtime>() {
    run::<R>(async {
        let folder = TempDir::new();
        let path = folder.path("written");
        let file = OpenOptions::new().write(true).create(true).open(&path).await.unwrap();
        file.write_at(Shrinks::new(), 0).await.unwrap();
        file.write_vectored_at([Shrinks::moved(), Shrinks::moved()], 4096).await.unwrap();
        drop(file);
        let written = read_file(&path);
        assert!(!written.contains(&b'b'), "bytes behind the buffer were written to a file");

        let (stream, mut peer) = half_pair();
        stream.write(Shrinks::new()).await.unwrap();
        drop(stream);
        let mut sent = Vec::new();
        peer.read_to_end(&mut sent).unwrap();
        assert_eq!(sent, [b'm'; ROOM]);
    });
}

/// A buffer that panics when it is asked where it lies.
struct NoAddress;

// SAFETY: it has no bytes and gives no pointer.
unsafe impl IoBuf for NoAddress {
    fn read_ptr(&self) -> *const u8 {
        panic!("expected: no address")
    }

    fn init_len(&self) -> usize {
        8
    }
}

// SAFETY: as above.
unsafe impl IoBufMut for NoAddress {
    fn write_ptr(&mut self) -> *mut u8 {
        panic!("expected: no address")
    }

    fn total_len(&self) -> usize {
        8
    }

    unsafe fn set_init(&mut self, _: usize) {}
}

/// The task of the operation ends with the panic of its buffer.
async fn ends_with_panic<T: 'static>(future: impl Future<Output = T> + 'static) {
    let outcome = spawn(async move { drop(future.await) }).await;
    assert!(matches!(outcome, Err(JoinError::Panicked(_))), "{outcome:?}");
}

/// Runs a test on a runtime that must have nothing in flight afterwards.
fn leaving_nothing<R: Runtime>(test: impl Future<Output = ()>) {
    let runtime = R::new().unwrap();
    runtime.block_on(test);
    runtime.block_on(nothing_is_left(&runtime));
    end(runtime);
}

fn t97_a_buffer_that_panics_when_it_is_read_into_leaves_nothing<R: Runtime>() {
    leaving_nothing::<R>(async {
        let folder = TempDir::new();
        let path = folder.file("bytes", &[1; 64]);
        let file = File::open(&path).await.unwrap();
        ends_with_panic(file.read_at(NoAddress, 0)).await;
        ends_with_panic(file.read_exact_at(NoAddress, 0)).await;
        ends_with_panic(file.read_vectored_at([NoAddress], 0)).await;
        let (stream, mut peer) = half_pair();
        let stream = std::rc::Rc::new(stream);
        for _ in 0..2 {
            // Without bytes, and with some.
            let shared = stream.clone();
            let reading = spawn(async move { drop(shared.read(NoAddress).await) });
            turns(2).await;
            peer.write_all(b"bytes").unwrap();
            assert!(reading.await.unwrap_err().is_panic());
        }
        let shared = stream.clone();
        ends_with_panic(async move { shared.read_vectored([NoAddress]).await }).await;
        let got = stream.read_exact(vec![0; 10]).await.unwrap().1;
        assert_eq!(got, b"bytesbytes", "the stream goes on");
        file.close().await.unwrap();
    });
}

fn t97_a_buffer_that_panics_loses_nothing_that_had_arrived<R: Runtime>() {
    leaving_nothing::<R>(async {
        // A proactor's standing receive goes on after the first future was dropped, and brings what comes next.
        let (stream, mut peer) = half_pair();
        let stream = std::rc::Rc::new(stream);
        assert!(poll_once(&mut stream.recv()).await.is_pending());
        turns(2).await;
        peer.write_all(b"bytes").unwrap();
        turns(4).await;
        let shared = stream.clone();
        ends_with_panic(async move { shared.read(NoAddress).await }).await;
        let shared = stream.clone();
        ends_with_panic(async move { shared.read_vectored([NoAddress]).await }).await;
        assert_eq!(stream.read_exact([0; 5]).await.unwrap().1, *b"bytes");

        let socket = std::rc::Rc::new(UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap());
        let sender = std::net::UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        assert!(poll_once(&mut socket.recv_chunk()).await.is_pending());
        turns(2).await;
        sender.send_to(b"datagram", socket.local_addr().unwrap()).unwrap();
        turns(4).await;
        let shared = socket.clone();
        ends_with_panic(async move { shared.recv_from(NoAddress).await }).await;
        assert_eq!(socket.recv_from(vec![0; 16]).await.unwrap().1, b"datagram");
    });
}

fn t97_a_buffer_that_panics_when_it_is_written_from_leaves_nothing<R: Runtime>() {
    leaving_nothing::<R>(async {
        let folder = TempDir::new();
        let path = folder.path("written");
        let file = OpenOptions::new().write(true).create(true).open(&path).await.unwrap();
        ends_with_panic(file.write_at(NoAddress, 0)).await;
        ends_with_panic(file.write_all_at(NoAddress, 0)).await;
        ends_with_panic(file.write_vectored_at([NoAddress], 0)).await;
        let (stream, peer) = half_pair();
        let stream = std::rc::Rc::new(stream);
        let shared = stream.clone();
        ends_with_panic(async move { shared.write(NoAddress).await }).await;
        let shared = stream.clone();
        ends_with_panic(async move { shared.write_vectored([NoAddress]).await }).await;
        stream.write_all("text").await.unwrap();
        drop(stream);
        assert_eq!(read_to_end(peer), b"text", "the stream goes on");
        file.close().await.unwrap();
    });
}

fn t97_a_waker_that_panics_when_it_is_cloned_leaves_nothing<R: Runtime>() {
    use std::task::{RawWaker, RawWakerVTable};
    static TABLE: RawWakerVTable =
        RawWakerVTable::new(|_| panic!("expected: no clone"), |_| (), |_| (), |_| ());
    leaving_nothing::<R>(async {
        // SAFETY: the functions use no data.
        let waker = unsafe { Waker::from_raw(RawWaker::new(std::ptr::null(), &TABLE)) };
        let folder = TempDir::new();
        let path = folder.file("bytes", &[1; 64]);
        let file = File::open(&path).await.unwrap();
        let (stream, mut peer) = half_pair();
        let mut read = file.read_at(vec![0; 8], 0);
        let panicked = panic_catching(|| {
            let _ = Pin::new(&mut read).poll(&mut Context::from_waker(&waker));
        });
        // A proactor's read, and a job of the pool, keep a waker.
        assert!(panicked.is_some());
        drop(read);
        let mut recv = stream.read(vec![0; 8]);
        let panicked = panic_catching(|| {
            let _ = Pin::new(&mut recv).poll(&mut Context::from_waker(&waker));
        });
        assert!(panicked.is_some());
        drop(recv);
        // An operation that is in its place keeps its waker when another one can't be cloned.
        let mut recv = stream.read(vec![0; 8]);
        assert!(poll_once(&mut recv).await.is_pending());
        turns(1).await;
        let panicked = panic_catching(|| {
            let _ = Pin::new(&mut recv).poll(&mut Context::from_waker(&waker));
        });
        assert!(panicked.is_some());
        peer.write_all(b"bytes").unwrap();
        let (received, _) = recv.await.unwrap();
        assert_eq!(received, 5);
        file.close().await.unwrap();
    });
}

fn t99_a_touch_of_a_buffer_that_the_kernel_has_is_seen<R: Runtime>() {
    // Only builds for the address sanitizer see it.
    let said = |case: &str, is_touched: bool| {
        let child = Alone::new().case(case).env("ASAN_OPTIONS", "detect_leaks=0:abort_on_error=1");
        let child = if cfg!(proactor_asan) && is_touched { child.killed_by(libc::SIGABRT) } else { child };
        child.run(|| {
            R::new().unwrap().block_on(async {
                let (stream, mut peer) = half_pair();
                let (buffer, watch) = Canary::new(64);
                assert_eq!(watch.touch(40), 0, "nobody has it yet");
                let mut read = stream.read(buffer);
                assert!(poll_once(&mut read).await.is_pending());
                // A standing receive has the stream, so that this one is begun by its end.
                turns(4).await;
                if is_touched {
                    watch.touch(40);
                }
                peer.write_all(&[7; 64]).unwrap();
                let (count, buffer) = read.await.unwrap();
                assert_eq!((count, watch.touch(40), buffer.init_len()), (64, 7, 64));
            });
        })
    };
    let said = [said("touched", true), said("left alone", false)];
    if let (true, [Some(touched), _]) = (cfg!(proactor_asan), &said) {
        assert!(touched.contains("use-after-poison"), "{touched}");
    }
}
