//! Samples, and what is computed from several of them.

use serde::{Deserialize, Serialize};

/// One of the two sides of the comparison.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Side {
    Proactor,
    Selector,
}

impl Side {
    pub(crate) const BOTH: [Side; 2] = [Side::Proactor, Side::Selector];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Side::Proactor => "proactor",
            Side::Selector => "selector",
        }
    }
}

/// One value for each side.
#[derive(Clone, Copy, Debug, Default, Serialize)]
pub(crate) struct PerSide<T> {
    pub(crate) proactor: T,
    pub(crate) selector: T,
}

impl<T> PerSide<T> {
    pub(crate) fn get(&self, side: Side) -> &T {
        match side {
            Side::Proactor => &self.proactor,
            Side::Selector => &self.selector,
        }
    }

    pub(crate) fn get_mut(&mut self, side: Side) -> &mut T {
        match side {
            Side::Proactor => &mut self.proactor,
            Side::Selector => &mut self.selector,
        }
    }
}

/// What one window gave.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(crate) struct Sample {
    pub(crate) seconds: f64,
    pub(crate) operations: f64,
    /// CPU time of the measured process within the window.
    pub(crate) user_ns: f64,
    pub(crate) system_ns: f64,
    /// Waits for the kernel: `io_uring_enter` or `epoll_wait`.
    pub(crate) kernel_visits: u64,
    /// All system calls, the visits among them, as the runtime counts them.
    pub(crate) system_calls: u64,
    pub(crate) p50_ns: Option<f64>,
    pub(crate) p99_ns: Option<f64>,
}

impl Sample {
    /// The figures that the report is about.
    pub(crate) fn metrics(&self) -> Metrics<Option<f64>> {
        let per_operation = |total: f64| (self.operations > 0.0).then(|| total / self.operations);
        Metrics {
            operations_per_second: Some(self.operations / self.seconds),
            p50_ns: self.p50_ns,
            p99_ns: self.p99_ns,
            cpu_ns: per_operation(self.user_ns + self.system_ns),
            system_calls: per_operation(self.system_calls as f64),
        }
    }
}

/// One value for each of the five figures.
#[derive(Clone, Copy, Debug, Default, Serialize)]
pub(crate) struct Metrics<T> {
    pub(crate) operations_per_second: T,
    pub(crate) p50_ns: T,
    pub(crate) p99_ns: T,
    /// CPU time per operation.
    #[serde(rename = "cpu_ns_per_operation")]
    pub(crate) cpu_ns: T,
    /// System calls per operation.
    #[serde(rename = "system_calls_per_operation")]
    pub(crate) system_calls: T,
}

impl<T> Metrics<T> {
    /// The same computation for each figure: `f` is given a getter of it.
    fn each<U>(f: impl Fn(fn(&Metrics<U>) -> &U) -> T) -> Metrics<T> {
        Metrics {
            operations_per_second: f(|m| &m.operations_per_second),
            p50_ns: f(|m| &m.p50_ns),
            p99_ns: f(|m| &m.p99_ns),
            cpu_ns: f(|m| &m.cpu_ns),
            system_calls: f(|m| &m.system_calls),
        }
    }
}

/// A figure over the rounds: half of them lie between the quartiles.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub(crate) struct Spread {
    pub(crate) median: f64,
    pub(crate) low_quartile: f64,
    pub(crate) high_quartile: f64,
    pub(crate) min: f64,
    pub(crate) max: f64,
}

impl Spread {
    /// The spread of `values`; none of nothing.
    pub(crate) fn of(values: impl IntoIterator<Item = f64>) -> Option<Spread> {
        let mut values: Vec<f64> = values.into_iter().collect();
        values.sort_by(f64::total_cmp);
        let last = values.len().checked_sub(1)?;
        // Between two values it is as far as the share is.
        let at = |share: f64| {
            let place = share * last as f64;
            let (below, above) = (values[place.floor() as usize], values[place.ceil() as usize]);
            below + (above - below) * place.fract()
        };
        Some(Spread {
            median: at(0.5),
            low_quartile: at(0.25),
            high_quartile: at(0.75),
            min: values[0],
            max: values[last],
        })
    }

    /// Whether half of the rounds lie on both sides of `value`, or around it.
    pub(crate) fn straddles(&self, value: f64) -> bool {
        self.low_quartile <= value && value <= self.high_quartile
    }
}

/// The figures of one side over its rounds.
pub(crate) fn summary(samples: &[Metrics<Option<f64>>]) -> Metrics<Option<Spread>> {
    Metrics::each(|of| Spread::of(samples.iter().filter_map(|sample| *of(sample))))
}

/// The ratios proactor : selector, each of two windows of the same round.
pub(crate) fn ratios(rounds: &[PerSide<Metrics<Option<f64>>>]) -> Metrics<Option<Spread>> {
    Metrics::each(|of| {
        Spread::of(rounds.iter().filter_map(|round| {
            let (ours, theirs) = ((*of(&round.proactor))?, (*of(&round.selector))?);
            (theirs > 0.0).then_some(ours / theirs)
        }))
    })
}
