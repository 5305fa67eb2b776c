//! Files that are no ordinary ones: FIFOs, terminals, pipes by path, files of /proc, very large ones; and appending.

use std::cell::RefCell;
use std::fs::File as StdFile;
use std::future::Future;
use std::io::{ErrorKind, Read, Write};
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::rc::Rc;
use std::time::Duration;

use nix::sys::resource::Resource;
use proactor::fs::{self, File, Open, OpenOptions};
use proactor::io::Cancellable;
use proactor::time::sleep;
use proactor::{Config, Runtime, spawn};

use crate::kit::*;

tests! {
    t180_a_file_too_large_for_memory_is_an_error,
    t181_each_append_is_one_piece,
    t182_a_read_of_proc_is_one_read_of_the_kernel,
    t185_opens_that_were_given_up_hold_up_nothing,
    t188_opening_a_fifo_waits_for_the_other_side,
    t188_opens_of_fifos_that_wait_hold_up_nothing,
    t188_opening_a_fifo_without_waiting_is_up_to_its_flags,
    t192_an_open_of_a_fifo_can_be_cancelled,
    t192_a_cancelled_open_wakes_its_task,
    t189_a_fifo_is_read_and_written_without_positions,
    t189_large_transfers_through_a_fifo_are_whole,
    t189_a_terminal_is_read_and_written,
    t189_a_pipe_by_path_and_the_standard_input_are_read,
    t190_reads_that_wait_hold_up_nothing,
    t191_an_opened_file_has_the_flags_of_the_standard_library,
}

fn t180_a_file_too_large_for_memory_is_an_error<R: Runtime>() {
    if cfg!(proactor_asan) {
        return; // the sanitizer reserves more than the limit, and ends the process itself
    }
    // With a limit, so that it does not depend on the machine's memory.
    Alone::new().limit(Resource::RLIMIT_AS, 64 << 30).run(|| {
        let folder = TempDir::new();
        let path = folder.path("sparse");
        StdFile::create(&path).unwrap().set_len(8 << 40).unwrap();
        assert_eq!(std::fs::read(&path).unwrap_err().kind(), ErrorKind::OutOfMemory);
        run::<R>(async {
            let error = fs::read(&path).await.unwrap_err();
            assert_eq!(error.kind(), ErrorKind::OutOfMemory);
            assert!(error.to_string().contains("read_at"), "{error}");
        });
    });
}

// ---------------------------------------------------------------- appending

fn t181_each_append_is_one_piece<R: Runtime>() {
    const PIECE: usize = (3 << 20) + 17;
    run::<R>(async {
        let folder = TempDir::new();
        for vectored in [false, true] {
            let path = folder.file("log", b"");
            let tasks = (b'a'..=b'd').map(|byte| {
                let path = path.clone();
                spawn(async move {
                    let file = if byte % 2 == 0 {
                        OpenOptions::new().append(true).open(&path).await.unwrap()
                    } else {
                        File::from_std(StdFile::options().append(true).open(&path).unwrap())
                    };
                    for _ in 0..4 {
                        if vectored {
                            let halves = [vec![byte; PIECE / 2], vec![byte; PIECE - PIECE / 2]];
                            assert_eq!(file.write_vectored_at(halves, 0).await.unwrap().0, PIECE);
                        } else {
                            assert_eq!(file.write_at(vec![byte; PIECE], 0).await.unwrap().0, PIECE);
                        }
                    }
                })
            });
            for task in tasks.collect::<Vec<_>>() {
                task.await.unwrap();
            }
            let content = read_file(&path);
            assert_eq!(content.len(), 16 * PIECE);
            for (number, piece) in content.chunks(PIECE).enumerate() {
                assert!(piece.iter().all(|byte| *byte == piece[0]), "piece {number} is torn");
            }
        }
    });
}

// ---------------------------------------------------------------- files of /proc

/// Which may be less than was asked for, also before the end.
fn t182_a_read_of_proc_is_one_read_of_the_kernel<R: Runtime>() {
    let path = Path::new("/proc/kallsyms");
    if !path.exists() {
        return;
    }
    let theirs = StdFile::open(path).unwrap();
    let mut expected = vec![0; 1 << 16];
    let count = theirs.read_at(&mut expected, 0).unwrap();
    run::<R>(async {
        let file = File::open(path).await.unwrap();
        let (ours, buffer) = file.read_at(Vec::with_capacity(1 << 16), 0).await.unwrap();
        assert_eq!(ours, count);
        assert_bytes(&buffer, &expected[..count]);
        // Who asks for all of the bytes gets them.
        let whole = read_file(path);
        let part = whole.len().min(1 << 16);
        let (_, buffer) = file.read_exact_at(vec![0; part], 0).await.unwrap();
        assert_bytes(&buffer, &whole[..part]);
    });
}

