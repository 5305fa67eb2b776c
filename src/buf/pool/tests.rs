//! Unit tests of the pool.

use super::*;

#[test]
fn the_last_buffer_in_is_the_first_out() {
    let pool = Pool::new(8_192, 20);
    let (a, b) = (pool.take().unwrap(), pool.take().unwrap());
    let (first, second) = (a.index(), b.index());
    assert_ne!(a.memory(), b.memory());
    drop(a);
    drop(b);
    assert_eq!(pool.take().unwrap().index(), second);
    let again = pool.take().unwrap();
    assert_eq!(again.index(), second, "the hottest one");
    assert_eq!(pool.take().unwrap().index(), first);
}

#[test]
fn it_grows_up_to_its_limit() {
    let pool = Pool::new(4_096, 20);
    let all: Vec<Lease> = std::iter::from_fn(|| pool.take()).collect();
    assert_eq!((all.len(), pool.out()), (20, 20));
    assert!(pool.take().is_none());
    let mut places: Vec<_> = all.iter().map(Lease::memory).collect();
    places.sort();
    assert!(places.windows(2).all(|pair| pair[1].addr().get() - pair[0].addr().get() >= 4_096));
    drop(all);
    assert_eq!(pool.out(), 0);
}

#[test]
fn a_buffer_is_back_when_its_last_reference_goes() {
    let pool = Pool::new(4_096, 1);
    let lease = pool.take().unwrap();
    let other = lease.clone();
    assert!(!lease.is_only());
    drop(lease);
    assert!(pool.take().is_none());
    assert!(other.is_only());
    drop(other);
    assert!(pool.take().is_some());
}

#[test]
fn buffers_come_back_from_other_threads() {
    let pool = Pool::new(4_096, 64);
    for _ in 0..if cfg!(miri) { 2 } else { 100 } {
        let out: Vec<Lease> = std::iter::from_fn(|| pool.take()).collect();
        assert_eq!(out.len(), 64);
        std::thread::scope(|scope| {
            let mut out = out.into_iter();
            for _ in 0..4 {
                let part: Vec<Lease> = out.by_ref().take(16).collect();
                scope.spawn(move || drop(part));
            }
        });
        assert_eq!(pool.out(), 0);
    }
}

#[test]
fn t46_memory_outlives_the_pool_while_there_is_a_reference() {
    for others in [0, 1, 3] {
        let pool = Pool::new(4_096, 64);
        let mut out: Vec<Lease> = (0..others + 1).map(|_| pool.take().unwrap()).collect();
        drop(pool);
        let here = out.pop();
        std::thread::scope(|scope| {
            for lease in out {
                scope.spawn(move || {
                    // SAFETY: no other reference to this buffer is used.
                    unsafe { lease.memory().write_bytes(7, lease.len()) };
                });
            }
        });
        drop(here);
    }
}

#[test]
fn the_last_one_frees_whichever_thread_it_is() {
    for _ in 0..if cfg!(miri) { 5 } else { 200 } {
        let pool = Pool::new(4_096, 16);
        let out: Vec<Lease> = std::iter::from_fn(|| pool.take()).collect();
        std::thread::scope(|scope| {
            for lease in out {
                scope.spawn(move || drop(lease));
            }
            drop(pool); // while they come back
        });
    }
}

#[test]
fn a_buffer_of_its_own_needs_no_pool() {
    let lease = Lease::alone(5);
    // SAFETY: no other reference to this buffer is used.
    unsafe { lease.memory().write_bytes(1, 5) };
    let other = lease.clone();
    drop(lease);
    assert_eq!(other.len(), 5);
    drop(Lease::alone(0));
}
