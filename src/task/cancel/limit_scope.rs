//! `LimitScope`: the scope of a time limit, which requests the end of the future inside it.
#![forbid(unsafe_code)]

use std::task::Context;

use super::scopes::{Entered, target};
use crate::sys::context::expect_runtime;
use crate::task::cell::layout::{Limit, Origin};

/// The scope of a time limit: the future inside can be asked to end. It allocates at its first poll, because scopes inside
/// refer to it by a count for as long as they live.
#[derive(Debug, Default)]
pub(crate) struct LimitScope {
    entered: Option<Entered>,
    /// The number of requests that the task counted when the limit began. Later ones also concern the code around the limit.
    before: u16,
    /// The time is up, and this limit has requested the end of the inside, or leaves that to a limit around it.
    requested: bool,
}

impl LimitScope {
    /// Calls `poll`, which polls the future inside the limit.
    ///
    /// # Panics
    /// Outside a runtime.
    pub(crate) fn around<T>(&mut self, cx: &mut Context<'_>, poll: impl FnOnce(&mut Context<'_>) -> T) -> T {
        self.entered().around(cx, poll)
    }

    /// The scope in the current task. When the limit is polled by another task than before, it starts anew.
    fn entered(&mut self) -> &Entered {
        let task = expect_runtime(target(), "a time limit");
        if !self.entered.as_ref().is_some_and(|entered| entered.is_of(&task)) {
            *self = LimitScope { before: task.header().cancels.get(), ..LimitScope::default() };
        }
        self.entered.get_or_insert_with(|| Entered::with(task, Some(Limit::default())))
    }

    /// Whether the limit has requested the end of the inside, in the current task.
    pub(crate) fn has_requested(&mut self) -> bool {
        self.entered();
        self.requested
    }

    /// Notes that the time is up. The inside is polled once more; after that [`request_if_due`](Self::request_if_due) requests
    /// its end.
    pub(crate) fn expire(&mut self) {
        let entered = self.entered();
        let joins = entered.joins_limit_around();
        if let Some(limit) = &entered.scope.limit
            && !limit.counted.replace(true)
        {
            limit.last_poll.set(true);
            entered.task.count_own_request();
        }
        self.requested = joins;
    }

    /// Undoes [`expire`](Self::expire), because the last poll has moved the deadline. Does nothing if a limit inside relies on
    /// the request of this one.
    pub(crate) fn retract(&mut self) {
        if let Some(entered) = &self.entered
            && let Some(limit) = &entered.scope.limit
            && limit.last_poll.get()
            && !limit.has_joined.get()
        {
            limit.last_poll.set(false);
            entered.scope.uncount(&entered.task);
            self.requested = false;
        }
    }

    /// After a poll that was not ready: requests the end of the inside, if the time is up. Returns true if this call did.
    pub(crate) fn request_if_due(&mut self) -> bool {
        let Some(entered) = &self.entered else { return false };
        if !entered.scope.limit.as_ref().is_some_and(|limit| limit.last_poll.take()) {
            return false;
        }
        if !self.requested {
            Origin::Limit(entered.scope.clone()).deliver(&entered.task);
        }
        self.requested = true;
        true
    }

    /// Whether the inside is to be dropped: no scope in it has caught the request, or all that did have handled it.
    pub(crate) fn is_to_be_dropped(&self) -> bool {
        self.entered.as_ref().is_some_and(Entered::is_triggered)
    }

    /// Whether the task counts a request that came after the limit began, besides the limit's own. It ends this await as well.
    pub(crate) fn is_overtaken(&self) -> bool {
        self.entered.as_ref().is_some_and(|entered| {
            let own = u16::from(entered.scope.is_counted());
            entered.task.header().cancels.get().saturating_sub(own) > self.before
        })
    }
}