// ---------------------------------------------------------------- opens

fn t185_opens_that_were_given_up_hold_up_nothing<R: Runtime>() {
    Alone::new().leaks().run(|| {
        let runtime = R::with_config(&Config::new().pool_threads(2)).unwrap();
        let folder = TempDir::new();
        let leased = Leased::new(folder.file("leased", b"text"));
        runtime.block_on(async {
            let waits = || {
                let open = leased.open();
                spawn(async move { open.await.map(drop) })
            };
            let opens: Vec<_> = (0..8).map(|_| waits()).collect();
            until(|| is_in_call("proactor-pool", libc::SYS_openat)).await;
            for open in opens {
                assert!(open.cancel().await.unwrap_err().is_cancelled());
            }
            let path = folder.file("other", b"content");
            assert_eq!(fs::read(&path).await.unwrap(), b"content");
            assert_eq!(proactor::net::lookup_host("localhost:80").await.unwrap()[0].port(), 80);
            // Also one by one, each begun by a thread.
            for _ in 0..8 {
                let open = waits();
                turns(20).await;
                assert!(open.cancel().await.unwrap_err().is_cancelled());
                assert_eq!(fs::read(&path).await.unwrap(), b"content");
            }
        });
        // The end does not wait for them either.
        let left = runtime.shutdown(Duration::from_secs(3_600));
        assert!(left.jobs_leaked > 0, "somebody has waited until the lease was taken away");
        drop(leased);
        while threads_named("proactor-pool") > 0 {
            std::thread::yield_now();
        }
    });
}

fn opens(path: &Path) -> Vec<(&'static str, bool, Open)> {
    vec![
        ("reading", false, File::open(path)),
        ("writing", true, OpenOptions::new().write(true).open(path)),
        ("appending", true, OpenOptions::new().append(true).open(path)),
        ("creating", true, File::create(path)),
    ]
}

fn t192_an_open_of_a_fifo_can_be_cancelled<R: Runtime>() {
    run::<R>(async {
        let folder = TempDir::new();
        let fifo = folder.fifo();
        for turns in [0, 1, 5, 20] {
            for (what, _, mut open) in opens(&fifo) {
                assert!(poll_once(&mut open).await.is_pending(), "{what}");
                for _ in 0..turns {
                    sleep(Duration::from_millis(1)).await;
                    assert!(poll_once(&mut open).await.is_pending(), "{what}");
                }
                let error = open.cancel().await.unwrap_err();
                assert_eq!(error.raw_os_error(), Some(libc::ECANCELED), "{what}, after {turns} turns");
            }
        }
    });
}

fn t192_a_cancelled_open_wakes_its_task<R: Runtime>() {
    run::<R>(async {
        let folder = TempDir::new();
        let fifo = folder.fifo();
        for turns in [0, 1, 5, 20] {
            for (what, _, open) in opens(&fifo) {
                let open = Rc::new(RefCell::new(open));
                let polled = open.clone();
                let task =
                    spawn(std::future::poll_fn(move |cx| Pin::new(&mut *polled.borrow_mut()).poll(cx)));
                proactor::yield_now().await;
                for _ in 0..turns {
                    sleep(Duration::from_millis(1)).await;
                }
                open.borrow_mut().request_cancel();
                let error = task.await.unwrap().unwrap_err();
                assert_eq!(error.raw_os_error(), Some(libc::ECANCELED), "{what}, after {turns} turns");
            }
        }
    });
}

