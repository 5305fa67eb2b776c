//! The inbox: the one way from other threads into a loop, and how they wake it when it sleeps.
//!
//! A lock-free stack of intrusive nodes (Treiber 1986). A task carries its node, so that waking one never
//! allocates, blocks or fails; closures from [`Handle`](crate::task::Handle) and reports of the blocking pool box
//! theirs. The loop takes the whole stack in one exchange and turns it round, which gives arrival order and
//! leaves no room for the ABA problem.
//!
//! Sleeping: before the loop waits it announces `PARKED`, and looks into the inbox once more. Who pushes
//! announces `AWAKE` afterwards, and if it finds `PARKED` there, signals the event descriptor. This flag changes
//! by exchanges alone. They come one after the other, and each sees what was written before all earlier ones:
//! either the loop looks after a push and sees it, or the push finds `PARKED`. A wake-up can't fall between, and
//! a loop that is awake costs the waker no system call.
//!
//! When the runtime ends it closes the inbox: what lies in it is discarded and later pushes are refused. In a fork of
//! the process it counts as closed.

use std::cell::Cell;
use std::fmt;
use std::io;
use std::ops::Deref;
use std::ptr::{self, NonNull};

use crate::sys::eventfd::EventFd;
use crate::sys::fork::Origin;
use crate::sys::guarded::Guarded;
use crate::sys::sync::Arc;
use crate::sys::sync::atomic::{AtomicBool, AtomicPtr, AtomicU8, Ordering};

/// The part of a loop that other threads may touch.
#[derive(Debug)]
pub(crate) struct Shared {
    head: AtomicPtr<Node>,
    park: AtomicU8,
    stop: AtomicBool,
    pub(crate) eventfd: EventFd,
    /// The process whose loop this is.
    pub(crate) origin: Origin,
    cells: LocalCount,
}

/// The number of references from the owner thread: of task cells with local references, and of child sets. Together they hold
/// one count of the [`Shared`], so that a task costs no atomic count of its own.
#[derive(Default)]
struct LocalCount(Cell<usize>);

// SAFETY: only `retain` and `release` touch the number, whose callers are on the owner thread.
unsafe impl Sync for LocalCount {}

impl fmt::Debug for LocalCount {
    /// Without the number: any thread may print a handle.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LocalCount").finish_non_exhaustive()
    }
}

const AWAKE: u8 = 0;
const PARKED: u8 = 1;

/// A node of the inbox. It is the first field of the object that it represents.
#[derive(Debug)]
#[repr(C)]
pub(crate) struct Node {
    next: AtomicPtr<Node>,
    /// Points to a static. No reference: it may reach further than the kind, to all of a task's table.
    kind: *const NodeKind,
}

/// The functions for nodes of one kind. A task's is the beginning of its table of functions.
#[derive(Debug)]
#[repr(C)]
pub(crate) struct NodeKind {
    pub(in crate::task) deliver: unsafe fn(NonNull<Node>, Delivery),
}

/// The treatment of a node that leaves the inbox.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Delivery {
    /// On the loop's thread, which is running.
    Run,
    /// The runtime has ended: release what the node holds.
    Discard,
}

impl Node {
    pub(crate) fn new(kind: &'static NodeKind) -> Self {
        // SAFETY: a reference to a static can be read for ever.
        unsafe { Node::of_table(kind) }
    }

    /// A node whose kind is the beginning of a table, which [`kind`](Self::kind) gives back.
    ///
    /// # Safety
    /// `kind` can be read for ever.
    #[inline]
    pub(in crate::task) unsafe fn of_table(kind: *const NodeKind) -> Self {
        Node { next: AtomicPtr::new(ptr::null_mut()), kind }
    }

    #[inline]
    pub(in crate::task) fn kind(&self) -> *const NodeKind {
        self.kind
    }

    #[inline]
    fn deliver(&self) -> unsafe fn(NonNull<Node>, Delivery) {
        // SAFETY: whoever made the node promised that its kind can be read.
        unsafe { (*self.kind).deliver }
    }
}

