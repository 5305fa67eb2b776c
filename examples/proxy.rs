//! A TCP proxy: relays every connection to LISTEN to TARGET, in both directions.
//!
//! ```text
//! cargo run --example echo                                       # a server, on port 7007
//! cargo run --example proxy -- 127.0.0.1:7008 127.0.0.1:7007     # in a second terminal
//! printf 'hello\n' | nc -N 127.0.0.1 7008                        # in a third
//! ```
//!
//! You see `hello` in the third terminal, and in the second the number of bytes in each direction. `nc -N` shuts down
//! its direction after the input; the proxy passes that on and still returns the answer.
#![forbid(unsafe_code)]

use std::io;
use std::process::ExitCode;

use proactor::io::copy;
use proactor::net::{OwnedReadHalf, OwnedWriteHalf, TcpListener, TcpStream};
use proactor::spawn;

/// Copies one direction. At its end the write half is dropped, so that the peer of that half reads the end, too.
async fn pump(from: OwnedReadHalf, to: OwnedWriteHalf) -> io::Result<u64> {
    copy(&from, &to).await
}

/// Connects to the target and copies until both directions have ended. Returns the number of bytes of each.
async fn relay(client: TcpStream, target: &str) -> io::Result<(u64, u64)> {
    let server = TcpStream::connect(target).await?;
    let (from_client, to_client) = client.into_split();
    let (from_server, to_server) = server.into_split();

    // If the way back fails, this function returns early and drops the handle, which cancels the way there.
    let there = spawn(pump(from_client, to_server)).cancel_on_drop();
    let back = pump(from_server, to_client).await?;
    let there = there.await.unwrap_or_else(|failed| Err(io::Error::other(failed)))?;
    Ok((there, back))
}

async fn serve(listen: &str, target: &str) -> io::Result<()> {
    let listener = TcpListener::bind(listen).await?;
    eprintln!("{} -> {target}", listener.local_addr()?);
    loop {
        let (client, peer) = match listener.accept().await {
            Ok(accepted) => accepted,
            Err(error) => {
                // A connection was aborted, or no descriptor is free. The next accept then pauses by itself.
                eprintln!("accept: {error}");
                continue;
            }
        };
        let target = target.to_owned(); // a task outlives this function, so it owns what it uses
        spawn(async move {
            match relay(client, &target).await {
                Ok((there, back)) => eprintln!("{peer}: {there} bytes there, {back} back"),
                Err(error) => eprintln!("{peer}: {error}"),
            }
        });
    }
}

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [listen, target] = arguments.as_slice() else {
        eprintln!("usage: proxy LISTEN TARGET, for example: proxy 127.0.0.1:7008 127.0.0.1:7007");
        return ExitCode::FAILURE;
    };
    match proactor::run(serve(listen, target)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}
