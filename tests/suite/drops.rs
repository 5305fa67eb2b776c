//! Futures dropped and forgotten at every moment of their operation's life: before it begins, before the kernel
//! knows of it, while the kernel has it, when its result is there; and what buffers do when they are dropped.
//!
//! Whatever the moment: the kernel writes into no memory that somebody else may have by then, no byte and no
//! connection is lost, and no descriptor is left.

use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

use proactor::Runtime;

use crate::kit::*;

tests! {
    a_future_kept_elsewhere_does_not_hold_up_the_shutdown,
}

fn a_future_kept_elsewhere_does_not_hold_up_the_shutdown<R: Runtime>() {
    let runtime = R::new().unwrap();
    let (stream, _peer) = runtime.block_on(async { half_pair() });
    let kept = Rc::new(RefCell::new(None));
    let keeps = kept.clone();
    let (canary, watch) = Canary::new(64);
    drop(runtime.spawn(async move {
        let mut read = stream.read(canary);
        assert!(poll_once(&mut read).await.is_pending());
        *keeps.borrow_mut() = Some(read);
        std::future::pending::<()>().await;
    }));
    runtime.block_on(turns(2));
    // The task began it, but it is not the task that will take its result: that is enough for its end. It
    // would wait for the deadline, and the watchdog would bark before that.
    let left = runtime.shutdown(Duration::MAX);
    assert_eq!((left.tasks, left.ops_leaked, left.jobs_leaked), (1, 0, 0));
    assert!(!watch.is_dropped());
    drop(kept.take());
    watch.assert_untouched();
}
