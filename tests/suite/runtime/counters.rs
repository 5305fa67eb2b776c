//! What a runtime says of itself in numbers, against what others see.

use std::process::Command;

use proactor::Runtime;
use proactor::io::nop;

use crate::kit::*;

tests! {
    the_count_of_system_calls_is_what_strace_sees,
}

/// Operations of the shorter run; the other takes five times as many. What is compared are the differences, in
/// which the beginning and the end of a process cancel out.
const ROUNDS: u64 = 500;

fn the_count_of_system_calls_is_what_strace_sees<R: Runtime>() {
    let try_it = ["-f", "-c", "-o", "/dev/null", "true"];
    let works = || Command::new("strace").args(try_it).output().is_ok_and(|output| output.status.success());
    if !is_alone() && !works() {
        eprintln!("there is no strace, or it may not trace: nothing to compare with");
        return;
    }
    let folder = TempDir::new();
    let file = folder.path("strace");
    let [short, long] = [ROUNDS, 5 * ROUNDS].map(|rounds| {
        // Without the pauses of the watchdog, of which a slow run has more.
        let under = ["strace", "-f", "-c", "-e", "trace=!clock_nanosleep", "-o", file.to_str().unwrap()];
        // Who looks for leaks can't do so under strace.
        let child = Alone::new().case(rounds).under(&under).env("ASAN_OPTIONS", "detect_leaks=0");
        let said = child.run(|| {
            let runtime = R::new().unwrap();
            runtime.block_on(work(rounds));
            let stats = runtime.report().stats;
            eprintln!("counted: {}", stats.kernel_visits + stats.calls);
        });
        let said = said?;
        let counted =
            said.lines().find_map(|line| line.strip_prefix("counted: ")).expect("the child's count");
        let table = std::fs::read_to_string(&file).unwrap();
        let total = table.lines().rev().find(|line| line.ends_with(" total")).expect("strace's total");
        // Share, seconds, microseconds per call, calls, perhaps errors, "total".
        let seen = total.split_whitespace().nth(3).unwrap();
        Some((counted.parse::<f64>().unwrap(), seen.parse::<f64>().unwrap()))
    });
    let (Some(short), Some(long)) = (short, long) else { return }; // this is one of the children
    let (counted, seen) = (long.0 - short.0, long.1 - short.1);
    assert!(
        (counted - seen).abs() <= 0.01 * seen + 10.0,
        "counted {counted} system calls, strace saw {seen}"
    );
}

async fn work(rounds: u64) {
    let (client, server) = pair().await;
    let mut buffer = vec![7; 64];
    for _ in 0..rounds {
        nop().await.unwrap();
        buffer = client.write_all(buffer).await.unwrap().1;
        buffer = server.read_exact(buffer).await.unwrap().1;
    }
}
