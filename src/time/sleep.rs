//! `sleep` and `sleep_until`.
#![forbid(unsafe_code)]

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use super::{Timer, now};

/// Waits for a time; asyncio's `sleep`.
///
/// The time runs from the first poll. A duration of zero waits one turn of the loop, as [`yield_now`]
/// does; one that is too long for the clock waits for good.
///
/// # Panics
/// When polled outside a runtime.
///
/// # Cancellation
/// Dropping it takes the timer out, at once and in constant time.
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
    Sleep { until: Until::After(duration), state: State::New, timer: Timer::default() }
}

/// Waits until a point in time; one that has passed waits one turn of the loop.
///
/// Panics and cancellation are those of [`sleep`].
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
    Sleep { until: Until::At(deadline), state: State::New, timer: Timer::default() }
}

/// The future of [`sleep`] and [`sleep_until`].
#[derive(Debug)]
#[must_use = "futures do nothing unless awaited"]
pub struct Sleep {
    until: Until,
    state: State,
    timer: Timer,
}

#[derive(Clone, Copy, Debug)]
enum Until {
    After(Duration),
    At(Instant),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    New,
    /// The deadline had passed at the first poll: one turn, then ready.
    Yielded,
    Armed,
    Over,
}

impl Sleep {
    /// Whether the time has come.
    pub fn is_elapsed(&self) -> bool {
        self.state == State::Over
    }
}

impl Future for Sleep {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        match self.state {
            State::New => {
                let deadline = match self.until {
                    Until::After(Duration::ZERO) => Some(None),
                    Until::After(duration) => now().checked_add(duration).map(Some),
                    Until::At(deadline) => Some((deadline > now()).then_some(deadline)),
                };
                if deadline == Some(None) {
                    self.state = State::Yielded;
                    cx.waker().wake_by_ref();
                } else {
                    self.state = State::Armed;
                    self.timer.arm(deadline.flatten(), cx, "sleep");
                }
                Poll::Pending
            }
            // A deadline beyond the clock is armed with no timer, and never reached.
            State::Armed if self.timer.armed.is_none() || self.timer.is_pending(cx) => Poll::Pending,
            State::Armed | State::Yielded | State::Over => {
                self.state = State::Over;
                Poll::Ready(())
            }
        }
    }
}
