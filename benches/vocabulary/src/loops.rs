//! The executors: ours and tokio's, behind what the rows need of one.

use std::future::Future;
use std::pin::Pin;
use std::sync::OnceLock;
use std::task::{Context, Poll};

use futures::executor::{LocalPool, LocalSpawner};
use futures::future::RemoteHandle;
use futures::task::LocalSpawnExt;
use proactor::{Auto, Backend, Proactor, Selector};

/// A loop of one thread, with tasks.
pub trait Loop: 'static {
    type Join<T: 'static>: Future<Output = T>;
    /// Makes a loop, runs the future in a task of it, and takes it down.
    fn block_on<F: Future + 'static>(future: F) -> F::Output;
    fn spawn<F: Future + 'static>(future: F) -> Self::Join<F::Output>;
}

/// Proactor, on the backend that was asked for.
pub struct Ours;

static BACKEND: OnceLock<Backend> = OnceLock::new();

/// For all loops that are made from now on. Without it the one that the kernel lets us have.
pub fn choose(backend: Backend) {
    BACKEND.set(backend).expect("it is chosen once");
}

impl Loop for Ours {
    type Join<T: 'static> = Join<proactor::task::JoinHandle<T>>;

    fn block_on<F: Future + 'static>(future: F) -> F::Output {
        let future = async { Self::spawn(future).await };
        match BACKEND.get() {
            Some(Backend::Proactor) => Proactor::new().expect("a proactor").block_on(future),
            Some(Backend::Selector) => Selector::new().expect("a selector").block_on(future),
            None => Auto::new().expect("a runtime").block_on(future),
        }
    }

    fn spawn<F: Future + 'static>(future: F) -> Self::Join<F::Output> {
        Join(proactor::spawn(future))
    }
}

/// tokio on one thread, as a service has it: with its drivers of timers and I/O.
///
/// Tasks are spawned on the runtime itself, which is faster than by way of a `LocalSet`.
pub struct Tokio;

/// The same without the driver of I/O, so that it sleeps on a condition variable.
pub struct TokioWithoutIo;

/// What a runtime of one thread may have as a task although it is not `Send`.
pub struct HereOnly<F>(pub F);

// SAFETY: `on_tokio` makes, runs and takes down the runtime on one thread, and so its tasks stay there.
unsafe impl<F> Send for HereOnly<F> {}

impl<F: Future> Future for HereOnly<F> {
    type Output = HereOnly<F::Output>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        // SAFETY: the only field is pinned with it.
        unsafe { self.map_unchecked_mut(|this| &mut this.0) }.poll(cx).map(HereOnly)
    }
}

fn on_tokio<F: Future + 'static>(mut builder: tokio::runtime::Builder, future: F) -> F::Output {
    let runtime = builder.build().expect("a runtime");
    runtime.block_on(async { Tokio::spawn(future).await })
}

impl Loop for Tokio {
    type Join<T: 'static> = TokioJoin<T>;

    fn block_on<F: Future + 'static>(future: F) -> F::Output {
        let mut builder = tokio::runtime::Builder::new_current_thread();
        builder.enable_all();
        on_tokio(builder, future)
    }

    fn spawn<F: Future + 'static>(future: F) -> TokioJoin<F::Output> {
        TokioJoin(tokio::spawn(HereOnly(future)))
    }
}

impl Loop for TokioWithoutIo {
    type Join<T: 'static> = TokioJoin<T>;

    fn block_on<F: Future + 'static>(future: F) -> F::Output {
        let mut builder = tokio::runtime::Builder::new_current_thread();
        builder.enable_time();
        on_tokio(builder, future)
    }

    fn spawn<F: Future + 'static>(future: F) -> TokioJoin<F::Output> {
        Tokio::spawn(future)
    }
}

/// tokio with a `LocalSet`, for tasks that are not `Send`.
pub struct TokioLocal;

impl Loop for TokioLocal {
    type Join<T: 'static> = Join<tokio::task::JoinHandle<T>>;

    fn block_on<F: Future + 'static>(future: F) -> F::Output {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        tokio::task::LocalSet::new().block_on(&runtime, async { Self::spawn(future).await })
    }

    fn spawn<F: Future + 'static>(future: F) -> Self::Join<F::Output> {
        Join(tokio::task::spawn_local(future))
    }
}

/// `LocalPool` of the futures crate.
pub struct Pool;

thread_local! {
    static SPAWNER: std::cell::RefCell<Option<LocalSpawner>> = const { std::cell::RefCell::new(None) };
}

impl Loop for Pool {
    type Join<T: 'static> = RemoteHandle<T>;

    fn block_on<F: Future + 'static>(future: F) -> F::Output {
        let mut pool = LocalPool::new();
        SPAWNER.set(Some(pool.spawner()));
        let output = pool.run_until(async { Self::spawn(future).await });
        SPAWNER.set(None);
        output
    }

    fn spawn<F: Future + 'static>(future: F) -> RemoteHandle<F::Output> {
        SPAWNER.with_borrow(|spawner| {
            let spawner = spawner.as_ref().expect("inside the pool");
            spawner.spawn_local_with_handle(future).expect("the pool is there")
        })
    }
}

/// The output of a task that neither panics nor is cancelled.
pub struct Join<H>(H);

impl<H: Future<Output = Result<T, E>> + Unpin, T, E: std::fmt::Debug> Future for Join<H> {
    type Output = T;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<T> {
        Pin::new(&mut self.0).poll(cx).map(|result| result.expect("the task ends well"))
    }
}

pub struct TokioJoin<T>(tokio::task::JoinHandle<HereOnly<T>>);

impl<T> Future for TokioJoin<T> {
    type Output = T;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<T> {
        Pin::new(&mut self.0).poll(cx).map(|result| result.expect("the task ends well").0)
    }
}

/// Lets the others go first: the same on all executors, so that it says nothing about them but what a wake costs.
pub async fn turn() {
    let mut woken = false;
    std::future::poll_fn(|cx| {
        if std::mem::replace(&mut woken, true) {
            return Poll::Ready(());
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
}
