//! Lesson 14: your own awaitable types.
//!
//! ```text
//! cargo run --example lesson_14_awaitable
//! ```
//!
//! You see four ways: a struct with its own `poll`, on which all the others are based; a method; a helper that makes a
//! future from a closure; and a struct that *converts into* a future when it is awaited, asyncio's `__await__`. The
//! first one is polled by hand, too, as a loop would do it.
#![forbid(unsafe_code)]

use std::future::{Future, IntoFuture, poll_fn};
use std::pin::Pin;
use std::task::{Context, Poll, Waker};

use proactor::gather;
use proactor::time::{Sleep, sleep};

/// Counts down by one each time it is polled.
struct Countdown {
    name: char,
    left: u32,
}

impl Future for Countdown {
    type Output = char;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<char> {
        if self.left == 0 {
            return Poll::Ready(self.name);
        }
        println!("  {}: {}", self.name, self.left);
        self.left -= 1;
        // A future that returns `Pending` must have its waker called when polling it again makes sense. Here that is at
        // once; a timer calls the waker at its deadline, a socket when bytes arrive. Without this line the future would
        // never be polled again.
        cx.waker().wake_by_ref();
        Poll::Pending
    }
}

struct Rocket {
    stages: u32,
}

impl Rocket {
    /// A method: the compiler writes the struct and its `poll`, with one state for each await.
    async fn launch(&self) -> String {
        Countdown { name: 'R', left: self.stages }.await;
        format!("{} stages are off", self.stages)
    }
}

/// A helper: a future from a closure that is called at each poll.
fn count_up(to: u32) -> impl Future<Output = u32> {
    let mut count = 0;
    poll_fn(move |cx| {
        if count == to {
            return Poll::Ready(count);
        }
        count += 1;
        cx.waker().wake_by_ref();
        Poll::Pending
    })
}

struct Pause;

/// asyncio's `__await__`: `.await` calls `into_future` first.
impl IntoFuture for Pause {
    type Output = ();
    type IntoFuture = Sleep;

    fn into_future(self) -> Sleep {
        sleep(std::time::Duration::from_millis(1))
    }
}

fn main() {
    println!("polled by hand");
    let mut countdown = Countdown { name: 'H', left: 2 };
    let mut cx = Context::from_waker(Waker::noop()); // a waker that does nothing
    while Pin::new(&mut countdown).poll(&mut cx).is_pending() {}

    proactor::run(async {
        println!("two of them, by the loop");
        let names = gather([('A', 3), ('B', 2)].map(|(name, left)| Countdown { name, left })).await;
        println!("  {names:?}");

        println!("a method");
        println!("  {}", Rocket { stages: 2 }.launch().await);

        println!("a helper");
        println!("  {}", count_up(3).await);

        println!("a value that converts into a future");
        Pause.await;
        println!("  awaited");
    });
}

// Output:
//
// polled by hand
//   H: 2
//   H: 1
// two of them, by the loop
//   A: 3
//   B: 2
//   A: 2
//   B: 1
//   A: 1
//   ['A', 'B']
// a method
//   R: 2
//   R: 1
//   2 stages are off
// a helper
//   3
// a value that converts into a future
//   awaited
