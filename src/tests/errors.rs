//! Every error of the crate: what `Debug` shows of it, and what `?` makes of it. (These tests need no [`TestLoop`](super::TestLoop).)

use std::error::Error;
use std::io::{self, ErrorKind};
use std::path::Path;

use crate::buf::BufError;
use crate::driver::proactor::setup::{Refused, SetupCall};
use crate::net::{ReuniteError, TcpListener, TcpStream};
use crate::runtime::config::required::Missing;
use crate::sync::queue::{QueueShutDown, TaskDoneError, TryGetError, TryPutError};
use crate::sync::{Barrier, Semaphore, TryAcquireError, broadcast, mpsc, oneshot};
use crate::task::task_group;
use crate::task::{AlreadySettled, JoinError, PromiseError, RuntimeGone, catch_cancel, current};
use crate::time::Elapsed;
use crate::{Config, Feature, Selector};

/// An error that hands a value back shows itself whatever that is.
struct Opaque;

fn refused() -> Refused {
    Refused { call: SetupCall::Setup, errno: libc::EPERM, release: "6.18.0".into(), disabled: Some(2) }
}

/// The name of a type, without path and parameters.
fn name_of<E>(_: &E) -> &'static str {
    let name = std::any::type_name::<E>();
    let name = name.split('<').next().unwrap_or(name);
    name.rsplit("::").next().unwrap_or(name)
}

/// The names of the errors that were looked at.
#[derive(Default)]
struct Seen(Vec<String>);

impl Seen {
    /// `Debug` reads like `Display`.
    fn alike<E: Error>(&mut self, error: E) -> E {
        assert_eq!(format!("{error:?}"), error.to_string(), "{}", name_of(&error));
        self.0.push(name_of(&error).to_owned());
        error
    }

    /// And `?` turns it into an `io::Error` of this kind that shows the same.
    fn converts<E: Error + Into<io::Error>>(&mut self, kind: ErrorKind, error: E) {
        let (text, name) = (error.to_string(), name_of(&error));
        let error: io::Error = self.alike(error).into();
        assert_eq!((error.kind(), error.to_string()), (kind, text.clone()), "{name}");
        assert!(format!("{error:?}").contains(&text), "{name}: {error:?}");
    }

    /// The `Debug` of an error that holds another one has the text of that one.
    fn holds<E: Error + Into<io::Error>>(&mut self, error: E, text: &str) {
        assert!(format!("{error:?}").contains(text), "{error:?}");
        self.0.push(name_of(&error).to_owned());
        let error: io::Error = error.into();
        assert!(format!("{error:?}").contains(text), "{error:?}");
    }
}