/// Head of a closed inbox: no node has this address.
fn closed() -> *mut Node {
    ptr::without_provenance_mut(usize::MAX & !(align_of::<Node>() - 1))
}

impl Shared {
    pub(crate) fn new() -> io::Result<Arc<Self>> {
        Ok(Arc::new(Shared {
            head: AtomicPtr::new(ptr::null_mut()),
            park: AtomicU8::new(PARKED), // it does not run yet
            stop: AtomicBool::new(false),
            eventfd: EventFd::new()?,
            origin: Origin::here(),
            cells: LocalCount::default(),
        }))
    }

    /// Counts a reference from the owner thread.
    ///
    /// # Safety
    /// On the owner thread.
    #[inline]
    pub(in crate::task) unsafe fn retain(this: &Arc<Self>) {
        let cells = &this.cells.0;
        if cells.replace(cells.get() + 1) == 0 {
            std::mem::forget(this.clone());
        }
    }

    /// Uncounts a reference from the owner thread.
    ///
    /// # Safety
    /// On the owner thread, once for each `retain`.
    #[inline]
    pub(in crate::task) unsafe fn release(this: *const Self) {
        // SAFETY: the cells' count is held until the last of them goes, which may be this one.
        unsafe {
            let cells = &(*this).cells.0;
            cells.set(cells.get() - 1);
            if cells.get() == 0 {
                Arc::decrement_strong_count(this);
            }
        }
    }

    /// Puts a node in, from any thread, and wakes the loop if it sleeps. False when the inbox is closed:
    /// the node then stays the caller's.
    ///
    /// # Safety
    /// The node is valid until its `deliver` has been called, and is in no inbox now.
    #[must_use]
    pub(crate) unsafe fn push(&self, node: NonNull<Node>) -> bool {
        if !self.origin.is_here() {
            return false;
        }
        let mut head = self.head.load(Ordering::Relaxed);
        loop {
            if head == closed() {
                return false;
            }
            // SAFETY: the caller vouches for the node.
            unsafe { node.as_ref() }.next.store(head, Ordering::Relaxed);
            // Release: the loop sees what was written before the push, the node's link included.
            match self.head.compare_exchange_weak(head, node.as_ptr(), Ordering::AcqRel, Ordering::Relaxed) {
                Ok(_) => break,
                Err(now) => head = now,
            }
        }
        self.unpark();
        true
    }

    /// Runs `closure` on the loop's thread; gives it back when the inbox is closed.
    pub(crate) fn post<F: FnOnce(Delivery) + Send + 'static>(&self, closure: F) -> Result<(), F> {
        let post = NonNull::from(Box::leak(Box::new(Post { node: Node::new(Post::<F>::KIND), closure })));
        // SAFETY: the box is leaked until `deliver` takes it back; it has just been made.
        if unsafe { self.push(post.cast()) } {
            return Ok(());
        }
        // SAFETY: the push was refused, so the box is ours alone again.
        Err(unsafe { Box::from_raw(post.as_ptr()) }.closure)
    }

    /// Whether something lies in the inbox, or a loop that can be stopped was asked to.
    pub(crate) fn has_arrivals(&self, stoppable: bool) -> bool {
        let empty = self.head.load(Ordering::Acquire).is_null();
        !empty || (stoppable && self.stop.load(Ordering::Acquire))
    }

    /// Wakes the loop if it sleeps.
    pub(crate) fn unpark(&self) {
        // In a fork nobody sleeps, and the descriptor is the parent's.
        if self.park.swap(AWAKE, Ordering::AcqRel) == PARKED && self.origin.is_here() {
            self.eventfd.signal();
        }
    }

    /// Announces that the loop is about to sleep. False when it must not: there is something in the inbox,
    /// or a loop that can be stopped was asked to.
    #[must_use]
    pub(crate) fn park(&self, stoppable: bool) -> bool {
        self.park.swap(PARKED, Ordering::AcqRel); // before the looks below: see the file's head
        if self.has_arrivals(stoppable) {
            self.awake();
            return false;
        }
        true
    }

    /// The loop is awake again.
    pub(crate) fn awake(&self) {
        // A look suffices if a waker was first: only the loop sets PARKED.
        if self.park.load(Ordering::Relaxed) == PARKED {
            // No plain store: the next `park` would not see what those wrote who found AWAKE before it.
            self.park.swap(AWAKE, Ordering::AcqRel);
        }
    }

    /// Delivers what has arrived, in order of arrival. Called by the loop, once a turn: a load when empty.
    pub(crate) fn deliver(&self) {
        let head = self.head.load(Ordering::Relaxed);
        if head.is_null() || head == closed() {
            return;
        }
        drain(self.head.swap(ptr::null_mut(), Ordering::AcqRel), Delivery::Run);
    }

    /// Closes the inbox for good and discards what lies in it.
    pub(crate) fn close(&self) {
        let head = self.head.swap(closed(), Ordering::AcqRel);
        if head != closed() {
            drain(head, Delivery::Discard);
        }
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.head.load(Ordering::Acquire) == closed() || !self.origin.is_here()
    }

    pub(crate) fn request_stop(&self) {
        self.stop.store(true, Ordering::Release);
        self.unpark();
    }

    /// True once for each stop that was asked for.
    pub(crate) fn take_stop(&self) -> bool {
        self.stop.load(Ordering::Relaxed) && self.stop.swap(false, Ordering::AcqRel)
    }
}

