//! Marks for the address sanitizer: the memory of operations in flight into which the kernel writes.
//!
//! The buffers of an operation are marked from the moment when its entry is queued, or its call is with the pool, until its
//! last completion. Buffers that the kernel only reads are not marked, because other code may read them too.

use std::cell::RefCell;
use std::collections::HashMap;

use io_uring::opcode;

use crate::driver::slots::key::Key;
use crate::op::Entry;
use crate::sys::call::Call;
use crate::sys::lent;

/// The address and length of marked memory.
type Region = (*const u8, usize);

/// The marked memory of each operation.
#[derive(Default)]
pub(in crate::driver) struct Lent(RefCell<HashMap<u64, Vec<Region>>>);

impl Lent {
    pub(in crate::driver) fn lend_to_ring(&self, key: Key, entry: &Entry) {
        self.lend(key, of_entry(entry));
    }

    pub(in crate::driver) fn lend_to_pool(&self, key: Key, call: Call) {
        self.lend(key, of_call(call));
    }

    fn lend(&self, key: Key, regions: Vec<Region>) {
        if !regions.is_empty() {
            regions.iter().for_each(|(start, len)| lent::lend(*start, *len));
            self.0.borrow_mut().insert(key.pack(), regions);
        }
    }

    /// Removes the marks after the operation's last completion.
    pub(in crate::driver) fn take_back(&self, key: Key) {
        let regions = self.0.borrow_mut().remove(&key.pack()).unwrap_or_default();
        regions.into_iter().for_each(|(start, len)| lent::take_back(start, len));
    }
}

/// The fields of `struct io_uring_sqe` that are read here.
#[repr(C)]
struct Submission {
    opcode: u8,
    rest: [u8; 15],
    address: u64,
    len: u32,
}

fn of_entry(entry: &Entry) -> Vec<Region> {
    const { assert!(size_of::<Entry>() >= size_of::<Submission>()) };
    // SAFETY: an entry is a `struct io_uring_sqe`, which begins so.
    let Submission { opcode, address, len, .. } = unsafe { (&raw const *entry).cast::<Submission>().read() };
    let (address, len) = (address as usize, len as usize);
    match opcode {
        _ if address == 0 => Vec::new(),
        opcode::Recv::CODE | opcode::Read::CODE | opcode::ReadFixed::CODE => vec![region(address, len)],
        opcode::Readv::CODE => of_vectors(address, len),
        opcode::RecvMsg::CODE => {
            // SAFETY: the header is part of the operation, which lies in its slot.
            let header = unsafe { std::ptr::with_exposed_provenance::<libc::msghdr>(address).read() };
            of_vectors(header.msg_iov.addr(), header.msg_iovlen)
        }
        _ => Vec::new(),
    }
}

fn of_call(call: Call) -> Vec<Region> {
    let (number, [_, address, len, ..]) = call.parts();
    match number {
        libc::SYS_pread64 => vec![region(address, len)],
        libc::SYS_preadv => of_vectors(address, len),
        _ => Vec::new(),
    }
}

fn of_vectors(address: usize, count: usize) -> Vec<Region> {
    let first = std::ptr::with_exposed_provenance::<libc::iovec>(address);
    // SAFETY: so many lie there, in an operation that lies in its slot.
    let vector = |index| unsafe { first.add(index).read() };
    (0..count).map(vector).map(|vector| (vector.iov_base.cast_const().cast(), vector.iov_len)).collect()
}

fn region(address: usize, len: usize) -> Region {
    (std::ptr::without_provenance(address), len)
}
