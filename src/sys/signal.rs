//! Signals, counted for each listener: sigaction(2), and the one handler of this crate.
//!
//! The handler may interrupt any code, on any thread, so it never waits, allocates nothing and leaves `errno` alone.
//! It walks the list of its signal's listeners and adds one to the event counter of each: the kernel counts, and makes a
//! descriptor readable for which a loop can wait. It runs once for each delivery; what the kernel has merged before (a
//! standard signal that was pending already) it can't tell apart.
//!
//! Nodes of the list and their descriptors are never freed, only used again, for the same signal: a handler that was held
//! up between its read of a node and its write writes to no descriptor that has another owner by then.
//!
//! The handler is in place only while there are listeners. A listener is entered into the list before the handler is put
//! in place, and taken out after the program's own disposition has been put back, so that at no time a signal is caught
//! and forgotten. In a fork of the process the handler is inherited, but not the listeners: the first signal without a
//! listener there puts the previous disposition back and is sent anew.
//!
//! A listener can have its second delivery end the process: the handler itself does that, because the loop may be blocked
//! in user code. Several listeners, for different signals, can count as one for that.
//!
//! It does not know loops, tasks, or the meaning of a signal.

use std::cell::{Cell, UnsafeCell};
use std::io;
use std::mem::{MaybeUninit, zeroed};
use std::os::fd::{AsFd, BorrowedFd};
use std::ptr;
use std::sync::atomic::{AtomicBool, AtomicPtr, AtomicU64, Ordering};
use std::time::Duration;

use libc::c_int;

use super::eventfd::EventFd;
use super::fork::Origin;
use super::{check, pause};

/// One more than the last signal: see signal(7).
const SIGNALS: usize = 65;

static WATCHES: [Watch; SIGNALS] = [const { Watch::new() }; SIGNALS];

/// The state of one signal.
struct Watch {
    /// The token of the process that changes the disposition or the list, or zero.
    changing: AtomicU64,
    /// All nodes that were ever made, the newest first.
    newest: AtomicPtr<Node>,
    /// The disposition that the handler has replaced. Accessed only by the holder of the [`Change`].
    previous: UnsafeCell<libc::sigaction>,
}

// SAFETY: `previous` is touched through a `Change` alone, of which there is one at a time.
unsafe impl Sync for Watch {}

/// A place for one listener.
struct Node {
    count: EventFd,
    /// The process whose loop waits for the counter: a fork has the same one.
    origin: Origin,
    listens: AtomicBool,
    /// The node whose `delivered` decides whether a delivery ends the process: this one, or one of another signal. Null
    /// if none does.
    ends_with: AtomicPtr<Node>,
    /// Whether there was a delivery, for this node or one that ends with it: the next one ends the process.
    delivered: AtomicBool,
    older: Option<&'static Node>,
}

impl Node {
    fn is_heard(&self) -> bool {
        self.listens.load(Ordering::SeqCst) && self.origin.is_here()
    }

    /// Ends the process with the status that shells give to a signal, if this delivery is to do so. (For the handler.)
    fn end_process_if_due(&self, signal: c_int) {
        // SAFETY: it is null or points to a node, and nodes are never freed.
        let ends_with = unsafe { self.ends_with.load(Ordering::SeqCst).as_ref() };
        if ends_with.is_some_and(|node| node.delivered.swap(true, Ordering::SeqCst)) {
            // SAFETY: _exit(2) may be called in a signal handler, and runs no other code of the process.
            unsafe { libc::_exit(128 + signal) };
        }
    }
}

/// The handler.
extern "C" fn deliver(signal: c_int) {
    let Some(watch) = WATCHES.get(signal as usize) else { return };
    // SAFETY: it points to this thread's own.
    let errno = unsafe { *libc::__errno_location() };
    if !watch.count(signal) {
        watch.hand_back(signal);
    }
    // SAFETY: as above.
    unsafe { *libc::__errno_location() = errno };
}

impl Watch {
    const fn new() -> Self {
        Watch {
            changing: AtomicU64::new(0),
            newest: AtomicPtr::new(ptr::null_mut()),
            // SAFETY: zeros are a disposition: the default, no flags, an empty mask.
            previous: UnsafeCell::new(unsafe { MaybeUninit::zeroed().assume_init() }),
        }
    }

