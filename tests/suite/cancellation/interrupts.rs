//! Signals that cancel the main future of a `Runner`: none is lost, and the second ends the process.

use std::future::pending;
use std::io::{BufRead, BufReader, Read};
use std::process::{Command, Output, Stdio};

use nix::sys::signal::{SIGINT, SIGTERM, kill, raise};
use nix::unistd::Pid;
use proactor::signal::Kind;
use proactor::task::catch_cancel;
use proactor::{Runner, Runtime, signal, yield_now};

use crate::kit::*;

tests! {
    t280_an_interrupt_that_the_loop_did_not_see_is_told,
    t280_an_interrupt_in_the_last_poll_is_told_after_other_requests,
    t281_the_second_interrupt_ends_a_process_whose_loop_is_blocked,
    t312_a_signal_from_another_process_cancels_the_main_future,
    t312_each_run_tells_the_signal_that_has_ended_it,
    t312_a_signal_that_the_loop_did_not_see_is_told,
    t313_a_second_signal_of_another_kind_ends_the_process,
}

const ENDING: [Kind; 2] = [Kind::INTERRUPT, Kind::TERMINATE];

/// The test with this name, in a process of its own that gets `case` as its third argument.
fn process(name: &str, case: &str) -> Command {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args([ALONE, name, case]);
    command
}

/// The third argument of this process.
fn case() -> String {
    std::env::args().nth(3).unwrap()
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

fn t312_a_signal_from_another_process_cancels_the_main_future<R: Runtime>() {
    if !is_alone() {
        let name =
            format!("{}::interrupts::t312_a_signal_from_another_process_cancels_the_main_future", R::NAME);
        for signal in [SIGINT, SIGTERM] {
            let mut child = process(&name, signal.as_str()).stdout(Stdio::piped()).spawn().unwrap();
            let mut lines = BufReader::new(child.stdout.take().unwrap());
            let mut line = String::new();
            lines.read_line(&mut line).unwrap();
            assert_eq!(line, "waits\n");
            kill(Pid::from_raw(child.id() as i32), signal).unwrap();
            let mut rest = String::new();
            lines.read_to_string(&mut rest).unwrap();
            assert_eq!(rest, format!("has cleaned up after {signal}\n"));
            assert!(child.wait().unwrap().success());
        }
        return;
    }
    let runner = Runner::on(R::new().unwrap()).cancel_on_signals(ENDING);
    let outcome = runner.run(async {
        assert_eq!(signal::interrupted_by(), None);
        println!("waits");
        let cancelled = catch_cancel(pending::<()>()).await.unwrap_err();
        yield_now().await; // the loop continues
        println!("has cleaned up after {}", signal::interrupted_by().unwrap());
        drop(cancelled);
        pending::<()>().await;
    });
    assert!(outcome.unwrap_err().is_cancelled());
    assert_eq!(runner.interrupted_by().unwrap().to_string(), case());
    assert!(runner.is_interrupted() && signal::is_interrupted());
}

fn t312_each_run_tells_the_signal_that_has_ended_it<R: Runtime>() {
    alone(|| {
        let runner = Runner::on(R::new().unwrap()).cancel_on_signals(ENDING);
        for signal in [SIGTERM, SIGINT, SIGTERM] {
            let outcome = runner.run(async {
                raise(signal).unwrap();
                pending::<()>().await;
            });
            assert!(outcome.unwrap_err().is_cancelled());
            assert_eq!(runner.interrupted_by(), Some(Kind::from_raw(signal as i32)));
        }
        runner.run(yield_now()).unwrap();
        assert_eq!(runner.interrupted_by(), None);

        let runner = runner.cancel_on_ctrl_c(false);
        let outcome = runner.run(async {
            raise(SIGTERM).unwrap();
            pending::<()>().await;
        });
        assert!(outcome.unwrap_err().is_cancelled(), "only SIGINT was taken back");
    });
}

fn t312_a_signal_that_the_loop_did_not_see_is_told<R: Runtime>() {
    alone(|| {
        let runner = Runner::on(R::new().unwrap()).cancel_on_signals(ENDING);
        let outcome = runner.run(async {
            raise(SIGTERM).unwrap();
            "output"
        });
        assert_eq!(outcome.unwrap(), "output");
        assert_eq!(runner.interrupted_by(), Some(Kind::TERMINATE));
    });
}

fn t313_a_second_signal_of_another_kind_ends_the_process<R: Runtime>() {
    if !is_alone() {
        let name = format!("{}::interrupts::t313_a_second_signal_of_another_kind_ends_the_process", R::NAME);
        for (last, status) in [(SIGINT, 130), (SIGTERM, 143)] {
            let Output { status: ended, stderr, .. } = process(&name, last.as_str()).output().unwrap();
            assert_eq!(ended.code(), Some(status), "{}", String::from_utf8_lossy(&stderr));
        }
        return;
    }
    let runner = Runner::on(R::new().unwrap()).cancel_on_signals(ENDING);
    let signals = if case() == SIGINT.as_str() { [SIGTERM, SIGINT] } else { [SIGINT, SIGTERM] };
    let _ = runner.run(async {
        signals.iter().for_each(|signal| raise(*signal).unwrap()); // the loop has seen neither
    });
    unreachable!("the process has ended");
}
