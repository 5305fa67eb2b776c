//! `copy`: copies all bytes of one object to another.
#![forbid(unsafe_code)]

use std::io;

use super::{ReadOwned, WriteOwned};

/// The size of the buffer of a copy, in bytes.
const BUFFER: usize = 64 * 1024;

/// Copies from `reader` to `writer` until the end, and returns the number of bytes. It uses one buffer of 64 KiB.
///
/// # Errors
/// The first error of either side. Bytes that were read and could not be written are lost.
///
/// # Cancellation
/// If the future is dropped between a read and the end of its write, the bytes of that read are lost. Where that
/// matters, end the copy by shutting the reader down: both objects are only borrowed.
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
