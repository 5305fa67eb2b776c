//! A table for each row.

use comfy_table::{CellAlignment, Table};

use crate::rounds::Measured;
use crate::rows::Row;
use crate::stats::{Spread, ratios};

const HEADER: [&str; 8] = ["who", "CPU ns", "spread", "/ best rival", "wall ns", "/ its wall", "sleeps", ""];

pub fn table(row: &Row, measured: &[Measured]) -> String {
    let mut table = Table::new();
    table.load_preset(comfy_table::presets::UTF8_HORIZONTAL_ONLY).set_header(HEADER);
    for column in 1..HEADER.len() {
        table.column_mut(column).expect("it is there").set_cell_alignment(CellAlignment::Right);
    }
    for one in measured {
        let best = best_rival(one, measured);
        let (cpu, wall) = (Spread::of(one.cpu()), Spread::of(one.wall()));
        let over = |mine: Vec<f64>, theirs: fn(&Measured) -> Vec<f64>| {
            best.map(|best| format!("{:.2}", ratios(&mine, &theirs(best)).median)).unwrap_or_default()
        };
        table.add_row([
            one.name.to_owned(),
            figure(cpu.median),
            format!("{:.0} %", cpu.percent()),
            over(one.cpu(), Measured::cpu),
            figure(wall.median),
            over(one.wall(), Measured::wall),
            format!("{:.3}", Spread::of(one.sleeps()).median),
            if best.is_some_and(|best| std::ptr::eq(best, one)) { "best rival" } else { "" }.to_owned(),
        ]);
    }
    format!("{}: {}\n{table}\n{}", row.name, row.about, verdict(measured))
}

/// Of those who are not ours, the one with the least CPU time. What crosses threads is not compared with what does not, nor
/// what begins anywhere with what begins at the beginning.
fn best_rival<'a>(one: &Measured, measured: &'a [Measured]) -> Option<&'a Measured> {
    let crosses = one.name.contains("shared");
    let biased = |one: &Measured| one.name.ends_with("biased");
    let rivals = measured.iter().filter(|other| {
        !other.ours && biased(other) == biased(one) && !(crosses && other.name.starts_with("local-sync"))
    });
    rivals.min_by(|a, b| Spread::of(a.cpu()).median.total_cmp(&Spread::of(b.cpu()).median))
}

/// Whether ours is first: by how much, or behind whom.
fn verdict(measured: &[Measured]) -> String {
    let ours = measured.iter().filter(|one| one.ours);
    ours.filter_map(|one| {
        let best = best_rival(one, measured)?;
        let ratio = ratios(&one.cpu(), &best.cpu());
        let place = if ratio.high < 1.0 {
            "first"
        } else if ratio.low <= 1.0 {
            "level"
        } else {
            "behind"
        };
        let Spread { median, low, high } = ratio;
        Some(format!("{}: {place}, {median:.2} ({low:.2} to {high:.2}) of {}\n", one.name, best.name))
    })
    .collect()
}

fn figure(nanos: f64) -> String {
    if nanos < 100.0 { format!("{nanos:.1}") } else { format!("{nanos:.0}") }
}
