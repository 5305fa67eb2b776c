//! The system calls by which an endpoint receives and sends without waiting.

use std::io;

use super::endpoint::Endpoint;
use super::endpoint_kind::{EndpointKind, SEND_FLAGS};
use crate::op::completion::Completion;
use crate::op::window::Window;
use crate::sys::call::Call;

impl Endpoint {
    /// Builds a call that receives into memory and does not wait.
    ///
    /// # Safety
    /// As for [`Call::new`]: the memory has `len` bytes.
    pub(in crate::op) unsafe fn receive_call(&self, pointer: *mut u8, len: usize) -> Call {
        let fd = self.descriptor.raw() as usize;
        // SAFETY: by the caller's word.
        let read = || unsafe { Call::new(libc::SYS_read, [fd, pointer as usize, len]) };
        match self.kind() {
            // SAFETY: by the caller's word.
            EndpointKind::Socket => unsafe {
                let flags = libc::MSG_DONTWAIT as usize;
                Call::new(libc::SYS_recvfrom, [fd, pointer as usize, len, flags, 0, 0])
            },
            EndpointKind::File => read(),
            EndpointKind::Pipe | EndpointKind::Terminal if self.lacks_nowait() => {
                read().if_ready(libc::POLLIN)
            }
            EndpointKind::Pipe | EndpointKind::Terminal => read().without_waiting(),
        }
    }

    /// Builds a call that sends from memory and does not wait. A call to a terminal may wait, and is made on the blocking pool.
    ///
    /// # Safety
    /// As for [`Call::new`]: the memory has `len` initialised bytes.
    pub(in crate::op) unsafe fn send_call(&self, pointer: *const u8, len: usize) -> Call {
        let fd = self.descriptor.raw() as usize;
        // SAFETY: by the caller's word.
        let write = |len: usize| unsafe { Call::new(libc::SYS_write, [fd, pointer as usize, len]) };
        match self.kind() {
            // SAFETY: by the caller's word.
            EndpointKind::Socket => unsafe {
                Call::new(libc::SYS_sendto, [fd, pointer as usize, len, SEND_FLAGS, 0, 0])
            },
            EndpointKind::File => write(len),
            EndpointKind::Terminal => write(len).waiting(libc::POLLOUT),
            EndpointKind::Pipe if self.lacks_nowait() => {
                write(len.min(libc::PIPE_BUF)).if_ready(libc::POLLOUT)
            }
            EndpointKind::Pipe => write(len).without_waiting(),
        }
    }

    /// Sends some of these bytes without waiting. Returns `None` if the kernel takes none now, if another send is in flight, or
    /// if only an operation can send: the descriptor has no number for a call, or a call would wait.
    pub(crate) fn send_now(&self, bytes: &[u8]) -> Option<io::Result<usize>> {
        let by_call =
            matches!(self.kind(), EndpointKind::Socket | EndpointKind::Pipe) && !self.descriptor.is_direct();
        if !by_call || !self.is_free_to_send() {
            return None;
        }
        let window = Window::new(bytes.len(), 0, usize::MAX);
        loop {
            // SAFETY: the window lies within the bytes, which are there until the call has returned.
            let call = unsafe { self.send_call(bytes.as_ptr(), window.len) };
            match call.run_through_signals() {
                result if result == -libc::EAGAIN => return None,
                result if result == -libc::EOPNOTSUPP && self.go_without_nowait() => {}
                result => {
                    let sent = Completion::new(result).count();
                    self.add_sent(sent.as_ref().map_or(0, |count| *count));
                    return Some(sent);
                }
            }
        }
    }

    /// Returns true if a short receive means that no bytes are left. Pipes, terminals and message sockets may return less than
    /// there is. So may sockets that other code has had: they may be of any kind, have urgent data, or use records of TLS.
    pub(in crate::op) fn is_drained_by_short_receives(&self) -> bool {
        self.kind() == EndpointKind::Socket && !self.descriptor.is_lent()
    }
}
