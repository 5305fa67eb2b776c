//! Operations with many completions, over a scripted kernel: multishot and zero copy.

use super::scripted::*;

#[test]
fn multishot_hands_over_items_until_the_last() {
    let mut bench = Bench::new(8);
    let key = bench.submit::<MULTISHOT>();
    bench.poll_kernel();
    bench.complete(key, 1, F_MORE);
    bench.complete(key, 2, F_MORE);
    bench.poll_kernel();
    assert_eq!(bench.log.take(), ["item 1", "item 2"]);
    bench.abandon(key);
    bench.complete(key, 3, F_MORE); // what comes before the cancel takes effect is kept as well
    bench.complete(key, -libc::ECANCELED, 0);
    bench.poll_kernel();
    let cancelled = -libc::ECANCELED;
    assert_eq!(
        bench.log.take(),
        ["item 3".to_owned(), format!("item {cancelled}"), format!("abandoned with {cancelled}")]
    );
}

#[test]
fn what_the_last_completion_brings_is_accounted_for_in_its_turn() {
    let mut bench = Bench::new(8);
    let (first, second) = (bench.submit::<MULTISHOT>(), bench.submit::<MULTISHOT>());
    bench.poll_kernel();
    bench.complete(first, 1, 0); // the last of one, with bytes, in front of another's
    bench.complete(second, 2, F_MORE);
    bench.poll_kernel();
    assert_eq!(bench.log.take(), ["item 1", "item 2", "abandoned with 1"]);
}

#[test]
fn multishot_is_taken_apart_when_it_ends_by_itself() {
    let mut bench = Bench::new(8);
    for last in [7, 0, -libc::ENOBUFS] {
        let key = bench.submit::<MULTISHOT>();
        bench.poll_kernel();
        bench.complete(key, last, 0);
        bench.poll_kernel();
        assert_eq!(bench.log.take(), [format!("item {last}"), format!("abandoned with {last}")]);
        assert_eq!((bench.slots.live(), bench.slots.multishot()), (1, 0), "the ring's own is left");
    }
}

#[test]
fn multishot_that_has_brought_enough_is_to_end() {
    let mut bench = Bench::new(8);
    let key = bench.submit::<MULTISHOT>();
    bench.poll_kernel();
    bench.complete(key, 1, F_MORE);
    bench.complete(key, STOP, F_MORE);
    bench.poll_kernel();
    assert_eq!(bench.deferred.stop, [key]);
    assert_eq!(bench.slots.multishot(), 1);
}

#[test]
fn zero_copy_keeps_its_buffer_until_the_notification() {
    let mut bench = Bench::new(8);
    let key = bench.submit::<ZERO_COPY>();
    bench.poll_kernel();
    bench.complete(key, 512, F_MORE);
    bench.poll_kernel();
    assert_eq!(bench.take::<ZERO_COPY>(key), None, "the kernel still has the buffer");
    bench.complete(key, 0, F_NOTIF);
    bench.poll_kernel();
    assert_eq!(bench.take::<ZERO_COPY>(key), Some(512));

    let dropped = bench.submit::<ZERO_COPY>();
    bench.poll_kernel();
    bench.complete(dropped, 256, F_MORE);
    bench.poll_kernel();
    bench.abandon(dropped);
    bench.poll_kernel();
    assert_eq!(bench.log.take(), [""; 0]);
    bench.complete(dropped, 0, F_NOTIF);
    bench.poll_kernel();
    assert_eq!(bench.log.take(), ["abandoned with 256"]);

    let failed = bench.submit::<ZERO_COPY>();
    bench.poll_kernel();
    bench.complete(failed, -libc::EPIPE, 0); // an error without a notification
    bench.poll_kernel();
    assert_eq!(bench.take::<ZERO_COPY>(failed), Some(-libc::EPIPE));
}
