//! Lesson 19: the same program on both backends, and its system calls.
//!
//! ```text
//! cargo run --release --example lesson_19_backends
//! ```
//!
//! You see an echo server and its clients in one loop, and the system calls that the loop made for them. The *selector*
//! learns which sockets are ready (one epoll_wait reports many), and then makes a system call for each. The *proactor*
//! submits many operations with one io_uring_enter, and reaps results in the same call; it makes no other calls. The
//! results are the same for the program.
#![forbid(unsafe_code)]

use std::io;

use proactor::net::{TcpListener, TcpStream};
use proactor::{Proactor, Runtime, Selector, gather, spawn};

const CLIENTS: usize = 50;
const MESSAGES: usize = 20;

async fn echo(stream: TcpStream) -> io::Result<()> {
    while let Some(chunk) = stream.recv().await? {
        stream.write_all(chunk).await?;
    }
    Ok(())
}

async fn client(address: std::net::SocketAddr) -> io::Result<usize> {
    let stream = TcpStream::connect(address).await?;
    let mut echoed = 0;
    for _ in 0..MESSAGES {
        stream.write_all("hello").await?;
        let (count, _) = stream.read_exact([0; 5]).await?;
        echoed += count;
    }
    Ok(echoed)
}

async fn program() -> io::Result<usize> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    let _server = spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            spawn(echo(stream));
        }
    })
    .cancel_on_drop();
    let echoed = gather((0..CLIENTS).map(|_| client(address))).await;
    echoed.into_iter().sum()
}

/// Counts system calls of the loop: those that wait, others, all; and submitted operations.
fn run_on<R: Runtime>() -> io::Result<[u64; 4]> {
    let runtime = R::new()?;
    let echoed = runtime.block_on(program())?;
    assert_eq!(echoed, CLIENTS * MESSAGES * 5);
    let stats = runtime.report().stats;
    Ok([stats.kernel_visits, stats.calls, stats.system_calls(), stats.submissions])
}

fn main() -> io::Result<()> {
    let [selector, proactor] = [run_on::<Selector>()?, run_on::<Proactor>()?];
    println!("{CLIENTS} clients, {MESSAGES} messages each, there and back");
    println!("{:<30} {:>10} {:>10}", "", Selector::NAME, Proactor::NAME);
    let rows =
        ["epoll_wait, io_uring_enter", "other system calls", "system calls in all", "operations submitted"];
    for (place, row) in rows.into_iter().enumerate() {
        println!("{row:<30} {:>10} {:>10}", selector[place], proactor[place]);
    }
    Ok(())
}

// The twin in Python differs: see the guide, "Two loops".

// Output, but for the figures:
//
// 50 clients, 20 messages each, there and back
//                                  selector   proactor
// epoll_wait, io_uring_enter             41         53
// other system calls                   5302          0
// system calls in all                  5343         53
// operations submitted                    0       3102
