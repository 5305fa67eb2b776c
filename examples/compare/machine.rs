//! What the report says about the machine, and the limits it imposes.

use std::{
    env, fs,
    path::{Path, PathBuf},
    thread,
};

use nix::sys::resource::{Resource, getrlimit, setrlimit};
use serde::Serialize;

#[derive(Debug, Serialize)]
pub(crate) struct Machine {
    pub(crate) kernel: String,
    pub(crate) architecture: &'static str,
    pub(crate) cpu: String,
    pub(crate) cores: usize,
}

impl Machine {
    pub(crate) fn look() -> Machine {
        Machine {
            kernel: line("/proc/sys/kernel/osrelease"),
            architecture: env::consts::ARCH,
            cpu: cpu_model().unwrap_or_else(|| "unknown".to_owned()),
            cores: cores(),
        }
    }
}

/// The cores that this process may use.
pub(crate) fn cores() -> usize {
    thread::available_parallelism().map_or(1, usize::from)
}

/// Raises the limit of open files as far as it goes: 512 connections are more
/// than some systems allow by default.
pub(crate) fn allow_many_sockets() {
    if let Ok((soft, hard)) = getrlimit(Resource::RLIMIT_NOFILE)
        && soft < hard
    {
        // A refusal shows where it matters, at the connections.
        let _ = setrlimit(Resource::RLIMIT_NOFILE, hard.min(65_536).max(soft), hard);
    }
}

/// How many files this process may have open.
pub(crate) fn descriptor_limit() -> u64 {
    getrlimit(Resource::RLIMIT_NOFILE).map_or(u64::MAX, |(soft, _)| soft)
}

/// The folder `compare` in Cargo's target folder: the one that this executable
/// lies in, or else what the environment says, or else `target` right here.
pub(crate) fn output_directory() -> PathBuf {
    let of_executable = env::current_exe().ok().and_then(|exe| {
        exe.ancestors().find(|folder| folder.join("CACHEDIR.TAG").is_file()).map(Path::to_owned)
    });
    let target = of_executable
        .or_else(|| env::var_os("CARGO_TARGET_DIR").map(PathBuf::from))
        .unwrap_or_else(|| PathBuf::from("target"));
    // Shown to people: as seen from here, where that is shorter.
    let shown = env::current_dir().ok().and_then(|here| target.strip_prefix(here).ok().map(Path::to_owned));
    shown.unwrap_or(target).join("compare")
}

fn line(path: &str) -> String {
    fs::read_to_string(path).map_or_else(|_| "unknown".to_owned(), |text| text.trim().to_owned())
}

fn cpu_model() -> Option<String> {
    let info = fs::read_to_string("/proc/cpuinfo").ok()?;
    let model = info
        .lines()
        .filter_map(|line| line.split_once(':'))
        .find(|(key, _)| matches!(key.trim(), "model name" | "Model" | "cpu model" | "uarch"))?;
    Some(model.1.trim().to_owned())
}
