//! Lesson 11: time limits.
//!
//! ```text
//! cargo run --example lesson_11_timeout
//! ```
//!
//! You see three forms. `timeout` drops what is late, and answers at once: the clean-up goes on behind it. `wait_for` does
//! what asyncio's does, and answers when the clean-up is done. `timeout_scope` has a limit that the code inside can move.
//! These two ask the code inside to end, so that it can save what it has; `timeout` drops it unasked.
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
            sleep(seconds(0.5)).await; // awaits are possible for as long as `_cancelled` is kept
            "what was there"
        }
    }
}

fn main() {
    proactor::run(async {
        println!("timeout, around what is quick");
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
            println!("  a greeting, so there is time");
            limit.reset(None);
            sleep(seconds(2.0)).await;
            println!("  a question, and one more second for the answer");
            limit.reset(Instant::now() + seconds(1.0));
            pending::<()>().await;
        });
        println!("  {:?} after {watch}", late.await);

        println!("wait_for, around what saves");
        println!("  {:?}", wait_for(seconds(1.0), saves()).await);

        println!("timeout, around what would save");
        println!("  {:?}", timeout(seconds(1.0), saves()).await);
    });
}

// The twin in Python differs: see the guide, "Time limits".

// Output:
//
// timeout, around what is quick
//   Ok(42)
// timeout
//   Err(the time limit was reached) after 1 s
//   the connection is closed
// wait_for
//   the connection is closed
//   Err(the time limit was reached) after 2 s
// timeout_scope
//   a greeting, so there is time
//   a question, and one more second for the answer
//   Err(the time limit was reached) after 3 s
// wait_for, around what saves
//   Ok("what was there")
// timeout, around what would save
//   Err(the time limit was reached)