#[test]
fn every_error_shows_cause_and_cure() {
    let mut seen = Seen::default();
    of_channels(&mut seen);
    of_locks_and_queues(&mut seen);
    crate::run(of_tasks(&mut seen));
    crate::run(of_holders(&mut seen));
    let mut all = Vec::new();
    names_in(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src"), &mut all);
    for names in [&mut seen.0, &mut all] {
        names.sort_unstable();
        names.dedup();
    }
    assert_eq!(seen.0, all, "left: the errors that are tested; right: those of the sources");
}

fn of_channels(seen: &mut Seen) {
    seen.converts(ErrorKind::BrokenPipe, mpsc::SendError(Opaque));
    seen.converts(ErrorKind::WouldBlock, mpsc::TrySendError::Full(Opaque));
    seen.converts(ErrorKind::BrokenPipe, mpsc::TrySendError::Closed(Opaque));
    seen.converts(ErrorKind::UnexpectedEof, oneshot::RecvError);
    seen.converts(ErrorKind::WouldBlock, mpsc::TryRecvError::Empty);
    seen.converts(ErrorKind::UnexpectedEof, mpsc::TryRecvError::Closed);
    seen.converts(ErrorKind::UnexpectedEof, broadcast::RecvError::Closed);
    seen.converts(ErrorKind::Other, broadcast::RecvError::Lagged(7));
    seen.converts(ErrorKind::WouldBlock, broadcast::TryRecvError::Empty);
    seen.converts(ErrorKind::Other, broadcast::TryRecvError::Lagged(7));
    seen.converts(ErrorKind::UnexpectedEof, broadcast::TryRecvError::Closed);
}

fn of_locks_and_queues(seen: &mut Seen) {
    seen.converts(ErrorKind::BrokenPipe, QueueShutDown(Opaque));
    seen.converts(ErrorKind::WouldBlock, TryPutError::Full(Opaque));
    seen.converts(ErrorKind::BrokenPipe, TryPutError::ShutDown(Opaque));
    seen.converts(ErrorKind::WouldBlock, TryGetError::Empty);
    seen.converts(ErrorKind::BrokenPipe, TryGetError::ShutDown);
    seen.converts(ErrorKind::InvalidInput, TaskDoneError);
    let semaphore = Semaphore::new(0);
    semaphore.close();
    seen.converts(ErrorKind::BrokenPipe, crate::run(semaphore.acquire()).unwrap_err());
    seen.converts(ErrorKind::WouldBlock, TryAcquireError::NoPermits);
    seen.converts(ErrorKind::BrokenPipe, TryAcquireError::Closed);
    let barrier = Barrier::new(2);
    barrier.abort();
    seen.converts(ErrorKind::Other, crate::run(barrier.wait()).unwrap_err());
}

async fn of_tasks(seen: &mut Seen) {
    seen.converts(ErrorKind::Other, JoinError::Cancelled);
    let panicked = crate::spawn(async { std::panic::resume_unwind(Box::new("on fire")) });
    seen.converts(ErrorKind::Other, panicked.await.map(|(): ()| ()).unwrap_err());
    seen.converts(ErrorKind::NotConnected, JoinError::RuntimeGone);
    seen.converts(ErrorKind::NotConnected, RuntimeGone);
    seen.converts(ErrorKind::InvalidInput, AlreadySettled(Opaque));
    seen.converts(ErrorKind::TimedOut, Elapsed);
    let cancelled = crate::spawn(async {
        current().request_cancel();
        let cancelled = catch_cancel(std::future::pending::<()>()).await.unwrap_err();
        let texts = (format!("{cancelled:?}"), cancelled.to_string(), name_of(&cancelled));
        cancelled.uncancel();
        texts
    });
    let (debug, display, name) = cancelled.await.unwrap();
    assert_eq!(debug, display);
    seen.0.push(name.to_owned());
}

async fn of_holders(seen: &mut Seen) {
    let text = seen.alike(refused()).to_string();
    assert!(format!("{:?}", io::Error::from(refused())).contains(&text));
    seen.holds(BufError::new(refused().into(), Opaque), &text);
    seen.holds(PromiseError::Failed(io::Error::from(refused())), &text);
    assert_eq!(io::Error::from(PromiseError::<io::Error>::Cancelled).kind(), ErrorKind::Other);
    let failed = task_group(async |group| {
        group.spawn(async { Err::<(), _>(io::Error::from(refused())) });
        Ok(())
    });
    seen.holds(failed.await.unwrap_err(), &text);
    seen.alike(torn().await.unwrap());
    let missing = Selector::with_config(&Config::new().require(Feature::SqPoll)).unwrap_err();
    seen.alike(*missing.into_inner().unwrap().downcast::<Missing>().unwrap());
}

/// Halves of two streams.
async fn torn() -> io::Result<ReuniteError> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let (one, other) = (
        TcpStream::connect(listener.local_addr()?).await?,
        TcpStream::connect(listener.local_addr()?).await?,
    );
    let ((reader, _), (_, writer)) = (one.into_split(), other.into_split());
    Ok(reader.reunite(writer).unwrap_err())
}

/// Takes the names of all types that implement `Error` in the sources below a folder.
fn names_in(folder: &Path, names: &mut Vec<String>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            names_in(&path, names);
        } else {
            let text = std::fs::read_to_string(&path).unwrap();
            let implementations = text.lines().filter(|line| line.starts_with("impl"));
            names.extend(implementations.filter_map(|line| {
                let (trait_, target) = line.split_once("Error for ")?;
                let name = target.split(|c: char| !c.is_alphanumeric()).next()?;
                trait_.ends_with([' ', ':']).then(|| name.to_owned())
            }));
        }
    }
}
