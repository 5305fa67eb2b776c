//! Whose rights an operation has, when the process has given some of its own up.

use std::os::fd::AsFd;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use nix::sys::stat::fstat;
use nix::unistd::{Gid, Uid, geteuid, setgroups, setresgid, setresuid};
use proactor::fs::{self, File, OpenOptions, direct};
use proactor::net::{TcpListener, TcpStream, UdpSocket};
use proactor::{Config, Runtime};

use crate::kit::*;

tests! {
    t187_privileges_that_were_given_up_are_gone,
}

const USER: u32 = 54_321;
/// Where the parent has made the files, which it can remove as well.
const FOLDER: &str = "SUITE_FOLDER";

fn give_up_root() {
    let (user, group) = (Uid::from_raw(USER), Gid::from_raw(USER));
    setgroups(&[]).unwrap();
    setresgid(group, group, group).unwrap();
    setresuid(user, user, user).unwrap();
    end_with_parent(); // the change of the user has reset that
}

/// Only root can give root up: for another user this shows nothing.
fn t187_privileges_that_were_given_up_are_gone<R: Runtime>() {
    if !geteuid().is_root() {
        return;
    }
    let folder = (!is_alone()).then(|| {
        let folder = TempDir::new();
        let mode =
            |path: &Path, mode| std::fs::set_permissions(path, PermissionsExt::from_mode(mode)).unwrap();
        std::fs::create_dir(folder.path("closed")).unwrap();
        std::fs::create_dir(folder.path("free")).unwrap();
        mode(&folder.file("closed/file", b"secret"), 0o644);
        mode(&folder.file("secret", b"secret"), 0o600);
        mode(&folder.path("closed"), 0o700);
        mode(&folder.path("free"), 0o777);
        mode(&folder.path(""), 0o755);
        folder
    });
    let path = folder.as_ref().map_or_else(String::new, |folder| folder.path("").display().to_string());
    let polled = Config::new().sqpoll(Duration::from_millis(1));
    for (case, config) in [("plain", Config::new()), ("polled", polled)] {
        Alone::new().case(case).env(FOLDER, &path).run(|| {
            let folder = PathBuf::from(std::env::var_os(FOLDER).unwrap());
            let runtime = R::with_config(&config).unwrap();
            let [secret, inside] = ["secret", "closed/file"].map(|name| folder.join(name));
            runtime.block_on(async {
                assert_eq!(fs::read(&secret).await.unwrap(), b"secret");
                assert_eq!(fs::metadata(&inside).await.unwrap().len(), 6);
            });
            give_up_root();
            runtime.block_on(async {
                let refused = |error: std::io::Error| assert_eq!(error.raw_os_error(), Some(libc::EACCES));
                refused(std::fs::read(&secret).unwrap_err());
                refused(fs::read(&secret).await.unwrap_err());
                refused(fs::read(&inside).await.unwrap_err());
                refused(fs::metadata(&inside).await.unwrap_err());
                refused(File::create(folder.join("new")).await.unwrap_err());
                refused(OpenOptions::new().append(true).open(&secret).await.unwrap_err());
                refused(direct::File::open(&secret).await.unwrap_err());
                refused(direct::File::create(folder.join("new")).await.unwrap_err());
                // What it makes is its own.
                for name in
                    ["file", "direct"].map(|name| folder.join(format!("free/{}-{case}-{name}", R::NAME)))
                {
                    if name.ends_with("file") {
                        fs::write(&name, "text").await.unwrap();
                    } else {
                        direct::File::create(&name).await.unwrap().close().await.unwrap();
                    }
                    assert_eq!(std::fs::metadata(&name).unwrap().uid(), USER);
                }
                let owner = |fd: &dyn AsFd| fstat(fd.as_fd()).unwrap().st_uid;
                let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
                let client = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
                let datagrams = UdpSocket::bind("127.0.0.1:0").await.unwrap();
                assert_eq!([owner(&listener), owner(&client), owner(&datagrams)], [USER; 3]);
            });
            end(runtime);
        });
    }
}