/// A reference to the remote side of a loop from its owner thread, without an atomic count; `!Send`.
#[derive(Debug)]
pub(in crate::task) struct LocalShared(*const Shared);

impl LocalShared {
    /// Retains the remote side. The caller is on the owner thread.
    pub(in crate::task) fn new(shared: &Arc<Shared>) -> Self {
        // SAFETY: the caller is on the owner thread, which a pointer keeps this from leaving; `drop` releases.
        unsafe { Shared::retain(shared) };
        LocalShared(Arc::as_ptr(shared))
    }
}

impl Deref for LocalShared {
    type Target = Shared;

    fn deref(&self) -> &Shared {
        // SAFETY: it was retained.
        unsafe { &*self.0 }
    }
}

impl Drop for LocalShared {
    fn drop(&mut self) {
        // SAFETY: `new` retained it, on this thread.
        unsafe { Shared::release(self.0) };
    }
}

impl Drop for Shared {
    fn drop(&mut self) {
        self.close();
    }
}

/// Turns the stack round and delivers each node.
fn drain(mut stack: *mut Node, delivery: Delivery) {
    if stack == closed() {
        return;
    }
    let mut queue: *mut Node = ptr::null_mut();
    while let Some(node) = NonNull::new(stack) {
        // SAFETY: nodes in the inbox are valid until delivered, and the stack is ours since the exchange.
        let next = &unsafe { node.as_ref() }.next;
        stack = next.load(Ordering::Relaxed);
        next.store(queue, Ordering::Relaxed);
        queue = node.as_ptr();
    }
    // A closure that panics must not keep the others from being delivered.
    let mut guarded = Guarded::default();
    while let Some(node) = NonNull::new(queue) {
        // SAFETY: as above; `deliver` may free the node, or push it again, so its link is read first.
        let (next, deliver) =
            unsafe { (node.as_ref().next.load(Ordering::Relaxed), node.as_ref().deliver()) };
        queue = next;
        // SAFETY: each node is delivered once, by the function that it was made with.
        guarded.run(|| unsafe { deliver(node, delivery) });
    }
    guarded.finish();
}

#[repr(C)]
struct Post<F> {
    node: Node,
    closure: F,
}

impl<F: FnOnce(Delivery)> Post<F> {
    const KIND: &'static NodeKind = &NodeKind { deliver: Self::deliver };

    unsafe fn deliver(node: NonNull<Node>, delivery: Delivery) {
        // SAFETY: `post` leaked this box and made its node with this function.
        let post = unsafe { Box::from_raw(node.cast::<Self>().as_ptr()) };
        (post.closure)(delivery);
    }
}

#[cfg(test)]
#[path = "inbox_tests.rs"]
mod tests;
