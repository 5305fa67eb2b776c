//! What tests close, and how they note in which order.

use std::cell::RefCell;
use std::future::pending;
use std::io;
use std::rc::Rc;

use proactor::scope::{AsyncClose, using};

use super::running::Signal;

/// What has happened, in its order.
#[derive(Clone, Debug, Default)]
pub(crate) struct Log(Rc<RefCell<Vec<&'static str>>>);

impl Log {
    pub(crate) fn note(&self, what: &'static str) {
        self.0.borrow_mut().push(what);
    }

    /// What has happened since this was last asked.
    pub(crate) fn take(&self) -> Vec<&'static str> {
        self.0.take()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.borrow().is_empty()
    }

    /// Notes that it is dropped.
    pub(crate) fn in_drop(&self, what: &'static str) -> impl Drop + use<> {
        Acted(self.clone(), what)
    }
}

struct Acted(Log, &'static str);

impl Drop for Acted {
    fn drop(&mut self) {
        self.0.note(self.1);
    }
}

/// A resource that is closed by a block of code.
pub(crate) struct Closes<F>(pub(crate) F);

impl<F: AsyncFnOnce() -> io::Result<()>> AsyncClose for Closes<F> {
    async fn close(self) -> io::Result<()> {
        (self.0)().await
    }
}

/// A resource that notes when it begins to be closed, and when it has been: once the gate is open.
pub(crate) fn gated(log: &Log, gate: &Signal) -> impl AsyncClose + use<> {
    let (log, gate) = (log.clone(), gate.clone());
    Closes(async move || {
        log.note("closes");
        gate.await;
        log.note("closed");
        Ok(())
    })
}

/// Uses a resource for ever.
pub(crate) async fn hold(resource: impl AsyncClose + 'static) -> io::Result<()> {
    using(resource, async |_| {
        let _: () = pending().await;
        Ok(())
    })
    .await
}

/// A resource that notes when it begins to be closed, and a turn later when it has been.
pub(crate) fn noting(log: &Log, begins: &'static str, ends: &'static str) -> impl AsyncClose + use<> {
    let log = log.clone();
    Closes(async move || {
        log.note(begins);
        proactor::yield_now().await;
        log.note(ends);
        Ok(())
    })
}

/// Does something when it is dropped.
pub(crate) struct OnDrop<F: FnMut()>(pub(crate) F);

impl<F: FnMut()> Drop for OnDrop<F> {
    fn drop(&mut self) {
        (self.0)();
    }
}