fn t188_opening_a_fifo_waits_for_the_other_side<R: Runtime>() {
    run::<R>(async {
        let folder = TempDir::new();
        let fifo = folder.fifo();
        for (what, writes, mut open) in opens(&fifo) {
            for _ in 0..10 {
                assert!(poll_once(&mut open).await.is_pending(), "{what}");
                sleep(Duration::from_millis(1)).await; // the loop turns
            }
            let path = fifo.clone();
            let other = thread(move || StdFile::options().read(writes).write(!writes).open(path).unwrap());
            let ours = open.await.unwrap();
            let mut theirs = other.ended().await;
            if writes {
                assert_eq!(ours.write_at("abc", 0).await.unwrap().0, 3, "{what}");
                let mut bytes = [0; 3];
                theirs.read_exact(&mut bytes).unwrap();
                assert_eq!(bytes, *b"abc");
            } else {
                let mut read = ours.read_at(Vec::with_capacity(10), 0);
                assert!(poll_once(&mut read).await.is_pending());
                theirs.write_all(b"abc").unwrap();
                assert_eq!(read.await.unwrap(), (3, b"abc".to_vec()));
            }
        }
        // One that comes first and has gone again.
        let mut open = File::open(&fifo);
        assert!(poll_once(&mut open).await.is_pending());
        let path = fifo.clone();
        let other = thread(move || std::fs::write(path, b"gone").unwrap());
        let ours = open.await.unwrap();
        other.ended().await;
        assert_eq!(ours.read_at(Vec::with_capacity(10), 0).await.unwrap().1, b"gone");
        assert_eq!(ours.read_at(Vec::with_capacity(10), 0).await.unwrap().0, 0);
        // Two of this loop.
        let (reader, writer) = join(File::open(&fifo), OpenOptions::new().write(true).open(&fifo)).await;
        let (reader, writer) = (reader.unwrap(), writer.unwrap());
        writer.write_all_at("here", 0).await.unwrap();
        assert_eq!(reader.read_exact_at([0; 4], 0).await.unwrap().1, *b"here");
    });
}

fn t188_opens_of_fifos_that_wait_hold_up_nothing<R: Runtime>() {
    let runtime = R::with_config(&Config::new().pool_threads(1)).unwrap();
    runtime.block_on(async {
        let folder = TempDir::new();
        let fifo = folder.fifo();
        // More than the kernel has workers for such opens; of one kind, so that none of them meets another.
        let mut waiting: Vec<_> = (0..24).map(|_| File::create(&fifo)).collect();
        for open in &mut waiting {
            assert!(poll_once(open).await.is_pending());
        }
        turns(5).await;
        for number in 0..3 {
            let path = folder.path(&format!("file {number}"));
            fs::write(&path, pattern(100_000)).await.unwrap();
            assert_bytes(&fs::read(&path).await.unwrap(), &pattern(100_000));
        }
        for open in &mut waiting {
            assert!(poll_once(open).await.is_pending());
        }
        let last = waiting.pop().unwrap();
        assert_eq!(last.cancel().await.unwrap_err().raw_os_error(), Some(libc::ECANCELED));
        drop(waiting);
    });
    end(runtime);
}

fn t188_opening_a_fifo_without_waiting_is_up_to_its_flags<R: Runtime>() {
    run::<R>(async {
        let folder = TempDir::new();
        let fifo = folder.fifo();
        let at_once = |writes: bool| {
            OpenOptions::new().read(!writes).write(writes).custom_flags(libc::O_NONBLOCK).open(&fifo)
        };
        assert_eq!(at_once(true).await.unwrap_err().raw_os_error(), Some(libc::ENXIO));
        let reader = at_once(false).await.unwrap();
        assert_eq!(reader.read_at([0; 4], 0).await.unwrap().0, 0, "nobody has opened it for writing");
        let writer = at_once(true).await.unwrap();
        let error = reader.read_at([0; 4], 0).await.unwrap_err();
        assert_eq!(error.error().kind(), ErrorKind::WouldBlock);
        writer.write_all_at("abc", 0).await.unwrap();
        assert_eq!(reader.read_at([0; 4], 0).await.unwrap().0, 3);
        // Both sides at once, and one that is nobody's FIFO.
        let both = OpenOptions::new().read(true).write(true).open(&fifo).await.unwrap();
        both.write_all_at("own", 0).await.unwrap();
        assert_eq!(both.read_at([0; 3], 0).await.unwrap().1, *b"own");
        let socket = folder.path("socket");
        let _listener = std::os::unix::net::UnixListener::bind(&socket).unwrap();
        for (what, _, open) in opens(&socket) {
            assert_eq!(open.await.unwrap_err().raw_os_error(), Some(libc::ENXIO), "{what}");
        }
    });
}

// ---------------------------------------------------------------- reads and writes without a position

/// Both ends of a FIFO: ours for reading or writing, the other of the standard library, which blocks.
async fn ends(fifo: &Path, reads: bool) -> (File, StdFile) {
    let (path, other) = (fifo.to_owned(), StdFile::options().read(!reads).write(reads).to_owned());
    let other = thread(move || other.open(path).unwrap());
    let ours = OpenOptions::new().read(reads).write(!reads).open(fifo).await.unwrap();
    (ours, other.ended().await)
}

