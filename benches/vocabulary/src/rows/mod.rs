//! What is measured: each row the same work for all who can do it.

mod channels;
mod combine;
mod locks;
mod macros;
mod tasks;

use crate::measure::Cost;

/// How many futures or tasks are together in a row that has many.
const THOUSAND: u64 = 1_000;

/// A piece of work.
pub struct Row {
    pub name: &'static str,
    /// What one operation is.
    pub about: &'static str,
    pub contenders: Vec<Contender>,
}

/// Somebody who can do it.
pub struct Contender {
    pub name: &'static str,
    /// Does so many operations. It may do a few more, so as to end what it has begun.
    pub run: fn(u64) -> Cost,
}

impl Contender {
    /// Whether it is our vocabulary. A rival that runs on our loop is not.
    pub fn is_ours(&self) -> bool {
        self.name.starts_with("proactor")
    }
}

/// A row: its name, what an operation is, and its contenders as functions of the number of operations.
macro_rules! row {
    ($name:literal, $about:literal; $($contender:literal: $run:expr),+ $(,)?) => {
        $crate::rows::Row {
            name: $name,
            about: $about,
            contenders: vec![$($crate::rows::Contender { name: $contender, run: $run }),+],
        }
    };
}
use row;

pub fn all() -> Vec<Row> {
    [tasks::rows(), combine::rows(), macros::rows(), channels::rows(), locks::rows()]
        .into_iter()
        .flatten()
        .collect()
}
