//! The lessons, as programs: each prints what the comment at its end says, on both backends.
//!
//! They run with seconds of 5 ms. How long something took is printed, and is not compared: a number in front of `s` or
//! `ms` may be another. The lessons are written so that the order of their lines does not depend on how fast the machine
//! is; where it may, the comment begins with "Output, in any order". "Output, but for the figures" leaves out all numbers.
//!
//! Each has a twin in Python, whose output is the same line by line. Where it differs on purpose, comments in both name the
//! section of the guide: see `twin.rs`. Without Python 3.11 the twins are reported as ignored.
//!
//! Where the kernel refuses io_uring the proactor's half is reported as ignored, as in the suite.
#![forbid(unsafe_code)]

#[path = "twin.rs"]
mod twin;

use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

use libtest_mimic::{Arguments, Failed, Trial};
use proactor::Proactor;

/// How many times as fast as for people.
const SPEED: &str = "200";

/// The one lesson that runs on both backends by itself.
const BOTH: &str = "19_backends";

const UNITS: [&str; 2] = ["s", "ms"];

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mode {
    Ordered,
    AnyOrder,
    NoFigures,
}

/// The lines of a lesson's last comment, and how to compare them.
fn expected(source: &str) -> Option<(Mode, Vec<&str>)> {
    let (_, comment) = source.rsplit_once("\n// Output")?;
    let (heading, lines) = comment.split_once("\n//\n")?;
    let mode = if heading.contains("in any order") {
        Mode::AnyOrder
    } else if heading.contains("but for the figures") {
        Mode::NoFigures
    } else {
        Mode::Ordered
    };
    Some((mode, lines.lines().map(|line| line.trim_start_matches("//")).collect()))
}

fn is_number(word: &str) -> bool {
    word.parse::<f64>().is_ok()
}

/// A line without what depends on how fast the machine is.
fn comparable(line: &str, mode: Mode) -> String {
    let words: Vec<&str> = line.split_whitespace().collect();
    let is_unit = |word: &str| UNITS.contains(&word.trim_end_matches([',', ';', ':', '.']));
    let measured = |place: usize| {
        is_number(words[place])
            && (mode == Mode::NoFigures || words.get(place + 1).is_some_and(|next| is_unit(next)))
    };
    let words = words.iter().enumerate().map(|(place, word)| if measured(place) { "#" } else { word });
    words.collect::<Vec<_>>().join(" ")
}

/// Lines as they are compared.
fn lines_of<'a>(lines: impl IntoIterator<Item = &'a str>, mode: Mode) -> Vec<String> {
    let mut lines: Vec<String> = lines.into_iter().map(|line| comparable(line, mode)).collect();
    if mode == Mode::AnyOrder {
        lines.sort();
    }
    lines
}

fn same(expected: &[String], found: &[String], printed: &str) -> Result<(), Failed> {
    if expected == found && !found.is_empty() {
        return Ok(());
    }
    Err(format!("expected\n{}\n\nand it printed\n{printed}", expected.join("\n")).into())
}

fn compare(printed: &str, source: &str) -> Result<(), Failed> {
    let (mode, expected) = expected(source).ok_or("the lesson has no comment with its output")?;
    same(&lines_of(expected, mode), &lines_of(printed.lines(), mode), printed)
}

/// Where cargo has put the examples: beside this test, or above it.
fn program(lesson: &str, source: &Path) -> Result<PathBuf, Failed> {
    let test = std::env::current_exe()?;
    let name = Path::new("examples").join(format!("lesson_{lesson}"));
    let written = fs::metadata(source)?.modified()?;
    let is_current = |program: &PathBuf| {
        fs::metadata(program).and_then(|program| program.modified()).is_ok_and(|built| built >= written)
    };
    test.ancestors().map(|folder| folder.join(&name)).find(is_current).ok_or_else(|| {
        let name = name.display();
        let cure = "`cargo test` builds it, as does `cargo build --examples`";
        format!("{name} is missing above {}, or older than its source: {cure}", test.display()).into()
    })
}

fn run(lesson: &str, source: &Path, backend: &str) -> Result<(), Failed> {
    let mut command = Command::new(program(lesson, source)?);
    let output = command.env("LESSON_SPEED", SPEED).env("PROACTOR_BACKEND", backend).output()?;
    let (printed, errors) = (String::from_utf8(output.stdout)?, String::from_utf8_lossy(&output.stderr));
    if !output.status.success() || !errors.is_empty() {
        return Err(format!("{}\n{errors}\n{printed}", output.status).into());
    }
    compare(&printed, &fs::read_to_string(source)?)
}

/// A speed that is none ends a lesson with one line, which names it, and no backtrace.
fn refuse_speed(lesson: &str, source: &Path) -> Result<(), Failed> {
    let program = program(lesson, source)?;
    for speed in ["fast", "0", "-1", "NaN", "inf", ""] {
        let output = Command::new(&program).env("LESSON_SPEED", speed).output()?;
        let errors = String::from_utf8(output.stderr)?;
        let is_clear =
            errors.lines().count() == 1 && errors.starts_with(&format!("LESSON_SPEED is {speed:?}"));
        if output.status.code() != Some(2) || !is_clear {
            return Err(format!("{speed:?}: {}\n{errors}", output.status).into());
        }
    }
    Ok(())
}

/// The files of the lessons, by their names without the ending.
fn lessons() -> Vec<(String, PathBuf)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples/lessons");
    let files = fs::read_dir(folder).expect("the lessons are there").map(|file| file.unwrap().path());
    let name = |path: PathBuf| Some((path.file_stem().and_then(OsStr::to_str)?.to_owned(), path));
    let mut lessons: Vec<_> = files
        .filter(|file| file.extension() == Some(OsStr::new("rs")))
        .filter_map(name)
        .filter(|(name, _)| name != "lesson")
        .collect();
    lessons.sort();
    lessons
}

fn main() -> ExitCode {
    let is_refused = Proactor::new().is_err();
    let is_required = std::env::var_os("PROACTOR_REQUIRE_URING").is_some_and(|value| value == "1");
    let python = twin::find_python();
    if let Err(reason) = &python {
        eprintln!("the twins in Python are ignored: {reason}");
    }
    let mut trials = Vec::new();
    for (lesson, source) in lessons() {
        for backend in ["proactor", "selector"] {
            let needs_uring = backend == "proactor" || lesson == BOTH;
            let (name, lesson, source) = (format!("{backend}::{lesson}"), lesson.clone(), source.clone());
            let trial = Trial::test(name, move || run(&lesson, &source, backend));
            trials.push(trial.with_ignored_flag(needs_uring && is_refused && !is_required));
        }
        let trial = Trial::test(format!("python::{lesson}"), move || twin::run(&source));
        trials.push(match &python {
            Ok(()) => trial,
            Err(reason) => trial.with_ignored_flag(true).with_kind(reason.clone()),
        });
    }
    if let Some((lesson, source)) = lessons().into_iter().next() {
        trials.push(Trial::test("a_bad_speed_is_refused", move || refuse_speed(&lesson, &source)));
    }
    // A ring each: an ordinary user may have so much memory locked at a time, and no more.
    let mut arguments = Arguments::from_args();
    arguments.test_threads.get_or_insert(4);
    libtest_mimic::run(&arguments, trials).exit_code()
}
