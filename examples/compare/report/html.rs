//! The page: one self-contained file.

use super::{figures::Figure, format};
use crate::{
    compare::{Measured, Results},
    stats::{Metrics, Side, Spread},
};

const STYLE: &str = include_str!("page.css");

/// Escapes text for HTML.
pub(crate) fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

pub(crate) fn page(results: &Results, figures: &[Figure]) -> String {
    let mut page = format!(
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <title>proactor: the two backends compared</title>\n<style>\n{STYLE}</style>\n</head>\n\
         <body>\n<main>\n<h1>proactor: the two backends compared</h1>\n"
    );
    page += &opening(results);
    page += &facts(results);
    page += &reading(results);
    page += "<h2>Plots</h2>\n";
    for figure in figures {
        // As a part of the page an SVG needs no XML declaration.
        let part = |svg: &str| svg.find("<svg").map_or(String::new(), |at| svg[at..].to_owned());
        page += &format!(
            "<figure id=\"{}\">\n<div class=\"broad\">{}</div>\n<div class=\"narrow\">{}</div>\n\
             <figcaption>{}</figcaption>\n</figure>\n",
            figure.name,
            part(&figure.svg),
            part(&figure.narrow),
            escape(&figure.caption),
        );
    }
    page += &tables(results);
    page += &programs(results);
    page += &runtimes(results);
    page += "</main>\n</body>\n</html>\n";
    page
}

/// Describes the measured backends and programs, and failures.
fn opening(results: &Results) -> String {
    let mut text = String::new();
    let sides = match results.sides()[..] {
        [Side::Proactor] => "the <b>proactor</b> (io_uring) only",
        [Side::Selector] => "the <b>selector</b> (epoll) only",
        _ => "the <b>proactor</b> (io_uring) and the <b>selector</b> (epoll)",
    };
    text += &format!(
        "<p>The same programs on {sides}: {} programs, {} round{}, windows of {} after a warm-up \
         of {}, each in a separate process.</p>\n",
        results.programs.len(),
        results.rounds,
        if results.rounds == 1 { "" } else { "s" },
        format::time(results.window_seconds * 1e9),
        format::time(results.warm_up_seconds * 1e9),
    );
    if let Some(reason) = &results.proactor_unavailable {
        text +=
            &format!("<p class=\"notice\"><b>Only the selector was measured:</b> {}</p>\n", escape(reason),);
    }
    for failure in results.failures() {
        text += &format!("<p class=\"notice\"><b>Failed:</b> {}</p>\n", escape(&failure));
    }
    text
}

fn facts(results: &Results) -> String {
    let machine = &results.machine;
    let mut facts = vec![
        ("Date", results.started.clone()),
        ("Kernel", format!("Linux {} ({})", machine.kernel, machine.architecture)),
        (
            "CPU",
            format!(
                "{}, {} core{}; processes are not pinned to cores",
                machine.cpu,
                machine.cores,
                if machine.cores == 1 { "" } else { "s" },
            ),
        ),
        ("Version", format!("proactor {}", results.version)),
    ];
    if results.client_threads > 0 {
        let threads = results.client_threads;
        facts.push((
            "Echo clients",
            format!(
                "up to {threads} thread{} outside the measured process",
                if threads == 1 { "" } else { "s" }
            ),
        ));
    }
    let proactor = results.backends.proactor.as_ref();
    if let Some(flags) = proactor.map(|backend| backend.setup_flags.join(", ")) {
        facts.push(("io_uring flags", if flags.is_empty() { "none".to_owned() } else { flags }));
    }
    facts.push(("Took", format::time(results.seconds_taken * 1e9)));
    facts.push(("Made by", results.command.clone()));
    let rows = facts.iter().map(|(name, value)| {
        let class = if *name == "Made by" { " class=\"code\"" } else { "" };
        format!("<dt>{name}</dt><dd{class}>{}</dd>\n", escape(value))
    });
    format!("<dl>\n{}</dl>\n", rows.collect::<String>())
}

fn reading(results: &Results) -> String {
    let ratios = if results.sides().len() == 2 {
        "<li><b>Ratios</b> are proactor : selector. Each pairs two consecutive windows of the same round, \
         so that a slow phase of the machine affects both. The figure is the median over the rounds \
         (not the quotient of the two medians); below it is the spread that contains the middle half \
         of the rounds. If the spread includes 1, this run shows no difference.</li>\n"
    } else {
        ""
    };
    format!(
        "<h2>How to read it</h2>\n<ul>\n\
         <li><b>CPU time per operation{} most reliable. Throughput and latency also depend on the \
         other load of the machine, on its frequencies, and on how two processes share its cores.\
         </li>\n{ratios}\
         <li>In the echo programs the measured process is the server. The clients are plain threads \
         of another process, each connection has one message in flight, and every echoed byte is \
         checked. With few cores the clients, not the server, may limit throughput; CPU time per \
         operation still shows the difference between the servers.</li>\n\
         <li>The file is in the page cache, so the reads show the cost of the calls and not of the \
         disk. Each block is checked.</li>\n\
         <li>The runtimes count system calls themselves: their waits and the calls for operations, \
         on all their threads. Calls by which threads wake each other (<code>futex</code>, writes to \
         an <code>eventfd</code>) are not counted, which favours the selector in the file programs.\
         </li>\n</ul>\n",
        if ratios.is_empty() { "</b> is the" } else { " and the ratios</b> are the" },
    )
}

