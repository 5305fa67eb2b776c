//! A kernel that refuses, and processes under limits.

use libc::{SYS_io_uring_enter, SYS_io_uring_register, SYS_io_uring_setup};
use proactor::{Auto, Backend, Proactor, Runtime};

use crate::kit::*;

tests! {
    t55_a_filter_that_refuses_the_ring_is_named,
}

/// The proactor's test asks for the proactor by name, the selector's lets `Auto` find out.
fn t55_a_filter_that_refuses_the_ring_is_named<R: Runtime>() {
    for (call, name) in [
        (SYS_io_uring_setup, "io_uring_setup"),
        (SYS_io_uring_enter, "io_uring_enter"),
        (SYS_io_uring_register, "io_uring_register"),
    ] {
        for (errno, cause) in [(libc::EPERM, "seccomp filter"), (libc::ENOSYS, "seccomp filter hides it")] {
            Alone::new().case(format!("{name} {errno}")).refuse(&[call], errno).run(|| {
                let before = descriptors();
                let reason = if is_proactor::<R>() {
                    Proactor::new().unwrap_err().to_string()
                } else {
                    let runtime = Auto::new().unwrap();
                    assert_eq!(runtime.backend(), Backend::Selector);
                    let (ours, _peer) = runtime.block_on(pair());
                    runtime
                        .block_on(async { ours.write_all(b"it works".as_slice()).await.map(drop) })
                        .unwrap();
                    drop(ours);
                    let reason = runtime.report().reason.unwrap();
                    drop(_peer);
                    end(runtime);
                    reason
                };
                for word in [name, cause, "PROACTOR_BACKEND=selector"] {
                    assert!(reason.contains(word), "without {word}: {reason}");
                }
                assert_eq!(descriptors(), before, "a refusal leaves nothing open");
            });
        }
    }
}
