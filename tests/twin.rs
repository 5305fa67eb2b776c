//! The lessons' twins in Python, `examples/lessons/NN_name.py`.
//!
//! A twin prints what the comment at the end of its lesson says. Where the languages differ, the twin has a comment that
//! begins with `# Differs: "SECTION".`, which is a heading of the guide, and the lesson one with `guide, "SECTION"`. Where the
//! output differs, the twin's comment shows how, in lines that begin with `# -` (the lesson's) and `# +` (the twin's).

use std::fs;
use std::path::Path;
use std::process::Command;

use libtest_mimic::Failed;

use super::{Mode, comparable, expected, lines_of, same};

/// Seconds of 100 ms. When a time limit and the result for which it waits are due in one turn of the loop, asyncio takes the
/// limit, where proactor takes the result: with seconds of 5 ms a busy machine would decide what a twin prints.
const SPEED: &str = "10";

const PYTHON: &str = "python3";
const GUIDE: &str = include_str!("../src/guide/mod.rs");

/// Whether there is a Python that the twins run on; the reason why not.
pub(crate) fn find_python() -> Result<(), String> {
    let script = "import sys; sys.exit(sys.version_info < (3, 11))";
    match Command::new(PYTHON).args(["-c", script]).output() {
        Ok(output) if output.status.success() => Ok(()),
        _ => Err(format!("needs {PYTHON} 3.11")),
    }
}

/// Runs the twin of a lesson, and compares.
pub(crate) fn run(lesson: &Path) -> Result<(), Failed> {
    let twin = lesson.with_extension("py");
    let (lesson, source) = (fs::read_to_string(lesson)?, fs::read_to_string(&twin)?);
    check_sections(&lesson, &source)?;
    let mut command = Command::new(PYTHON);
    // Python would write its compiled modules beside the sources.
    let output = command.arg("-B").arg(&twin).env("LESSON_SPEED", SPEED).output()?;
    let (printed, errors) = (String::from_utf8(output.stdout)?, String::from_utf8_lossy(&output.stderr));
    if !output.status.success() || !errors.is_empty() {
        return Err(format!("{}\n{errors}\n{printed}", output.status).into());
    }
    let (mode, lines) = expected(&lesson).ok_or("the lesson has no comment with its output")?;
    let mut lines = lines_of(lines, mode);
    for Hunk { here, there } in hunks(&source, mode) {
        let at = lines.windows(here.len().max(1)).position(|some| some == here);
        let at = at.ok_or_else(|| format!("the lesson does not print {here:?}"))?;
        lines.splice(at..at + here.len(), there);
    }
    same(&lines, &lines_of(printed.lines(), mode), &printed)
}

/// Each difference names a section that exists, and the lesson names the same ones.
fn check_sections(lesson: &str, twin: &str) -> Result<(), Failed> {
    let mut sections: Vec<&str> = quoted_after(twin, "# Differs: \"").collect();
    let mut in_lesson: Vec<&str> = quoted_after(lesson, "guide, \"").collect();
    for some in [&mut sections, &mut in_lesson] {
        some.sort_unstable();
        some.dedup();
    }
    if sections != in_lesson {
        return Err(format!("the twin names {sections:?} of the guide, the lesson {in_lesson:?}").into());
    }
    let missing =
        sections.iter().find(|section| !GUIDE.lines().any(|line| line == format!("//! # {section}")));
    missing.map_or(Ok(()), |section| Err(format!("the guide has no section {section}").into()))
}

fn quoted_after<'a>(text: &'a str, mark: &'a str) -> impl Iterator<Item = &'a str> {
    text.split(mark).skip(1).filter_map(|rest| rest.split('"').next())
}

/// Lines of the lesson, and what the twin prints in their place.
#[derive(Default)]
struct Hunk {
    here: Vec<String>,
    there: Vec<String>,
}

fn hunks(twin: &str, mode: Mode) -> Vec<Hunk> {
    let mut hunks: Vec<Hunk> = Vec::new();
    let mut is_removing = false;
    for line in twin.lines() {
        if let Some(line) = line.strip_prefix("# -") {
            if !is_removing {
                hunks.push(Hunk::default());
            }
            is_removing = true;
            hunks.last_mut().expect("it was pushed").here.push(comparable(line, mode));
        } else if let (Some(line), Some(hunk)) = (line.strip_prefix("# +"), hunks.last_mut()) {
            is_removing = false;
            hunk.there.push(comparable(line, mode));
        } else {
            is_removing = false;
        }
    }
    hunks
}
