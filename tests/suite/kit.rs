//! What the tests share: the registry, the watchdog, processes of their own, and small helpers.

use std::any::Any;
use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::future::{Future, poll_fn};
use std::io::{Read, Write};
use std::os::fd::AsRawFd;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::pin::{Pin, pin};
use std::process::Command;
use std::rc::Rc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use proactor::buf::{IoBuf, IoBufMut};
use proactor::net::{TcpListener, TcpStream};
use proactor::{Runtime, yield_now};

/// A behaviour, for each backend.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Test {
    pub(crate) module: &'static str,
    pub(crate) name: &'static str,
    pub(crate) proactor: fn(),
    pub(crate) selector: fn(),
}

/// Lists a file's tests; one that is missing here is dead code, which the compiler reports.
macro_rules! tests {
    ($($name:ident),* $(,)?) => {
        pub(crate) fn tests() -> Vec<$crate::kit::Test> {
            vec![$($crate::kit::Test {
                module: module_path!(),
                name: stringify!($name),
                proactor: $name::<proactor::Proactor>,
                selector: $name::<proactor::Selector>,
            }),*]
        }
    };
}

impl Test {
    pub(crate) fn each_backend(&self) -> [(String, &'static str, fn()); 2] {
        let module = self.module.rsplit("::").next().unwrap_or_default();
        [("proactor", self.proactor), ("selector", self.selector)]
            .map(|(backend, body)| (format!("{backend}::{module}::{}", self.name), backend, body))
    }
}

// ---------------------------------------------------------------- the process

/// The hidden first argument of a process that runs one test, named by the second.
pub(crate) const ALONE: &str = "--alone";

thread_local! {
    static NAME: RefCell<String> = const { RefCell::new(String::new()) };
    static QUIET: Cell<bool> = const { Cell::new(false) };
}

fn message_of(payload: &(dyn Any + Send)) -> Option<&str> {
    let text = payload.downcast_ref::<&'static str>().copied();
    text.or_else(|| payload.downcast_ref::<String>().map(String::as_str))
}

/// Panics that tests expect are not printed; descriptors are allowed as many as possible.
pub(crate) fn prepare_process() {
    let hook = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        let expected = message_of(panic.payload()).is_some_and(|message| message.starts_with("expected"));
        if !expected && !QUIET.get() {
            hook(panic);
        }
    }));
    let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: both calls are given a structure that outlives them.
    unsafe {
        if libc::getrlimit(libc::RLIMIT_NOFILE, &raw mut limit) == 0 {
            limit.rlim_cur = limit.rlim_max;
            libc::setrlimit(libc::RLIMIT_NOFILE, &raw const limit);
        }
    }
}

/// Descriptors that this process may have.
pub(crate) fn descriptor_limit() -> usize {
    let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: the structure outlives the call.
    unsafe { libc::getrlimit(libc::RLIMIT_NOFILE, &raw mut limit) };
    limit.rlim_cur as usize
}

/// Runs a test in a process of its own: where it counts descriptors or threads, changes the environment or
/// signals, none of which may be shared with the tests beside it.
pub(crate) fn alone(test: impl FnOnce()) {
    alone_with(&[], test);
}

/// The same, with variables of the environment.
pub(crate) fn alone_with(variables: &[(&str, &str)], test: impl FnOnce()) {
    if std::env::args().nth(1).as_deref() == Some(ALONE) {
        return test();
    }
    let name = NAME.with_borrow(String::clone);
    let program = std::env::current_exe().unwrap();
    let output = Command::new(program)
        .args([ALONE, &name])
        .env_remove("PROACTOR_BACKEND")
        .envs(variables.iter().copied())
        .output()
        .unwrap();
    assert!(
        output.status.success(),
        "in a process of its own: {}\n{}",
        output.status,
        String::from_utf8_lossy(&output.stderr)
    );
}

pub(crate) fn run_alone(tests: &[Test], name: &str) {
    // SAFETY: prctl(2) takes plain numbers here. The process ends with the one that waits for it.
    unsafe { libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL) };
    let found = tests.iter().flat_map(Test::each_backend).find(|(other, ..)| other == name);
    let (_, _, body) = found.unwrap_or_else(|| panic!("there is no test {name}"));
    body();
}

/// Ends the process, with the name of the test, when one hangs.
#[derive(Clone, Debug, Default)]
pub(crate) struct Watchdog {
    running: Arc<Mutex<HashMap<String, Instant>>>,
}

impl Watchdog {
    const LIMIT: Duration = Duration::from_secs(60);

