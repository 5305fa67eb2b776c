//! eventfd(2) as a counter under a lock, whose read blocks: a loop that is not signalled stays asleep.

use std::io;

use super::sync::{Condvar, Mutex};

#[derive(Debug)]
pub(crate) struct EventFd {
    count: Mutex<u64>,
    readable: Condvar,
}

impl EventFd {
    pub(crate) fn new() -> io::Result<Self> {
        Ok(EventFd { count: Mutex::new(0), readable: Condvar::new() })
    }

    pub(crate) fn signal(&self) {
        *self.count.lock().unwrap() += 1;
        self.readable.notify_one();
    }

    pub(crate) fn drain(&self) {
        let mut count = self.count.lock().unwrap();
        while *count == 0 {
            count = self.readable.wait(count).unwrap();
        }
        *count = 0;
    }
}
