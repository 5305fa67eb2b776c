//! The table on the terminal.

use comfy_table::{Cell, CellAlignment, Table, presets};

use super::format;
use crate::{
    compare::{Measured, Results},
    stats::{Metrics, Side, Spread},
};

/// The width of a terminal; the table is no wider.
const COLUMNS: usize = 80;

type Figures = Metrics<Option<Spread>>;

/// A heading, a block of rows for every program, and how to read them.
pub(crate) fn table(results: &Results) -> String {
    let mut table = Table::new();
    table.load_preset(presets::UTF8_HORIZONTAL_ONLY);
    let heads = ["program", "backend", "op/s", "p50", "p99", "CPU/op", "calls/op"];
    table.set_header(heads);
    for (index, column) in table.column_iter_mut().enumerate() {
        column.set_padding((0, 1));
        if index >= 2 {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    for program in &results.programs {
        add(&mut table, program, &results.sides());
    }

    let mut notes =
        format!("Medians of {} round{}.", results.rounds, if results.rounds == 1 { "" } else { "s" });
    if results.sides().len() == 2 {
        notes += " Ratios are proactor : selector, paired round by round: the median, and below it the spread \
                  that contains the middle half of the rounds. Below 1 is better for the proactor; for op/s, \
                  above 1.";
    }
    let reliable = if results.sides().len() == 2 { "and the ratios are" } else { "is" };
    notes += &format!(
        " `calls` are system calls. CPU time per operation {reliable} most reliable: the rest depends on the \
         other load of the machine."
    );
    if let Some(reason) = &results.proactor_unavailable {
        notes += &format!(" Only the selector was measured: {reason}");
    }
    format!("{table}\n{}", wrapped(&notes).join("\n"))
}

/// A line for each side, and two lines of ratios. A
/// program is one row of the table: all its cells have the same lines.
fn add(table: &mut Table, program: &Measured, sides: &[Side]) {
    let mut lines: Vec<Vec<String>> = Vec::new();
    let mut line = |backend: String, figures: Vec<String>| {
        let mut line = vec![if lines.is_empty() { program.name.clone() } else { String::new() }, backend];
        line.extend(figures);
        lines.push(line);
    };
    for side in sides {
        let figures = program.figures.get(*side).as_ref();
        let failed = program.failures.get(*side).is_some();
        let none = || [if failed { "failed" } else { "–" }, "–", "–", "–", "–"].map(str::to_owned).to_vec();
        line(side.name().to_owned(), figures.map_or_else(none, plain));
    }
    if let Some(ratios) = &program.ratios {
        let each = |show: fn(&Spread) -> String, none: &str| {
            let figures = figures_of(ratios).into_iter();
            figures.map(|ratio| ratio.as_ref().map_or_else(|| none.to_owned(), show)).collect()
        };
        line("ratio".to_owned(), each(|spread| format::ratio(spread.median), "–"));
        line("(spread)".to_owned(), each(format::short_range, ""));
    }
    table.add_row((0..7).map(|column| {
        let cell: Vec<&str> = lines.iter().map(|line| line[column].as_str()).collect();
        Cell::new(cell.join("\n"))
    }));
}

/// Text in lines that fit a terminal.
fn wrapped(text: &str) -> Vec<String> {
    let mut lines = vec![String::new()];
    for word in text.split_whitespace() {
        let last = lines.last_mut().expect("there is one from the start");
        if last.is_empty() {
            last.push_str(word);
        } else if last.chars().count() + word.chars().count() < COLUMNS {
            last.push(' ');
            last.push_str(word);
        } else {
            lines.push(word.to_owned());
        }
    }
    lines
}

/// The five figures in the order of the columns.
fn figures_of(figures: &Figures) -> [Option<Spread>; 5] {
    [figures.operations_per_second, figures.p50_ns, figures.p99_ns, figures.cpu_ns, figures.system_calls]
}

fn plain(figures: &Figures) -> Vec<String> {
    let show = [format::count, format::time, format::time, format::time, format::calls];
    let median = |(figure, show): (Option<Spread>, fn(f64) -> String)| {
        figure.map_or_else(|| "–".to_owned(), |spread| show(spread.median))
    };
    figures_of(figures).into_iter().zip(show).map(median).collect()
}
