//! The results of a run: a table, a JSON document, plots and a page.

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

/// Fails before anything is measured if the report can't be written.
pub(crate) fn prepare() -> Result<(), Failure> {
    let directory = machine::output_directory();
    let trial = directory.join("trial");
    let tried = fs::create_dir_all(&directory)
        .and_then(|()| fs::write(&trial, "trial"))
        .and_then(|()| fs::remove_file(&trial));
    tried.map_err(|error| {
        let cure = "build into a writable folder: CARGO_TARGET_DIR=FOLDER cargo run ...";
        Failure::Broken(format!("the report cannot be written to {}: {error}; {cure}", directory.display()))
    })
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
        save(&format!("{}-narrow.svg", plot.name), &plot.narrow)?;
    }
    save("report.json", &json(results)?)?;
    save("report.html", &html::page(results, &plots))?;
    Ok(directory)
}