fn t189_a_fifo_is_read_and_written_without_positions<R: Runtime>() {
    run::<R>(async {
        let folder = TempDir::new();
        let fifo = folder.fifo();
        let (ours, mut theirs) = ends(&fifo, true).await;
        theirs.write_all(b"abcdefghijkl").unwrap();
        assert_eq!(ours.read_at([0; 3], 77).await.unwrap(), (3, *b"abc"));
        let (count, bufs) = ours.read_vectored_at([[0; 2]; 2], 0).await.unwrap();
        assert_eq!((count, bufs), (4, [*b"de", *b"fg"]));
        assert_eq!(ours.read_exact_at([0; 2], 5).await.unwrap().1, *b"hi");
        assert_eq!(ours.read_at(Vec::with_capacity(2 << 20), 0).await.unwrap().1, b"jkl", "what is there");
        let mut exact = ours.read_exact_at([0; 6], 0);
        assert!(poll_once(&mut exact).await.is_pending());
        theirs.write_all(b"123").unwrap();
        turns(3).await;
        assert!(poll_once(&mut exact).await.is_pending());
        theirs.write_all(b"456").unwrap();
        assert_eq!(exact.await.unwrap().1, *b"123456");
        let read = ours.read_at([0; 4], 0);
        drop(theirs);
        assert_eq!(read.await.unwrap().0, 0, "the end");
        assert_eq!(ours.metadata().await.unwrap().len(), 0);
        assert_eq!(ours.set_len(3).await.unwrap_err().raw_os_error(), Some(libc::EINVAL));
        ours.close().await.unwrap();

        let (ours, mut theirs) = ends(&fifo, false).await;
        assert_eq!(ours.write_at("abc", 9).await.unwrap().0, 3);
        assert_eq!(ours.write_vectored_at(["de", "f"], 0).await.unwrap().0, 3);
        ours.write_all_at("g", 0).await.unwrap();
        let mut bytes = [0; 7];
        theirs.read_exact(&mut bytes).unwrap();
        assert_eq!(bytes, *b"abcdefg");
        drop(theirs);
        let error = ours.write_at("x", 0).await.unwrap_err();
        assert_eq!(error.error().kind(), ErrorKind::BrokenPipe);
    });
}

fn t189_large_transfers_through_a_fifo_are_whole<R: Runtime>() {
    run::<R>(async {
        let folder = TempDir::new();
        let fifo = folder.fifo();
        let content = pattern(5 << 20);
        let reads = || {
            let path = fifo.clone();
            thread(move || std::fs::read(path).unwrap())
        };
        let reader = reads();
        fs::write(&fifo, content.clone()).await.unwrap();
        assert_bytes(&reader.ended().await, &content);
        // As write(2) does it, one call is enough.
        let reader = reads();
        let ours = OpenOptions::new().write(true).open(&fifo).await.unwrap();
        assert_eq!(ours.write_at(content.clone(), 0).await.unwrap().0, content.len());
        let parts = [content.clone(), content.clone()];
        assert_eq!(ours.write_vectored_at(parts, 0).await.unwrap().0, 2 * content.len());
        drop(ours);
        assert_bytes(&reader.ended().await, &content.repeat(3));
        let (path, bytes) = (fifo.clone(), content.clone());
        let writer = thread(move || std::fs::write(path, bytes).unwrap());
        assert_bytes(&fs::read(&fifo).await.unwrap(), &content);
        writer.ended().await;
    });
}

/// The controlling side of a new terminal, and the path of the other one.
fn terminal() -> (StdFile, PathBuf) {
    let mut name = [0; 64];
    // SAFETY: the descriptor is new; the name's buffer has the length that is told.
    unsafe {
        let fd = libc::posix_openpt(libc::O_RDWR | libc::O_NOCTTY | libc::O_CLOEXEC);
        assert!(fd >= 0, "{}", std::io::Error::last_os_error());
        assert_eq!((libc::grantpt(fd), libc::unlockpt(fd)), (0, 0));
        assert_eq!(libc::ptsname_r(fd, name.as_mut_ptr(), name.len()), 0);
        let path = std::ffi::CStr::from_ptr(name.as_ptr()).to_str().unwrap().into();
        (StdFile::from(OwnedFd::from_raw_fd(fd)), path)
    }
}

