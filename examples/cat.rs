//! Writes files to standard output, one after the other.
//!
//! ```text
//! cargo run --example cat -- Cargo.toml LICENSE
//! cargo run --example cat -- no-such-file; echo $?
//! ```
//!
//! You see the files. A file that cannot be read is named on standard error, the others are still written, and the exit
//! code is 1. On the proactor the reads go to the ring. On the selector they go to a pool of threads, because epoll
//! does not support regular files. The program is the same.
#![forbid(unsafe_code)]

use std::io::{self, Write};
use std::process::ExitCode;

use proactor::fs::File;

/// Size of the buffer in bytes.
const CHUNK: usize = 256 * 1024;

async fn cat(path: &str) -> io::Result<()> {
    let file = File::open(path).await?;
    let mut buffer = Vec::with_capacity(CHUNK);
    let mut offset = 0;
    loop {
        // The read owns the buffer until it completes, and sets its length to the number of bytes read.
        let (count, filled) = file.read_at(buffer, offset).await?;
        if count == 0 {
            return file.close().await;
        }
        // An ordinary call, which may block: there is no other task that it could hold up.
        io::stdout().write_all(&filled)?;
        offset += count as u64;
        buffer = filled;
    }
}

fn main() -> ExitCode {
    let paths: Vec<String> = std::env::args().skip(1).collect();
    if paths.is_empty() {
        eprintln!("usage: cat FILE...");
        return ExitCode::FAILURE;
    }
    proactor::run(async {
        let mut code = ExitCode::SUCCESS;
        for path in &paths {
            match cat(path).await {
                Ok(()) => {}
                // The reader of our output has closed the pipe, as in `cat file | head`.
                Err(error) if error.kind() == io::ErrorKind::BrokenPipe => break,
                Err(error) => {
                    eprintln!("cat: {path}: {error}");
                    code = ExitCode::FAILURE;
                }
            }
        }
        code
    })
}
