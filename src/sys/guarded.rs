//! Running code of the user several times, to the end, although some of it panics.
#![forbid(unsafe_code)]

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};

/// Keeps the first panic until all has run.
#[derive(Debug, Default)]
pub(crate) struct Guarded {
    panic: Option<Box<dyn Any + Send>>,
}

impl Guarded {
    pub(crate) fn run(&mut self, work: impl FnOnce()) {
        if let Err(panic) = catch_unwind(AssertUnwindSafe(work)) {
            self.panic.get_or_insert(panic);
        }
    }

    /// Goes on with the first panic, if there was one. While another one unwinds already it ends here: a
    /// second would abort the process, and the panic hook has reported it.
    pub(crate) fn finish(self) {
        if let Some(panic) = self.panic
            && !std::thread::panicking()
        {
            resume_unwind(panic);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