fn t189_a_terminal_is_read_and_written<R: Runtime>() {
    let runtime = R::with_config(&Config::new().pool_threads(1)).unwrap();
    runtime.block_on(async {
        let (mut control, path) = terminal();
        let file =
            OpenOptions::new().read(true).write(true).custom_flags(libc::O_NOCTTY).open(path).await.unwrap();
        let mut line = file.read_at(Vec::with_capacity(100), 0);
        assert!(poll_once(&mut line).await.is_pending());
        file.write_all_at("prompt", 0).await.unwrap(); // while the read waits
        let mut bytes = [0; 6];
        control.read_exact(&mut bytes).unwrap();
        assert_eq!(bytes, *b"prompt");
        control.write_all(b"one\ntwo\n").unwrap();
        assert_eq!(line.await.unwrap().1, b"one\n", "one line for one read");
        assert_eq!(file.read_at(Vec::with_capacity(100), 0).await.unwrap().1, b"two\n");
    });
    end(runtime);
}

fn t189_a_pipe_by_path_and_the_standard_input_are_read<R: Runtime>() {
    // Alone, since the standard input is replaced.
    alone(|| {
        run::<R>(async {
            let (reader, mut writer) = std::io::pipe().unwrap();
            nix::unistd::dup2_stdin(&reader).unwrap();
            let by_number = PathBuf::from(format!("/proc/self/fd/{}", reader.as_raw_fd()));
            for path in [by_number, "/dev/stdin".into()] {
                let file = File::open(&path).await.unwrap();
                let mut read = file.read_at(Vec::with_capacity(100), 0);
                assert!(poll_once(&mut read).await.is_pending());
                writer.write_all(b"text").unwrap();
                assert_eq!(read.await.unwrap().1, b"text", "{path:?}");
            }
            // The program's own descriptor is as it was.
            // SAFETY: this call takes plain numbers.
            let flags = unsafe { libc::fcntl(0, libc::F_GETFL) };
            assert_eq!(flags & libc::O_NONBLOCK, 0);
            // One that was opened elsewhere.
            let taken = File::from_std(StdFile::from(OwnedFd::from(reader)));
            let read = spawn(async move { taken.read_at(Vec::with_capacity(100), 0).await.unwrap().1 });
            turns(3).await;
            writer.write_all(b"more").unwrap();
            assert_eq!(read.await.unwrap(), b"more");
        });
    });
}

fn t190_reads_that_wait_hold_up_nothing<R: Runtime>() {
    let runtime = R::with_config(&Config::new().pool_threads(1)).unwrap();
    runtime.block_on(async {
        let folder = TempDir::new();
        let fifo = folder.fifo();
        // There is a writer, who writes nothing.
        let mut keeper = StdFile::options().read(true).write(true).open(&fifo).unwrap();
        let file = File::open(&fifo).await.unwrap();
        let mut reads: Vec<_> = (0..24).map(|_| file.read_at(vec![0; 4], 0)).collect();
        for read in &mut reads {
            assert!(poll_once(read).await.is_pending());
        }
        turns(5).await;
        let path = folder.file("file", b"content");
        assert_eq!(fs::read(&path).await.unwrap(), b"content");
        for read in &mut reads {
            assert!(poll_once(read).await.is_pending());
        }
        drop(reads);
        file.quiesce().await.unwrap();
        // Who reads after them gets the bytes.
        keeper.write_all(b"abcd").unwrap();
        assert_eq!(file.read_at([0; 4], 0).await.unwrap().1, *b"abcd");
        let cancelled = file.read_at(vec![0; 4], 0).cancel().await.unwrap_err();
        assert_eq!(cancelled.error().raw_os_error(), Some(libc::ECANCELED));
    });
    end(runtime);
}

fn t191_an_opened_file_has_the_flags_of_the_standard_library<R: Runtime>() {
    let flags = |file: &dyn AsRawFd| {
        // SAFETY: this call takes plain numbers.
        unsafe { libc::fcntl(file.as_raw_fd(), libc::F_GETFL) }
    };
    run::<R>(async {
        let folder = TempDir::new();
        let path = folder.file("file", b"content");
        let theirs = StdFile::open(&path).unwrap();
        assert_eq!(flags(&File::open(&path).await.unwrap()), flags(&theirs));
        let theirs = StdFile::options().append(true).create(true).open(&path).unwrap();
        let ours = OpenOptions::new().append(true).create(true).open(&path).await.unwrap();
        assert_eq!(flags(&ours), flags(&theirs));
        let nonblocking = StdFile::options().read(true).custom_flags(libc::O_NONBLOCK).open(&path).unwrap();
        let ours = OpenOptions::new().read(true).custom_flags(libc::O_NONBLOCK).open(&path).await.unwrap();
        assert_eq!(flags(&ours), flags(&nonblocking));
    });
}
