//! The tests of all programs of the suite, as their sources list them.

use std::path::Path;

/// A test on one backend.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Listed {
    pub(crate) backend: &'static str,
    pub(crate) file: String,
    pub(crate) name: String,
}

/// The tests that `tests!` lists in each file; none where there is the binary without its sources, as in a virtual
/// machine.
pub(crate) fn listed() -> Vec<Listed> {
    let suite = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/suite"));
    if !suite.is_dir() {
        return Vec::new();
    }
    let entries = |folder: &Path| std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let mut found = Vec::new();
    for file in entries(suite).filter(|path| path.is_dir()).flat_map(|folder| entries(&folder)) {
        let text = std::fs::read_to_string(&file).unwrap();
        let name = file.file_stem().unwrap().to_string_lossy();
        for macro_name in ["tests", "on_both_flavors"] {
            let list = text.split_once(&format!("\n{macro_name}! {{\n"));
            let list = list.and_then(|(_, rest)| rest.split_once("\n}\n"));
            found.extend(list.into_iter().flat_map(|(list, _)| tests_of(&name, list)));
        }
    }
    found
}

/// The tests of one list: those of both backends, and behind a backend's name those of that one.
fn tests_of(file: &str, list: &str) -> Vec<Listed> {
    let (mut backends, mut found) = (&["proactor", "selector"][..], Vec::new());
    for word in list.split([',', ';', '\n']).map(str::trim).filter(|word| !word.is_empty()) {
        match word {
            "proactor:" => backends = &["proactor"],
            "selector:" => backends = &["selector"],
            name => found.extend(backends.iter().map(|backend| Listed {
                backend,
                file: file.to_owned(),
                name: name.to_owned(),
            })),
        }
    }
    found
}
