//! The measured process: one runtime, one workload.

use std::io;
use std::net::TcpListener;

use proactor::{Proactor, Selector};

use crate::bare::{self, multishot::Mode};
use crate::inside;
use crate::peer::{Blocks, Peer};
use crate::peers::{
    compio::Compio,
    glommio::Glommio,
    monoio::Monoio,
    proactor::{Direct, Ours, Owned, Polled, Whole, ZeroCopy},
    tokio::Tokio,
    tokio_uring::TokioUring,
};
use crate::process::{Job, Said, Used, pin, say};
use crate::workload::{Service, Workload};

/// All of them, in the order of the tables: name and settings.
pub fn runtimes() -> Vec<(&'static str, &'static str)> {
    vec![
        ("bare-ring", bare::ring::SETTINGS),
        ("bare-multishot", Mode::Plain.settings()),
        ("bare-direct", Mode::Direct.settings()),
        ("bare-bundle", Mode::Bundle.settings()),
        ("bare-epoll", bare::epoll::SETTINGS),
        (Ours::<Proactor>::NAME, Ours::<Proactor>::SETTINGS),
        (Ours::<Proactor, Owned>::NAME, Ours::<Proactor, Owned>::SETTINGS),
        (Ours::<Proactor, Whole>::NAME, Ours::<Proactor, Whole>::SETTINGS),
        (Ours::<Proactor, Polled>::NAME, Ours::<Proactor, Polled>::SETTINGS),
        (Ours::<Proactor, Direct>::NAME, Ours::<Proactor, Direct>::SETTINGS),
        (Ours::<Proactor, ZeroCopy>::NAME, Ours::<Proactor, ZeroCopy>::SETTINGS),
        (Ours::<Selector>::NAME, Ours::<Selector>::SETTINGS),
        (Ours::<Selector, Owned>::NAME, Ours::<Selector, Owned>::SETTINGS),
        (Tokio::NAME, Tokio::SETTINGS),
        (TokioUring::NAME, TokioUring::SETTINGS),
        (Monoio::NAME, Monoio::SETTINGS),
        (Compio::NAME, Compio::SETTINGS),
        (Glommio::NAME, Glommio::SETTINGS),
    ]
}

/// Whether it is measured when nobody names runtimes. The others are modes, of matter to the rows of sockets alone.
pub fn is_usual(name: &str) -> bool {
    !name.contains('-') || matches!(name, "bare-ring" | "bare-epoll" | "tokio-uring")
}

pub fn main(job: &Job) -> io::Result<()> {
    pin(0);
    match job.runtime.as_str() {
        "bare-ring" => bare_ring(job),
        "bare-multishot" => server(job, multishot(Mode::Plain)),
        "bare-direct" => server(job, multishot(Mode::Direct)),
        "bare-bundle" => server(job, multishot(Mode::Bundle)),
        "bare-epoll" => server(job, bare::epoll::serve),
        "proactor" => peer::<Ours<Proactor>>(job),
        "proactor-owned" => peer::<Ours<Proactor, Owned>>(job),
        "proactor-whole" => peer::<Ours<Proactor, Whole>>(job),
        "proactor-polled" => peer::<Ours<Proactor, Polled>>(job),
        "proactor-direct" => peer::<Ours<Proactor, Direct>>(job),
        "proactor-zerocopy" => peer::<Ours<Proactor, ZeroCopy>>(job),
        "selector" => peer::<Ours<Selector>>(job),
        "selector-owned" => peer::<Ours<Selector, Owned>>(job),
        "tokio" => peer::<Tokio>(job),
        "tokio-uring" => peer::<TokioUring>(job),
        "monoio" => peer::<Monoio>(job),
        "compio" => peer::<Compio>(job),
        "glommio" => peer::<Glommio>(job),
        other => Err(io::Error::other(format!("there is no runtime {other}"))),
    }
}

/// Opens the server's socket, says where, and answers questions about what the process has used, until the end of
/// the input ends it.
fn listen() -> io::Result<TcpListener> {
    let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None)?;
    // What is accepted inherits it, so that no runtime has to spend a system call on it.
    socket.set_tcp_nodelay(true)?;
    socket.bind(&std::net::SocketAddr::from(([127, 0, 0, 1], 0)).into())?;
    socket.listen(4_096)?;
    let listener: TcpListener = socket.into();
    say(&Said::Listens(listener.local_addr()?.port()));
    std::thread::spawn(|| {
        let mut line = String::new();
        while matches!(io::stdin().read_line(&mut line), Ok(1..)) {
            say(&Said::Used(Used::now()));
        }
        std::process::exit(0);
    });
    Ok(listener)
}

/// Does the work twice, to warm up and measured.
fn measured(job: &Job, mut work: impl FnMut(u64) -> io::Result<()>) -> io::Result<()> {
    work(job.warm)?;
    let begin = Used::now();
    work(job.ops)?;
    say(&Said::Used(Used::now().since(begin)));
    Ok(())
}

fn lacks() -> io::Result<()> {
    say(&Said::Lacks);
    Ok(())
}

fn bare_ring(job: &Job) -> io::Result<()> {
    if let Some((service, size)) = job.workload.service() {
        return bare::ring::serve(listen()?, service, size);
    }
    let blocks = |what, in_flight| measured(job, |ops| bare::ring::blocks(ops, what, in_flight, &job.file));
    match job.workload {
        Workload::Nop { in_flight } => measured(job, |ops| bare::ring::nops(ops, in_flight)),
        Workload::Read { direct: false, in_flight } => blocks(Blocks::Read, in_flight),
        Workload::Read { direct: true, in_flight } => blocks(Blocks::ReadDirect, in_flight),
        Workload::Write => blocks(Blocks::Write, 1),
        Workload::Wake => measured(job, |ops| bare::ring::wakes(ops, job.cores)),
        Workload::Spawn => measured(job, bare::executor::spawns),
        Workload::Yield => measured(job, bare::executor::yields),
        _ => lacks(),
    }
}

/// For those that do nothing but serve.
fn server(job: &Job, serve: impl FnOnce(TcpListener, Service, usize) -> io::Result<()>) -> io::Result<()> {
    match job.workload.service() {
        Some((service, size)) => serve(listen()?, service, size),
        None => lacks(),
    }
}

fn multishot(mode: Mode) -> impl FnOnce(TcpListener, Service, usize) -> io::Result<()> {
    move |listener, service, size| bare::multishot::serve(listener, mode, service, size)
}

fn peer<P: Peer>(job: &Job) -> io::Result<()> {
    if let Some((service, size)) = job.workload.service() {
        return P::block_on(P::serve(listen()?, service, size));
    }
    let used = || Used { calls: P::counted_calls(), ..Used::now() };
    P::block_on(async {
        if inside::run::<P>(job, job.warm).await.is_none() {
            return lacks();
        }
        let begin = used();
        inside::run::<P>(job, job.ops).await;
        say(&Said::Used(used().since(begin)));
        Ok(())
    })
}
