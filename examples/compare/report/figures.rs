//! Which plots there are, and what each shows.

use plotters::style::RGBColor;

use super::{
    format,
    plots::{Mark, NARROW, Plot, Row, Span, WIDE, colour},
};
use crate::{
    compare::{Measured, Results},
    failure::Failure,
    stats::{Metrics, Side, Spread},
};

const GREY: RGBColor = RGBColor(0x86, 0x8e, 0x96);

/// A finished plot with the words that go with it.
pub(crate) struct Figure {
    pub(crate) name: &'static str,
    pub(crate) caption: String,
    pub(crate) svg: String,
    /// The same for a narrow screen.
    pub(crate) narrow: String,
}

type Figures = Metrics<Option<Spread>>;

/// One of the five figures: where it is, and how it is to be shown.
struct Quantity {
    name: &'static str,
    title: &'static str,
    axis: &'static str,
    lower_is_better: bool,
    floor: f64,
    of: fn(&Figures) -> Option<Spread>,
    show: fn(f64) -> String,
    caption: &'static str,
}

const CPU: Quantity = Quantity {
    name: "cpu",
    title: "CPU time per operation",
    axis: "CPU time per operation, user and kernel (logarithmic)",
    lower_is_better: true,
    floor: 1.0,
    of: |figures| figures.cpu_ns,
    show: format::time,
    caption: "CPU time of the measured process per operation, including kernel time. This is the \
              most stable figure.",
};

const CALLS: Quantity = Quantity {
    name: "system-calls",
    title: "System calls per operation",
    axis: "system calls per operation (logarithmic)",
    lower_is_better: true,
    floor: 0.0005,
    of: |figures| figures.system_calls,
    show: format::calls,
    caption: "As counted by the runtimes: waits, and other calls for operations. Values below \
              0.0005 are drawn at the left end.",
};

const THROUGHPUT: Quantity = Quantity {
    name: "throughput",
    title: "Operations per second",
    axis: "operations per second (logarithmic)",
    lower_is_better: false,
    floor: 1.0,
    of: |figures| figures.operations_per_second,
    show: format::count,
    caption: "Completed operations. In the echo programs the clients may be the limit; the timers \
              are limited by the time that they sleep.",
};

/// All plots, in the order of the page.
pub(crate) fn all(results: &Results) -> Result<Vec<Figure>, Failure> {
    let both = results.sides().len() == 2;
    let mut plots = Vec::new();
    for quantity in [&CPU, &CALLS, &THROUGHPUT] {
        plots.push((quantity.name, quantity.caption.to_owned(), dots(results, quantity)));
        match quantity.name {
            "cpu" if both => plots.push(("cpu-ratio", about_ratio(), ratio(results, quantity))),
            "throughput" if both => {
                plots.push(("throughput-ratio", about_ratio(), ratio(results, quantity)));
            }
            _ => {}
        }
    }
    plots.push((
        "latency",
        "From the median to the 99th percentile. Latency is the round trip seen by the client for \
         the echo programs, and the lateness of the wake-up for the timers; spawn-join and yield \
         are timed in batches. With many connections, most of it is queueing."
            .to_owned(),
        latency(results),
    ));
    let figure = |(name, caption, plot): (_, _, Plot)| {
        Ok(Figure { name, caption, svg: plot.svg(WIDE)?, narrow: plot.svg(NARROW)? })
    };
    plots.into_iter().map(figure).collect()
}

fn about_ratio() -> String {
    "Each round measures both backends in direct succession and yields one ratio. The mark is the \
     median of the rounds, the thick line contains the middle half of them, the thin line all. \
     Grey: the thick line includes 1, so there is no clear difference."
        .to_owned()
}

fn better(lower: bool) -> &'static str {
    if lower { "Lower is better: further to the left" } else { "Higher is better: further to the right" }
}

/// The legend for the sides that were measured.
fn legend(results: &Results) -> Vec<(Mark, &'static str)> {
    let entry = |side| match side {
        Side::Proactor => (Mark::of(side), "proactor (io_uring)"),
        Side::Selector => (Mark::of(side), "selector (epoll)"),
    };
    results.sides().into_iter().map(entry).collect()
}

