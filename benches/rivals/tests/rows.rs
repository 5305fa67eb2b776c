//! The rows of sockets, run for a moment: that every runtime serves them, and that the load has found no fault. The figures
//! are of no matter here.

use std::path::Path;
use std::process::Command;

use serde_json::Value;

/// Those that need no ring.
const WITHOUT_RING: [&str; 4] = ["bare-epoll", "selector", "selector-owned", "tokio"];

fn rivals(arguments: &[&str]) -> String {
    let output = Command::new(env!("CARGO_BIN_EXE_rivals")).args(arguments).output().expect("it runs");
    let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{arguments:?}: {err}");
    out.into_owned()
}

fn has_rings() -> bool {
    let made = io_uring::IoUring::new(8);
    if let Err(error) = &made {
        eprintln!("without the runtimes that need io_uring, which this machine refuses: {error}");
    }
    made.is_ok()
}

/// Measures these rows, and asserts that each runtime has figures in each of them.
fn assert_served(test: &str, rows: &str, runtimes: &[String], more: &[&str]) {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(test);
    let runtimes = runtimes.join(",");
    let out = folder.to_str().expect("a plain path");
    let mut arguments = vec!["--only", rows, "--runtimes", &runtimes, "--out", out];
    arguments.extend(["--rounds", "1", "--seconds", "0.02", "--no-counts"]);
    arguments.extend(more);
    rivals(&arguments);
    let report = std::fs::read_to_string(folder.join("report.json")).expect("a report");
    let report: Value = serde_json::from_str(&report).expect("it is JSON");
    let measured = report["rows"].as_array().expect("rows");
    assert_eq!(measured.len(), rows.split(',').count());
    for row in measured {
        for cell in row["cells"].as_array().expect("cells") {
            assert!(cell["reason"].is_null(), "{} {}: {}", row["workload"], cell["runtime"], cell["reason"]);
            assert!(cell["samples"][0]["ops"].as_u64() > Some(0), "{} {}", row["workload"], cell["runtime"]);
        }
    }
}

#[test]
fn every_runtime_serves_echo_churn_and_streams() {
    let list = rivals(&["--list"]);
    let named = list.lines().filter_map(|line| Some(line.get(2..)?.split_once(": ")?.0.to_owned()));
    let has_rings = has_rings();
    let runtimes: Vec<_> = named.filter(|name| has_rings || WITHOUT_RING.contains(&name.as_str())).collect();
    assert!(WITHOUT_RING.iter().all(|name| runtimes.iter().any(|other| other == name)), "{runtimes:?}");
    assert_served(
        "traffic",
        "echo-64k-64,churn-64-64,stream-64-64,stream-64k-1",
        &runtimes,
        &["--cores", "same"],
    );
}

/// So many connections come at once that the completion queue overflows, which ends a multishot accept, and that no
/// provided buffer is left, which ends multishot receives.
#[test]
fn a_multishot_that_has_ended_is_begun_anew() {
    let (_, limit) = nix::sys::resource::getrlimit(nix::sys::resource::Resource::RLIMIT_NOFILE).unwrap();
    if limit < 10_100 || !has_rings() {
        return eprintln!("skipped: it takes rings, and 10,100 open files; {limit} are allowed");
    }
    let modes = ["bare-multishot", "bare-direct", "bare-bundle"].map(str::to_owned);
    assert_served("multishot", "idle-10000", &modes, &["--cores", "two"]);
}
