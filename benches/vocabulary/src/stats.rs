//! Medians, spreads, and ratios of what was measured in the same round.

/// Several figures of the same kind: the median, and where the middle half lies.
#[derive(Clone, Copy, Debug)]
pub struct Spread {
    pub median: f64,
    pub low: f64,
    pub high: f64,
}

impl Spread {
    pub fn of(figures: impl IntoIterator<Item = f64>) -> Self {
        let mut sorted: Vec<f64> = figures.into_iter().collect();
        sorted.sort_by(f64::total_cmp);
        let last = sorted.len().checked_sub(1).expect("there is at least one figure");
        let at = |part: f64| {
            let place = part * last as f64;
            let (below, above) = (sorted[place.floor() as usize], sorted[place.ceil() as usize]);
            below + (above - below) * place.fract()
        };
        Spread { median: at(0.5), low: at(0.25), high: at(0.75) }
    }

    /// How far apart the middle half lies, in per cent of the median.
    pub fn percent(&self) -> f64 {
        (self.high - self.low) / self.median * 100.0
    }
}

/// Round by round, one series over the other.
pub fn ratios(ours: &[f64], theirs: &[f64]) -> Spread {
    Spread::of(ours.iter().zip(theirs).map(|(a, b)| a / b))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_median_lies_between_the_middle_two() {
        let spread = Spread::of([4.0, 1.0, 3.0, 2.0]);
        assert_eq!((spread.low, spread.median, spread.high), (1.75, 2.5, 3.25));
        assert_eq!(spread.percent(), 60.0);
    }

    #[test]
    fn ratios_pair_what_was_measured_in_one_round() {
        assert_eq!(ratios(&[2.0, 9.0], &[1.0, 3.0]).median, 2.5);
    }
}
