//! The page: what the tables say, with a plot for each.

use std::fmt::Write as _;
use std::io;

use super::{HEADER, Report, lines, plot, title};

const STYLE: &str = "body{font:15px/1.5 system-ui,sans-serif;max-width:70rem;margin:2rem auto;padding:0 1rem;color:#222}\
table{border-collapse:collapse;margin:1rem 0}td,th{padding:.2rem .7rem;border-bottom:1px solid #ddd;text-align:right}\
td:first-child,th:first-child{text-align:left}tr.own{background:#eef6ee}svg{max-width:100%}";

pub fn page(report: &Report<'_>) -> io::Result<String> {
    let mut page = format!(
        "<!doctype html><meta charset=utf-8><title>Rivals</title><style>{STYLE}</style><h1>Rivals</h1>\
         <p>{}; {} rounds of about {} s, interleaved. Medians of what one operation took.<p>{}",
        escape(&report.machine),
        report.rounds,
        report.seconds,
        escape(&report.validity())
    );
    for row in &report.rows {
        let _ = write!(page, "<h2>{}</h2>{}<table><tr>", escape(&title(row)), plot::bars(row)?);
        for name in HEADER {
            let _ = write!(page, "<th>{name}");
        }
        for line in lines(row) {
            let own = if matches!(&*line[0], "proactor" | "selector") { " class=own" } else { "" };
            let _ = write!(page, "<tr{own}>");
            for cell in line {
                let _ = write!(page, "<td>{}", escape(&cell));
            }
        }
        page.push_str("</table>");
    }
    page.push_str("<h2>Settings</h2><table><tr><th>runtime<th>settings");
    for (name, settings) in report.runtimes {
        let _ = write!(page, "<tr><td>{}<td>{}", escape(name), escape(settings));
    }
    page.push_str("</table>\n");
    Ok(page)
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}