/// Both sides of a quantity, program by program.
fn dots(results: &Results, quantity: &Quantity) -> Plot {
    let heading = |side: Side| (side.name().to_owned(), colour(side));
    let mut columns: Vec<_> = results.sides().into_iter().map(heading).collect();
    let both = columns.len() == 2;
    if both {
        columns.push(("ratio".to_owned(), GREY));
    }
    let row = |program: &Measured| {
        let mut row = Row {
            name: program.name.clone(),
            marks: Vec::new(),
            spans: Vec::new(),
            numbers: Vec::new(),
            continued: false,
        };
        for side in results.sides() {
            let value = program.figures.get(side).as_ref().and_then(quantity.of);
            row.marks.extend(value.map(|spread| (spread.median, Mark::of(side))));
            row.numbers.push(match value {
                Some(spread) => (quantity.show)(spread.median),
                None => "–".to_owned(),
            });
        }
        // The proactor on top where the two meet.
        row.marks.reverse();
        if let [(from, _), (to, _)] = row.marks[..] {
            row.spans.push(Span { from, to, colour: GREY, width: 2, capped: false });
        }
        if both {
            let ratio = program.ratios.as_ref().and_then(quantity.of);
            row.numbers.push(ratio.map_or_else(|| "–".to_owned(), |spread| format::ratio(spread.median)));
        }
        row
    };
    Plot {
        title: quantity.title.to_owned(),
        axis: quantity.axis.to_owned(),
        better: better(quantity.lower_is_better),
        legend: legend(results),
        columns,
        rows: results.programs.iter().map(row).collect(),
        row_height: 30,
        floor: quantity.floor,
        middle: None,
        show: quantity.show,
    }
}

/// The ratio of the two sides, program by program, with its spread.
fn ratio(results: &Results, quantity: &Quantity) -> Plot {
    let row = |program: &Measured| {
        let spread = program.ratios.as_ref().and_then(quantity.of)?;
        let proactor_wins = (spread.median < 1.0) == quantity.lower_is_better;
        let (colour, mark) = match proactor_wins {
            _ if spread.straddles(1.0) => (GREY, Mark::Disc(GREY)),
            true => (colour(Side::Proactor), Mark::of(Side::Proactor)),
            false => (colour(Side::Selector), Mark::of(Side::Selector)),
        };
        let span = |from, to, width| Span { from, to, colour, width, capped: width < 3 };
        Some(Row {
            name: program.name.clone(),
            marks: vec![(spread.median, mark)],
            spans: vec![span(spread.min, spread.max, 2), span(spread.low_quartile, spread.high_quartile, 6)],
            numbers: vec![format::ratio(spread.median), format::range(&spread)],
            continued: false,
        })
    };
    let sides = ["◂ proactor better", "selector better ▸"];
    let other_sides = ["◂ selector better", "proactor better ▸"];
    Plot {
        title: format!("{}: proactor relative to selector", quantity.title),
        axis: "ratio proactor : selector (logarithmic)".to_owned(),
        better: if quantity.lower_is_better {
            "Below 1 the proactor needs less"
        } else {
            "Above 1 the proactor gets more done"
        },
        legend: vec![
            (Mark::of(Side::Proactor), "proactor better"),
            (Mark::of(Side::Selector), "selector better"),
            (Mark::Disc(GREY), "no clear difference"),
        ],
        columns: vec![("ratio".to_owned(), GREY), ("spread".to_owned(), GREY)],
        rows: results.programs.iter().filter_map(row).collect(),
        row_height: 28,
        floor: 0.001,
        middle: Some((1.0, if quantity.lower_is_better { sides } else { other_sides })),
        show: format::ratio,
    }
}

/// The median and the 99th percentile of each side, one under the other.
fn latency(results: &Results) -> Plot {
    let mut rows = Vec::new();
    for program in &results.programs {
        for (index, side) in results.sides().into_iter().enumerate() {
            let figures = program.figures.get(side).as_ref();
            let p50 = figures.and_then(|figures| figures.p50_ns);
            let p99 = figures.and_then(|figures| figures.p99_ns);
            let mut row = Row {
                name: if index == 0 { program.name.clone() } else { String::new() },
                marks: Vec::new(),
                spans: Vec::new(),
                numbers: vec!["–".to_owned(); 2],
                continued: index > 0,
            };
            if let (Some(p50), Some(p99)) = (p50, p99) {
                row.marks = vec![(p99.median, Mark::hollow(side)), (p50.median, Mark::of(side))];
                row.spans = vec![Span {
                    from: p50.median,
                    to: p99.median,
                    colour: colour(side),
                    width: 2,
                    capped: false,
                }];
                row.numbers = vec![format::time(p50.median), format::time(p99.median)];
            }
            rows.push(row);
        }
    }
    let mut legend = Vec::new();
    for side in results.sides() {
        let [median, tail] = match side {
            Side::Proactor => ["proactor, median", "proactor, 99th percentile"],
            Side::Selector => ["selector, median", "selector, 99th percentile"],
        };
        legend.push((Mark::of(side), median));
        legend.push((Mark::hollow(side), tail));
    }
    Plot {
        title: "Latency".to_owned(),
        axis: "latency (logarithmic)".to_owned(),
        better: better(true),
        legend,
        columns: vec![("median".to_owned(), GREY), ("99th perc.".to_owned(), GREY)],
        rows,
        row_height: 24,
        floor: 1.0,
        middle: None,
        show: format::time,
    }
}
