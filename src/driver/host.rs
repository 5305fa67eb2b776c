//! The driver as the host of descriptors.
#![forbid(unsafe_code)]

use std::io;
use std::num::NonZeroU64;
use std::os::fd::RawFd;
use std::rc::Rc;

use super::Driver;
use super::engine::Engine;
use super::slots::key::Key;
use crate::op::fd::host::{FixedFileSlot, Host};
use crate::op::object::source::{Buffers, MultishotKind};

impl Host for Driver {
    fn deregister(&self, token: u64, fd: RawFd) {
        match &mut *self.engine() {
            Engine::Poller(poller) => poller.deregister(token, fd, &self.stats),
            Engine::Ring(..) => self.deregister_edges(token, fd),
            Engine::Closed => {}
        }
    }

    fn descriptor_closed(&self) {
        self.descriptor_limit.descriptor_freed();
    }

    fn is_here(&self) -> bool {
        self.origin.is_here()
    }

    fn reserve_file_slot(&self) -> io::Result<Option<FixedFileSlot>> {
        Driver::reserve_file_slot(self)
    }

    fn free_file_slot(&self, index: u32, filled: bool) {
        self.give_back_file_slot(index, filled);
    }

    fn stop_multishot(&self, token: NonZeroU64) {
        self.stop_operation(Key::unpack(token.get()));
    }

    fn buffers(&self, what: MultishotKind) -> Rc<dyn Buffers> {
        if what == MultishotKind::Datagrams { self.datagrams().clone() } else { self.streams.clone() }
    }
}
