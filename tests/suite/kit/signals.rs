//! Signals that interrupt a thread all the time.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use nix::unistd::gettid;

use super::running::{Thread, thread};

/// Signals that have interrupted this process.
static SIGNALS: AtomicU64 = AtomicU64::new(0);

/// Another thread, which signals the one that has made it. For a process of its own: the handlers stay.
pub(crate) struct SignalStorm {
    over: Arc<AtomicBool>,
    storm: Thread<()>,
}

impl SignalStorm {
    /// These signals, in turn, so many rounds of an empty loop after each other: a thread that gets the next while it
    /// handles one does nothing else at all. They are counted, by a handler after which system calls are not restarted.
    pub(crate) fn begin(signals: &'static [i32], pause: u32) -> Self {
        extern "C" fn count(_: i32) {
            SIGNALS.fetch_add(1, Ordering::Relaxed);
        }
        for signal in signals {
            // SAFETY: a handler that lives for ever and only counts, in a structure that outlives the call; zeros mean
            // no flags and an empty mask.
            unsafe {
                let mut action: libc::sigaction = std::mem::zeroed();
                action.sa_sigaction = count as extern "C" fn(i32) as usize;
                assert_eq!(libc::sigaction(*signal, &raw const action, std::ptr::null_mut()), 0);
            }
        }
        let (over, target) = (Arc::<AtomicBool>::default(), gettid().as_raw());
        let storm = thread({
            let over = over.clone();
            move || {
                for signal in signals.iter().cycle().take_while(|_| !over.load(Ordering::Relaxed)) {
                    // SAFETY: tgkill(2) takes plain numbers.
                    unsafe { libc::syscall(libc::SYS_tgkill, libc::getpid(), target, *signal) };
                    (0..pause).for_each(|_| std::hint::spin_loop());
                }
            }
        });
        SignalStorm { over, storm }
    }

    pub(crate) fn end(self) {
        self.over.store(true, Ordering::Relaxed);
        self.storm.join();
    }
}

/// Signals so far.
pub(crate) fn signals() -> u64 {
    SIGNALS.load(Ordering::Relaxed)
}

/// Waits for so many more.
pub(crate) fn after_signals(count: u64) {
    let since = signals();
    while signals() < since + count {
        std::thread::yield_now();
    }
}