/// A column of the table: its name, its value in the figures, and its format.
type Quantity = (&'static str, fn(&Metrics<Option<Spread>>) -> Option<Spread>, fn(f64) -> String);

const QUANTITIES: [Quantity; 5] = [
    ("operations/s", |figures| figures.operations_per_second, format::count),
    ("p50 latency", |figures| figures.p50_ns, format::time),
    ("p99 latency", |figures| figures.p99_ns, format::time),
    ("CPU time/op", |figures| figures.cpu_ns, format::time),
    ("system calls/op", |figures| figures.system_calls, format::calls),
];

fn tables(results: &Results) -> String {
    format!(
        "<h2>All figures</h2>\n<p>Medians over the rounds; below each is the spread that contains the \
         middle half of the rounds.</p>\n<div class=\"broad\">\n{}</div>\n<div class=\"narrow\">\n{}</div>\n",
        table(results),
        results.programs.iter().map(|program| narrow_table(results, program)).collect::<String>(),
    )
}

fn table(results: &Results) -> String {
    let heads = QUANTITIES.map(|(name, ..)| format!("<th>{name}</th>"));
    let mut text =
        format!("<table>\n<thead><tr><th>program</th><th>backend</th>{}</tr></thead>\n", heads.concat());
    for program in &results.programs {
        text += "<tbody>\n";
        let mut lines = Vec::new();
        for side in results.sides() {
            lines.push(side_line(program, side));
        }
        if let Some(ratios) = &program.ratios {
            let cells = QUANTITIES.map(|(_, of, _)| cell(of(ratios), format::ratio));
            lines.push(format!("<td>ratio</td>{}</tr>\n", cells.concat()));
        }
        for (index, line) in lines.iter().enumerate() {
            let class = if line.starts_with("<td>ratio") { " class=\"ratio\"" } else { "" };
            text += &format!("<tr{class}>");
            if index == 0 {
                let name = escape(&program.name);
                text += &format!("<th scope=\"row\" rowspan=\"{}\">{name}</th>", lines.len());
            }
            text += line;
        }
        text += "</tbody>\n";
    }
    text + "</table>\n"
}

/// The table of one program for a narrow screen: a row for each quantity, a column for each backend.
fn narrow_table(results: &Results, program: &Measured) -> String {
    let mut text =
        format!("<table class=\"program\">\n<thead><tr><th scope=\"col\">{}</th>", escape(&program.name));
    let mut columns = Vec::new();
    for side in results.sides() {
        let name = side.name();
        text += &format!("<th scope=\"col\" class=\"{name}\">{name}</th>");
        columns.push((program.figures.get(side).as_ref(), None));
    }
    if let Some(ratios) = &program.ratios {
        text += "<th scope=\"col\">ratio</th>";
        columns.push((Some(ratios), Some(format::ratio as fn(f64) -> String)));
    }
    text += "</tr></thead>\n<tbody>\n";
    for (name, of, show) in QUANTITIES {
        let cells = columns.iter().map(|(figures, ratio)| cell(figures.and_then(of), ratio.unwrap_or(show)));
        text += &format!("<tr><th scope=\"row\">{name}</th>{}</tr>\n", cells.collect::<String>());
    }
    for side in results.sides() {
        if let Some(why) = program.failures.get(side).as_deref() {
            let (name, width) = (side.name(), columns.len() + 1);
            let why = escape(why);
            text += &format!("<tr><td colspan=\"{width}\" class=\"failed\">{name}: {why}</td></tr>\n");
        }
    }
    text + "</tbody>\n</table>\n"
}

fn side_line(program: &Measured, side: Side) -> String {
    let name = side.name();
    let why = program.failures.get(side).as_deref().map(escape);
    match (program.figures.get(side), why) {
        (Some(figures), None) => {
            let cells = QUANTITIES.map(|(_, of, show)| cell(of(figures), show));
            format!("<td class=\"{name}\">{name}</td>{}</tr>\n", cells.concat())
        }
        (_, why) => format!(
            "<td class=\"{name}\">{name}</td><td colspan=\"5\" class=\"failed\">{}</td></tr>\n",
            why.unwrap_or_else(|| "not measured".to_owned()),
        ),
    }
}

fn cell(spread: Option<Spread>, show: fn(f64) -> String) -> String {
    match spread {
        Some(Spread { median, low_quartile, high_quartile, .. }) => {
            // A line may break between two values, but not between a value and its unit.
            let [median, low, high] = [median, low_quartile, high_quartile]
                .map(|value| escape(&show(value)).replace(' ', "&nbsp;"));
            format!("<td>{median}<small>{low} – {high}</small></td>")
        }
        None => "<td>–</td>".to_owned(),
    }
}

fn programs(results: &Results) -> String {
    let rows = results.programs.iter().map(|program| {
        format!(
            "<tr><th scope=\"row\">{}</th><td>{}</td><td>{}</td></tr>\n",
            escape(&program.name),
            escape(&program.about),
            escape(program.latency_of),
        )
    });
    format!(
        "<h2>The programs</h2>\n<table class=\"words\">\n<thead><tr>\
         <th>program</th><th>what it does</th><th>what its latency is</th></tr></thead>\n\
         <tbody>\n{}</tbody>\n</table>\n",
        rows.collect::<String>(),
    )
}

fn runtimes(results: &Results) -> String {
    let mut text = "<h2>Reports of the runtimes</h2>\n".to_owned();
    for side in results.sides() {
        if let Some(backend) = results.backends.get(side) {
            text += &format!("<pre>{}</pre>\n", escape(&backend.report));
        }
    }
    text
}
