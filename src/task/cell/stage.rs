//! The stage of a task cell, which holds the future and then its outcome. Only this file knows their types.
//!
//! Elsewhere a table of functions ([`Vtable`]) stands for the type. The functions catch panics of the future, and rely on
//! their callers that no other code uses the stage.

use std::alloc::Layout;
use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::ptr::NonNull;
use std::task::{Context, Poll};

use super::error::{Ended, JoinError, Panic};
use super::layout::{Header, Stage, TaskCell, Vtable};
use super::state::Polled;
use super::waker;
use crate::sys::guarded::contain;
use crate::task::report::unhandled::{ReportPolicy, Unhandled};
use crate::task::threads::inbox::NodeKind;

impl<F: Future> TaskCell<F> {
    const fn vtable<V: ReportPolicy<F::Output>>() -> Vtable {
        Vtable {
            node: NodeKind { deliver: waker::deliver },
            poll: poll::<F, V>,
            cancel: cancel::<F>,
            take: take::<F>,
            clear: clear::<F>,
            unhandled: unhandled::<F, V>,
            failed: failed::<F, V>,
            outcome: outcome::<F>,
            layout: Layout::new::<Self>(),
        }
    }
}

/// The vtable of cells with a future of type `F`; the policy `V` decides which outputs count as errors.
pub(in crate::task) struct VtableOf<F, V>(F, V);

impl<F: Future, V: ReportPolicy<F::Output>> VtableOf<F, V> {
    pub(in crate::task) const VTABLE: &'static Vtable = &TaskCell::<F>::vtable::<V>();
}

unsafe fn stage<F: Future>(task: NonNull<Header>) -> *mut Stage<F> {
    // SAFETY: the vtable's functions are used only with the cell that they were made for.
    unsafe { task.cast::<TaskCell<F>>().as_ref() }.stage.get()
}

unsafe fn poll<F: Future, V: ReportPolicy<F::Output>>(task: NonNull<Header>, cx: &mut Context<'_>) -> Polled {
    // SAFETY: the caller is the only user of the stage (phase Running). The future is never moved out of
    // the cell, which is what pins it.
    let stage = unsafe { stage::<F>(task) };
    let mut output = None;
    let polled = catch_unwind(AssertUnwindSafe(|| {
        // SAFETY: as above.
        let Stage::Future(future) = (unsafe { &mut *stage }) else { unreachable!("polled after its end") };
        // SAFETY: as above.
        if let Poll::Ready(ready) = unsafe { Pin::new_unchecked(&mut *future) }.poll(cx) {
            output = Some(ready);
            // SAFETY: dropped where it lies, as pinning asks, and overwritten below without a second drop.
            unsafe { std::ptr::drop_in_place(future) };
        }
    }));
    let mut ended = Polled::Panicked;
    let outcome = match (polled, output) {
        (Ok(()), None) => return Polled::Pending,
        (Ok(()), Some(output)) => {
            ended = if V::is_error(&output) { Polled::Failed } else { Polled::Ready };
            Ok(output)
        }
        // The future panicked in its poll, and was not dropped.
        // SAFETY: as above.
        (Err(panic), None) => unsafe { drop_future(stage, Err(JoinError::Panicked(Panic::new(panic)))) },
        // The future panicked in its destructor.
        (Err(panic), Some(output)) => {
            contain(|| drop(output)); // its destructor may panic as well
            Err(JoinError::Panicked(Panic::new(panic)))
        }
    };
    // SAFETY: as above; the future has been dropped.
    unsafe { std::ptr::write(stage, Stage::Outcome(outcome)) };
    ended
}

unsafe fn cancel<F: Future>(task: NonNull<Header>) -> Ended {
    // SAFETY: as in `poll`.
    unsafe {
        let stage = stage::<F>(task);
        let outcome = drop_future(stage, Err(JoinError::Cancelled));
        let panicked = matches!(outcome, Err(JoinError::Panicked(_)));
        std::ptr::write(stage, Stage::Outcome(outcome));
        if panicked { Ended::Panicked } else { Ended::Cancelled }
    }
}

/// Drops the future in place. Returns `outcome`, or the panic of the destructor instead.
///
/// # Safety
/// The caller is the only user of the stage, which holds a future, and overwrites it afterwards without a drop.
#[cold]
unsafe fn drop_future<F: Future>(
    stage: *mut Stage<F>,
    outcome: Result<F::Output, JoinError>,
) -> Result<F::Output, JoinError> {
    // SAFETY: by the caller's word; dropped where it lies, as pinning asks.
    match catch_unwind(AssertUnwindSafe(|| unsafe { std::ptr::drop_in_place(stage) })) {
        Ok(()) => outcome,
        Err(panic) => {
            contain(|| drop(outcome));
            Err(JoinError::Panicked(Panic::new(panic)))
        }
    }
}

unsafe fn take<F: Future>(task: NonNull<Header>, target: *mut ()) {
    // SAFETY: the caller vouches for the target's type; the task has ended, so no other code uses the stage, and
    // its phase keeps what is read here from being read or dropped again.
    unsafe {
        let target = target.cast::<Poll<Result<F::Output, JoinError>>>();
        let Stage::Outcome(outcome) = &*stage::<F>(task) else {
            unreachable!("a complete task has its outcome")
        };
        target.write(Poll::Ready(std::ptr::read(outcome)));
    }
}

/// Returns the unhandled error in an outcome that was not taken.
unsafe fn unhandled<F: Future, V: ReportPolicy<F::Output>>(task: NonNull<Header>) -> Option<Unhandled> {
    // SAFETY: the task has ended, and no other code uses the stage.
    let Stage::Outcome(outcome) = (unsafe { &*stage::<F>(task) }) else { return None };
    // SAFETY: the caller has a reference to the task.
    let header = unsafe { task.as_ref() };
    match outcome {
        Ok(output) => V::error(output).map(|error| header.unhandled(error, false)),
        Err(JoinError::Panicked(panic)) => Some(header.unhandled(panic.message().to_owned(), true)),
        Err(JoinError::Cancelled | JoinError::RuntimeGone) => None,
    }
}

unsafe fn failed<F: Future, V: ReportPolicy<F::Output>>(task: NonNull<Header>) -> bool {
    // SAFETY: the task has ended, and no other code uses the stage.
    match unsafe { &*stage::<F>(task) } {
        Stage::Outcome(Ok(output)) => V::is_error(output),
        _ => true,
    }
}

unsafe fn outcome<F: Future>(task: NonNull<Header>) -> *const () {
    // SAFETY: the task has ended, and no other code uses the stage.
    match unsafe { &*stage::<F>(task) } {
        Stage::Outcome(outcome) => std::ptr::from_ref(outcome).cast(),
        Stage::Future(_) => unreachable!("a complete task has its outcome"),
    }
}

unsafe fn clear<F: Future>(task: NonNull<Header>) {
    // SAFETY: the caller is the only user of the stage, and its phase keeps what is dropped here, even with a
    // panic, from being dropped again.
    unsafe { std::ptr::drop_in_place(stage::<F>(task)) };
}
