//! The watchdog: ends the process when a test hangs, and says what the test's loop was doing.
//!
//! Its limits are in seconds of a machine that has a processor for each thread that can run: where ten threads share two
//! processors, a second counts as a fifth of one. So a machine under load makes no test fail, and a test that waits for
//! what never comes is ended nonetheless.
//!
//! It knows nothing of runtimes. What it prints comes from outside: where the thread sleeps, the stack of
//! the thread (which a signal makes it print itself), what each ring still has pending, and the descriptors.

use std::backtrace::Backtrace;
use std::collections::HashMap;
use std::fmt::Write as _;
use std::fs::File;
use std::os::unix::fs::FileExt;
use std::panic::{catch_unwind, resume_unwind};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, mpsc};
use std::time::{Duration, Instant};

use nix::unistd::gettid;

use super::census::descriptors;
use super::{is_long, process};

#[derive(Clone, Debug)]
pub(crate) struct Watchdog {
    /// By the test's thread: its name, and the time that counts.
    running: Arc<Mutex<HashMap<i32, (String, Duration)>>>,
}

/// Milliseconds after which it barks, for its own test.
pub(crate) const LIMIT_VARIABLE: &str = "SUITE_WATCHDOG_MS";

/// Multiplies every limit: how many times slower this machine is than an ordinary one. `tests/kernels/run` sets it.
const SLOWNESS_VARIABLE: &str = "SUITE_SLOWNESS";

/// 1 on an ordinary machine.
pub(crate) fn slowness() -> u32 {
    let set = std::env::var(SLOWNESS_VARIABLE).ok();
    set.map_or(1, |value| value.parse().expect("SUITE_SLOWNESS is a whole number"))
}

impl Watchdog {
    pub(crate) fn start() -> Self {
        Self::with_limit(Duration::from_secs(if is_long() { 7_200 } else { 120 }))
    }

    /// One that speaks before the parent's does.
    pub(super) fn in_child() -> Self {
        let set = std::env::var(LIMIT_VARIABLE).ok().and_then(|value| value.parse().ok());
        let usual = Duration::from_secs(if is_long() { 7_000 } else { 100 });
        Self::with_limit(set.map_or(usual, Duration::from_millis))
    }

    fn with_limit(limit: Duration) -> Self {
        let limit = limit.saturating_mul(slowness().max(1));
        print_stacks_when_asked();
        let watchdog = Watchdog { running: Arc::default() };
        let running = watchdog.running.clone();
        let (begun, begins) = mpsc::channel();
        let thread = std::thread::Builder::new().name("watchdog".into()).spawn(move || {
            // Nothing is opened while tests run: some of them count descriptors.
            let load = Load::open();
            let _ = begun.send(());
            loop {
                let at = Instant::now();
                std::thread::sleep(Duration::from_millis(200));
                let counted = counted(at.elapsed(), load.runnable(), load.processors);
                let mut running = running.lock().unwrap();
                running.values_mut().for_each(|(_, time)| *time += counted);
                if let Some((thread, (name, _))) = running.iter().find(|(_, (_, time))| *time > limit) {
                    eprintln!("watchdog: {name} has not ended within {limit:?}\n{}", describe(*thread));
                    ask_for_stack(*thread);
                    for _ in 0..600 {
                        if PRINTED.load(Ordering::Acquire) {
                            break;
                        }
                        std::thread::sleep(Duration::from_millis(100));
                    }
                    std::process::abort();
                }
            }
        });
        thread.expect("the watchdog's thread starts");
        begins.recv().expect("it runs, and bears its name"); // by which tests that count threads leave it out
        watchdog
    }

    pub(crate) fn watch(&self, name: &str, test: fn()) {
        let thread = gettid().as_raw();
        process::NAME.set(name.to_owned());
        self.running.lock().unwrap().insert(thread, (name.to_owned(), Duration::ZERO));
        let result = catch_unwind(test);
        self.running.lock().unwrap().remove(&thread);
        if let Err(panic) = result {
            resume_unwind(panic);
        }
    }
}

/// A second counts at least as this part of one, however many threads can run on the machine.
const LEAST_SHARE: f64 = 0.05;

/// How much of the time that has passed counts, where so many threads share the processors.
pub(crate) fn counted(passed: Duration, runnable: usize, processors: usize) -> Duration {
    let share = processors as f64 / runnable.max(1) as f64;
    passed.mul_f64(share.clamp(LEAST_SHARE, 1.0))
}

/// The load of the machine.
struct Load {
    file: Option<File>,
    processors: usize,
}

impl Load {
    fn open() -> Self {
        Load {
            file: File::open("/proc/loadavg").ok(),
            processors: std::thread::available_parallelism().map_or(1, usize::from),
        }
    }

    /// The threads of the machine that run or could, see proc(5) on /proc/loadavg.
    fn runnable(&self) -> usize {
        let mut text = [0; 128];
        let read = self.file.as_ref().and_then(|file| file.read_at(&mut text, 0).ok()).unwrap_or(0);
        let load = String::from_utf8_lossy(&text[..read]);
        let threads = load.split_whitespace().nth(3).and_then(|threads| threads.split('/').next());
        threads.and_then(|threads| threads.parse().ok()).unwrap_or(1)
    }
}

/// Where the thread is, what the rings have pending, what is open.
fn describe(thread: i32) -> String {
    let mut text = String::new();
    let task = format!("/proc/self/task/{thread}");
    for file in ["status", "wchan", "syscall"] {
        let content =
            std::fs::read_to_string(format!("{task}/{file}")).unwrap_or_else(|error| error.to_string());
        let line =
            content.lines().find(|line| file != "status" || line.starts_with("State")).unwrap_or_default();
        let _ = writeln!(text, "  thread {thread} {file}: {line}");
    }
    for fd in std::fs::read_dir("/proc/self/fd").into_iter().flatten().flatten() {
        let link = std::fs::read_link(fd.path()).unwrap_or_default();
        if link.to_string_lossy().contains("io_uring") {
            let number = fd.file_name();
            let info = std::fs::read_to_string(format!("/proc/self/fdinfo/{}", number.to_string_lossy()));
            let _ = writeln!(text, "  ring {}:", number.to_string_lossy());
            for line in info.unwrap_or_default().lines() {
                let _ = writeln!(text, "    {line}");
            }
        }
    }
    let _ = writeln!(text, "  descriptors: {}", descriptors().join(", "));
    text
}

/// The stack that was asked for has been printed.
static PRINTED: AtomicBool = AtomicBool::new(false);

/// The signal at which a thread prints its stack.
fn signal() -> i32 {
    libc::SIGRTMIN() + 5
}

fn print_stacks_when_asked() {
    extern "C" fn print(_: i32) {
        // It allocates, which a signal handler should not; the process is about to be aborted in any case.
        eprintln!("the stack of the test's thread:\n{}", Backtrace::force_capture());
        PRINTED.store(true, Ordering::Release);
    }
    // SAFETY: a handler that lives for ever, in a structure that outlives the call; zeros mean no flags and
    // an empty mask.
    unsafe {
        let mut action: libc::sigaction = std::mem::zeroed();
        action.sa_sigaction = print as extern "C" fn(i32) as usize;
        libc::sigaction(signal(), &raw const action, std::ptr::null_mut());
    }
}

fn ask_for_stack(thread: i32) {
    // SAFETY: tgkill(2) takes plain numbers.
    unsafe { libc::syscall(libc::SYS_tgkill, libc::getpid(), thread, signal()) };
}
