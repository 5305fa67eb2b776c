//! No two files import each other, directly or by a chain.

use std::collections::{BTreeMap, VecDeque};

use crate::exceptions;
use crate::tree::{Edge, Tree};

/// The number of files in circles.
pub(crate) fn size(tree: &Tree) -> usize {
    circles(&tree.edges()).iter().map(Vec::len).sum()
}

/// Complains if more than `allowed` files are in circles, or far fewer. Describes the shortest way round of each circle.
pub(crate) fn complaints(tree: &Tree, allowed: usize) -> Vec<String> {
    let edges = tree.edges();
    let found = circles(&edges);
    let ways: String = found.iter().map(|circle| describe(tree, &edges, circle)).collect();
    let files = found.iter().map(Vec::len).sum();
    let cure = format!("move what two files need of each other into a file below both:{ways}");
    let complaint =
        exceptions::count(files, allowed, "files are in circles of imports", "FILES_IN_CIRCLES", &cure);
    complaint.into_iter().collect()
}

/// The sets of two or more files each of which reaches all others: Tarjan's algorithm.
fn circles(edges: &[Edge]) -> Vec<Vec<usize>> {
    let mut search = Search::default();
    for edge in edges {
        search.next.entry(edge.from).or_default().push(edge.to);
    }
    let files: Vec<usize> = search.next.keys().copied().collect();
    for file in files {
        if !search.index.contains_key(&file) {
            search.visit(file);
        }
    }
    search.circles
}

#[derive(Default)]
struct Search {
    next: BTreeMap<usize, Vec<usize>>,
    index: BTreeMap<usize, usize>,
    low: BTreeMap<usize, usize>,
    stack: Vec<usize>,
    circles: Vec<Vec<usize>>,
}

impl Search {
    fn visit(&mut self, file: usize) {
        let number = self.index.len();
        self.index.insert(file, number);
        self.low.insert(file, number);
        self.stack.push(file);
        for to in self.next.get(&file).cloned().unwrap_or_default() {
            if !self.index.contains_key(&to) {
                self.visit(to);
                self.lower(file, self.low[&to]);
            } else if self.stack.contains(&to) {
                self.lower(file, self.index[&to]);
            }
        }
        if self.low[&file] == number {
            let first = self.stack.iter().rposition(|other| *other == file).unwrap();
            let circle = self.stack.split_off(first);
            if circle.len() > 1 {
                self.circles.push(circle);
            }
        }
    }

    fn lower(&mut self, file: usize, to: usize) {
        let low = self.low.get_mut(&file).unwrap();
        *low = (*low).min(to);
    }
}

/// All files of the circle, and each import of a shortest way round.
fn describe(tree: &Tree, edges: &[Edge], circle: &[usize]) -> String {
    let inside: Vec<&Edge> =
        edges.iter().filter(|edge| circle.contains(&edge.from) && circle.contains(&edge.to)).collect();
    let way =
        circle.iter().filter_map(|file| way_round(&inside, *file)).min_by_key(Vec::len).unwrap_or_default();
    let steps = way.iter().map(|edge| {
        let (from, to) = (&tree.files[edge.from].path, &tree.files[edge.to].path);
        format!("\n    {from}:{} names `crate::{}` in {to}", edge.line, edge.name)
    });
    let mut names: Vec<&str> = circle.iter().map(|file| tree.files[*file].path.as_str()).collect();
    names.sort();
    format!("\n  {} files: {}{}", names.len(), names.join(" "), steps.collect::<String>())
}

/// A shortest chain of imports from a file back to itself.
fn way_round<'a>(edges: &[&'a Edge], file: usize) -> Option<Vec<&'a Edge>> {
    let mut ways: VecDeque<Vec<&Edge>> = VecDeque::from([Vec::new()]);
    let mut seen = Vec::new();
    while let Some(way) = ways.pop_front() {
        let at = way.last().map_or(file, |edge| edge.to);
        if at == file && !way.is_empty() {
            return Some(way);
        }
        if seen.contains(&at) {
            continue;
        }
        seen.push(at);
        ways.extend(edges.iter().filter(|edge| edge.from == at).map(|edge| [&way[..], &[*edge]].concat()));
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_that_import_each_other_fail() {
        let tree = Tree::planted(&[
            ("src/task/mod.rs", "mod a;\nmod b;\nmod c;\npub use a::A;"),
            ("src/task/a.rs", "use super::b::B;"),
            ("src/task/b.rs", "\nuse super::c::C;"),
            ("src/task/c.rs", "fn f() { crate::task::a::g() }"),
        ]);
        assert_eq!(size(&tree), 3);
        let found = complaints(&tree, 0);
        assert_eq!(found.len(), 1);
        assert!(found[0].contains("3 files are in circles of imports, more than 0"), "{}", found[0]);
        assert!(
            found[0].contains("src/task/b.rs:2 names `crate::task::c::C` in src/task/c.rs"),
            "{}",
            found[0]
        );
        assert!(complaints(&tree, 3).is_empty());
        assert!(complaints(&tree, 9)[0].contains("write 3 in limits.rs, FILES_IN_CIRCLES"));
    }

    #[test]
    fn a_folder_hands_on_the_names_of_its_files() {
        let tree = Tree::planted(&[
            ("src/task/mod.rs", "mod a;\nmod b;\npub use a::A;\npub(crate) use self::b::B;"),
            ("src/task/a.rs", "use super::B;"),
            ("src/task/b.rs", "use std::fmt;"),
        ]);
        assert!(complaints(&tree, 0).is_empty());
    }
}
