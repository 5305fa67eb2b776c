//! Operations that only direct descriptors need, because system calls cannot name them: making an ordinary descriptor of the
//! same file (FIXED_FD_INSTALL), and socket options (SOCKET_URING_OP_SETSOCKOPT). See fcntl(2), setsockopt(2).

use std::io;
use std::os::fd::OwnedFd;
use std::task::{Context, Poll};

use io_uring::{opcode, types};

use crate::op::completion::Completion;
use crate::op::fd::descriptor::{Descriptor, Fd, Opened, on_fd};
use crate::op::fd::open_file::FileRef;
use crate::op::object::endpoint_ref::EndpointRef;
use crate::op::{Entry, Op, Readiness};
use crate::sys::call::Call;

/// A reference that keeps a descriptor open.
pub(crate) trait HasDescriptor: 'static {
    fn descriptor(&self) -> &Descriptor;

    /// Notes the start of an operation on the descriptor.
    fn begin(&mut self) {}
}

impl HasDescriptor for EndpointRef {
    fn descriptor(&self) -> &Descriptor {
        &self.descriptor
    }
}

impl HasDescriptor for FileRef {
    fn descriptor(&self) -> &Descriptor {
        FileRef::descriptor(self)
    }

    fn begin(&mut self) {
        FileRef::begin(self);
    }
}

/// Makes an ordinary descriptor of the same file.
pub(crate) struct Install<T>(pub(crate) T);

impl<T: HasDescriptor> Op for Install<T> {
    type Output = io::Result<OwnedFd>;
    const NAME: &'static str = "install";
    const OPCODE: u8 = opcode::FixedFdInstall::CODE;

    fn bound_to(&self) -> Option<*const ()> {
        self.0.descriptor().bound_to()
    }

    /// Duplicates the descriptor at once if it is an ordinary one.
    fn prepare(&mut self, _: &mut Context<'_>) -> Poll<Option<i32>> {
        self.0.begin();
        let is_direct = self.0.descriptor().is_direct();
        Poll::Ready((!is_direct).then(|| self.call().run_through_signals()))
    }

    fn entry(&mut self) -> Entry {
        match self.0.descriptor().fd() {
            Fd::Direct(index) => opcode::FixedFdInstall::new(types::Fixed(index), 0).build(),
            Fd::Raw(_) => unreachable!("an ordinary descriptor is duplicated"),
        }
    }

    fn readiness(&self) -> Readiness<'_> {
        Readiness::Immediate
    }

    fn call(&mut self) -> Call {
        let fd = self.0.descriptor().raw() as usize;
        // SAFETY: this call takes no pointer.
        unsafe { Call::new(libc::SYS_fcntl, [fd, libc::F_DUPFD_CLOEXEC as usize, 0]) }.opening()
    }

    fn complete(self, completion: Completion) -> Self::Output {
        // SAFETY: both answer with a new descriptor. Dropping it closes it.
        unsafe { Opened::answer(completion, None) }.map(|opened| match opened {
            Opened::Raw(fd) => fd,
            Opened::Direct(_) => unreachable!("no slot of the table was reserved"),
        })
    }
}

/// Sets an option of a socket whose value is a number.
pub(crate) struct SetOption {
    endpoint: EndpointRef,
    level: i32,
    name: i32,
    value: libc::c_int,
}

impl SetOption {
    pub(crate) fn new(endpoint: &EndpointRef, level: i32, name: i32, value: libc::c_int) -> Self {
        SetOption { endpoint: endpoint.clone(), level, name, value }
    }
}

impl Op for SetOption {
    type Output = io::Result<()>;
    const NAME: &'static str = "setsockopt";
    const OPCODE: u8 = opcode::SetSockOpt::CODE;

    fn bound_to(&self) -> Option<*const ()> {
        self.endpoint.descriptor.bound_to()
    }

    /// Makes the call at once for an ordinary descriptor. The ring has socket options only from Linux 6.7 on.
    fn prepare(&mut self, _: &mut Context<'_>) -> Poll<Option<i32>> {
        let is_direct = self.endpoint.descriptor.is_direct();
        Poll::Ready((!is_direct).then(|| self.call().run_through_signals()))
    }

    fn entry(&mut self) -> Entry {
        let (value, len) = ((&raw const self.value).cast(), size_of::<libc::c_int>() as u32);
        let (level, name) = (self.level as u32, self.name as u32);
        on_fd!(self.endpoint.descriptor.fd(), |fd| opcode::SetSockOpt::new(fd, level, name, value, len)
            .build())
    }

    fn readiness(&self) -> Readiness<'_> {
        Readiness::Immediate
    }

    fn call(&mut self) -> Call {
        let fd = self.endpoint.descriptor.raw() as usize;
        let (value, len) = (&raw const self.value as usize, size_of::<libc::c_int>());
        // SAFETY: the value is part of this operation.
        unsafe { Call::new(libc::SYS_setsockopt, [fd, self.level as usize, self.name as usize, value, len]) }
    }

    fn complete(self, completion: Completion) -> Self::Output {
        completion.unit()
    }
}
