//! Lesson 14: something of one's own that can be awaited.
//!
//! ```text
//! cargo run --example lesson_14_awaitable
//! ```
//!
//! You see four ways: a struct with its own `poll`, which is what all the others come down to; a method; a helper that makes
//! a future of a closure; and a struct that *becomes* a future when it is awaited, asyncio's `__await__`. The first one is
//! polled by hand, too, as a loop would do it.
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
        // Pending is a promise that somebody will call this waker when it is worth polling again. Here that is at once; a
        // timer keeps the waker until its time, a socket until there are bytes. Without this line nothing happens ever again.
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

/// A helper: a future made of a function that is called at each poll.
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

/// asyncio's `__await__`: what `.await` calls first.
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
    let mut cx = Context::from_waker(Waker::noop()); // a waker that wakes nobody
    while Pin::new(&mut countdown).poll(&mut cx).is_pending() {}

    proactor::run(async {
        println!("two of them, by the loop");
        let names = gather([('A', 3), ('B', 2)].map(|(name, left)| Countdown { name, left })).await;
        println!("  {names:?}");

        println!("a method");
        println!("  {}", Rocket { stages: 2 }.launch().await);

        println!("a helper");
        println!("  {}", count_up(3).await);

        println!("what becomes a future");
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
// what becomes a future
//   awaited
