//! Operations on the proactor allocate nothing: an allocator counts what the loop's thread asks of it.
//!
//! Each kind of operation runs 5,000 times, so that what is kept for the next has grown to its working size, and
//! then 10,000 times, in which there must be no allocation and no free at all: awaited by a task and by `block_on`
//! itself, as it is and through `timeout`. What an operation *makes* (a connection, an open file) has memory of
//! its own, and those counts are written down.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::future::Future;
use std::io;
use std::os::fd::FromRawFd;
use std::process::ExitCode;
use std::rc::Rc;
use std::time::Duration;

use libtest_mimic::{Arguments, Failed, Trial};
use proactor::buf::Chunk;
use proactor::fs::File;
use proactor::net::{TcpListener, TcpStream, UdpSocket};
use proactor::sync::base::{Barrier, Condition, Event, Mutex, RwLock, Semaphore};
use proactor::sync::{Flavor, Local, Threaded};
use proactor::time::{sleep, timeout};
use proactor::{Config, Feature, Proactor, Runtime, Selector};

/// So many that a multishot receive of 64 bytes each has reached its limit, 256 KiB, and was armed anew.
const WARM_UP: u32 = 5_000;
const OPERATIONS: u32 = 10_000;

struct Counting;

thread_local! {
    /// Allocations and frees of this thread.
    static COUNT: Cell<u64> = const { Cell::new(0) };
    /// Bytes that this thread has allocated and not freed.
    static BYTES: Cell<isize> = const { Cell::new(0) };
}

fn count(bytes: isize) {
    COUNT.with(|count| count.set(count.get() + 1));
    BYTES.with(|all| all.set(all.get() + bytes));
}

