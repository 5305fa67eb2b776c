//! Imports between folders follow a table, and none runs up.

use std::collections::BTreeMap;

use crate::tree::{Edge, Tree};

/// The folders of each floor, from the ground up.
pub(crate) type Floors = [&'static [&'static str]];
/// A folder and the folders that it imports from.
pub(crate) type Imports = [(&'static str, &'static [&'static str])];

/// Complains of each import that runs up or is not in the table, and of each entry of the table that no import uses.
pub(crate) fn complaints(tree: &Tree, floors: &Floors, table: &Imports) -> Vec<String> {
    let floor = |room: &str| floors.iter().position(|rooms| rooms.contains(&room));
    let mut complaints: Vec<String> = rooms_without_floor(tree, &floor);
    let mut used: BTreeMap<(&str, &str), ()> = BTreeMap::new();
    let edges = tree.edges();
    for edge in &edges {
        let (from, to) = (tree.files[edge.from].room(), tree.files[edge.to].room());
        if from == to {
            continue;
        }
        used.insert((from, to), ());
        let listed = table.iter().any(|(room, rooms)| *room == from && rooms.contains(&to));
        if let (Some(low), Some(high)) = (floor(from), floor(to))
            && low < high
        {
            complaints.push(format!(
                "{}, which runs up: `{from}` is on floor {}, `{to}` on floor {}. Move what is needed to a floor below \
                 both, or pass it in.",
                describe(tree, edge),
                low + 1,
                high + 1
            ));
        } else if !listed {
            complaints.push(format!(
                "{}, and imports from `{to}` into `{from}` are not in the table. Use a folder that is; or, if the new \
                 edge is meant, add it to limits.rs, IMPORTS, and to the map in src/guide/map.rs.",
                describe(tree, edge)
            ));
        }
    }
    for (from, rooms) in table {
        complaints.extend(rooms.iter().filter(|to| !used.contains_key(&(*from, **to))).map(|to| {
            format!(
                "limits.rs: nothing in `{from}` imports from `{to}` any more: remove the entry from IMPORTS"
            )
        }));
    }
    complaints
}

fn describe(tree: &Tree, edge: &Edge) -> String {
    let (from, to) = (&tree.files[edge.from], &tree.files[edge.to]);
    format!("{}:{}: names `crate::{}` in {}", from.path, edge.line, edge.name, to.path)
}

fn rooms_without_floor(tree: &Tree, floor: &impl Fn(&str) -> Option<usize>) -> Vec<String> {
    let rooms: BTreeMap<&str, &str> =
        tree.ordinary().map(|(_, file)| (file.room(), file.path.as_str())).collect();
    rooms
        .iter()
        .filter(|(room, _)| floor(room).is_none())
        .map(|(room, path)| format!("{path}: `{room}` has no floor: put it on one in limits.rs, FLOORS"))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const FLOORS: &Floors = &[&["sys"], &["task"], &["runtime"], &["lib"]];
    const IMPORTS: &Imports = &[("task", &["sys"])];
    const GOOD: (&str, &str) = ("src/task/mod.rs", "use crate::sys::call;");
    const SYS: (&str, &str) = ("src/sys/mod.rs", "pub fn call() {}");
    const RUNTIME: (&str, &str) = ("src/runtime/mod.rs", "pub struct Core;");

    fn check(files: &[(&str, &str)]) -> Vec<String> {
        complaints(&Tree::planted(files), FLOORS, IMPORTS)
    }

    #[test]
    fn edges_in_the_table_are_allowed() {
        assert!(check(&[SYS, GOOD, RUNTIME]).is_empty());
    }

    #[test]
    fn an_import_that_runs_up_fails() {
        for text in [
            "use crate::runtime::Core;",
            "fn f() {\n    crate::runtime::Core;\n}",
            "fn f(core: super::runtime::Core) {}",
            "macro_rules! m { () => { $crate::runtime::Core } }",
            "fn f() { vec![crate::runtime::Core] }",
        ] {
            let found =
                check(&[SYS, GOOD, RUNTIME, ("src/task/cell.rs", &text.replace("super", "super::super"))]);
            assert_eq!(found.len(), 1, "{text}: {found:?}");
            assert!(found[0].starts_with("src/task/cell.rs:"), "{}", found[0]);
            assert!(
                found[0].contains("`crate::runtime::Core` in src/runtime/mod.rs, which runs up"),
                "{}",
                found[0]
            );
        }
    }

    #[test]
    fn a_name_of_the_root_is_an_import_of_its_file() {
        let root = ("src/lib.rs", "mod sys;\nmod task;\nmod runtime;\npub use runtime::Core;");
        let found = check(&[root, SYS, GOOD, RUNTIME, ("src/task/cell.rs", "use crate::Core;")]);
        assert_eq!(found.len(), 1, "{found:?}");
        assert!(found[0].contains("in src/runtime/mod.rs, which runs up"), "{}", found[0]);
    }

    #[test]
    fn an_edge_that_is_not_in_the_table_fails() {
        let found = check(&[SYS, GOOD, ("src/runtime/mod.rs", "\nuse crate::task::spawn;")]);
        assert_eq!(found.len(), 1, "{found:?}");
        assert!(found[0].starts_with("src/runtime/mod.rs:2: names `crate::task::spawn`"), "{}", found[0]);
        assert!(found[0].contains("not in the table"), "{}", found[0]);
    }

    #[test]
    fn an_entry_that_is_not_used_fails() {
        let found = check(&[SYS, RUNTIME, ("src/task/mod.rs", "/// [`crate::sys`]\nfn f() {}")]);
        assert_eq!(
            found,
            ["limits.rs: nothing in `task` imports from `sys` any more: remove the entry from IMPORTS"]
        );
    }

    #[test]
    fn unit_tests_import_what_they_like() {
        let test = "#[cfg(test)]\nmod tests { use crate::runtime::Core; }\n#[cfg(test)]\nmod more;";
        let more = ("src/task/cell/more.rs", "use crate::runtime::Core;");
        assert!(check(&[SYS, GOOD, RUNTIME, ("src/task/cell.rs", test), more]).is_empty());
    }

    #[test]
    fn a_folder_without_floor_fails() {
        let found = check(&[SYS, GOOD, RUNTIME, ("src/attic/mod.rs", "")]);
        assert_eq!(found, ["src/attic/mod.rs: `attic` has no floor: put it on one in limits.rs, FLOORS"]);
    }
}
