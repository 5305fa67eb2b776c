//! The files of a crate with their facts, and which file a path names.

use std::collections::{BTreeMap, BTreeSet};
use std::num::NonZero;
use std::path::Path;
use std::{fs, thread};

use crate::facts::{Facts, Reference};
use crate::lexed::{Gate, Lexed};

/// One file of the source.
pub(crate) struct File {
    /// From the root of the repository: `src/task/mod.rs`.
    pub(crate) path: String,
    /// The module's path below the crate: `["task"]`; the crate itself is `[]`.
    pub(crate) module: Vec<String>,
    /// Whether the file is compiled for unit tests alone, or for an optional feature.
    pub(crate) gate: Option<Gate>,
    pub(crate) lexed: Lexed,
    pub(crate) facts: Facts,
}

/// An import: the index of the file that is named, and where.
#[derive(Clone, Debug)]
pub(crate) struct Edge {
    pub(crate) from: usize,
    pub(crate) to: usize,
    pub(crate) line: usize,
    pub(crate) name: String,
}

/// All files of the source.
pub(crate) struct Tree {
    pub(crate) files: Vec<File>,
    modules: BTreeMap<Vec<String>, usize>,
}

impl File {
    fn new(path: &str, text: &str) -> File {
        let module = module_of(path);
        let (lexed, code) = Lexed::new(path, text);
        let facts = Facts::new(path, &module, code, &lexed.code);
        File { path: path.to_string(), module, gate: None, lexed, facts }
    }

    /// Whether the file is the face of a folder (`mod.rs`) or the root of the crate.
    pub(crate) fn is_face(&self) -> bool {
        self.path.ends_with("/mod.rs") || self.path == "src/lib.rs"
    }

    /// The top-level folder or file below `src`; `lib` for the root.
    pub(crate) fn room(&self) -> &str {
        self.module.first().map_or("lib", String::as_str)
    }
}

impl Tree {
    /// Parses `src/**/*.rs` below `root`.
    pub(crate) fn read(root: &Path) -> Tree {
        let mut sources = Vec::new();
        collect(&root.join("src"), "src", &mut sources);
        Tree::parse(sources)
    }

    /// A tree in memory, for tests of the rules.
    #[cfg(test)]
    pub(crate) fn planted(sources: &[(&str, &str)]) -> Tree {
        Tree::parse(sources.iter().map(|(path, text)| (path.to_string(), text.to_string())).collect())
    }

    fn parse(mut sources: Vec<(String, String)>) -> Tree {
        sources.sort();
        let threads = thread::available_parallelism().map_or(1, NonZero::get);
        let mut files: Vec<File> = thread::scope(|scope| {
            let shares = sources.chunks(sources.len().div_ceil(threads).max(1));
            let parsing: Vec<_> = shares
                .map(|share| scope.spawn(|| share.iter().map(|(path, text)| File::new(path, text)).collect()))
                .collect();
            parsing
                .into_iter()
                .flat_map(|files| -> Vec<File> { files.join().expect("all files parse") })
                .collect()
        });
        pass_gates_down(&mut files);
        let modules = files.iter().enumerate().map(|(n, file)| (file.module.clone(), n)).collect();
        Tree { files, modules }
    }

    /// The files that are compiled without unit tests and optional features.
    pub(crate) fn ordinary(&self) -> impl Iterator<Item = (usize, &File)> {
        self.files.iter().enumerate().filter(|(_, file)| file.gate.is_none())
    }

    /// All imports between ordinary files, one for each pair of files, in order.
    pub(crate) fn edges(&self) -> Vec<Edge> {
        let mut seen = BTreeSet::new();
        let mut edges = Vec::new();
        for (from, file) in self.ordinary() {
            for reference in &file.facts.references {
                if let Some(to) = self.target(from, reference)
                    && seen.insert((from, to))
                {
                    edges.push(Edge { from, to, line: reference.line, name: reference.path.join("::") });
                }
            }
        }
        edges
    }

    /// The file that a reference names, where this is an import: not the file itself, nor an own file of a folder that
    /// hands on its names, nor the mere name of a folder around.
    fn target(&self, from: usize, reference: &Reference) -> Option<usize> {
        let file = &self.files[from];
        let path = self.through_the_root(&reference.path);
        let to = (0..=path.len()).rev().find_map(|n| self.modules.get(&path[..n]).copied())?;
        let target = &self.files[to];
        let own = file.is_face() && target.module.starts_with(&file.module);
        let around =
            target.is_face() && file.module.starts_with(&target.module) && path.len() == target.module.len();
        (to != from && !own && !around).then_some(to)
    }

    /// The path that a name of the crate's root stands for: `spawn` is `task::spawn` where `lib.rs` hands it on, and an
    /// exported macro is its file.
    fn through_the_root(&self, path: &[String]) -> Vec<String> {
        let [name] = path else { return path.to_vec() };
        if self.modules.contains_key(path) {
            return path.to_vec();
        }
        let root = self.modules.get(&[] as &[String]).map(|root| &self.files[*root]);
        let handed_on = root.and_then(|root| root.facts.handed_on.get(name)).cloned();
        let exporting = |file: &&File| file.facts.exported_macros.contains(name);
        handed_on
            .or_else(|| self.files.iter().find(exporting).map(|file| file.module.clone()))
            .unwrap_or_else(|| path.to_vec())
    }
}

/// `src/task/cell.rs` is `task::cell`, `src/task/mod.rs` is `task`.
fn module_of(path: &str) -> Vec<String> {
    let inner = path.trim_start_matches("src/").trim_end_matches(".rs");
    let mut module: Vec<String> = inner.split('/').map(str::to_string).collect();
    if matches!(module.last().map(String::as_str), Some("mod" | "lib")) {
        module.pop();
    }
    module
}

/// Gives each file the gate of its `mod` declaration, and of the modules around it.
fn pass_gates_down(files: &mut [File]) {
    let gated: Vec<(Vec<String>, Gate)> = files
        .iter()
        .flat_map(|file| {
            file.lexed.gated_modules.iter().map(|(declared, gate)| {
                let mut module = file.module.clone();
                if declared.by_path && !file.is_face() {
                    module.pop();
                }
                module.push(declared.name.clone());
                (module, *gate)
            })
        })
        .collect();
    for file in files {
        file.gate = gated.iter().find(|(module, _)| file.module.starts_with(module)).map(|(_, gate)| *gate);
    }
}

fn collect(folder: &Path, name: &str, sources: &mut Vec<(String, String)>) {
    for entry in fs::read_dir(folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display())) {
        let entry = entry.unwrap();
        let below = format!("{name}/{}", entry.file_name().to_string_lossy());
        if entry.file_type().unwrap().is_dir() {
            collect(&entry.path(), &below, sources);
        } else if below.ends_with(".rs") {
            sources.push((below, fs::read_to_string(entry.path()).unwrap()));
        }
    }
}
