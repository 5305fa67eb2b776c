//! The two ways in which a measurement can go wrong.

use std::{fmt, io};

use proactor::{buf::BufError, task::JoinError};
use serde::{Deserialize, Serialize};

use crate::stats::Side;

#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) enum Failure {
    /// A byte, a block or a result was wrong. This ends the whole run, because
    /// figures of a program with wrong results are worthless.
    Wrong(String),
    /// Something else failed; the other measurements still make sense.
    Broken(String),
}

impl Failure {
    pub(crate) fn broken(what: impl fmt::Display) -> Failure {
        Failure::Broken(what.to_string())
    }

    /// The same failure with where it happened.
    pub(crate) fn during(self, program: &str, side: Side) -> Failure {
        let place = |what| format!("{program} on the {}: {what}", side.name());
        match self {
            Failure::Wrong(what) => Failure::Wrong(place(what)),
            Failure::Broken(what) => Failure::Broken(place(what)),
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Failure::Wrong(what) => write!(f, "verification failed: {what}"),
            Failure::Broken(what) => f.write_str(what),
        }
    }
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Failure {
        Failure::broken(error)
    }
}

impl<B> From<BufError<B>> for Failure {
    fn from(error: BufError<B>) -> Failure {
        Failure::broken(io::Error::from(error))
    }
}

impl From<JoinError> for Failure {
    fn from(error: JoinError) -> Failure {
        Failure::broken(error)
    }
}

impl From<serde_json::Error> for Failure {
    fn from(error: serde_json::Error) -> Failure {
        Failure::broken(error)
    }
}
