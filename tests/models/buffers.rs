//! The pool of buffers behind chunks: one owner at a time uses a buffer, and the memory is released once, after its last use.
//!
//! A cell of loom's stands for the bytes of a buffer: a write that is concurrent with a read, or not ordered after the last
//! one, fails the model.

use loom::cell::UnsafeCell;
use loom::thread;

use crate::buffer_pool::{Lease, Pool};
use crate::kit::{Model, join};
use crate::sys::memory::Watched;
use crate::sys::sync::Arc;

pub(crate) fn models() -> Vec<Model> {
    vec![
        ("buffers_returned_by_a_thread", returned_by_a_thread),
        ("buffers_the_last_of_two_references", || last_reference(false)),
        ("buffers_the_last_of_two_references_late", || last_reference(true)),
        ("buffers_used_again_by_the_only_owner", || only_owner(false)),
        ("buffers_used_again_by_the_only_owner_late", || only_owner(true)),
        ("buffers_from_two_threads", two_threads),
        ("buffers_close_against_return", close_against_return),
        ("buffers_close_against_two_returns", close_against_two_returns),
    ]
}

/// The length of a buffer in bytes.
const LEN: usize = 8;

/// The bytes of one buffer, as loom sees them.
#[derive(Clone, Default)]
struct Bytes(Arc<UnsafeCell<u8>>);

impl Bytes {
    fn read(&self) {
        self.0.with(|_| ());
    }

    fn write(&self) {
        self.0.with_mut(|_| ());
    }
}

/// Waits until the pool has a free buffer, and takes it.
fn take(pool: &Pool) -> Lease {
    loop {
        match pool.take() {
            Some(lease) => return lease,
            None => thread::yield_now(),
        }
    }
}

/// Starts a thread that reads the bytes and then drops its reference.
fn reader(lease: Lease, bytes: &Bytes) -> thread::JoinHandle<()> {
    let bytes = bytes.clone();
    thread::spawn(move || {
        bytes.read();
        drop(lease);
    })
}

/// Another thread drops the only reference; the owner of the pool takes the buffer again, and writes.
fn returned_by_a_thread() {
    let (pool, bytes) = (Pool::new(LEN, 1), Bytes::default());
    let lease = pool.take().unwrap();
    bytes.write();
    let reading = reader(lease, &bytes);
    let lease = take(&pool);
    bytes.write();
    drop(lease);
    join([reading]);
    assert_eq!((pool.out(), pool.in_use()), (0, 0));
}

/// With `late`, lets the other thread run first. Loom does not by itself order a load after another thread's change, if that
/// thread has read the value right before.
fn give_way(late: bool) {
    if late {
        thread::yield_now();
    }
}

/// Two threads have a reference: the last one returns the buffer, once.
fn last_reference(late: bool) {
    let (pool, bytes) = (Pool::new(LEN, 1), Bytes::default());
    let lease = pool.take().unwrap();
    let reading = reader(lease.clone(), &bytes);
    bytes.read();
    give_way(late);
    drop(lease);
    let lease = take(&pool);
    assert!(lease.is_only() && pool.take().is_none());
    bytes.write();
    drop(lease);
    join([reading]);
    assert_eq!(pool.out(), 0);
}

/// The last owner writes into the buffer again, like the selector, which receives into it when all of its chunks were dropped.
fn only_owner(late: bool) {
    let (pool, bytes) = (Pool::new(LEN, 1), Bytes::default());
    let lease = pool.take().unwrap();
    let reading = reader(lease.clone(), &bytes);
    give_way(late);
    if lease.is_only() {
        bytes.write();
    }
    join([reading]);
    assert!(lease.is_only());
    bytes.write();
}

fn two_threads() {
    let (pool, bytes) = (Pool::new(LEN, 2), [Bytes::default(), Bytes::default()]);
    let leases = [pool.take().unwrap(), pool.take().unwrap()];
    assert!(pool.take().is_none());
    let mut readers = leases.into_iter().zip(&bytes).map(|(lease, bytes)| reader(lease, bytes));
    let readers = [readers.next().unwrap(), readers.next().unwrap()];
    let again = [take(&pool), take(&pool)];
    assert_ne!(again[0].index(), again[1].index());
    for lease in &again {
        bytes[lease.index() as usize].write();
    }
    assert_eq!(pool.in_use(), 2);
    join(readers);
}

/// Starts a thread that uses the watched memory and then drops its reference.
fn user(lease: Lease, memory: &Watched) -> thread::JoinHandle<()> {
    let memory = memory.clone();
    thread::spawn(move || {
        memory.touch();
        drop(lease);
    })
}

/// The pool and a buffer are dropped at the same time: the last one releases the memory, after its last use.
fn close_against_return() {
    let pool = Pool::new(LEN, 1);
    let lease = pool.take().unwrap();
    let memory = Watched::at(lease.memory().as_ptr()); // the first buffer begins where its block does
    let using = user(lease, &memory);
    drop(pool);
    join([using]);
}

fn close_against_two_returns() {
    let pool = Pool::new(LEN, 2);
    let (first, second) = (pool.take().unwrap(), pool.take().unwrap());
    let memory = Watched::at(first.memory().as_ptr());
    let threads = [user(first, &memory), user(second, &memory)];
    drop(pool);
    join(threads);
}
