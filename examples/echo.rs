//! A TCP server that sends back what it receives, on the backend of your choice.
//!
//! ```text
//! cargo run --example echo                            # on the proactor, where the kernel allows it
//! cargo run --example echo -- selector 127.0.0.1:7007 # or proactor, or auto; and the address
//! nc 127.0.0.1 7007                                   # in another terminal: type a line, see it again
//! ```
//!
//! You see the backend and the address, then a line for each connection that has ended. The server is one function for
//! every backend: only `main` names a backend.
#![forbid(unsafe_code)]

use std::io;
use std::process::ExitCode;

use proactor::net::{TcpListener, TcpStream};
use proactor::{Auto, Proactor, Runtime, Selector, spawn};

/// Sends everything back until the peer shuts down its direction. Returns the number of bytes.
async fn echo(stream: TcpStream) -> io::Result<u64> {
    let mut total = 0;
    // The runtime provides a buffer when bytes arrive: an idle connection keeps none.
    while let Some(chunk) = stream.recv().await? {
        total += chunk.len() as u64;
        stream.write_all(chunk).await?;
    }
    Ok(total)
}

fn serve<R: Runtime>(address: &str) -> io::Result<()> {
    let runtime = R::new()?;
    runtime.block_on(async {
        let listener = TcpListener::bind(address).await?;
        println!("listening on {} ({})", listener.local_addr()?, runtime.backend());
        loop {
            let (stream, peer) = match listener.accept().await {
                Ok(accepted) => accepted,
                Err(error) => {
                    // A connection was aborted, or no descriptor is free. The next accept then pauses by itself.
                    eprintln!("accept: {error}");
                    continue;
                }
            };
            // The task keeps running without its handle.
            spawn(async move {
                match echo(stream).await {
                    Ok(bytes) => println!("{peer}: {bytes} bytes"),
                    Err(error) => eprintln!("{peer}: {error}"),
                }
            });
        }
    })
}

fn main() -> ExitCode {
    let mut arguments = std::env::args().skip(1);
    let backend = arguments.next().unwrap_or_else(|| "auto".to_owned());
    let address = arguments.next().unwrap_or_else(|| "127.0.0.1:7007".to_owned());
    let served = match backend.as_str() {
        "proactor" => serve::<Proactor>(&address),
        "selector" => serve::<Selector>(&address),
        "auto" => serve::<Auto>(&address),
        _ => {
            eprintln!("usage: echo [proactor|selector|auto] [ADDRESS:PORT]");
            return ExitCode::FAILURE;
        }
    };
    if let Err(error) = served {
        eprintln!("error: {error}");
        return ExitCode::FAILURE;
    }
    ExitCode::SUCCESS
}
