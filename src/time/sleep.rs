//! `sleep` and `sleep_until`.
#![forbid(unsafe_code)]

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use super::{Due, Timer};

/// Waits for a duration; asyncio's `sleep`.
///
/// The duration counts from the first poll. A duration of zero waits one turn of the loop, like [`yield_now`]. A
/// duration that exceeds the range of the clock never ends.
///
/// # Panics
/// When polled outside a runtime.
///
/// # Cancellation
/// Dropping the future removes its timer, at once and in constant time.
///
/// # Examples
/// ```
/// use std::time::{Duration, Instant};
/// proactor::run(async {
///     let start = Instant::now();
///     proactor::time::sleep(Duration::from_millis(5)).await;
///     assert!(start.elapsed() >= Duration::from_millis(5));
/// });
/// ```
///
/// [`yield_now`]: crate::yield_now
pub fn sleep(duration: Duration) -> Sleep {
    Sleep { state: State::New(Due::after(duration)) }
}

/// Waits until a deadline.
///
/// A deadline that has passed waits one turn of the loop. Sleeps that are due in one turn end in the order of their
/// deadlines; sleeps with equal deadlines end in the order in which they were first polled.
///
/// Panics and cancellation are as for [`sleep`].
///
/// # Examples
/// ```
/// use std::time::{Duration, Instant};
/// proactor::run(async {
///     let deadline = Instant::now() + Duration::from_millis(5);
///     proactor::time::sleep_until(deadline).await;
///     assert!(Instant::now() >= deadline);
/// });
/// ```
pub fn sleep_until(deadline: Instant) -> Sleep {
    Sleep { state: State::New(Due::At(deadline)) }
}

/// The future of [`sleep`] and [`sleep_until`].
#[derive(Debug)]
#[must_use = "futures do nothing unless awaited"]
pub struct Sleep {
    state: State,
}

#[derive(Debug)]
enum State {
    New(Due),
    /// A duration of zero: one turn, then ready.
    Yielded,
    /// The timer is set, or has fired.
    Armed(Timer),
    Done,
}

impl Sleep {
    /// Whether the deadline has passed.
    pub fn is_elapsed(&self) -> bool {
        matches!(self.state, State::Done)
    }
}

impl Future for Sleep {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        self.state = match &self.state {
            State::New(Due::After(0)) => {
                cx.waker().wake_by_ref();
                State::Yielded
            }
            // A deadline that has passed goes to the wheel as well: timers that are due fire in the order of their deadlines.
            State::New(due) => State::Armed(Timer::new(due.starting_now(), cx, "sleep")),
            State::Armed(timer) if timer.is_pending(cx) => return Poll::Pending,
            State::Armed(_) | State::Yielded | State::Done => State::Done,
        };
        if self.is_elapsed() { Poll::Ready(()) } else { Poll::Pending }
    }
}
