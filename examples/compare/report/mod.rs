//! What a run leaves behind: a table, a JSON document, plots and a page.

mod figures;
mod format;
mod html;
mod plots;
mod table;

use std::{fs, path::PathBuf};

use crate::{compare::Results, failure::Failure, machine};

pub(crate) use table::table;

/// The JSON document.
pub(crate) fn json(results: &Results) -> Result<String, Failure> {
    Ok(serde_json::to_string_pretty(results)?)
}

/// Writes the page, each plot and the JSON document; returns their folder.
pub(crate) fn write(results: &Results) -> Result<PathBuf, Failure> {
    let directory = machine::output_directory();
    let save = |name: &str, text: &str| {
        let path = directory.join(name);
        fs::write(&path, text)
            .map_err(|error| Failure::Broken(format!("writing {} failed: {error}", path.display())))
    };
    fs::create_dir_all(&directory)?;
    let plots = figures::all(results)?;
    for plot in &plots {
        save(&format!("{}.svg", plot.name), &plot.svg)?;
    }
    save("report.json", &json(results)?)?;
    save("report.html", &html::page(results, &plots))?;
    Ok(directory)
}
