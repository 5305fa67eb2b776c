//! `yield_now`: lets other tasks run.
#![forbid(unsafe_code)]

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

/// Lets every other ready task run once; asyncio's `sleep(0)`.
///
/// # Examples
/// ```
/// use std::{cell::Cell, rc::Rc};
/// proactor::run(async {
///     let ran = Rc::new(Cell::new(false));
///     let other = ran.clone();
///     proactor::spawn(async move { other.set(true) });
///     assert!(!ran.get());
///     proactor::yield_now().await;
///     assert!(ran.get());
/// });
/// ```
pub fn yield_now() -> YieldNow {
    YieldNow { yielded: false }
}

/// The future of [`yield_now`].
#[derive(Debug)]
#[must_use = "futures do nothing unless awaited"]
pub struct YieldNow {
    yielded: bool,
}

impl Future for YieldNow {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        if self.yielded {
            return Poll::Ready(());
        }
        self.yielded = true;
        cx.waker().wake_by_ref();
        Poll::Pending
    }
}
