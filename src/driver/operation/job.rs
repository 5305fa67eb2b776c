//! System calls on the blocking pool.
#![forbid(unsafe_code)]

use std::sync::Arc;

use crate::driver::slots::key::Key;
use crate::driver::slots::lifecycle::Event;
use crate::driver::slots::slot_ref::SlotRef;
use crate::driver::{Driver, with};
use crate::op::completion::Completion;
use crate::sys::call::Call;
use crate::task::threads::inbox::{Delivery, Shared};
use crate::task::threads::pool::{Lane, Launch};

impl Driver {
    /// Hands an operation's call to the pool. The report comes back through the inbox.
    pub(in crate::driver) fn submit_job(&self, inserted: SlotRef<'_>, lane: Lane) {
        let (key, call) = (inserted.key(), self.removing_on_unwind(inserted, || inserted.call()));
        inserted.give_to_pool();
        inserted.apply(Event::Push);
        inserted.lend_to_pool(call);
        self.stats.submissions.add(1);
        self.stats.calls.add(1);
        let pool = &self.scheduler.pool;
        let shared = self.scheduler.shared().clone();
        let report = Report { shared, key, call, completion: Completion::CANCELED };
        pool.submit(lane, key.pack(), move |launch| report.carry_out(launch));
    }

    /// Delivers the result of a job.
    pub(in crate::driver) fn job_done(&self, key: Key, completion: Completion) {
        self.stats.completions.add(1);
        if let Some(operation) = self.slots.find(key) {
            self.deferred.borrow_mut().deliver(operation, Event::Last, completion);
        }
        self.run_deferred();
    }
}

/// Reports a job's result to its runtime when it is dropped, so a job that never ran reports as well.
struct Report {
    shared: Arc<Shared>,
    key: Key,
    call: Call,
    completion: Completion,
}

impl Report {
    fn carry_out(mut self, launch: Launch) {
        self.completion = match launch {
            Launch::Run => Completion::new(self.call.run_through_signals()),
            Launch::NoThread(errno) => Completion::no_thread(errno),
        };
    }
}

impl Drop for Report {
    fn drop(&mut self) {
        let (key, call, completion) = (self.key, self.call, self.completion);
        let report = move |delivery| match delivery {
            Delivery::Run => drop(with(|driver| driver.map(|driver| driver.job_done(key, completion)))),
            // The runtime has ended, and the slot was leaked.
            Delivery::Discard => call.discard(completion.result),
        };
        if let Err(report) = self.shared.post(report) {
            report(Delivery::Discard); // the inbox is closed
        }
    }
}
