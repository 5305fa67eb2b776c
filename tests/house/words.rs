//! Summaries name what they are about, and comments name things.

use crate::exceptions;
use crate::tree::Tree;

/// The beginnings of summaries that are riddles when they are read alone, in a list.
const RIDDLES: &[&[&str]] = &[
    &["what"],
    &["who"],
    &["why"],
    &["whoever"],
    &["whose"],
    &["for", "who"],
    &["where", "it"],
    &["when", "it"],
];

const PERSONS: &[&str] = &["who", "whoever", "nobody", "somebody"];

/// Complains of first lines of doc comments that begin like a question, except those of `allowed`.
pub(crate) fn summaries(tree: &Tree, allowed: &[&str]) -> Vec<String> {
    let mut complaints = Vec::new();
    let mut open: Vec<&str> = allowed.to_vec();
    for file in &tree.files {
        for line in file.lexed.summaries.iter().filter(|line| is_riddle(&line.text)) {
            match open.iter().position(|text| *text == line.text) {
                Some(n) => drop(open.remove(n)),
                None => complaints.push(format!(
                    "{}:{}: the summary \"{}\" cannot be understood alone: name its subject, and say what it is or does",
                    file.path, line.number, line.text
                )),
            }
        }
    }
    complaints.extend(
        open.iter()
            .map(|text| format!("limits.rs: the summary \"{text}\" is gone: remove it from SUMMARIES")),
    );
    complaints
}

fn is_riddle(text: &str) -> bool {
    let words = words(text);
    RIDDLES.iter().any(|beginning| {
        words.starts_with(&beginning.iter().map(|word| word.to_string()).collect::<Vec<_>>())
    })
}

/// The lines of comments that speak of persons where they mean tasks, threads and buffers.
pub(crate) fn persons(tree: &Tree) -> Vec<String> {
    let is_person = |word: &String| PERSONS.contains(&word.as_str());
    tree.files
        .iter()
        .flat_map(|file| {
            let lines = file.lexed.comments.iter().filter(|line| words(&line.text).iter().any(is_person));
            lines.map(|line| format!("{}:{}: {}", file.path, line.number, line.text))
        })
        .collect()
}

/// Complains if more lines than `today` speak of persons, or far fewer.
pub(crate) fn vague(tree: &Tree, today: usize) -> Vec<String> {
    let lines = persons(tree);
    let cure = format!("name the task, the thread or the caller that is meant:\n{}", lines.join("\n"));
    let what = "comment lines with who, whoever, nobody or somebody";
    exceptions::count(lines.len(), today, what, "PERSONS", &cure).into_iter().collect()
}

fn words(text: &str) -> Vec<String> {
    let words = text.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty());
    words.map(str::to_lowercase).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_summary_that_begins_like_a_question_fails() {
        let text = "//! What tasks meet at.\n\n/// Whatever it takes.\nstruct A {\n    /// Where it is.\n    a: u8,\n}\n\
                    /// A guard.\n/// What it holds.\nm! {\n    /// For who waits.\n    struct B;\n}";
        let tree = Tree::planted(&[("src/sync/mod.rs", text)]);
        let found = summaries(&tree, &[]);
        assert_eq!(found.len(), 3, "{found:?}");
        assert!(
            found[0].starts_with("src/sync/mod.rs:1: the summary \"What tasks meet at.\""),
            "{}",
            found[0]
        );
        assert!(found[1].starts_with("src/sync/mod.rs:5:"), "{}", found[1]);
        assert!(found[2].starts_with("src/sync/mod.rs:11:"), "{}", found[2]);
        let allowed = ["What tasks meet at.", "Where it is.", "For who waits.", "Why not."];
        assert_eq!(
            summaries(&tree, &allowed),
            ["limits.rs: the summary \"Why not.\" is gone: remove it from SUMMARIES"]
        );
    }

    #[test]
    fn too_many_persons_in_comments_fail() {
        let text = "// Who waits?\nfn f() {\n    who(\"nobody\"); // somebody, whoever it is\n}\n/// Nobody.\nfn g() {}";
        let tree = Tree::planted(&[("src/sync/mod.rs", text)]);
        assert_eq!(persons(&tree).len(), 3);
        assert!(vague(&tree, 3).is_empty());
        assert!(vague(&tree, 2)[0].contains("3 comment lines"));
        assert!(vague(&tree, 9)[0].contains("write 3 in limits.rs, PERSONS"));
    }
}
