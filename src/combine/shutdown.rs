//! The end of a set of tasks, within a time.
#![forbid(unsafe_code)]

use std::time::Duration;

use crate::task::TaskSet;
use crate::time::timeout;

impl<T: 'static> TaskSet<T> {
    /// Cancels all tasks, waits for up to `grace` until all of them have ended, and then forces the end of the rest.
    /// Tells how many it forced.
    ///
    /// The time is one for all tasks together. Within it a task that [catches its
    /// cancellation](crate::task::catch_cancel()) may save or say goodbye. After it the future of the task is dropped at
    /// its next await, whatever it catches. In either case a task has ended when its operations are reaped and its
    /// cleanups are done; those are not cut short.
    ///
    /// Tasks that are started meanwhile are cancelled. Afterwards the set can be used again; results that it keeps are
    /// there for [`join_next`](TaskSet::join_next).
    ///
    /// # Panics
    /// When polled outside a runtime.
    ///
    /// # Cancellation
    /// Dropping it leaves the requests standing, and the set open for new tasks.
    ///
    /// # Examples
    /// See [`TaskSet`].
    pub async fn shutdown(&self, grace: Duration) -> usize {
        let _closing = self.close();
        if timeout(grace, self.ended()).await.is_ok() {
            return 0;
        }
        let forced = self.force();
        self.ended().await;
        forced
    }
}
