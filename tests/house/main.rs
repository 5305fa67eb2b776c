//! Checks of how the source is laid out: imports, circles, sizes, and the first lines of comments.
//!
//! Each rule is a pure function from a parsed [`Tree`] to a list of complaints. A complaint names the file, the line, the
//! cause and the cure. The tests in this file apply the rules to `src/`; the tests beside a rule apply it to a small tree
//! in memory that breaks it. The numbers and the exceptions of today are in `limits.rs`.
//!
//! `cargo test --test house -- --nocapture` also prints the counts.

mod circles;
mod exceptions;
mod facts;
mod imports;
mod lexed;
mod limits;
mod sizes;
mod tree;
mod words;

use std::path::Path;
use std::sync::OnceLock;

use crate::tree::Tree;

/// The source of the crate, parsed once for all tests.
fn source() -> &'static Tree {
    static SOURCE: OnceLock<Tree> = OnceLock::new();
    SOURCE.get_or_init(|| Tree::read(&Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")))
}

/// Fails with all complaints at once.
fn accept(complaints: Vec<String>) {
    assert!(complaints.is_empty(), "{} complaints:\n{}", complaints.len(), complaints.join("\n"));
}

#[test]
fn imports_follow_the_table() {
    accept(imports::complaints(source(), limits::FLOORS, limits::IMPORTS));
}

#[test]
fn no_files_import_each_other() {
    println!("files in circles of imports: {}", circles::size(source()));
    accept(circles::complaints(source(), limits::FILES_IN_CIRCLES));
}

#[test]
fn folders_are_small() {
    accept(sizes::folders(source(), limits::FILES_IN_A_FOLDER, limits::LARGE_FOLDERS));
}

#[test]
fn files_are_short() {
    accept(sizes::files(source(), limits::LINES_IN_A_FILE, limits::LONG_FILES));
}

#[test]
fn functions_are_short() {
    accept(sizes::functions(source(), limits::LINES_IN_A_FUNCTION, limits::LONG_FUNCTIONS));
}

#[test]
fn the_code_is_small() {
    let count = sizes::code(source(), limits::CORE);
    println!("lines of code: {} in the core, {} in all", count.core, count.all);
    accept(sizes::totals(&count, limits::CODE_IN_THE_CORE, limits::CODE_IN_ALL));
}

#[test]
fn summaries_are_sentences() {
    accept(words::summaries(source(), limits::SUMMARIES));
}

#[test]
fn comments_name_things() {
    println!("comment lines with who, whoever, nobody, somebody: {}", words::persons(source()).len());
    accept(words::vague(source(), limits::PERSONS));
}