// SAFETY: everything is left to the system's allocator.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count(layout.size() as isize);
        // SAFETY: by the caller's word.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, memory: *mut u8, layout: Layout) {
        count(-(layout.size() as isize));
        // SAFETY: by the caller's word.
        unsafe { System.dealloc(memory, layout) }
    }

    unsafe fn realloc(&self, memory: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        count(size as isize - layout.size() as isize);
        // SAFETY: by the caller's word.
        unsafe { System.realloc(memory, layout, size) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// How an operation is awaited.
#[derive(Clone, Copy, PartialEq)]
enum Through {
    Nothing,
    Timeout,
}

impl Through {
    async fn wait<F: Future>(self, operation: F) -> F::Output {
        match self {
            Through::Nothing => operation.await,
            Through::Timeout => {
                timeout(Duration::from_secs(60), operation).await.expect("it takes no minute")
            }
        }
    }
}

/// Allocations and frees of many operations, when others have warmed up.
async fn counted(mut operation: impl AsyncFnMut()) -> u64 {
    for _ in 0..WARM_UP {
        operation().await;
    }
    let before = COUNT.get();
    for _ in 0..OPERATIONS {
        operation().await;
    }
    COUNT.get() - before
}

async fn connection() -> (TcpStream, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let client = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
    let (server, _) = listener.accept().await.unwrap();
    (client, server)
}

/// A file without a name, in memory.
fn file() -> File {
    // SAFETY: memfd_create(2) answers with a descriptor that nobody else owns; the name is a C string.
    let file = unsafe {
        let number = libc::memfd_create(c"proactor".as_ptr(), libc::MFD_CLOEXEC);
        assert!(number >= 0, "{}", io::Error::last_os_error());
        std::fs::File::from_raw_fd(number)
    };
    file.set_len(65_536).unwrap();
    File::from_std(file)
}

async fn nop(through: Through) -> u64 {
    counted(async || through.wait(proactor::io::nop()).await.unwrap()).await
}

async fn yielding(through: Through) -> u64 {
    counted(async || through.wait(proactor::yield_now()).await).await
}

async fn sleeping(through: Through) -> u64 {
    counted(async || through.wait(sleep(Duration::from_nanos(1))).await).await
}

async fn spawning(through: Through) -> u64 {
    counted(async || through.wait(proactor::spawn(async { 7 })).await.map(drop).unwrap()).await
}

async fn stream(through: Through) -> u64 {
    let (client, server) = connection().await;
    let (mut there, mut back) = (Some(vec![7; 64]), Some(Vec::with_capacity(64)));
    counted(async || {
        let (count, sent) = through.wait(client.write(there.take().unwrap())).await.unwrap();
        let (received, filled) = through.wait(server.read(back.take().unwrap())).await.unwrap();
        assert_eq!((count, received, &sent), (64, 64, &filled));
        (there, back) = (Some(sent), Some(filled));
    })
    .await
}

/// The read waits for its bytes.
async fn stream_that_waits(through: Through) -> u64 {
    let (client, server) = connection().await;
    let echo = proactor::spawn(async move {
        let mut buffer = Vec::with_capacity(64);
        loop {
            let (count, filled) = server.read(buffer).await.unwrap();
            if count == 0 {
                return;
            }
            buffer = server.write_all(filled).await.unwrap().1;
        }
    });
    let mut buffer = Some(vec![7; 64]);
    let count = counted(async || {
        let (_, sent) = through.wait(client.write_all(buffer.take().unwrap())).await.unwrap();
        let (_, filled) = through.wait(client.read_exact(sent)).await.unwrap();
        buffer = Some(filled);
    })
    .await;
    drop(client);
    echo.await.unwrap();
    count
}

/// What arrives in the runtime's memory is sent back as it is.
async fn chunks(through: Through) -> u64 {
    let (client, server) = connection().await;
    let echo = proactor::spawn(async move {
        while let Some(chunk) = server.recv().await.unwrap() {
            server.write_all(chunk).await.unwrap();
        }
    });
    let mut buffer = Some(vec![7; 64]);
    let count = counted(async || {
        let (_, sent) = through.wait(client.write_all(buffer.take().unwrap())).await.unwrap();
        let mut received = through.wait(client.recv()).await.unwrap().unwrap();
        let head = received.split_to(1);
        assert_eq!((head.len(), received.len()), (1, 63));
        buffer = Some(sent);
    })
    .await;
    drop(client);
    echo.await.unwrap();
    count
}

async fn without_copies(through: Through) -> u64 {
    let (client, server) = connection().await;
    let mut buffer = Some(vec![7; 64]);
    counted(async || {
        let (_, sent) = through.wait(client.write_all_zerocopy(buffer.take().unwrap())).await.unwrap();
        assert_eq!(through.wait(server.recv()).await.unwrap().unwrap().len(), 64);
        buffer = Some(sent);
    })
    .await
}

async fn stream_vectored(through: Through) -> u64 {
    let (client, server) = connection().await;
    let (mut there, mut back) = (Some([vec![7; 40], vec![8; 24]]), Some([vec![0; 24], vec![0; 40]]));
    counted(async || {
        let (_, sent) = through.wait(client.write_all_vectored(there.take().unwrap())).await.unwrap();
        let (count, filled) = through.wait(server.read_vectored(back.take().unwrap())).await.unwrap();
        assert_eq!(count, 64);
        (there, back) = (Some(sent), Some(filled));
    })
    .await
}

async fn datagrams(through: Through) -> u64 {
    let ours = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let theirs = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let target = theirs.local_addr().unwrap();
    let (mut there, mut back) = (Some(vec![7; 64]), Some(Vec::with_capacity(64)));
    counted(async || {
        let (_, sent) = through.wait(ours.send_to(there.take().unwrap(), target)).await.unwrap();
        let ((count, _), filled) = through.wait(theirs.recv_from(back.take().unwrap())).await.unwrap();
        assert_eq!(count, 64);
        (there, back) = (Some(sent), Some(filled));
    })
    .await
}

async fn datagram_chunks(through: Through) -> u64 {
    let ours = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let theirs = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let target = theirs.local_addr().unwrap();
    let mut there = Some(vec![7; 64]);
    counted(async || {
        let (_, sent) = through.wait(ours.send_to(there.take().unwrap(), target)).await.unwrap();
        assert_eq!(through.wait(theirs.recv_chunk()).await.unwrap().0.len(), 64);
        there = Some(sent);
    })
    .await
}

async fn datagrams_connected(through: Through) -> u64 {
    let ours = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let theirs = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    ours.connect(theirs.local_addr().unwrap()).await.unwrap();
    let (mut there, mut back) = (Some(vec![7; 64]), Some(Vec::with_capacity(64)));
    counted(async || {
        let (_, sent) = through.wait(ours.send(there.take().unwrap())).await.unwrap();
        let (count, filled) = through.wait(theirs.recv(back.take().unwrap())).await.unwrap();
        assert_eq!(count, 64);
        (there, back) = (Some(sent), Some(filled));
    })
    .await
}

async fn file_blocks(through: Through) -> u64 {
    let (file, mut buffer) = (file(), Some(vec![7; 4_096]));
    counted(async || {
        let (_, written) = through.wait(file.write_at(buffer.take().unwrap(), 4_096)).await.unwrap();
        let (_, read) = through.wait(file.read_at(written, 8_192)).await.unwrap();
        let (_, read) = through.wait(file.read_exact_at(read, 0)).await.unwrap();
        let (_, written) = through.wait(file.write_all_at(read, 0)).await.unwrap();
        buffer = Some(written);
    })
    .await
}

async fn file_vectored(through: Through) -> u64 {
    let (file, mut buffers) = (file(), Some([vec![7; 1_000], vec![8; 3_096]]));
    counted(async || {
        let (_, written) = through.wait(file.write_vectored_at(buffers.take().unwrap(), 0)).await.unwrap();
        let (_, read) = through.wait(file.read_vectored_at(written, 0)).await.unwrap();
        buffers = Some(read);
    })
    .await
}

/// Whether the ring can change a file's length: since Linux 6.9. Elsewhere the pool does, which allocates.
fn has_ftruncate() -> bool {
    let release = std::fs::read_to_string("/proc/sys/kernel/osrelease").unwrap();
    let mut numbers = release.split(['.', '-']).map(|number| number.parse::<u32>().unwrap_or(0));
    (numbers.next(), numbers.next()) >= (Some(6), Some(9))
}

async fn file_itself(through: Through) -> u64 {
    let file = file();
    file.set_len(4_096).await.unwrap();
    let has_ftruncate = has_ftruncate();
    counted(async || {
        if has_ftruncate {
            through.wait(file.set_len(4_096)).await.unwrap();
        }
        through.wait(file.sync_data()).await.unwrap();
        through.wait(file.sync_all()).await.unwrap();
        assert_eq!(through.wait(file.metadata()).await.unwrap().len(), 4_096);
    })
    .await
}

/// Two tasks wait for each of the locks at once, and are woken together.
async fn waiting<F: Flavor>(through: Through) -> u64 {
    let all = Rc::new((
        RwLock::<F, ()>::new(()),
        Mutex::<F, u32>::new(0),
        Condition::<F>::new(),
        Semaphore::<F>::new(1),
        Event::<F>::new(),
        Barrier::<F>::new(3),
    ));
    for _ in 0..2 {
        let all = all.clone();
        proactor::spawn(async move {
            let (lock, mutex, condition, semaphore, event, barrier) = &*all;
            for round in 1.. {
                event.wait().await;
                let reading = lock.read().await;
                let permit = semaphore.acquire().await.unwrap();
                proactor::yield_now().await;
                drop((reading, permit));
                barrier.wait().await.unwrap();
                let guard = mutex.lock().await;
                drop(condition.wait_for(guard, |now| *now == round).await);
            }
        });
    }
    let (lock, mutex, condition, _, event, barrier) = &*all;
    counted(async || {
        let writing = through.wait(lock.write()).await;
        proactor::yield_now().await; // they wait for the event
        event.set();
        event.clear();
        proactor::yield_now().await; // and for the lock
        drop(writing);
        through.wait(barrier.wait()).await.unwrap();
        proactor::yield_now().await; // and for the condition
        *through.wait(mutex.lock()).await += 1;
        condition.notify_all();
    })
    .await
}

async fn local_locks(through: Through) -> u64 {
    waiting::<Local>(through).await
}

async fn shared_locks(through: Through) -> u64 {
    waiting::<Threaded>(through).await
}

/// There and back, through channels with room for one: sends and receives both wait.
macro_rules! echoes {
    ($name:ident, $mpsc:path, $queue:path) => {
        async fn $name(through: Through) -> u64 {
            use $mpsc as mpsc;
            use $queue as queue;
            let ((there, mut here), (back, queue)) =
                (mpsc::channel(1), (queue::bounded(1), queue::priority(1)));
            let echo = proactor::spawn({
                let (back, queue) = (back.clone(), queue.clone());
                async move {
                    while let Some(number) = here.recv().await {
                        back.put(number).await.unwrap();
                        queue.put(number).await.unwrap();
                    }
                }
            });
            let count = counted(async || {
                for number in 0..4 {
                    through.wait(there.send(number)).await.unwrap();
                    if number % 2 == 1 {
                        for number in number - 1..=number {
                            assert_eq!(through.wait(back.get()).await, Ok(number));
                            assert_eq!(through.wait(queue.get()).await, Ok(number));
                        }
                    }
                }
                for _ in 0..4 {
                    back.task_done().unwrap();
                }
                through.wait(back.join()).await;
            })
            .await;
            drop(there);
            echo.await.unwrap();
            count
        }
    };
}

echoes!(local_channels, proactor::sync::mpsc, proactor::sync::queue);
echoes!(shared_channels, proactor::sync::shared::mpsc, proactor::sync::shared::queue);

/// One who tells all, and one who listens: the memory of a value is used for the next.
async fn values(through: Through) -> u64 {
    let (sender, mut receiver) = proactor::sync::broadcast::channel(2);
    let (changes, mut watcher) = proactor::sync::watch::channel(0);
    let teller = proactor::spawn(async move {
        for number in 0.. {
            if changes.send(number).is_err() || sender.send(number).is_err() {
                return;
            }
            proactor::yield_now().await;
        }
    });
    let count = counted(async || {
        through.wait(watcher.changed()).await.unwrap();
        through.wait(receiver.recv()).await.unwrap();
        watcher.borrow_and_update();
    })
    .await;
    drop((watcher, receiver));
    teller.await.unwrap();
    count
}

type Kind = (&'static str, fn(Through) -> std::pin::Pin<Box<dyn Future<Output = u64>>>);

macro_rules! kinds {
    ($($kind:ident),* $(,)?) => { [$((stringify!($kind), |through| Box::pin($kind(through)))),*] };
}

const KINDS: [Kind; 20] = kinds![
    nop,
    yielding,
    sleeping,
    spawning,
    stream,
    stream_that_waits,
    chunks,
    without_copies,
    stream_vectored,
    datagrams,
    datagram_chunks,
    datagrams_connected,
    file_blocks,
    file_vectored,
    file_itself,
    local_locks,
    shared_locks,
    local_channels,
    shared_channels,
    values,
];

fn check((name, kind): Kind) -> Result<(), Failed> {
    let runtime = Proactor::new()?;
    for (through, how) in [(Through::Nothing, "as it is"), (Through::Timeout, "through `timeout`")] {
        let root = runtime.block_on(kind(through));
        let task = runtime.block_on(runtime.spawn(kind(through))).unwrap();
        if (root, task) != (0, 0) {
            return Err(format!(
                "{name}, {how}: {OPERATIONS} rounds took {root} allocations and frees in block_on, {task} in a task"
            )
            .into());
        }
    }
    Ok(())
}

/// What is made has memory of its own: connections and files, with a share for those who operate on them.
fn made() -> Result<(), Failed> {
    let runtime = Proactor::new()?;
    let (connections, files) = runtime.block_on(async {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let connections = counted(async || {
            let client = TcpStream::connect(address).await.unwrap();
            let (server, _) = listener.accept().await.unwrap();
            client.close().await.unwrap();
            server.close().await.unwrap();
        })
        .await;
        let files = counted(async || File::open("/dev/null").await.unwrap().close().await.unwrap()).await;
        (connections, files)
    });
    let each = |count| count / u64::from(OPERATIONS);
    println!("connect, accept and both closes: {}; open and close: {}", each(connections), each(files));
    // There and back: five for two connections and the addresses to try, three for a file and its path.
    if each(connections) > 10 || each(files) > 6 {
        return Err(
            format!("a pair of connections took {}, a file {}", each(connections), each(files)).into()
        );
    }
    Ok(())
}

/// Chunks that a program keeps beyond all buffers of the pool take their own size, and a little more.
fn beyond_the_pool<R: Runtime>(mask: &[Feature]) -> Result<(), Failed> {
    const CHUNKS: usize = 200;
    const EACH: usize = 100;
    /// The blocks of the pool (the smallest has 16 buffers of 64 KiB), the spare buffer, and all else that grows.
    const BESIDE: usize = (16 + 1 + 3) * (64 << 10);
    let runtime = R::with_config(&Config::new().stream_buffers(2).mask_all(mask.iter().copied()))?;
    let (kept, taken) = runtime.block_on(async {
        let ((kept, keeps), (passes, passed)) = (connection().await, connection().await);
        let before = BYTES.get();
        let mut chunks: Vec<Chunk> = Vec::new();
        for number in 0..CHUNKS {
            kept.write_all([number as u8; 1]).await.unwrap();
            chunks.push(keeps.recv().await.unwrap().unwrap());
            // As much of another stream as a buffer has; one of these pieces is kept as well.
            for piece in 0..8 {
                passes.write_all(vec![number as u8; 8 << 10]).await.unwrap();
                let mut left = 8 << 10;
                while left > 0 {
                    let chunk = passed.recv().await.unwrap().unwrap();
                    left -= chunk.len();
                    if piece == 0 {
                        chunks.push(chunk.slice(..EACH));
                    }
                }
            }
        }
        (chunks, BYTES.get() - before)
    });
    // A part keeps all of its chunk: at most 8 KiB.
    let allowed = BESIDE + CHUNKS * (1 + (8 << 10) + 200);
    if taken > allowed as isize {
        return Err(format!("{} chunks take {taken} bytes instead of {allowed} at most", kept.len()).into());
    }
    Ok(())
}

fn main() -> ExitCode {
    let arguments = Arguments::from_args();
    let refused = Proactor::new().err().filter(|_| std::env::var_os("PROACTOR_REQUIRE_URING").is_none());
    if let Some(reason) = &refused {
        eprintln!("no proactor, no test: {reason}");
    }
    let trial = |name: &str, test: Box<dyn FnOnce() -> Result<(), Failed> + Send>| {
        Trial::test(format!("allocations::{name}"), test).with_ignored_flag(refused.is_some())
    };
    let mut trials: Vec<_> =
        KINDS.into_iter().map(|kind| trial(kind.0, Box::new(move || check(kind)))).collect();
    trials.push(trial("what_is_made", Box::new(made)));
    trials.push(trial("beyond_the_pool", Box::new(|| beyond_the_pool::<Proactor>(&[]))));
    let whole = || beyond_the_pool::<Proactor>(&[Feature::IncrementalBuffers]);
    trials.push(trial("beyond_the_pool_of_whole_buffers", Box::new(whole)));
    trials.push(trial("beyond_the_pool_of_the_selector", Box::new(|| beyond_the_pool::<Selector>(&[]))));
    libtest_mimic::run(&arguments, trials).exit_code()
}
