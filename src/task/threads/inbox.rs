//! The inbox: how other threads reach a loop, and wake it when it sleeps.
//!
//! The inbox is a lock-free stack of intrusive nodes (Treiber 1986). A task contains its node, so that a wake never
//! allocates, blocks or fails; closures from [`Handle`](crate::task::Handle) and reports of the blocking pool are in boxes
//! with a node. The loop takes the whole stack in one exchange and reverses it, which restores the order of arrival and
//! rules out the ABA problem.
//!
//! Sleeping: before the loop waits, it announces `PARKED` and then checks the inbox once more. A thread that pushes a node
//! announces `AWAKE` afterwards; if it finds `PARKED` there, it signals the event descriptor. This flag changes by
//! exchanges alone. They are totally ordered, and each sees what was written before all earlier ones: either the loop
//! checks after a push and sees it, or the push finds `PARKED`. So no wake-up is lost, and the wake of a loop that is awake
//! costs no system call.
//!
//! When the runtime ends, it closes the inbox: its nodes are discarded and later pushes are refused. In a fork of the
//! process it counts as closed.

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
    /// Omits the number: any thread may print a handle.
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
    /// A pointer to a static. It is no reference, because it may point to more than the kind: to all of a task's vtable.
    kind: *const NodeKind,
}

/// The functions for nodes of one kind. That of tasks is the beginning of a vtable.
#[derive(Debug)]
#[repr(C)]
pub(crate) struct NodeKind {
    pub(in crate::task) deliver: unsafe fn(NonNull<Node>, Delivery),
}

/// The treatment of a node that leaves the inbox.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Delivery {
    /// Run: the loop, which is running, delivers the node on its thread.
    Run,
    /// Discard: the runtime has ended; release the contents of the node.
    Discard,
}

impl Node {
    pub(crate) fn new(kind: &'static NodeKind) -> Self {
        // SAFETY: a reference to a static can always be read.
        unsafe { Node::of_table(kind) }
    }

    /// Makes a node whose kind is the beginning of a vtable, to which [`kind`](Self::kind) returns the pointer.
    ///
    /// # Safety
    /// `kind` can always be read.
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
        // SAFETY: the caller of `of_table` has promised that the kind can be read.
        unsafe { (*self.kind).deliver }
    }
}

/// The head of a closed inbox. No node has this address.
fn closed() -> *mut Node {
    ptr::without_provenance_mut(usize::MAX & !(align_of::<Node>() - 1))
}

impl Shared {
    pub(crate) fn new() -> io::Result<Arc<Self>> {
        Ok(Arc::new(Shared {
            head: AtomicPtr::new(ptr::null_mut()),
            park: AtomicU8::new(PARKED), // the loop does not run yet
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

    /// Pushes a node, from any thread, and wakes the loop if it sleeps. Returns false if the inbox is closed: then the node
    /// still belongs to the caller.
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

    /// Posts a closure, which the loop calls on its thread. Returns the closure if the inbox is closed.
    pub(crate) fn post<F: FnOnce(Delivery) + Send + 'static>(&self, closure: F) -> Result<(), F> {
        let post = NonNull::from(Box::leak(Box::new(Post { node: Node::new(Post::<F>::KIND), closure })));
        // SAFETY: the box is leaked until `deliver` takes it back; it has just been made.
        if unsafe { self.push(post.cast()) } {
            return Ok(());
        }
        // SAFETY: the push was refused, so the box is ours alone again.
        Err(unsafe { Box::from_raw(post.as_ptr()) }.closure)
    }

    /// Whether the inbox has nodes, or a stop of a stoppable loop was requested.
    pub(crate) fn has_arrivals(&self, stoppable: bool) -> bool {
        let empty = self.head.load(Ordering::Acquire).is_null();
        !empty || (stoppable && self.stop.load(Ordering::Acquire))
    }

    /// Wakes the loop if it sleeps.
    pub(crate) fn unpark(&self) {
        // In a fork no loop sleeps here, and the descriptor is the parent's.
        if self.park.swap(AWAKE, Ordering::AcqRel) == PARKED && self.origin.is_here() {
            self.eventfd.signal();
        }
    }

    /// Announces that the loop is about to sleep. Returns false if it must not: the inbox has nodes, or a stop of a stoppable
    /// loop was requested.
    #[must_use]
    pub(crate) fn park(&self, stoppable: bool) -> bool {
        self.park.swap(PARKED, Ordering::AcqRel); // before the checks below: see the file's head
        if self.has_arrivals(stoppable) {
            self.awake();
            return false;
        }
        true
    }

    /// Notes that the loop is awake again.
    pub(crate) fn awake(&self) {
        // A load suffices if a wake was first: only the loop sets PARKED.
        if self.park.load(Ordering::Relaxed) == PARKED {
            // No plain store: the next `park` would not see the writes of threads that found AWAKE before it.
            self.park.swap(AWAKE, Ordering::AcqRel);
        }
    }

    /// Delivers all nodes in the order of their arrival. The loop calls it once a turn; it is one load if the inbox is empty.
    pub(crate) fn deliver(&self) {
        let head = self.head.load(Ordering::Relaxed);
        if head.is_null() || head == closed() {
            return;
        }
        drain(self.head.swap(ptr::null_mut(), Ordering::AcqRel), Delivery::Run);
    }

    /// Closes the inbox forever, and discards its nodes.
    pub(crate) fn close(&self) {
        let head = self.head.swap(closed(), Ordering::AcqRel);
        if head != closed() {
            drain(head, Delivery::Discard);
        }
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.head.load(Ordering::Acquire) == closed() || !self.origin.is_here()
    }

    /// Requests a stop of the loop, and wakes it.
    pub(crate) fn request_stop(&self) {
        self.stop.store(true, Ordering::Release);
        self.unpark();
    }

    /// Takes a requested stop. Returns false if none was requested since the last call.
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

/// Reverses the stack and delivers each node.
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
    // A closure that panics must not stop the delivery of the others.
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

/// A posted closure with its node.
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
