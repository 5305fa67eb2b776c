//! Lesson 11: time limits.
//!
//! ```text
//! cargo run --example lesson_11_timeout
//! ```
//!
//! You see three forms. `timeout` drops a future that is late and returns at once; its cleanup runs in the background.
//! `wait_for` does what asyncio's does, and returns when the cleanup has completed. `timeout_scope` has a limit that
//! the code inside can move. The last two send the code inside a cancellation request, so that it can save its work;
//! `timeout` just drops it.
#![forbid(unsafe_code)]

#[path = "lesson.rs"]
mod lesson;

use std::future::pending;
use std::io;
use std::rc::Rc;
use std::time::Instant;

use lesson::{Watch, seconds};
use proactor::scope::{AsyncClose, using};
use proactor::sync::Event;
use proactor::task::catch_cancel;
use proactor::time::{sleep, timeout, timeout_scope, wait_for};

/// Something that takes a second to close.
struct Connection(Rc<Event>);

impl AsyncClose for Connection {
    async fn close(self) -> io::Result<()> {
        sleep(seconds(1.0)).await;
        println!("  the connection is closed");
        self.0.set();
        Ok(())
    }
}

async fn answer_never_comes(closed: Rc<Event>) -> io::Result<()> {
    using(Connection(closed), async |_connection| pending().await).await
}

async fn saves() -> &'static str {
    match catch_cancel(pending::<()>()).await {
        Ok(()) => "everything",
        Err(_cancelled) => {
            sleep(seconds(0.5)).await; // it can await as long as it keeps `_cancelled`
            "the part that existed"
        }
    }
}

fn main() {
    proactor::run(async {
        println!("timeout, around a quick future");
        println!("  {:?}", timeout(seconds(2.0), async { 42 }).await);

        println!("timeout");
        let closed = Rc::new(Event::new());
        let watch = Watch::start();
        let late = timeout(seconds(1.0), answer_never_comes(closed.clone())).await;
        println!("  {late:?} after {watch}");
        closed.wait().await;

        println!("wait_for");
        let watch = Watch::start();
        let late = wait_for(seconds(1.0), answer_never_comes(closed)).await;
        println!("  {late:?} after {watch}");

        println!("timeout_scope");
        let watch = Watch::start();
        let late = timeout_scope(seconds(1.0), async |limit| {
            println!("  a greeting, so the limit is removed");
            limit.reset(None);
            sleep(seconds(2.0)).await;
            println!("  a question, and one more second for the answer");
            limit.reset(Instant::now() + seconds(1.0));
            pending::<()>().await;
        });
        println!("  {:?} after {watch}", late.await);

        println!("wait_for, around a future that saves");
        println!("  {:?}", wait_for(seconds(1.0), saves()).await);

        println!("timeout, around a future that would save");
        println!("  {:?}", timeout(seconds(1.0), saves()).await);
    });
}

// The twin in Python differs: see the guide, "Time limits".

// Output:
//
// timeout, around a quick future
//   Ok(42)
// timeout
//   Err(the time limit was reached) after 1 s
//   the connection is closed
// wait_for
//   the connection is closed
//   Err(the time limit was reached) after 2 s
// timeout_scope
//   a greeting, so the limit is removed
//   a question, and one more second for the answer
//   Err(the time limit was reached) after 3 s
// wait_for, around a future that saves
//   Ok("the part that existed")
// timeout, around a future that would save
//   Err(the time limit was reached)
