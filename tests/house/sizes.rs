//! Sizes of folders, files, functions and of the whole.

use std::collections::BTreeMap;

use crate::exceptions::{self, Exception, Measured};
use crate::tree::Tree;

/// Complains of folders with more than `limit` files beside `mod.rs`.
pub(crate) fn folders(tree: &Tree, limit: usize, exceptions: &[Exception]) -> Vec<String> {
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    for file in tree.files.iter().filter(|file| !file.is_face()) {
        let folder = file.path.rsplit_once('/').map_or("", |(folder, _)| folder);
        *counts.entry(folder).or_default() += 1;
    }
    let found: Vec<Measured> = counts
        .into_iter()
        .map(|(folder, size)| Measured { name: folder.to_string(), place: folder.to_string(), size })
        .collect();
    let texts = ("files beside mod.rs", "LARGE_FOLDERS", "group them into folders by what they are about");
    exceptions::complaints(&found, limit, exceptions, texts)
}

/// Complains of files with more than `limit` lines of all kinds.
pub(crate) fn files(tree: &Tree, limit: usize, exceptions: &[Exception]) -> Vec<String> {
    let sized = |path: &String, size| Measured { name: path.clone(), place: path.clone(), size };
    let found: Vec<Measured> = tree.files.iter().map(|file| sized(&file.path, file.lexed.lines)).collect();
    let texts = ("lines", "LONG_FILES", "split it, or move its unit tests into a file of their own");
    exceptions::complaints(&found, limit, exceptions, texts)
}

/// Complains of functions, unit tests aside, with more than `limit` lines of code in the body.
pub(crate) fn functions(tree: &Tree, limit: usize, exceptions: &[Exception]) -> Vec<String> {
    let ordinary = tree.files.iter().filter(|file| file.gate != Some(crate::lexed::Gate::Test));
    let found: Vec<Measured> = ordinary
        .flat_map(|file| {
            file.facts.functions.iter().map(|function| Measured {
                name: function.name.clone(),
                place: format!("{}:{}", file.path, function.line),
                size: function.lines,
            })
        })
        .collect();
    let texts = ("lines of code", "LONG_FUNCTIONS", "give its parts functions with names");
    exceptions::complaints(&found, limit, exceptions, texts)
}

/// Lines of code without comments, blank lines, unit tests and optional features.
#[derive(Debug)]
pub(crate) struct Count {
    pub(crate) core: usize,
    pub(crate) all: usize,
}

pub(crate) fn code(tree: &Tree, core: &[&str]) -> Count {
    let lines = |in_core: bool| {
        let files = tree.ordinary().filter(|(_, file)| !in_core || core.contains(&file.room()));
        files.map(|(_, file)| file.lexed.code.len()).sum()
    };
    Count { core: lines(true), all: lines(false) }
}

/// Complains if there is more code than the limits allow, or far less.
pub(crate) fn totals(count: &Count, core: usize, all: usize) -> Vec<String> {
    let cure = "make the code smaller before more is added";
    let core = exceptions::count(count.core, core, "lines of code are in the core", "CODE_IN_THE_CORE", cure);
    let all = exceptions::count(count.all, all, "lines of code are in src", "CODE_IN_ALL", cure);
    core.into_iter().chain(all).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_of_many_files_fails() {
        let names: Vec<String> = (0..3).map(|n| format!("src/task/a{n}.rs")).collect();
        let mut files: Vec<(&str, &str)> = names.iter().map(|name| (name.as_str(), "")).collect();
        files.push(("src/task/mod.rs", ""));
        let tree = Tree::planted(&files);
        assert!(folders(&tree, 3, &[]).is_empty());
        let found = folders(&tree, 2, &[]);
        assert!(
            found[0].starts_with("src/task: `src/task` has 3 files beside mod.rs, more than 2"),
            "{}",
            found[0]
        );
    }

    #[test]
    fn a_long_file_fails() {
        let tree = Tree::planted(&[("src/task/mod.rs", "// one\n\nfn f() {}\n")]);
        assert!(files(&tree, 3, &[]).is_empty());
        assert!(files(&tree, 2, &[])[0].contains("`src/task/mod.rs` has 3 lines, more than 2"));
    }

    #[test]
    fn a_long_function_fails() {
        let text = "impl Cell {\n    fn run() {\n        a();\n        // why\n        b();\n    }\n}\n\
                    #[cfg(test)]\nfn test() {\n    a();\n    b();\n    c();\n}";
        let tree = Tree::planted(&[("src/task/mod.rs", text)]);
        assert!(functions(&tree, 2, &[]).is_empty());
        let found = functions(&tree, 1, &[]);
        assert_eq!(found.len(), 1);
        assert!(found[0].starts_with("src/task/mod.rs:2: `Cell::run` has 2 lines of code"), "{}", found[0]);
    }

    #[test]
    fn too_much_code_fails() {
        let tree = Tree::planted(&[
            (
                "src/lib.rs",
                "mod task;\nmod net;\n#[cfg(test)]\nmod tests;\n#[cfg(feature = \"more\")]\nmod more;",
            ),
            (
                "src/task/mod.rs",
                "//! A task.\n\nfn f() {\n    // why\n    a();\n}\n#[cfg(test)]\nmod tests {}",
            ),
            ("src/net/mod.rs", "fn g() {}"),
            ("src/tests/mod.rs", "fn h() {}"),
            ("src/more.rs", "fn i() {}"),
        ]);
        let count = code(&tree, &["task"]);
        assert_eq!((count.core, count.all), (3, 6));
        assert!(totals(&count, 3, 6).is_empty());
        assert!(totals(&count, 2, 6)[0].contains("3 lines of code are in the core, more than 2"));
        assert!(totals(&count, 3, 9)[0].contains("write 6 in limits.rs, CODE_IN_ALL"));
        assert!(totals(&count, 3, 5)[0].contains("6 lines of code are in src, more than 5"));
    }
}
