//! Running futures: on a runtime of their own, side by side, beside threads.

use std::cell::Cell;
use std::future::{Future, poll_fn};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Wake, Waker};
use std::time::Duration;

use proactor::{Config, Feature, FeatureState, Runtime};

use super::process::{PLACE, QUIET};

/// Runs a test on the backend without each of these sets of features (the selector has but one form). Nothing may be left
/// behind.
#[track_caller]
pub(crate) fn with_masks<R: Runtime>(masks: &[&[Feature]], test: impl AsyncFn(&R)) {
    let count = if is_proactor::<R>() { masks.len() } else { 1 };
    for mask in &masks[..count] {
        let runtime = R::with_config(&Config::new().mask_all(mask.iter().copied())).unwrap();
        runtime.block_on(test(&runtime));
        runtime.block_on(nothing_is_left(&runtime));
        end(runtime);
    }
}

/// Turns until the runtime keeps nothing for anybody.
pub(crate) async fn nothing_is_left<R: Runtime>(runtime: &R) {
    until(|| {
        let live = runtime.report().live;
        (live.ops, live.multishot, live.direct, live.buffers) == (0, 0, 0, 0)
    })
    .await;
}

/// Runs a future on a new runtime and ends that, which must leave nothing behind.
#[track_caller]
pub(crate) fn run<R: Runtime>(future: impl Future<Output = ()>) {
    let runtime = R::new().unwrap();
    runtime.block_on(future);
    end(runtime);
}

/// Ends a runtime, which must leave nothing behind.
#[track_caller]
pub(crate) fn end<R: Runtime>(runtime: R) {
    let left = runtime.shutdown(Duration::from_secs(30));
    assert_eq!((left.ops_leaked, left.jobs_leaked), (0, 0));
}

pub(crate) fn is_proactor<R: Runtime>() -> bool {
    R::NAME == "proactor"
}

/// Whether the runtime uses this feature of the kernel: it may be masked by whoever runs the tests.
pub(crate) fn uses<R: Runtime>(runtime: &R, feature: Feature) -> bool {
    let features = runtime.report().features;
    features.iter().any(|report| report.feature == feature && report.state == FeatureState::On)
}

/// The message with which `f` panics.
#[track_caller]
pub(crate) fn panic_of<T>(f: impl FnOnce() -> T) -> String {
    panic_catching(|| drop(f())).unwrap_or_else(|| panic!("it did not panic"))
}

