//! Lesson 16: `async with`: closes a resource when its block ends, in any way.
//!
//! ```text
//! cargo run --example lesson_16_using
//! ```
//!
//! You see a connection closed, by an operation that awaits, when its block ends, fails or is cancelled; and several
//! connections closed in reverse order.
#![forbid(unsafe_code)]

#[path = "lesson.rs"]
mod lesson;

use std::future::pending;
use std::io;

use lesson::seconds;
use proactor::scope::{AsyncClose, exit_stack, using};
use proactor::time::sleep;
use proactor::{spawn, yield_now};

struct Connection(&'static str);

impl Connection {
    /// asyncio: `__aenter__`.
    async fn open(host: &'static str) -> io::Result<Self> {
        println!("  {host} is open");
        Ok(Connection(host))
    }

    async fn send(&mut self, text: &str) -> io::Result<()> {
        println!("  to {}: {text}", self.0);
        if text.is_empty() { Err(io::Error::other("nothing to send")) } else { Ok(()) }
    }
}

/// asyncio: `__aexit__`.
impl AsyncClose for Connection {
    async fn close(self) -> io::Result<()> {
        sleep(seconds(0.5)).await;
        println!("  {} is closed", self.0);
        Ok(())
    }
}

fn main() -> io::Result<()> {
    proactor::run(async {
        println!("to its end");
        using(Connection::open("ada").await?, async |ada| ada.send("hello").await).await?;

        println!("with an error");
        let sent = using(Connection::open("ada").await?, async |ada| ada.send("").await).await;
        println!("  {}", sent.unwrap_err());

        println!("cancelled");
        let task = spawn(async {
            using(Connection::open("ada").await?, async |_| pending::<io::Result<()>>().await).await
        });
        yield_now().await; // it starts
        println!("  {:?}", task.cancel().await.map_err(|cancelled| cancelled.to_string()));

        println!("several");
        exit_stack(async |stack| {
            for host in ["ada", "bob", "eve"] {
                stack.enter(Connection::open(host).await?);
            }
            println!("  {} of them", stack.len());
            Ok(())
        })
        .await
    })
}

// Output:
//
// to its end
//   ada is open
//   to ada: hello
//   ada is closed
// with an error
//   ada is open
//   to ada:
//   ada is closed
//   nothing to send
// cancelled
//   ada is open
//   ada is closed
//   Err("the task was cancelled")
// several
//   ada is open
//   bob is open
//   eve is open
//   3 of them
//   eve is closed
//   bob is closed
//   ada is closed
