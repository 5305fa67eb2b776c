//! Interfaces to the operating system, below the drivers.
//!
//! | file | contents |
//! |---|---|
//! | `call.rs` | one system call as a value |
//! | `context.rs` | the thread-local slots of the running loop |
//! | `eventfd.rs` | the kernel's event counter |
//! | `file.rs` | the kind of an open file |
//! | `fork.rs` | detection of a fork |
//! | `guarded.rs` | user code that runs to the end, even if some of it panics |
//! | `lent.rs` | marks on memory that the kernel has, for the address sanitizer |
//! | `rng.rs` | random numbers |
//! | `signal.rs` | signals and their handler |
//! | `sync/` | atomics and locks, which models replace, and the cell of a value that a lock protects |
//!
//! This folder knows no operations, tasks or buffers.

pub(crate) mod call;
pub(crate) mod context;
pub(crate) mod eventfd;
pub(crate) mod file;
pub(crate) mod fork;
pub(crate) mod guarded;
pub(crate) mod lent;
pub(crate) mod rng;
pub(crate) mod signal;
pub(crate) mod sync;

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, RawFd};
use std::sync::{Condvar, Mutex, PoisonError};
use std::time::Duration;

/// Converts the answer of a C library call: a negative one becomes the thread's `errno`.
pub(crate) fn check(answer: libc::c_int) -> io::Result<libc::c_int> {
    if answer < 0 { Err(io::Error::last_os_error()) } else { Ok(answer) }
}

/// Whether poll(2) reports an error at once, or an entry in the queue of errors.
pub(crate) fn has_error(fd: BorrowedFd<'_>) -> bool {
    let mut pollfd = libc::pollfd { fd: fd.as_raw_fd(), events: 0, revents: 0 };
    // SAFETY: the structure lives until the call has returned.
    unsafe { libc::poll(&raw mut pollfd, 1, 0) > 0 && pollfd.revents & libc::POLLERR != 0 }
}

/// Returns the flags of an open file description: see F_GETFL in fcntl(2).
pub(crate) fn status_flags(fd: RawFd) -> io::Result<libc::c_int> {
    // SAFETY: it takes no pointer.
    check(unsafe { libc::fcntl(fd, libc::F_GETFL) })
}

/// Sets these flags: see F_SETFL in fcntl(2).
pub(crate) fn set_status_flags(fd: RawFd, flags: libc::c_int) -> io::Result<()> {
    // SAFETY: as above.
    check(unsafe { libc::fcntl(fd, libc::F_SETFL, flags) }).map(drop)
}

/// Sets O_NONBLOCK if it is not set. Returns true if it was not.
pub(crate) fn set_nonblock(fd: RawFd) -> io::Result<bool> {
    let flags = status_flags(fd)?;
    let was_clear = flags & libc::O_NONBLOCK == 0;
    if was_clear {
        set_status_flags(fd, flags | libc::O_NONBLOCK)?;
    }
    Ok(was_clear)
}

/// Reads the monotonic clock: see clock_gettime(2), CLOCK_MONOTONIC.
pub(crate) fn monotonic() -> Duration {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: the structure lives until the call has returned.
    check(unsafe { libc::clock_gettime(libc::CLOCK_MONOTONIC, &raw mut time) })
        .expect("every machine has this clock");
    Duration::new(time.tv_sec as u64, time.tv_nsec as u32) // the clock counts from zero
}

/// Whether the process sees another monotonic time than the machine's: see time_namespaces(7).
pub(crate) fn has_own_time() -> bool {
    let offsets = std::fs::read_to_string("/proc/self/timens_offsets").unwrap_or_default();
    is_offset(&offsets)
}

fn is_offset(offsets: &str) -> bool {
    let monotonic = offsets.lines().find_map(|line| line.trim_start().strip_prefix("monotonic"));
    monotonic.is_some_and(|numbers| numbers.split_whitespace().any(|number| number != "0"))
}

/// Pauses the thread for a time, whatever signals arrive.
///
/// Not by sleep(3) of whatever kind: it waits for a length of time, begins anew with what is left after each
/// signal, and the timer's slack is added each time, so that it never returns when signals come fast enough.
/// A condition is waited for until a point in time.
pub(crate) fn pause(time: Duration) {
    let (nobody, never) = (Mutex::new(()), Condvar::new());
    let _ = never.wait_timeout_while(nobody.lock().unwrap_or_else(PoisonError::into_inner), time, |()| true);
}

/// The running kernel's release string, as `uname -r` prints it.
pub(crate) fn kernel_release() -> String {
    std::fs::read_to_string("/proc/sys/kernel/osrelease")
        .map(|release| release.trim().to_owned())
        .unwrap_or_default()
}

/// Major and minor number of a kernel release such as `6.18.44-cloud`; `None` when it has another form.
pub(crate) fn kernel_version(release: &str) -> Option<(u32, u32)> {
    let mut parts = release.split(|c: char| !c.is_ascii_digit());
    Some((parts.next()?.parse().ok()?, parts.next()?.parse().ok()?))
}

/// Returns the error of an operation that was cancelled.
pub(crate) fn cancelled() -> io::Error {
    io::Error::from_raw_os_error(libc::ECANCELED)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[cfg_attr(miri, ignore = "signals")]
    fn t21_a_pause_ends_under_a_storm_of_signals() {
        extern "C" fn nothing(_: i32) {}
        // SAFETY: a handler that lives for ever and does nothing, for a signal that no other test uses.
        unsafe {
            libc::signal(libc::SIGRTMIN() + 7, nothing as extern "C" fn(i32) as usize);
        }
        // SAFETY: pthread_self(3) takes nothing.
        let target = unsafe { libc::pthread_self() };
        let over = std::sync::atomic::AtomicBool::new(false);
        std::thread::scope(|scope| {
            scope.spawn(|| {
                while !over.load(std::sync::atomic::Ordering::Relaxed) {
                    // SAFETY: the thread waits for this one to end.
                    unsafe { libc::pthread_kill(target, libc::SIGRTMIN() + 7) };
                    // So fast that no sleep(3) ever ends, and not so fast that the thread does nothing but
                    // handle signals.
                    (0..300).for_each(|_| std::hint::spin_loop());
                }
            });
            pause(Duration::from_millis(20));
            over.store(true, std::sync::atomic::Ordering::Relaxed);
        });
    }

    #[test]
    fn offsets_of_a_time_namespace_are_seen() {
        assert!(!is_offset("monotonic           0         0\nboottime            0         0\n"));
        assert!(is_offset("monotonic      -86400         0\nboottime            0         0\n"));
        assert!(is_offset("monotonic           0         7\n"));
        assert!(!is_offset("boottime            9         0\n"), "another clock");
        assert!(!is_offset(""), "a kernel without such namespaces");
    }

    #[test]
    fn kernel_versions_are_read_from_release_strings() {
        assert_eq!(kernel_version("6.18.44-fc-v595"), Some((6, 18)));
        assert_eq!(kernel_version("5.15"), Some((5, 15)));
        assert_eq!(kernel_version("6.1-rc3"), Some((6, 1)));
        assert_eq!(kernel_version(""), None);
        assert_eq!(kernel_version("next"), None);
    }
}