/// The message with which `f` panics, if it does.
pub(crate) fn panic_catching(f: impl FnOnce()) -> Option<String> {
    let before = QUIET.replace(true);
    let result = catch_unwind(AssertUnwindSafe(f));
    QUIET.set(before);
    Some(match result.err()?.downcast::<String>() {
        Ok(message) => *message,
        Err(panic) => (*panic.downcast::<&'static str>().unwrap()).to_owned(),
    })
}

/// The file that the panic of `f` names, if it panics.
pub(crate) fn panic_place(f: impl FnOnce()) -> Option<String> {
    panic_catching(f).map(|_| PLACE.take())
}

/// Polls a future once.
pub(crate) async fn poll_once<F: Future + Unpin>(future: &mut F) -> Poll<F::Output> {
    poll_fn(|cx| Poll::Ready(Pin::new(&mut *future).poll(cx))).await
}

/// Some turns of the loop with a round trip to the kernel in each, so that what was queued is with it.
pub(crate) async fn turns(count: usize) {
    for _ in 0..count {
        proactor::io::nop().await.unwrap(); // the selector answers this one without a visit
        proactor::time::sleep(Duration::from_nanos(1)).await;
    }
}

/// Turns until something holds; the watchdog ends a wait for what never comes.
pub(crate) async fn until(mut holds: impl FnMut() -> bool) {
    while !holds() {
        proactor::time::sleep(Duration::from_micros(200)).await;
    }
}

/// All results, in the order of the futures.
pub(crate) async fn join_all<F: Future>(futures: impl IntoIterator<Item = F>) -> Vec<F::Output> {
    let mut futures: Vec<_> = futures.into_iter().map(|future| (Box::pin(future), None)).collect();
    poll_fn(|cx| {
        let mut pending = false;
        for (future, output) in futures.iter_mut().filter(|(_, output)| output.is_none()) {
            match future.as_mut().poll(cx) {
                Poll::Ready(value) => *output = Some(value),
                Poll::Pending => pending = true,
            }
        }
        if pending { Poll::Pending } else { Poll::Ready(()) }
    })
    .await;
    futures.into_iter().filter_map(|(_, output)| output).collect()
}

/// Both results.
pub(crate) async fn join<A: Future, B: Future>(a: A, b: B) -> (A::Output, B::Output) {
    let (mut a, mut b) = (pin!(a), pin!(b));
    let (mut first, mut second) = (None, None);
    poll_fn(|cx| {
        if first.is_none()
            && let Poll::Ready(output) = a.as_mut().poll(cx)
        {
            first = Some(output);
        }
        if second.is_none()
            && let Poll::Ready(output) = b.as_mut().poll(cx)
        {
            second = Some(output);
        }
        if first.is_some() && second.is_some() { Poll::Ready(()) } else { Poll::Pending }
    })
    .await;
    (first.unwrap(), second.unwrap())
}

/// The first result of two; the other future is dropped.
pub(crate) async fn race<A: Future, B: Future>(a: A, b: B) -> Result<A::Output, B::Output> {
    let (mut a, mut b) = (pin!(a), pin!(b));
    poll_fn(|cx| {
        if let Poll::Ready(output) = a.as_mut().poll(cx) {
            return Poll::Ready(Ok(output));
        }
        b.as_mut().poll(cx).map(Err)
    })
    .await
}

/// The waker of the task that asks.
pub(crate) async fn my_waker() -> Waker {
    poll_fn(|cx| Poll::Ready(cx.waker().clone())).await
}

/// A waker's work: notes that it was woken.
#[derive(Debug, Default)]
pub(crate) struct Noted(AtomicBool);

impl Noted {
    pub(crate) fn is_woken(&self) -> bool {
        self.0.load(Ordering::SeqCst)
    }
}

impl Wake for Noted {
    fn wake(self: Arc<Self>) {
        self.0.store(true, Ordering::SeqCst);
    }
}

/// Something that another thread says once, and a task waits for.
#[derive(Clone, Debug, Default)]
pub(crate) struct Signal(Arc<Mutex<(bool, Option<Waker>)>>);

impl Signal {
    pub(crate) fn set(&self) {
        let mut state = self.0.lock().unwrap();
        state.0 = true;
        let waker = state.1.take();
        drop(state);
        waker.into_iter().for_each(Waker::wake);
    }
}

impl Future for Signal {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let mut state = self.0.lock().unwrap();
        if state.0 {
            return Poll::Ready(());
        }
        let replaced = state.1.replace(cx.waker().clone());
        drop(state);
        drop(replaced);
        Poll::Pending
    }
}

/// What a thread gives, for a task.
pub(crate) struct Thread<T> {
    handle: std::thread::JoinHandle<T>,
    over: Signal,
}

/// Runs something on a thread: mostly a peer that uses blocking sockets of the standard library.
pub(crate) fn thread<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Thread<T> {
    struct Over(Signal);
    impl Drop for Over {
        fn drop(&mut self) {
            self.0.set();
        }
    }
    let over = Signal::default();
    let guard = Over(over.clone());
    let handle = std::thread::spawn(move || {
        let _guard = guard;
        work()
    });
    Thread { handle, over }
}

impl<T> Thread<T> {
    /// Waits for the thread's end while the loop goes on.
    pub(crate) async fn ended(self) -> T {
        self.over.await;
        self.handle.join().unwrap()
    }

    /// Waits for the thread's end with the loop at a standstill.
    pub(crate) fn join(self) -> T {
        self.handle.join().unwrap()
    }
}

/// Counts the drops of what holds it.
#[derive(Debug)]
pub(crate) struct Counted(pub(crate) Rc<Cell<u32>>);

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.set(self.0.get() + 1);
    }
}
