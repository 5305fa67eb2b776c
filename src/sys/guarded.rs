//! Runs several pieces of user code to the end, even if some of them panic.
#![forbid(unsafe_code)]

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};

/// Runs pieces of user code, and keeps the first panic until all have run.
#[derive(Debug, Default)]
pub(crate) struct Guarded {
    panic: Option<Box<dyn Any + Send>>,
}

impl Guarded {
    pub(crate) fn run(&mut self, work: impl FnOnce()) {
        if let Err(panic) = catch_unwind(AssertUnwindSafe(work)) {
            match &self.panic {
                None => self.panic = Some(panic),
                Some(_) => discard(panic),
            }
        }
    }

    /// Resumes the first panic, if there was one. If another panic unwinds already, it is discarded: a second one would
    /// abort the process, and the panic hook has reported it.
    pub(crate) fn finish(self) {
        match self.panic {
            Some(panic) if !std::thread::panicking() => resume_unwind(panic),
            panic => panic.into_iter().for_each(discard),
        }
    }
}

/// Runs user code and discards its panic, which the panic hook has reported.
pub(crate) fn contain(work: impl FnOnce()) {
    if let Err(panic) = catch_unwind(AssertUnwindSafe(work)) {
        discard(panic);
    }
}

/// Runs user code in a destructor. Its panic is resumed, unless another one unwinds already: then it is discarded, since
/// a second panic that leaves a destructor aborts the process.
pub(crate) fn in_drop(work: impl FnOnce()) {
    if std::thread::panicking() {
        contain(work);
    } else {
        work();
    }
}

/// Drops the payload of a panic, which may run user code. If that panics, the new payload is leaked: its drop may panic
/// for ever.
fn discard(payload: Box<dyn Any + Send>) {
    if let Err(panic) = catch_unwind(AssertUnwindSafe(|| drop(payload))) {
        std::mem::forget(panic);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn payloads_that_panic_in_their_drop_are_contained() {
        struct Panics;
        impl Drop for Panics {
            fn drop(&mut self) {
                resume_unwind(Box::new(Panics));
            }
        }
        contain(|| resume_unwind(Box::new(Panics)));
        let result = catch_unwind(|| {
            let mut guarded = Guarded::default();
            guarded.run(|| resume_unwind(Box::new(1)));
            guarded.run(|| resume_unwind(Box::new(Panics)));
            guarded.finish();
        });
        assert_eq!(*result.unwrap_err().downcast::<i32>().unwrap(), 1);
    }

    #[test]
    fn all_runs_and_the_first_panic_goes_on() {
        let mut ran = 0;
        let result = catch_unwind(AssertUnwindSafe(|| {
            let mut guarded = Guarded::default();
            for i in 0..4 {
                guarded.run(|| {
                    ran += 1;
                    if i % 2 == 1 {
                        resume_unwind(Box::new(i));
                    }
                });
            }
            guarded.finish();
        }));
        assert_eq!(ran, 4);
        assert_eq!(*result.unwrap_err().downcast::<i32>().unwrap(), 1);
    }
}
