//! `TaskSet::shutdown`: ends the tasks of a set within a time limit.
#![forbid(unsafe_code)]

use std::time::Duration;

use crate::task::TaskSet;
use crate::time::timeout;

impl<T: 'static> TaskSet<T> {
    /// Cancels all tasks, waits for up to `grace` until all of them have ended, and then forces the end of the rest.
    /// Returns the number that it forced.
    ///
    /// The time is one for all tasks together. Within it a task that [catches its
    /// cancellation](crate::task::catch_cancel()) may clean up. After it the future of the task is dropped at its next
    /// await, even inside a `catch_cancel`. In either case a task completes only after its operations have completed and its
    /// cleanups have run, without a time limit.
    ///
    /// A task that already handles an earlier request (of [`request_cancel`](TaskSet::request_cancel), of its own time limit,
    /// of another shutdown) is not interrupted: its request is made when the earlier one has been handled.
    ///
    /// Tasks that are started meanwhile are cancelled. After the grace, new tasks are dropped before they begin and do not
    /// belong to the set: destructors that start tasks forever do not hold up the shutdown. Afterwards the set can be used again;
    /// [`join_next`](TaskSet::join_next) returns the results that it keeps.
    ///
    /// # Panics
    /// When polled outside a runtime.
    ///
    /// # Cancellation
    /// Dropping it does not take the requests back, and opens the set for new tasks.
    ///
    /// # Examples
    /// See [`TaskSet`].
    pub async fn shutdown(&self, grace: Duration) -> usize {
        let _closing = self.close();
        if timeout(grace, self.ended()).await.is_ok() {
            return 0;
        }
        let (forced, _refusing) = self.force();
        self.ended().await;
        forced
    }
}
