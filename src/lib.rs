//! proactor
pub mod buf;
#[macro_use]
mod driver;
pub mod fs;
pub mod io;
pub mod net;
mod op;
mod runtime;
mod sys;
pub mod task;
pub mod time;

pub use driver::feature::{Feature, FeatureState};
#[doc(hidden)]
pub use driver::kernel::Fault;
pub use runtime::config::Config;
pub use runtime::report::{Backend, FeatureReport, Live, Report, Shutdown, Stats};
pub use runtime::rng::random;
pub use runtime::{Auto, Budget, Embed, Proactor, Runtime, Selector, Turn, Wait, run};
pub use task::{spawn, spawn_blocking, yield_now};