    pub(crate) fn start() -> Self {
        let watchdog = Watchdog::default();
        let running = watchdog.running.clone();
        std::thread::spawn(move || {
            loop {
                std::thread::sleep(Duration::from_millis(500));
                let running = running.lock().unwrap();
                if let Some((name, _)) = running.iter().find(|(_, since)| since.elapsed() > Self::LIMIT) {
                    eprintln!("watchdog: {name} has not ended within {:?}", Self::LIMIT);
                    std::process::abort();
                }
            }
        });
        watchdog
    }

    pub(crate) fn watch(&self, name: &str, test: fn()) {
        NAME.set(name.to_owned());
        self.running.lock().unwrap().insert(name.to_owned(), Instant::now());
        let result = catch_unwind(test);
        self.running.lock().unwrap().remove(name);
        if let Err(panic) = result {
            std::panic::resume_unwind(panic);
        }
    }
}

/// Open descriptors of the process, as links, without the one that the count itself opens.
pub(crate) fn descriptors() -> Vec<String> {
    let entries = std::fs::read_dir("/proc/self/fd").unwrap();
    let paths: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
    let links = paths.iter().filter_map(|path| std::fs::read_link(path).ok());
    let mut links: Vec<String> = links.map(|link| link.display().to_string()).collect();
    links.sort();
    links
}

/// Threads of the process with this name.
pub(crate) fn threads_named(name: &str) -> usize {
    let tasks = std::fs::read_dir("/proc/self/task").unwrap();
    let comm = tasks.filter_map(|task| std::fs::read_to_string(task.ok()?.path().join("comm")).ok());
    comm.filter(|comm| comm.trim_end() == name).count()
}

// ---------------------------------------------------------------- running

/// Runs a future on a new runtime and ends that, which must leave nothing behind.
#[track_caller]
pub(crate) fn run<R: Runtime>(future: impl Future<Output = ()>) {
    let runtime = R::new().unwrap();
    runtime.block_on(future);
    end(runtime);
}

/// Ends a runtime, which must leave nothing behind.
#[track_caller]
pub(crate) fn end<R: Runtime>(runtime: R) {
    let left = runtime.shutdown(Duration::from_secs(30));
    assert_eq!((left.ops_leaked, left.jobs_leaked), (0, 0));
}

pub(crate) fn is_proactor<R: Runtime>() -> bool {
    R::NAME == "proactor"
}

/// The message with which `f` panics.
#[track_caller]
pub(crate) fn panic_of<T>(f: impl FnOnce() -> T) -> String {
    let before = QUIET.replace(true);
    let result = catch_unwind(AssertUnwindSafe(f));
    QUIET.set(before);
    let Err(panic) = result else { panic!("it did not panic") };
    match panic.downcast::<String>() {
        Ok(message) => *message,
        Err(panic) => (*panic.downcast::<&'static str>().unwrap()).to_owned(),
    }
}

/// Polls a future once.
pub(crate) async fn poll_once<F: Future + Unpin>(future: &mut F) -> Poll<F::Output> {
    poll_fn(|cx| Poll::Ready(Pin::new(&mut *future).poll(cx))).await
}

/// Some turns of the loop with a round trip to the kernel in each, so that what was queued is with it.
pub(crate) async fn turns(count: usize) {
    for _ in 0..count {
        proactor::io::nop().await.unwrap();
        yield_now().await;
    }
}

/// Turns until something holds; the watchdog ends a wait for what never comes.
pub(crate) async fn until(mut holds: impl FnMut() -> bool) {
    while !holds() {
        proactor::time::sleep(Duration::from_micros(200)).await;
    }
}

/// All results, in the order of the futures.
pub(crate) async fn join_all<F: Future>(futures: impl IntoIterator<Item = F>) -> Vec<F::Output> {
    let mut futures: Vec<_> = futures.into_iter().map(|future| (Box::pin(future), None)).collect();
    poll_fn(|cx| {
        let mut pending = false;
        for (future, output) in futures.iter_mut().filter(|(_, output)| output.is_none()) {
            match future.as_mut().poll(cx) {
                Poll::Ready(value) => *output = Some(value),
                Poll::Pending => pending = true,
            }
        }
        if pending { Poll::Pending } else { Poll::Ready(()) }
    })
    .await;
    futures.into_iter().filter_map(|(_, output)| output).collect()
}

/// Both results.
pub(crate) async fn join<A: Future, B: Future>(a: A, b: B) -> (A::Output, B::Output) {
    let (mut a, mut b) = (pin!(a), pin!(b));
    let (mut first, mut second) = (None, None);
    poll_fn(|cx| {
        if first.is_none()
            && let Poll::Ready(output) = a.as_mut().poll(cx)
        {
            first = Some(output);
        }
        if second.is_none()
            && let Poll::Ready(output) = b.as_mut().poll(cx)
        {
            second = Some(output);
        }
        if first.is_some() && second.is_some() { Poll::Ready(()) } else { Poll::Pending }
    })
    .await;
    (first.unwrap(), second.unwrap())
}

/// The first result of two; the other future is dropped.
pub(crate) async fn race<A: Future, B: Future>(a: A, b: B) -> Result<A::Output, B::Output> {
    let (mut a, mut b) = (pin!(a), pin!(b));
    poll_fn(|cx| {
        if let Poll::Ready(output) = a.as_mut().poll(cx) {
            return Poll::Ready(Ok(output));
        }
        b.as_mut().poll(cx).map(Err)
    })
    .await
}

/// The waker of the task that asks.
pub(crate) async fn my_waker() -> Waker {
    poll_fn(|cx| Poll::Ready(cx.waker().clone())).await
}

/// Something that another thread says once, and a task waits for.
#[derive(Clone, Debug, Default)]
pub(crate) struct Signal(Arc<Mutex<(bool, Option<Waker>)>>);

impl Signal {
    pub(crate) fn set(&self) {
        let mut state = self.0.lock().unwrap();
        state.0 = true;
        let waker = state.1.take();
        drop(state);
        waker.into_iter().for_each(Waker::wake);
    }
}

impl Future for Signal {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let mut state = self.0.lock().unwrap();
        if state.0 {
            return Poll::Ready(());
        }
        let replaced = state.1.replace(cx.waker().clone());
        drop(state);
        drop(replaced);
        Poll::Pending
    }
}

