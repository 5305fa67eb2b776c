//! What becomes of the figures: tables for the terminal, Markdown, JSON, and a page with plots.

mod html;
mod plot;

use std::fmt::Write as _;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use serde::Serialize;

use crate::rounds::{Cell, Row, Sample};
use crate::stats::{Spread, ratios};
use crate::workload::{Cores, Workload};

/// Everything that a run has found out.
#[derive(Debug, Serialize)]
pub struct Report<'a> {
    pub machine: String,
    /// Name and settings.
    pub runtimes: &'a [(&'static str, &'static str)],
    pub rounds: usize,
    pub seconds: f64,
    pub rows: Vec<Row>,
}

/// 64 MiB, in this package's target folder, which lies on a disk.
pub fn file_to_read() -> io::Result<PathBuf> {
    let folder = std::env::current_exe()?.parent().map(PathBuf::from).unwrap_or_default();
    let path = folder.join("rivals-read.bin");
    if !std::fs::metadata(&path).is_ok_and(|metadata| metadata.len() == 64 << 20) {
        let mut file = std::fs::File::create(&path)?;
        let block: Vec<u8> =
            (0..1 << 20).map(|at: u32| (at.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
        for _ in 0..64 {
            file.write_all(&block)?;
        }
        file.sync_all()?;
    }
    Ok(path)
}

/// The figure by which runtimes are compared in a row, for each round.
pub fn figures(cell: &Cell, workload: Workload) -> Vec<Option<f64>> {
    let figure = |sample: &Sample| match workload {
        Workload::Idle { .. } => sample.used.resident as f64 / sample.ops as f64,
        Workload::Wake => sample.used.wall_ns as f64 / sample.ops as f64,
        _ => sample.used.cpu_ns as f64 / sample.ops as f64,
    };
    cell.samples.iter().map(|sample| sample.as_ref().map(figure)).collect()
}

/// The row's figures over those of another runtime in the same rounds.
pub fn over(row: &Row, cell: &Cell, other: &str) -> Option<Spread> {
    let other = row.cells.iter().find(|cell| cell.runtime == other)?;
    ratios(&figures(cell, row.workload), &figures(other, row.workload))
}

/// What the figure is called.
pub fn title(row: &Row) -> String {
    let unit = match row.workload {
        Workload::Idle { .. } => "bytes of memory",
        Workload::Wake => "ns",
        _ => "ns of CPU time",
    };
    let cores = match row.cores {
        Cores::Same => "on one core",
        Cores::Two => "on two cores",
    };
    format!("{}: {unit} per {}, {cores}", row.workload.name(), row.workload.unit())
}

const HEADER: [&str; 10] = [
    "runtime",
    "median",
    "middle half",
    "/ bare ring",
    "/ tokio",
    "user ns",
    "system calls",
    "instructions",
    "p50 / p99 µs",
    "peak MB",
];

/// The cells of the row's table, in the order of [`HEADER`].
fn lines(row: &Row) -> Vec<Vec<String>> {
    let number = |digits: usize, figure: Option<f64>| {
        figure.map_or("–".into(), |figure| format!("{figure:.digits$}"))
    };
    let line = |cell: &Cell| {
        let own = figures(cell, row.workload);
        let spread = Spread::of(own.iter().flatten().copied());
        let Some(spread) = spread.filter(|_| cell.reason.is_none()) else {
            return vec![
                cell.runtime.clone(),
                format!("– ({})", cell.reason.as_deref().unwrap_or("no figures")),
            ];
        };
        let median = |figure: fn(&Sample) -> f64| {
            Spread::of(cell.samples.iter().flatten().map(figure)).map(|spread| spread.median)
        };
        let ratio = |other| number(3, over(row, cell, other).map(|ratio| ratio.median));
        let latency = |figure: fn(&Sample) -> Option<u64>| {
            let all = cell.samples.iter().flatten().filter_map(figure).map(|ns| ns as f64 / 1e3);
            number(0, Spread::of(all).map(|spread| spread.median))
        };
        let digits = if spread.median < 100.0 { 1 } else { 0 };
        vec![
            cell.runtime.clone(),
            number(digits, Some(spread.median)),
            format!("{:.digits$} to {:.digits$}", spread.low, spread.high),
            ratio("bare-ring"),
            ratio("tokio"),
            number(0, median(|sample| sample.used.user_ns as f64 / sample.ops as f64)),
            number(3, cell.system_calls),
            number(0, cell.instructions),
            format!("{} / {}", latency(|sample| sample.p50_ns), latency(|sample| sample.p99_ns)),
            number(0, median(|sample| sample.used.peak as f64 / 1e6)),
        ]
    };
    row.cells.iter().map(line).collect()
}

/// For the terminal.
pub fn table(row: &Row) -> String {
    let mut table = comfy_table::Table::new();
    table.set_header(HEADER);
    table.add_rows(lines(row));
    format!("{}\n{table}", title(row))
}

impl Report<'_> {
    /// Whether the run counts: a slow reference flatters.
    pub fn validity(&self) -> String {
        let echo = Workload::Echo { bytes: 64, connections: 64 };
        let row = self.rows.iter().find(|row| row.workload == echo && row.cores == Cores::Same);
        let ratio = row.and_then(|row| {
            let ring = row.cells.iter().find(|cell| cell.runtime == "bare-ring")?;
            over(row, ring, "tokio")
        });
        match ratio {
            None => "Not checked: it takes the row echo-64-64 with bare-ring and tokio, on one core.".into(),
            Some(ratio) => {
                let verdict = if ratio.median <= 0.90 { "The run counts" } else { "The run does not count" };
                format!(
                    "{verdict}: in echo-64-64 the bare ring is at {:.3} of tokio (at most 0.90).",
                    ratio.median
                )
            }
        }
    }

    pub fn markdown(&self) -> String {
        let mut text = format!(
            "# Rivals\n\n{}; {} rounds of about {} s, interleaved. Medians of what one operation took.\n\n{}\n",
            self.machine,
            self.rounds,
            self.seconds,
            self.validity()
        );
        for row in &self.rows {
            let _ = write!(
                text,
                "\n## {}\n\n| {} |\n|{}\n",
                title(row),
                HEADER.join(" | "),
                "---|".repeat(HEADER.len())
            );
            for line in lines(row) {
                let _ = writeln!(text, "| {} |", line.join(" | "));
            }
        }
        text.push_str("\n## Settings\n\n| runtime | settings |\n|---|---|\n");
        for (name, settings) in self.runtimes {
            let _ = writeln!(text, "| {name} | {settings} |");
        }
        text
    }

    /// Writes `report.md`, `report.json` and `report.html`.
    pub fn write(&self, folder: &Path) -> io::Result<()> {
        std::fs::create_dir_all(folder)?;
        std::fs::write(folder.join("report.md"), self.markdown())?;
        std::fs::write(folder.join("report.json"), serde_json::to_string_pretty(self)?)?;
        std::fs::write(folder.join("report.html"), html::page(self)?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::process::Used;

    fn cell(runtime: &str, cpu_ns: &[u64]) -> Cell {
        let sample =
            |cpu_ns| Some(Sample { ops: 10, used: Used { cpu_ns, ..Used::default() }, ..Sample::default() });
        Cell {
            runtime: runtime.into(),
            ops: 10,
            samples: cpu_ns.iter().map(|ns| sample(*ns)).collect(),
            system_calls: Some(0.5),
            instructions: None,
            reason: None,
        }
    }

    fn report(cells: Vec<Cell>) -> Report<'static> {
        let workload = Workload::Echo { bytes: 64, connections: 64 };
        let rows = vec![Row { workload, cores: Cores::Same, cells }];
        Report {
            machine: "a machine".into(),
            runtimes: &[("tokio", "its <settings>")],
            rounds: 3,
            seconds: 1.0,
            rows,
        }
    }

    #[test]
    fn a_row_is_paired_round_by_round_and_says_whether_the_run_counts() {
        let report =
            report(vec![cell("bare-ring", &[800, 1_600, 900]), cell("tokio", &[1_000, 2_000, 1_000])]);
        assert_eq!(lines(&report.rows[0])[0][..5], ["bare-ring", "90.0", "85.0 to 125.0", "1.000", "0.800"]);
        assert!(report.validity().starts_with("The run counts"), "{}", report.validity());
        assert!(report.markdown().contains("| tokio | its <settings> |"));
        assert!(html::page(&report).unwrap().contains("its &lt;settings&gt;"));
    }

    #[test]
    fn a_runtime_that_fails_keeps_its_line_and_a_slow_reference_is_told() {
        let mut failed = cell("glommio", &[]);
        failed.reason = Some("out of rings".into());
        let report = report(vec![cell("bare-ring", &[990]), cell("tokio", &[1_000]), failed]);
        assert_eq!(lines(&report.rows[0])[2][1], "– (out of rings)");
        assert!(report.validity().starts_with("The run does not count"));
    }
}
