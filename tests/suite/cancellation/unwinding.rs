//! Foreign wakers that panic in a destructor which runs because something panics: they end there, and the process goes on.

use std::future::{Future, pending};
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Wake, Waker};
use std::time::Duration;

use proactor::stream::{StreamExt, Yielder, generate};
use proactor::sync::{
    Barrier, Condition, Event, Mutex, RwLock, Semaphore, broadcast, mpsc, oneshot, queue, shared, watch,
};
use proactor::task::{catch_cancel, promise};
use proactor::time::{sleep, timeout};
use proactor::{Runtime, gather, spawn};

use crate::kit::*;

tests! {
    t73_a_waker_that_panics_while_something_unwinds_is_contained,
    t73_a_waker_whose_drop_panics_while_something_unwinds_is_contained,
    t73_a_waker_whose_drop_panics_is_replaced,
    t73_an_output_whose_drop_panics_while_something_unwinds_is_contained,
}

struct InWake;

impl Wake for InWake {
    fn wake(self: Arc<Self>) {
        panic!("expected: in wake");
    }
}

struct InDrop;

impl Wake for InDrop {
    fn wake(self: Arc<Self>) {
        crate::kit::forget(self); // as when the runtime ends, where nothing unwinds
    }
}

impl Drop for InDrop {
    fn drop(&mut self) {
        panic!("expected: in drop");
    }
}

/// Polls a future once, with a waker that panics in its drop: whoever keeps a clone has the last.
fn wait_in_drop<F: Future + ?Sized>(future: Pin<&mut F>) {
    let waker = Waker::from(Arc::new(InDrop));
    assert!(future.poll(&mut Context::from_waker(&waker)).is_pending());
    assert!(panic_catching(|| drop(waker)).is_none(), "nobody has kept the waker");
}

fn wait_in_wake<F: Future + ?Sized>(future: Pin<&mut F>) {
    let waker = Waker::from(Arc::new(InWake));
    assert!(future.poll(&mut Context::from_waker(&waker)).is_pending());
}

/// Waits for a future, whose output is of no interest.
async fn forget<F: Future>(future: F) {
    let _ = future.await;
}

/// Drops a value by a panic.
#[track_caller]
fn unwind_over<T>(value: T) {
    let said = panic_of(move || {
        let _value = value;
        panic!("expected: it unwinds");
    });
    assert_eq!(said, "expected: it unwinds");
}