/// What a thread gives, for a task.
pub(crate) struct Thread<T> {
    handle: std::thread::JoinHandle<T>,
    over: Signal,
}

/// Runs something on a thread: mostly a peer that uses blocking sockets of the standard library.
pub(crate) fn thread<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Thread<T> {
    struct Over(Signal);
    impl Drop for Over {
        fn drop(&mut self) {
            self.0.set();
        }
    }
    let over = Signal::default();
    let guard = Over(over.clone());
    let handle = std::thread::spawn(move || {
        let _guard = guard;
        work()
    });
    Thread { handle, over }
}

impl<T> Thread<T> {
    /// Waits for the thread's end while the loop goes on.
    pub(crate) async fn ended(self) -> T {
        self.over.await;
        self.handle.join().unwrap()
    }

    /// Waits for the thread's end with the loop at a standstill.
    pub(crate) fn join(self) -> T {
        self.handle.join().unwrap()
    }
}

/// Counts the drops of what holds it.
#[derive(Debug)]
pub(crate) struct Counted(pub(crate) Rc<Cell<u32>>);

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.set(self.0.get() + 1);
    }
}

// ---------------------------------------------------------------- sockets, bytes and files

/// Two connected streams.
pub(crate) async fn pair() -> (TcpStream, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let client = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
    let (server, _) = listener.accept().await.unwrap();
    (client, server)
}

/// A stream of ours, and its peer as a blocking stream of the standard library.
pub(crate) fn half_pair() -> (TcpStream, std::net::TcpStream) {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let ours = std::net::TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    let (peer, _) = listener.accept().unwrap();
    (TcpStream::from_std(ours).unwrap(), peer)
}

/// Sends back what comes, until the end.
pub(crate) async fn echo(stream: TcpStream) {
    let mut buffer = Vec::with_capacity(16 * 1024);
    loop {
        let (count, filled) = stream.read(buffer).await.unwrap();
        if count == 0 {
            return;
        }
        buffer = stream.write_all(filled).await.unwrap().1;
    }
}

/// A peer that sends `bytes`, ends its direction, and gives what it received until the end.
pub(crate) fn exchange(peer: std::net::TcpStream, bytes: Vec<u8>) -> Thread<Vec<u8>> {
    thread(move || {
        let mut writer = peer.try_clone().unwrap();
        let sending = std::thread::spawn(move || {
            writer.write_all(&bytes).unwrap();
            writer.shutdown(std::net::Shutdown::Write).unwrap();
        });
        let received = read_to_end(peer);
        sending.join().unwrap();
        received
    })
}

pub(crate) fn read_to_end(mut peer: std::net::TcpStream) -> Vec<u8> {
    let mut received = Vec::new();
    peer.read_to_end(&mut received).unwrap();
    received
}

/// Closes a connection by a reset.
pub(crate) fn reset(peer: std::net::TcpStream) {
    socket2::SockRef::from(&peer).set_linger(Some(Duration::ZERO)).unwrap();
}