    /// The watch of a signal that can be listened to.
    fn of(signal: c_int) -> io::Result<&'static Watch> {
        let refused = match signal {
            libc::SIGKILL | libc::SIGSTOP => "it can't be caught: the kernel acts on it directly",
            libc::SIGSEGV | libc::SIGBUS | libc::SIGFPE | libc::SIGILL => {
                "it reports a faulting instruction, and after a handler that only records the signal this instruction \
                 would be repeated and fault for ever"
            }
            1.. if (signal as usize) < SIGNALS => return Ok(&WATCHES[signal as usize]),
            _ => "there is no such signal, see signal(7)",
        };
        let message = format!("signal {signal} can't be listened to: {refused}");
        Err(io::Error::new(io::ErrorKind::InvalidInput, message))
    }

    /// All nodes.
    fn nodes(&self) -> impl Iterator<Item = &'static Node> {
        // SAFETY: nodes are leaked boxes, complete when they are put here.
        let newest = unsafe { self.newest.load(Ordering::Acquire).as_ref::<'static>() };
        std::iter::successors(newest, |node| node.older)
    }

    /// Counts a delivery for each listener in this process. Returns false if there is none. (For the handler.)
    fn count(&self, signal: c_int) -> bool {
        let mut heard = false;
        for node in self.nodes().filter(|node| node.is_heard()) {
            node.end_process_if_due(signal);
            node.count.signal(); // which doesn't wait, also where the counter can't grow any more
            heard = true;
        }
        heard
    }

    /// Gives a signal without a listener to the previous disposition, if the handler is in place. There is no listener in a
    /// fork, or after other code has put the handler back into place. (For the handler.)
    #[cold]
    fn hand_back(&self, signal: c_int) {
        // While a listener is being added or removed, perhaps on this very thread, the signal counts as taken by it.
        let Some(change) = self.try_change() else { return };
        if !self.count(signal) && change.restore(signal) {
            // SAFETY: raise(3) takes a number. The signal is blocked until the handler has returned.
            unsafe { libc::raise(signal) };
        }
    }

    /// Tries to get the right to change the signal, without waiting, so that the handler may call it. (The handler is never
    /// the first to ask for the origin.)
    fn try_change(&self) -> Option<Change<'_>> {
        let own = Origin::here().token();
        let held_by = self.changing.load(Ordering::Relaxed);
        if held_by == own {
            return None;
        }
        self.changing.compare_exchange(held_by, own, Ordering::Acquire, Ordering::Relaxed).ok()?;
        let change = Change(self);
        if held_by != 0 {
            // This is a fork, made while another thread of the parent was changing something.
            // SAFETY: the exchange has made this thread the only one here. Zeros are the default disposition.
            unsafe { *self.previous.get() = zeroed() };
        }
        Some(change)
    }

    fn change(&self) -> Change<'_> {
        loop {
            match self.try_change() {
                Some(change) => return change,
                // Some system calls of another thread. Not by yielding to it: it may have a lower priority.
                None => pause(Duration::from_micros(20)),
            }
        }
    }
}

/// The right to change a signal's disposition and list.
struct Change<'a>(&'a Watch);

impl Drop for Change<'_> {
    fn drop(&mut self) {
        self.0.changing.store(0, Ordering::Release);
    }
}

