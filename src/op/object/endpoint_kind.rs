//! Kinds of descriptors for which entries and calls differ: sockets, pipes, terminals, files.
//!
//! O_NONBLOCK belongs to the open file description, which other processes may share: a terminal, a pipe of a shell. It is
//! not set on these, and may be cleared elsewhere. So each call here never waits by itself: on sockets by MSG_DONTWAIT,
//! elsewhere by RWF_NOWAIT, and where the kernel lacks that for a file (pipes before Linux 6.4, terminals), by asking
//! poll(2) first. Then another reader may take what was there, and the call waits for more; a write to a pipe is of
//! PIPE_BUF bytes at most, for which there is room. A write to a terminal may wait for a key press, whatever poll(2) has
//! said, and is made on the blocking pool. Files never wait, and their calls neither.

use std::cell::Cell;
use std::fs::File;
use std::io::{self, IsTerminal};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::FileTypeExt;

use crate::op::abi::empty_header;

/// The kind of an endpoint's descriptor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum EndpointKind {
    Socket,
    /// A pipe, a FIFO or a device with readiness, used by read(2) and write(2).
    Pipe,
    /// A terminal: like a pipe, but a write may wait although there is room.
    Terminal,
    /// A file without readiness: a regular file, `/dev/null`.
    File,
}

/// The flags of calls that send: no signal, and no wait although another process may have made the socket blocking.
pub(in crate::op) const SEND_FLAGS: usize = (libc::MSG_NOSIGNAL | libc::MSG_DONTWAIT) as usize;

impl EndpointKind {
    /// Finds the kind of a descriptor with fstat(2). Returns the descriptor and its kind.
    pub(crate) fn of(fd: OwnedFd) -> io::Result<(OwnedFd, EndpointKind)> {
        let file = File::from(fd);
        let kind = file.metadata()?.file_type();
        let kind = if kind.is_socket() {
            EndpointKind::Socket
        } else if kind.is_file() || kind.is_dir() || kind.is_block_device() {
            EndpointKind::File
        } else if kind.is_char_device() && file.as_fd().is_terminal() {
            EndpointKind::Terminal
        } else {
            EndpointKind::Pipe // whatever else it is: the kernel tells when it has no readiness
        };
        Ok((file.into(), kind))
    }
}

/// A message header that an endpoint keeps for its sends, of which one is in flight at a time.
pub(in crate::op) struct SendHeader {
    header: Cell<libc::msghdr>,
    iovec: Cell<libc::iovec>,
}

impl SendHeader {
    /// Describes the memory of a send. The returned pointer is valid as long as the endpoint exists.
    pub(in crate::op) fn describe(&self, pointer: *const u8, len: usize) -> *const libc::msghdr {
        self.iovec.set(libc::iovec { iov_base: pointer.cast_mut().cast(), iov_len: len });
        let mut header = empty_header();
        header.msg_iov = self.iovec.as_ptr();
        header.msg_iovlen = 1;
        self.header.set(header);
        self.header.as_ptr()
    }
}

impl Default for SendHeader {
    fn default() -> Self {
        let iovec = libc::iovec { iov_base: std::ptr::null_mut(), iov_len: 0 };
        SendHeader { header: Cell::new(empty_header()), iovec: Cell::new(iovec) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kind(fd: impl Into<OwnedFd>) -> EndpointKind {
        EndpointKind::of(fd.into()).unwrap().1
    }

    #[test]
    fn descriptors_are_told_apart() {
        let (reader, writer) = std::io::pipe().unwrap();
        assert_eq!((kind(reader), kind(writer)), (EndpointKind::Pipe, EndpointKind::Pipe));
        let (one, _other) = std::os::unix::net::UnixStream::pair().unwrap();
        assert_eq!(kind(one), EndpointKind::Socket);
        assert_eq!(kind(File::open("/proc/self/exe").unwrap()), EndpointKind::File);
        assert_eq!(kind(File::open("/").unwrap()), EndpointKind::File);
        assert_eq!(kind(File::open("/dev/null").unwrap()), EndpointKind::Pipe, "told by the kernel's answer");
    }
}