/// An address on which nobody listens, for as long as the socket is kept.
pub(crate) fn unused_address() -> (socket2::Socket, std::net::SocketAddr) {
    let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
    let any: std::net::SocketAddr = "127.0.0.1:0".parse().unwrap();
    socket.bind(&any.into()).unwrap();
    let address = socket.local_addr().unwrap().as_socket().unwrap();
    (socket, address)
}

/// Bytes without a short period, so that a misplaced piece shows.
pub(crate) fn pattern(len: usize) -> Vec<u8> {
    let mut state = 0x9e37_79b9_u32;
    let step = |_| {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 24) as u8
    };
    (0..len).map(step).collect()
}

/// `assert_eq!` for many bytes: names the first that differs instead of printing all.
#[track_caller]
pub(crate) fn assert_bytes(got: &[u8], expected: &[u8]) {
    let differs = got.iter().zip(expected).position(|(a, b)| a != b);
    assert!(
        differs.is_none() && got.len() == expected.len(),
        "{} bytes instead of {}; the first difference is at {differs:?}",
        got.len(),
        expected.len()
    );
}

/// A folder that is removed with all that is in it.
#[derive(Debug)]
pub(crate) struct TempDir(PathBuf);

impl TempDir {
    pub(crate) fn new() -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let path = std::env::temp_dir().join(format!("proactor-suite-{}-{number}", std::process::id()));
        std::fs::create_dir(&path).unwrap();
        TempDir(path)
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    /// A file with this content.
    pub(crate) fn file(&self, name: &str, content: &[u8]) -> PathBuf {
        let path = self.path(name);
        std::fs::write(&path, content).unwrap();
        path
    }
}

impl Drop for TempDir {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// Where a descriptor stands in its file.
pub(crate) fn file_position(file: &impl AsRawFd) -> i64 {
    // SAFETY: lseek(2) takes plain numbers.
    unsafe { libc::lseek(file.as_raw_fd(), 0, libc::SEEK_CUR) }
}

pub(crate) fn read_file(path: &Path) -> Vec<u8> {
    std::fs::read(path).unwrap()
}

/// A buffer of whole pages that becomes inaccessible for good when it is dropped: the kernel, or whoever
/// uses it afterwards, gets a fault instead of memory that somebody else has by then.
#[derive(Debug)]
pub(crate) struct Tombstone {
    address: *mut u8,
    size: usize,
    init: usize,
}

impl Tombstone {
    pub(crate) const PAGE: usize = 4096;

    pub(crate) fn new(pages: usize) -> Self {
        let size = pages * Self::PAGE;
        let protection = libc::PROT_READ | libc::PROT_WRITE;
        let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS;
        // SAFETY: a new mapping, wherever the kernel likes.
        let address = unsafe { libc::mmap(std::ptr::null_mut(), size, protection, flags, -1, 0) };
        assert_ne!(address, libc::MAP_FAILED);
        Tombstone { address: address.cast(), size, init: 0 }
    }

    /// One whose bytes are all there.
    pub(crate) fn filled(pages: usize, bytes: &[u8]) -> Self {
        let mut this = Tombstone::new(pages);
        assert!(bytes.len() <= this.size);
        // SAFETY: the mapping is ours alone, large enough, and zeroed by the kernel.
        unsafe { std::ptr::copy_nonoverlapping(bytes.as_ptr(), this.address, bytes.len()) };
        this.init = bytes.len();
        this
    }
}

impl std::ops::Deref for Tombstone {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        // SAFETY: the mapping lives as long as the value, and these bytes are initialised.
        unsafe { std::slice::from_raw_parts(self.address, self.init) }
    }
}

impl Drop for Tombstone {
    fn drop(&mut self) {
        // SAFETY: the mapping is ours; its addresses are never given back, so nobody gets them again.
        let locked = unsafe { libc::mprotect(self.address.cast(), self.size, libc::PROT_NONE) };
        assert_eq!(locked, 0);
    }
}

// SAFETY: the mapping stays where it is and belongs to this value until the drop.
unsafe impl IoBuf for Tombstone {
    fn read_ptr(&self) -> *const u8 {
        self.address
    }

    fn init_len(&self) -> usize {
        self.init
    }
}

// SAFETY: as above; all of it may be written.
unsafe impl IoBufMut for Tombstone {
    fn write_ptr(&mut self) -> *mut u8 {
        self.address
    }

    fn total_len(&self) -> usize {
        self.size
    }

    unsafe fn set_init(&mut self, len: usize) {
        self.init = len;
    }
}
