//! `copy`: everything from one object to another.
#![forbid(unsafe_code)]

use std::io;

use super::{ReadOwned, WriteOwned};

/// Bytes of the one buffer that a copy uses.
const BUFFER: usize = 64 * 1024;

/// Copies from `reader` to `writer` until the end, and gives the number of bytes; uses one buffer of 64 KiB.
///
/// # Errors
/// The first of either side. What was read and could not be written is lost.
///
/// # Cancellation
/// Dropped between a read and the end of its write, it loses what it had read: share the ends with an
/// orderly shutdown where that matters.
///
/// # Examples
/// ```
/// use proactor::net::{TcpListener, TcpStream};
/// proactor::run(async {
///     let listener = TcpListener::bind("127.0.0.1:0").await?;
///     let client = TcpStream::connect(listener.local_addr()?).await?;
///     let (server, _) = listener.accept().await?;
///     client.write_all("ping").await?;
///     client.shutdown(std::net::Shutdown::Write).await?;
///     assert_eq!(proactor::io::copy(&server, &server).await?, 4);
///     std::io::Result::Ok(())
/// }).unwrap();
/// ```
pub async fn copy(reader: &impl ReadOwned, writer: &impl WriteOwned) -> io::Result<u64> {
    let mut buffer = Vec::with_capacity(BUFFER);
    let mut copied = 0;
    loop {
        let (count, filled) = reader.read(buffer).await?;
        if count == 0 {
            return Ok(copied);
        }
        let (_, back) = writer.write_all(filled).await?;
        buffer = back;
        copied += count as u64;
    }
}
