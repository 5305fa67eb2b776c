//! Running a part of the program once more, without some features of the kernel.

use std::process::{Command, Stdio};

use proactor::{Feature, Runtime};

use super::{is_proactor, is_sanitized};

/// Runs modules of this program on the backend without these features.
pub(crate) fn suite_without<R: Runtime>(modules: &[&str], masked: &[Feature]) {
    // Under the sanitizer it would take minutes, and another user sees nothing else: the tests that a feature is about
    // mask it for themselves.
    if is_sanitized() || std::env::var_os("SUITE_USER").is_some() {
        return;
    }
    let names: Vec<&str> = masked.iter().map(|feature| feature.name()).collect();
    for module in modules {
        let mut suite = Command::new(std::env::current_exe().unwrap());
        suite.arg(format!("{}::{module}", R::NAME)).args(["--test-threads", "2"]);
        suite.env("PROACTOR_MASK", names.join(",")).stdin(Stdio::null());
        let output = suite.output().unwrap();
        let said = String::from_utf8_lossy(&output.stdout);
        assert!(
            output.status.success() && said.contains("test result: ok"),
            "{module} without {names:?}: {said}\n{}",
            String::from_utf8_lossy(&output.stderr)
        );
        assert!(!said.contains(" 0 passed"), "{said}");
    }
}

/// The features that this backend may use.
pub(crate) fn features<R: Runtime>() -> Vec<Feature> {
    let ours = |feature: &Feature| (*feature == Feature::EpollPwait2) != is_proactor::<R>();
    Feature::ALL.iter().copied().filter(ours).collect()
}
