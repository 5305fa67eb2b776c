//! Unit tests of vectored buffers.

use super::*;
use crate::buf::fill;
use proptest::prelude::*;

fn entries(list: &IoVecs) -> &[libc::iovec] {
    // SAFETY: the list has `len` entries from `as_ptr` on, and is borrowed as long.
    unsafe { std::slice::from_raw_parts(list.as_ptr(), list.len()) }
}

/// Returns the bytes that a gathering write would send. The buffers must not have moved.
fn gather(list: &IoVecs) -> Vec<u8> {
    let mut all = Vec::new();
    for entry in entries(list) {
        // SAFETY: entries taken by `fill_read` cover initialised bytes.
        all.extend_from_slice(unsafe {
            std::slice::from_raw_parts(entry.iov_base.cast::<u8>(), entry.iov_len)
        });
    }
    all
}

/// Stores `bytes` as a scattering read would, and returns the number of bytes stored.
fn scatter(list: &IoVecs, mut bytes: &[u8]) -> usize {
    let mut stored = 0;
    for entry in entries(list) {
        let n = bytes.len().min(entry.iov_len);
        // SAFETY: entries taken by `fill_write` may be written.
        unsafe { entry.iov_base.cast::<u8>().copy_from_nonoverlapping(bytes.as_ptr(), n) };
        bytes = &bytes[n..];
        stored += n;
    }
    stored
}

fn pieces() -> impl Strategy<Value = Vec<Vec<u8>>> {
    prop::collection::vec(prop::collection::vec(any::<u8>(), 0..12), 0..24)
}

#[test]
fn grows_onto_the_heap_and_back() {
    let mut list = IoVecs::new();
    assert_eq!(list.len(), 0);
    for count in [8, 9, 40, 3, 0, 1024] {
        let bufs: Vec<_> = (0..count).map(|i| [i as u8, 1]).collect();
        assert_eq!(list.fill_read(&bufs, 0, usize::MAX), 2 * count);
        assert_eq!(list.len(), count);
        assert_eq!(gather(&list), bufs.concat());
    }
}

#[test]
fn stops_at_the_most_the_kernel_takes() {
    let mut list = IoVecs::new();
    let mut bufs = vec![[7u8; 3]; 1500];
    assert_eq!(list.fill_read(&bufs, 0, usize::MAX), 3072);
    assert_eq!(list.len(), 1024);
    assert_eq!(list.fill_write(&mut bufs, 3072 + 1, usize::MAX), 1500 * 3 - 3073);
    assert_eq!(list.len(), 476);
}

#[test]
fn empty_buffers_take_no_entry() {
    let mut list = IoVecs::new();
    assert_eq!(list.fill_read(&["", "ab", "", "c", ""], 0, usize::MAX), 3);
    assert_eq!(list.len(), 2);
    assert_eq!(list.fill_read(&["ab", "c"], 2, 0), 0);
    assert_eq!(list.len(), 0);
    assert_eq!(list.fill_read(&["ab", "c"], 99, 5), 0);
    assert_eq!(list.len(), 0);
}

#[test]
fn a_tuple_has_buffers_of_different_types() {
    let mut list = IoVecs::new();
    let bufs = ("head ", b"body".to_vec(), *b" tail");
    assert_eq!((bufs.total_init(), list.fill_read(&bufs, 2, 9)), (14, 9));
    assert_eq!(gather(&list), b"ad body t");
    let mut bufs = ([0u8; 2], Vec::with_capacity(4), Box::<[u8]>::from([0u8; 2]), Vec::new());
    let room = bufs.total_capacity();
    assert_eq!(list.fill_write(&mut bufs, 0, usize::MAX), room);
    assert_eq!(scatter(&list, b"abcd"), 4);
    // SAFETY: four bytes are stored.
    unsafe { bufs.set_init(4) };
    assert_eq!(bufs, (*b"ab", b"cd".to_vec(), Box::from([0, 0]), Vec::new()));
}

#[test]
fn windows_can_be_scattered_into() {
    let mut bufs = [[0u8; 4].slice(1..3), [0u8; 4].slice(2..)];
    let mut list = IoVecs::new();
    assert_eq!(list.fill_write(&mut bufs, 0, usize::MAX), 4);
    assert_eq!(scatter(&list, b"abcd"), 4);
    // SAFETY: four bytes are stored, and arrays are always initialised.
    unsafe { bufs.set_init(4) };
    assert_eq!(bufs.map(|buf| buf.into_inner()), [*b"\0ab\0", *b"\0\0cd"]);
}

proptest! {
    /// The list covers what skipping and taking on the joined bytes leaves.
    #[test]
    fn gathers_like_the_joined_bytes(bufs in pieces(), skip in 0usize..200, limit in 0usize..200) {
        let all = bufs.concat();
        let model: Vec<u8> = all.iter().copied().skip(skip).take(limit).collect();
        let mut list = IoVecs::new();
        prop_assert_eq!(bufs.total_init(), all.len());
        prop_assert_eq!(list.fill_read(&bufs, skip, limit), model.len());
        prop_assert_eq!(gather(&list), model);
        prop_assert!(entries(&list).iter().all(|entry| entry.iov_len > 0));
    }

    /// Bytes stored by several short reads end up joined, whatever the buffers held before.
    #[test]
    fn scatters_like_the_joined_bytes(
        old in pieces(), spare in 0usize..6,
        new in prop::collection::vec(any::<u8>(), 0..300), step in 1usize..40,
    ) {
        let mut bufs: Vec<Vec<u8>> = old
            .iter()
            .map(|bytes| {
                let mut buf = Vec::with_capacity(bytes.len() + spare);
                fill(&mut buf, 0, bytes);
                buf
            })
            .collect();
        let caps: Vec<usize> = bufs.iter().map(Vec::capacity).collect();
        let room: usize = caps.iter().sum();
        prop_assert_eq!(bufs.total_capacity(), room);

        let mut list = IoVecs::new();
        let mut done = 0;
        while done < new.len().min(room) {
            let covered = list.fill_write(&mut bufs, done, step);
            prop_assert_eq!(covered, step.min(room - done));
            done += scatter(&list, &new[done..]);
        }
        // SAFETY: the first `done` writable bytes have been stored above.
        unsafe { bufs.set_init(done) };

        prop_assert_eq!(bufs.concat(), &new[..done]);
        let mut left = done;
        for (buf, cap) in bufs.iter().zip(caps) {
            prop_assert_eq!(buf.len(), left.min(cap));
            left -= buf.len();
        }
    }
}
