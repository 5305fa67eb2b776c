//! A TCP server that sends back what it receives, on the backend of your choice.
//!
//! ```text
//! cargo run --example echo -- --backend auto --listen 127.0.0.1:7007
//! nc 127.0.0.1 7007          # in another terminal: type a line, see it again
//! ```
//!
//! You see the backend and the address, then a line for each connection that has ended. The server is one
//! function for every backend: only `main` names one.
#![forbid(unsafe_code)]

use std::io;
use std::process::ExitCode;
use std::time::Duration;

use proactor::net::{TcpListener, TcpStream};
use proactor::{Auto, Proactor, Runtime, Selector, spawn, time::sleep};

/// Sends everything back until the peer ends its direction; gives the number of bytes.
async fn echo(stream: TcpStream) -> io::Result<u64> {
    let mut total = 0;
    let mut buffer = Vec::with_capacity(16 * 1024);
    loop {
        // The buffer goes to the kernel and comes back: one allocation serves the whole connection.
        let (count, filled) = stream.read(buffer).await?;
        if count == 0 {
            return Ok(total);
        }
        total += count as u64;
        (_, buffer) = stream.write_all(filled).await?;
    }
}

fn serve<R: Runtime>(address: &str) -> io::Result<()> {
    let runtime = R::new()?;
    runtime.block_on(async {
        let listener = TcpListener::bind(address).await?;
        println!("listening on {} ({})", listener.local_addr()?, runtime.backend());
        loop {
            match listener.accept().await {
                // The handle is dropped: the task goes on by itself.
                Ok((stream, peer)) => drop(spawn(async move {
                    match echo(stream).await {
                        Ok(bytes) => println!("{peer}: {bytes} bytes"),
                        Err(error) => eprintln!("{peer}: {error}"),
                    }
                })),
                // Out of descriptors, or a connection that broke before it was taken: wait, and go on.
                Err(error) => {
                    eprintln!("accept: {error}");
                    sleep(Duration::from_millis(50)).await;
                }
            }
        }
    })
}

#[derive(clap::Parser)]
struct Options {
    /// What drives the I/O
    #[arg(long, default_value = "auto", value_parser = ["proactor", "selector", "auto"])]
    backend: String,
    /// Address and port; port 0 lets the kernel choose
    #[arg(long, default_value = "127.0.0.1:7007")]
    listen: String,
}

fn main() -> ExitCode {
    let Options { backend, listen } = clap::Parser::parse();
    let served = match backend.as_str() {
        "proactor" => serve::<Proactor>(&listen),
        "selector" => serve::<Selector>(&listen),
        _ => serve::<Auto>(&listen),
    };
    if let Err(error) = served {
        eprintln!("error: {error}");
        return ExitCode::FAILURE;
    }
    ExitCode::SUCCESS
}
