//! What other programs count in a measured process: system calls (strace) and instructions in user space
//! (callgrind).
//!
//! Each figure is the difference between a long and a short run, over the difference of their operations. So what
//! a process does to begin, to warm up and to end is in neither.

use std::io;
use std::path::PathBuf;

use crate::rounds::{Plan, measure};
use crate::workload::Workload;

/// Operations of the short and of the long run.
const SHORT: u64 = 2_000;
const LONG: u64 = 12_000;

#[derive(Clone, Copy, Debug)]
pub enum Counter {
    SystemCalls,
    Instructions,
}

impl Counter {
    pub fn program(self) -> &'static str {
        match self {
            Counter::SystemCalls => "strace",
            Counter::Instructions => "valgrind",
        }
    }

    /// Whether the program is on this machine.
    pub fn is_there(self) -> bool {
        std::process::Command::new(self.program())
            .arg("--version")
            .output()
            .is_ok_and(|output| output.status.success())
    }

    /// Whether the workload is counted so.
    pub fn counts(self, workload: Workload) -> bool {
        match self {
            Counter::SystemCalls => !matches!(workload, Workload::Idle { .. } | Workload::Timers),
            Counter::Instructions => workload.is_counted(),
        }
    }

    /// For one operation. `None` when the runtime lacks it.
    pub fn per_operation(
        self,
        plan: &Plan<'_>,
        workload: Workload,
        runtime: &str,
    ) -> io::Result<Option<f64>> {
        let Some(short) = self.count(plan, workload, runtime, SHORT)? else { return Ok(None) };
        let Some(long) = self.count(plan, workload, runtime, LONG)? else { return Ok(None) };
        Ok(Some((long - short) / (LONG - SHORT) as f64))
    }

    fn count(self, plan: &Plan<'_>, workload: Workload, runtime: &str, ops: u64) -> io::Result<Option<f64>> {
        let file = std::env::temp_dir().join(format!("rivals-{}-{}", self.program(), std::process::id()));
        let _remove = Remove(&file);
        let path = file.display();
        let wrap: Vec<String> = match self {
            Counter::SystemCalls => {
                ["strace", "-f", "-c", "-o"].map(String::from).into_iter().chain([path.to_string()]).collect()
            }
            Counter::Instructions => {
                vec!["valgrind".into(), "--tool=callgrind".into(), format!("--callgrind-out-file={path}")]
            }
        };
        if measure(plan, workload, runtime, ops, &wrap)?.is_none() {
            return Ok(None);
        }
        let text = std::fs::read_to_string(&file)?;
        let count = match self {
            Counter::SystemCalls => total_calls(&text),
            Counter::Instructions => total_instructions(&text),
        };
        count.map(Some).ok_or_else(|| io::Error::other(format!("{} has written no total", self.program())))
    }
}

struct Remove<'a>(&'a PathBuf);

impl Drop for Remove<'_> {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(self.0);
    }
}

/// The calls in the last line of `strace -c`: share, seconds, microseconds per call, calls, perhaps errors, "total".
fn total_calls(text: &str) -> Option<f64> {
    let line = text.lines().rev().find(|line| line.trim_end().ends_with(" total"))?;
    line.split_whitespace().nth(3)?.parse().ok()
}

fn total_instructions(text: &str) -> Option<f64> {
    text.lines()
        .find_map(|line| line.strip_prefix("summary: ").or(line.strip_prefix("totals: ")))?
        .trim()
        .parse()
        .ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn totals_are_found() {
        let strace = "% time     seconds  usecs/call     calls    errors syscall\n\
                      100.00    0.001234           1       789        12 total\n";
        assert_eq!(total_calls(strace), Some(789.0));
        assert_eq!(total_calls("100.00    0.001234           1       789           total\n"), Some(789.0));
        assert_eq!(total_calls("strace: nothing"), None);
        assert_eq!(total_instructions("version: 1\nsummary: 14215545\n"), Some(14_215_545.0));
    }
}
