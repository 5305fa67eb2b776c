//! Medians, spreads, and ratios of what was measured in the same round.

use serde::Serialize;

/// Several figures of the same kind: median, and how far apart the middle half lies, as a part of it.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Spread {
    pub median: f64,
    pub low: f64,
    pub high: f64,
}

impl Spread {
    pub fn of(figures: impl IntoIterator<Item = f64>) -> Option<Self> {
        let mut sorted: Vec<f64> = figures.into_iter().filter(|figure| figure.is_finite()).collect();
        sorted.sort_by(f64::total_cmp);
        let last = sorted.len().checked_sub(1)?;
        let at = |part: f64| {
            let place = part * last as f64;
            let (below, above) = (sorted[place.floor() as usize], sorted[place.ceil() as usize]);
            below + (above - below) * place.fract()
        };
        Some(Spread { median: at(0.5), low: at(0.25), high: at(0.75) })
    }
}

/// Round by round, one series over the other.
pub fn ratios(ours: &[Option<f64>], theirs: &[Option<f64>]) -> Option<Spread> {
    Spread::of(ours.iter().zip(theirs).filter_map(|(a, b)| Some((*a)? / (*b)?)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_median_lies_between_the_middle_two() {
        let spread = Spread::of([4.0, 1.0, 3.0, 2.0]).unwrap();
        assert_eq!((spread.low, spread.median, spread.high), (1.75, 2.5, 3.25));
        assert!(Spread::of([]).is_none());
        assert_eq!(Spread::of([f64::NAN, 7.0]).unwrap().median, 7.0);
    }

    #[test]
    fn ratios_pair_what_was_measured_in_one_round() {
        let spread = ratios(&[Some(2.0), None, Some(9.0)], &[Some(1.0), Some(5.0), Some(3.0)]).unwrap();
        assert_eq!(spread.median, 2.5);
    }
}
