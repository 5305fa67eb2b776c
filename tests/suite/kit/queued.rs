//! Those who wait: polled by hand, with wakers that note or act; and each flavour of what they wait for in turn.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};

use super::running::Noted;

/// Each runs on each backend, with each flavour.
macro_rules! on_both_flavors {
    ($($name:ident),* $(,)? ; $($as_is:ident),* $(,)?) => {
        tests! { $($name,)* $($as_is,)* }

        $(fn $name<R: proactor::Runtime>() {
            $crate::kit::run::<R>(async {
                bodies::$name::<proactor::sync::Local>().await;
                bodies::$name::<proactor::sync::Threaded>().await;
            });
        })*
    };
}

/// The same for both flavours of a module of `sync`.
macro_rules! each {
    ($module:ident, $body:block) => {{
        {
            use proactor::sync::$module;
            $body
        }
        {
            use proactor::sync::shared::$module;
            $body
        }
    }};
}

/// Polls with a waker that notes whether it was woken.
pub(crate) fn poll_noted<F: Future + Unpin>(future: &mut F) -> (Poll<F::Output>, Arc<Noted>) {
    let noted = Arc::new(Noted::default());
    let result = Pin::new(future).poll(&mut Context::from_waker(&noted.clone().into()));
    (result, noted)
}

/// Polls with a waker that nobody hears.
pub(crate) fn poll_unheard<F: Future + Unpin>(future: &mut F) -> Poll<F::Output> {
    Pin::new(future).poll(&mut Context::from_waker(Waker::noop()))
}

/// A future that has been polled and waits, and whether its waker has been called.
pub(crate) struct Queued<F> {
    pub(crate) future: Pin<Box<F>>,
    noted: Arc<Noted>,
}

impl<F: Future<Output: fmt::Debug>> Queued<F> {
    #[track_caller]
    pub(crate) fn new(future: F) -> Self {
        let mut future = Box::pin(future);
        let (result, noted) = poll_noted(&mut future);
        assert!(result.is_pending(), "{result:?}");
        Queued { future, noted }
    }

    pub(crate) fn is_woken(&self) -> bool {
        self.noted.is_woken()
    }

    /// It goes on waiting.
    #[track_caller]
    pub(crate) fn waits(&mut self) {
        assert!(!self.is_woken());
        let (result, noted) = poll_noted(&mut self.future);
        assert!(result.is_pending(), "{result:?}");
        self.noted = noted;
    }

    /// It was woken, and has what it waited for.
    #[track_caller]
    pub(crate) fn served(mut self) -> F::Output {
        assert!(self.is_woken());
        match poll_noted(&mut self.future).0 {
            Poll::Ready(output) => output,
            Poll::Pending => panic!("it was woken for nothing"),
        }
    }
}

/// Does something when it is woken.
struct Acting(Box<dyn Fn() + Send + Sync>);

impl Wake for Acting {
    fn wake(self: Arc<Self>) {
        (self.0)();
    }
}

/// For what is used on one thread only, though its type doesn't say so.
struct Here<T>(T);
// SAFETY: the tests wake on the thread of the test.
unsafe impl<T> Send for Here<T> {}
// SAFETY: as above.
unsafe impl<T> Sync for Here<T> {}

impl<T> Here<T> {
    fn get(&self) -> &T {
        &self.0
    }
}

/// A waker that does something.
pub(crate) fn acting(act: impl Fn() + 'static) -> Waker {
    let act = Here(act);
    Arc::new(Acting(Box::new(move || act.get()()))).into()
}