fn t73_a_waker_that_panics_while_something_unwinds_is_contained<R: Runtime>() {
    run::<R>(async {
        let (settles, mut settled) = promise::<(), ()>();
        wait_in_wake(Pin::new(&mut settled));
        unwind_over(settles);
        assert!(settled.await.is_err());

        let (stream, _peer) = half_pair();
        let mut first = Box::pin(stream.read(vec![0; 8]));
        let mut second = Box::pin(stream.read(vec![0; 8]));
        assert!(first.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
        wait_in_wake(second.as_mut());
        unwind_over(first);
        drop(second);

        let (sender, receiver) = oneshot::channel::<()>();
        let mut receiver = Box::pin(receiver);
        wait_in_wake(receiver.as_mut());
        unwind_over(sender);
        assert!(receiver.await.is_err());

        let mutex = Mutex::new(());
        let mut waits = Box::pin(mutex.lock());
        let guard = mutex.try_lock().unwrap();
        wait_in_wake(waits.as_mut());
        unwind_over(guard);
        drop(waits.await);

        let handle = proactor::task::Handle::current();
        let mut remote = Box::pin(handle.spawn(pending::<()>));
        wait_in_wake(remote.as_mut());
        remote.request_cancel();
        assert!(remote.await.unwrap_err().is_cancelled());
    });
}

/// Runs `with` on a future of each kind that waits. None of them ends.
fn each_wait<R: Runtime>(with: fn(Pin<Box<dyn Future<Output = ()> + '_>>)) {
    run::<R>(async move {
        let (stream, _peer) = half_pair();
        let (mutex, lock) = (Mutex::new(()), RwLock::new(()));
        let (_mutex, _lock) = (mutex.try_lock().unwrap(), lock.try_write().unwrap());
        let (semaphore, event, barrier) = (Semaphore::new(0), Event::new(), Barrier::new(2));
        let (condition, beside) = (Condition::new(), Mutex::new(()));
        let (mutex2, lock2) = (shared::Mutex::new(()), shared::RwLock::new(()));
        let (_mutex2, _lock2) = (mutex2.try_lock().unwrap(), lock2.try_write().unwrap());
        let (semaphore2, event2, barrier2) =
            (shared::Semaphore::new(0), shared::Event::new(), shared::Barrier::new(2));
        let (condition2, beside2) = (shared::Condition::new(), shared::Mutex::new(()));
        let (_promise, promised) = promise::<(), ()>();
        let (_oneshot, once) = oneshot::channel::<()>();
        let (_mpsc, mut many) = mpsc::channel::<()>(1);
        let (_broadcast, mut all) = broadcast::channel::<()>(1);
        let (_watch, mut changes) = watch::channel(());
        let jobs = queue::bounded::<()>(1);
        let mut numbers = generate(async |_: Yielder<u32>| pending().await);
        let waits: Vec<Pin<Box<dyn Future<Output = ()> + '_>>> = vec![
            Box::pin(forget(stream.read(vec![0; 8]))),
            Box::pin(forget(stream.recv())),
            Box::pin(sleep(Duration::from_secs(1_000))),
            Box::pin(forget(timeout(Duration::from_secs(1_000), pending::<()>()))),
            Box::pin(forget(mutex.lock())),
            Box::pin(forget(lock.read())),
            Box::pin(forget(semaphore.acquire())),
            Box::pin(forget(event.wait())),
            Box::pin(forget(barrier.wait())),
            Box::pin(forget(condition.wait(beside.try_lock().unwrap()))),
            Box::pin(forget(mutex2.lock())),
            Box::pin(forget(lock2.read())),
            Box::pin(forget(semaphore2.acquire())),
            Box::pin(forget(event2.wait())),
            Box::pin(forget(barrier2.wait())),
            Box::pin(forget(condition2.wait(beside2.try_lock().unwrap()))),
            Box::pin(forget(promised)),
            Box::pin(forget(once)),
            Box::pin(forget(many.recv())),
            Box::pin(forget(all.recv())),
            Box::pin(forget(changes.changed())),
            Box::pin(forget(jobs.get())),
            Box::pin(forget(numbers.next())),
            Box::pin(forget(gather([pending::<()>()]))),
            Box::pin(forget(catch_cancel(pending::<()>()))),
        ];
        waits.into_iter().for_each(with);
    });
}

fn t73_a_waker_whose_drop_panics_while_something_unwinds_is_contained<R: Runtime>() {
    each_wait::<R>(|mut waits| {
        wait_in_drop(waits.as_mut());
        unwind_over(waits);
    });
}

fn t73_a_waker_whose_drop_panics_is_replaced<R: Runtime>() {
    each_wait::<R>(|mut waits| {
        wait_in_drop(waits.as_mut());
        let second = panic_catching(|| {
            assert!(waits.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
        });
        assert_eq!(second, None, "the drop of the first waker has left the second poll");
    });
}

/// A value that panics when it is dropped.
struct Value;

impl Drop for Value {
    fn drop(&mut self) {
        panic!("expected: a value");
    }
}

fn t73_an_output_whose_drop_panics_while_something_unwinds_is_contained<R: Runtime>() {
    run::<R>(async {
        let (settles, settled) = promise::<Rc<Value>, ()>();
        assert!(settles.set_result(Rc::new(Value)).is_ok());
        unwind_over(settled);
        let (sender, receiver) = oneshot::channel();
        assert!(sender.send(Value).is_ok());
        unwind_over(receiver);
        let (sender, receiver) = mpsc::channel(1);
        assert!(sender.try_send(Value).is_ok());
        unwind_over(receiver);
        let (sender, receiver) = broadcast::channel(1);
        assert!(sender.send(Rc::new(Value)).is_ok());
        unwind_over(receiver);
        let task = spawn(async { Value });
        proactor::yield_now().await;
        unwind_over(task);
    });
}
