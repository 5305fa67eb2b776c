//! Numbers as people read them.

use crate::stats::Spread;

/// Three significant digits, without an exponent.
fn digits(value: f64) -> String {
    match value.abs() {
        0.0 => "0".to_owned(),
        size if size >= 100.0 => format!("{value:.0}"),
        size if size >= 10.0 => format!("{value:.1}"),
        size if size >= 0.1 => format!("{value:.2}"),
        size if size >= 0.01 => format!("{value:.3}"),
        _ => format!("{value:.4}"),
    }
}

/// A value in the largest of the units that leaves it above one.
fn scaled(value: f64, units: &[(f64, &str)]) -> String {
    let fits = |unit: &&(f64, &str)| value.abs() >= unit.0 * 0.9995;
    let (size, name) = units.iter().find(fits).unwrap_or(&units[units.len() - 1]);
    format!("{}{name}", digits(value / size))
}

/// A time given in nanoseconds.
pub(crate) fn time(nanos: f64) -> String {
    scaled(nanos, &[(1e9, " s"), (1e6, " ms"), (1e3, " µs"), (1.0, " ns")])
}

/// A rate or a count.
pub(crate) fn count(value: f64) -> String {
    scaled(value, &[(1e9, " G"), (1e6, " M"), (1e3, " k"), (1.0, "")])
}

/// System calls per operation; very few of them are shown as such.
pub(crate) fn calls(value: f64) -> String {
    if value > 0.0 && value < 0.0005 { "< 0.0005".to_owned() } else { digits(value) }
}

/// A label of an axis: the same text without the zeros that say nothing.
pub(crate) fn tick(text: &str) -> String {
    let end = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let (number, unit) = text.split_at(end);
    if number.contains('.') {
        format!("{}{unit}", number.trim_end_matches('0').trim_end_matches('.'))
    } else {
        text.to_owned()
    }
}

/// A ratio.
pub(crate) fn ratio(value: f64) -> String {
    format!("{}×", digits(value))
}

/// The quartiles of a ratio.
pub(crate) fn range(spread: &Spread) -> String {
    format!("{}–{}", digits(spread.low_quartile), digits(spread.high_quartile))
}

/// The quartiles of a ratio in at most nine columns, for the table.
pub(crate) fn short_range(spread: &Spread) -> String {
    let short = |value: f64| match value {
        value if value < 0.1 => format!("{value:.3}").trim_start_matches('0').to_owned(),
        value => digits(value),
    };
    format!("{}–{}", short(spread.low_quartile), short(spread.high_quartile))
}
