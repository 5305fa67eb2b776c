//! The main function of the suite's programs.

use std::process::ExitCode;

use libtest_mimic::{Arguments, Failed, Trial};
use proactor::Proactor;

use super::{ALONE, Test, Watchdog, lacks, prepare_process, run_alone};

/// The tests of one file; `tests!` registers them.
#[derive(Debug)]
pub(crate) struct Registered(pub(crate) fn() -> Vec<Test>);

inventory::collect!(Registered);

/// All tests of this program, file by file.
pub(crate) fn tests() -> Vec<Test> {
    let mut tests: Vec<Test> = inventory::iter::<Registered>().flat_map(|file| (file.0)()).collect();
    tests.sort_by_key(|test| test.module); // stable: in a file they keep their order
    tests
}

/// Runs the tests of the program's files, as the arguments say.
pub(crate) fn main() -> ExitCode {
    prepare_process();
    let tests = tests();
    let mut arguments = std::env::args().skip(1);
    if arguments.next().as_deref() == Some(ALONE) {
        run_alone(&tests, &arguments.next().unwrap_or_default());
        return ExitCode::SUCCESS;
    }
    let refused = Proactor::new().err().map(|error| error.to_string());
    let required = std::env::var_os("PROACTOR_REQUIRE_URING").is_some_and(|value| value == "1");
    if let (Some(reason), false) = (&refused, required) {
        eprintln!("the proactor's tests are ignored: {reason}");
    }
    let arguments = Arguments::from_args();
    let watchdog = Watchdog::start();
    let trials = tests.iter().flat_map(|test| test.each_backend()).map(|(name, kind, body)| {
        let refused = refused.clone().filter(|_| kind == "proactor");
        let ignored = match &refused {
            Some(_) => (!required).then(|| "io_uring refused".to_owned()),
            None => lacks(&name).map(|lack| format!("needs {lack}")),
        };
        let watchdog = watchdog.clone();
        let trial = Trial::test(name.clone(), move || match refused {
            Some(reason) => Err(Failed::from(reason)),
            None => {
                watchdog.watch(&name, body);
                Ok(())
            }
        });
        trial.with_ignored_flag(ignored.is_some()).with_kind(ignored.unwrap_or_default())
    });
    libtest_mimic::run(&arguments, trials.collect()).exit_code()
}
