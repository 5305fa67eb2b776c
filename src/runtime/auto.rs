//! The choice of a backend for `Auto`: the environment variable, the kernel's version, a trial of io_uring.
#![forbid(unsafe_code)]

use std::io;

use super::backend::Backend;
use super::config::{Config, required};
use super::core::Core;

/// The environment variable that chooses the backend of [`Auto`](crate::Auto).
const VARIABLE: &str = "PROACTOR_BACKEND";

/// Returns the backend that the environment variable requests, if any.
pub(super) fn requested_backend() -> io::Result<Option<Backend>> {
    let requested = std::env::var_os(VARIABLE).unwrap_or_default();
    match requested.to_str() {
        Some("" | "auto") => Ok(None),
        Some("proactor") => Ok(Some(Backend::Proactor)),
        Some("selector") => Ok(Some(Backend::Selector)),
        _ => Err(io::Error::new(
            io::ErrorKind::InvalidInput,
            format!(
                "{VARIABLE} is {requested:?}: the valid values are \"proactor\", \"selector\" and \"auto\", or unset it"
            ),
        )),
    }
}

/// Makes the core of an [`Auto`](crate::Auto) runtime.
pub(super) fn make(config: &Config) -> io::Result<Core> {
    match requested_backend()? {
        None => {}
        Some(Backend::Proactor) => return Core::proactor(config),
        Some(Backend::Selector) => {
            return Core::selector(config, Some(format!("{VARIABLE}=selector asks for it")));
        }
    }
    config.check()?;
    let release = crate::sys::kernel_release();
    if crate::sys::kernel_version(&release).is_some_and(|version| version < (6, 1)) {
        let reason = format!(
            "Linux {release} is older than 6.1, and Auto chooses the proactor from 6.1 on; set {VARIABLE}=proactor to use it anyway"
        );
        return Core::selector(config, Some(reason));
    }
    match Core::proactor(config) {
        Ok(core) => Ok(core),
        Err(missing) if required::is_missing(&missing) => Err(missing),
        Err(refused) => Core::selector(config, Some(refused.to_string())),
    }
}