impl Change<'_> {
    /// Returns an unused node, its counter at zero.
    fn vacant(&self) -> io::Result<&'static Node> {
        let origin = Origin::here();
        let mut nodes = self.0.nodes();
        let used = nodes.find(|node| node.origin.is_here() && !node.listens.load(Ordering::SeqCst));
        if let Some(node) = used {
            node.count.drain();
            return Ok(node);
        }
        let (count, older) = (EventFd::nonblocking()?, self.0.nodes().next());
        let (listens, delivered) = (AtomicBool::new(false), AtomicBool::new(false));
        let ends_with = AtomicPtr::new(ptr::null_mut());
        let node = Box::new(Node { count, origin, listens, ends_with, delivered, older });
        let node: &'static Node = Box::leak(node);
        self.0.newest.store(ptr::from_ref(node).cast_mut(), Ordering::Release);
        Ok(node)
    }

    /// Puts the handler in place, if it is not there.
    fn install(&self, signal: c_int) -> io::Result<()> {
        // SAFETY: zeros are an empty mask, and the default for what is not set here.
        let mut action: libc::sigaction = unsafe { zeroed() };
        action.sa_sigaction = deliver as extern "C" fn(c_int) as usize;
        action.sa_flags = libc::SA_RESTART | libc::SA_ONSTACK;
        let replaced = set(signal, Some(&action))?;
        if !is_ours(&replaced) {
            // SAFETY: this is the only change of this signal.
            unsafe { *self.0.previous.get() = replaced };
        }
        Ok(())
    }

    /// Puts the previous disposition back, if the handler still is in place. Returns false if it is not.
    fn restore(&self, signal: c_int) -> bool {
        // SAFETY: this is the only change of this signal.
        let previous = unsafe { &*self.0.previous.get() };
        set(signal, None).is_ok_and(|now| is_ours(&now)) && set(signal, Some(previous)).is_ok()
    }
}

/// Sets a disposition, if one is given. Returns the one that was in place.
fn set(signal: c_int, action: Option<&libc::sigaction>) -> io::Result<libc::sigaction> {
    let action = action.map_or(ptr::null(), ptr::from_ref);
    // SAFETY: both structures live until the call has returned; zeros are a valid one. The handlers are this crate's,
    // which lives for ever, and those that the program itself had put there.
    unsafe {
        let mut replaced: libc::sigaction = zeroed();
        check(libc::sigaction(signal, action, &raw mut replaced))?;
        Ok(replaced)
    }
}

fn is_ours(action: &libc::sigaction) -> bool {
    action.sa_sigaction == deliver as extern "C" fn(c_int) as usize
}

/// Counts the deliveries of a signal to this process, from its making to its drop. Its descriptor is readable while it
/// has counted some.
pub(crate) struct Listener {
    signal: c_int,
    node: &'static Node,
    stopped: Cell<bool>,
}

impl Listener {
    pub(crate) fn new(signal: c_int) -> io::Result<Self> {
        Self::with(signal, |_| ptr::null())
    }

    /// Makes a listener whose second delivery ends the process with the status 128 + `signal`, whatever its threads do.
    /// Deliveries for `first`, which must be dropped no earlier than this, and for others beside it, count as well.
    pub(crate) fn ending(signal: c_int, first: Option<&Listener>) -> io::Result<Self> {
        Self::with(signal, |own| ptr::from_ref(first.map_or(own, |first| first.node)))
    }

    fn with(signal: c_int, ends_with: impl FnOnce(&'static Node) -> *const Node) -> io::Result<Self> {
        let change = Watch::of(signal)?.change();
        let node = change.vacant()?;
        node.delivered.store(false, Ordering::SeqCst);
        node.ends_with.store(ends_with(node).cast_mut(), Ordering::SeqCst);
        node.listens.store(true, Ordering::SeqCst);
        if let Err(error) = change.install(signal) {
            node.listens.store(false, Ordering::SeqCst);
            return Err(error);
        }
        Ok(Listener { signal, node, stopped: Cell::new(false) })
    }

    /// Takes the deliveries since the last call. There are none in a fork, where the counter is still the parent's.
    pub(crate) fn take(&self) -> u64 {
        if self.node.origin.is_here() && !self.stopped.get() { self.node.count.take() } else { 0 }
    }

    /// Stops listening. Returns the deliveries since the last call: the counter is read after the previous disposition is
    /// back, so that each signal is either counted here or left to that disposition.
    pub(crate) fn stop(&self) -> u64 {
        if self.stopped.get() {
            return 0;
        }
        let watch = &WATCHES[self.signal as usize];
        let change = watch.change();
        if !watch.nodes().any(|node| node.is_heard() && !ptr::eq(node, self.node)) {
            change.restore(self.signal);
        }
        self.node.listens.store(false, Ordering::SeqCst);
        let counted = self.take();
        self.stopped.set(true);
        counted
    }
}

impl AsFd for Listener {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.node.count.as_fd()
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        self.stop();
    }
}
