//! SIGINT and `Runner::cancel_on_ctrl_c`: none is lost, and the second ends the process.

use std::process::Command;

use nix::sys::signal::{SIGINT, raise};
use proactor::{Runner, Runtime, signal, yield_now};

use crate::kit::*;

tests! {
    t280_an_interrupt_that_the_loop_did_not_see_is_told,
    t280_an_interrupt_in_the_last_poll_is_told_after_other_requests,
    t281_the_second_interrupt_ends_a_process_whose_loop_is_blocked,
}

fn t280_an_interrupt_that_the_loop_did_not_see_is_told<R: Runtime>() {
    alone(|| {
        let runner = Runner::on(R::new().unwrap()).cancel_on_ctrl_c(true);
        for turns in 0..3 {
            let outcome = runner.run(async {
                for _ in 0..turns {
                    yield_now().await;
                }
                raise(SIGINT).unwrap();
                "output"
            });
            assert_eq!(outcome.unwrap(), "output");
            assert!(runner.is_interrupted() && signal::is_interrupted());
            runner.run(yield_now()).unwrap();
            assert!(!runner.is_interrupted(), "it belongs to one run");
        }
    });
}

fn t280_an_interrupt_in_the_last_poll_is_told_after_other_requests<R: Runtime>() {
    alone(|| {
        let runner = Runner::on(R::new().unwrap()).cancel_on_ctrl_c(true);
        let outcome = runner.run(async {
            proactor::task::current().request_cancel();
            raise(SIGINT).unwrap();
            1
        });
        assert_eq!(outcome.unwrap(), 1);
        assert!(runner.is_interrupted(), "the other request has cancelled nothing");
    });
}

fn t281_the_second_interrupt_ends_a_process_whose_loop_is_blocked<R: Runtime>() {
    if !is_alone() {
        let said = Command::new(std::env::current_exe().unwrap())
            .args([
                ALONE,
                &format!(
                    "{}::interrupts::t281_the_second_interrupt_ends_a_process_whose_loop_is_blocked",
                    R::NAME
                ),
            ])
            .output()
            .unwrap();
        assert_eq!(said.status.code(), Some(130), "{}", String::from_utf8_lossy(&said.stderr));
        return;
    }
    let runner = Runner::on(R::new().unwrap()).cancel_on_ctrl_c(true);
    let _ = runner.run(async {
        raise(SIGINT).unwrap();
        raise(SIGINT).unwrap(); // the loop has seen neither
    });
    unreachable!("the process has ended");
}
