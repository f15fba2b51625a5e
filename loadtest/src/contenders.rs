//! Those who are compared: loiter, the floor, and each peer that is installed here.

use std::env;
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use crate::dialect::Dialect;
use crate::error::Error;
use crate::host::{self, Launch, STARTING_MAX};
use crate::nchan;
use crate::options::CompareOptions;

/// The axum peer's program.
const AXUM: &str = "loiter-peer-axum";
/// Where its own build leaves it, from the top of the source tree.
const AXUM_BUILT: &str = "loadtest/peers/axum/target/release";

/// A server that takes part.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Contender {
    /// [`crate::floor`]: sockets and sends, nothing else.
    Floor,
    /// loiter.
    Loiter,
    /// The documented API on axum and tokio.
    Axum,
    /// nginx with Nchan, in memory.
    Nchan,
}

/// In the order in which they are shown.
pub(crate) const CONTENDERS: [Contender; 4] = [
    Contender::Floor,
    Contender::Loiter,
    Contender::Axum,
    Contender::Nchan,
];

impl Contender {
    /// Its name.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Floor => "floor",
            Self::Loiter => "loiter",
            Self::Axum => "axum",
            Self::Nchan => "nginx + Nchan",
        }
    }

    /// How one gets it.
    pub(crate) fn how_to_get(self) -> &'static str {
        match self {
            Self::Floor => "it is a part of this program",
            Self::Loiter => "cargo build --release",
            Self::Axum => "cargo build --release --manifest-path loadtest/peers/axum/Cargo.toml",
            Self::Nchan => "apt-get install --no-install-recommends nginx libnginx-mod-nchan",
        }
    }

    /// How it answers.
    pub(crate) fn dialect(self) -> Dialect {
        match self {
            Self::Floor => Dialect::Floor,
            Self::Loiter | Self::Axum => Dialect::Loiter,
            Self::Nchan => Dialect::Nchan,
        }
    }

    /// Whether an acknowledged message is on disk.
    pub(crate) fn has_disk(self) -> bool {
        matches!(self, Self::Loiter | Self::Axum)
    }

    /// How to start it; `None` where it is not installed.
    pub(crate) fn launch(
        self,
        options: &CompareOptions,
        pin: bool,
    ) -> Result<Option<Launch>, Error> {
        let recent = ["--recent=1".to_owned()];
        match self {
            Self::Floor => {
                let program = env::current_exe().map_err(Error::io("find this program"))?;
                let args = ["floor", "--listen", "127.0.0.1:0"].map(str::to_owned);
                let args = args.to_vec();
                Ok(Some(Launch {
                    program,
                    args,
                    pin,
                    nginx: None,
                }))
            }
            Self::Loiter => {
                let program = options.server.clone().unwrap_or_else(host::beside);
                let own = &options.server_args;
                let is_given = own.iter().any(|arg| arg.starts_with("--recent"));
                let recent = if is_given { &[] } else { &recent[..] };
                let args = [recent, own].concat();
                Ok(Some(Launch::loiter(program, &args, pin)))
            }
            Self::Axum => Ok(axum(options).map(|program| {
                let own = ["--listen", "127.0.0.1:0", "--database", "{dir}/peer.db"];
                let cheap = ["--password-iterations", "1000"];
                let args = own.iter().chain(&cheap).map(|arg| (*arg).to_owned());
                let args = args.chain(recent).collect();
                Launch {
                    program,
                    args,
                    pin,
                    nginx: None,
                }
            })),
            Self::Nchan => Ok(nchan::launch(1, pin)),
        }
    }

    /// What it says its version is. One that hangs over it is an error: as a server it would too.
    pub(crate) fn version(self, launch: &Launch) -> Result<String, Error> {
        if self == Self::Floor {
            return Ok(format!("loiter-loadtest {}", env!("CARGO_PKG_VERSION")));
        }
        let option = match self {
            Self::Nchan => "-v",
            _ => "--version",
        };
        let said = first_line(&launch.program, option, STARTING_MAX)?;
        Ok(said.unwrap_or_else(|| "unknown".to_owned()))
    }
}

/// What a program says first when it is asked with `option`; `None` where it cannot be asked or says nothing.
fn first_line(program: &Path, option: &str, limit: Duration) -> Result<Option<String>, Error> {
    let mut command = Command::new(program);
    command
        .arg(option)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let Ok(mut child) = command.spawn() else {
        return Ok(None);
    };
    let (mut stdout, mut stderr) = (child.stdout.take(), child.stderr.take());
    let (send, heard) = mpsc::channel();
    thread::spawn(move || {
        let mut said = Vec::new();
        // What was said before a failure counts too. nginx says it to standard error.
        let _ = stdout.as_mut().map(|output| output.read_to_end(&mut said));
        let _ = stderr.as_mut().map(|output| output.read_to_end(&mut said));
        let _ = send.send(said);
    });
    let said = heard.recv_timeout(limit);
    // It has closed its output or hangs: in both cases it has nothing more to say.
    let _ = child.kill();
    child.wait().map_err(Error::io("wait for a version"))?;
    let Ok(said) = said else {
        let (shown, limit) = (program.display(), limit.as_secs());
        let what = format!("{shown} {option} did not end within {limit} s");
        return Err(Error::Host(what));
    };
    let text = String::from_utf8_lossy(&said);
    Ok(text.lines().next().map(str::to_owned))
}

/// The one that was named, or the one beside this program, or the one that its own build has left.
fn axum(options: &CompareOptions) -> Option<PathBuf> {
    if let Some(named) = &options.axum {
        return Some(named.clone());
    }
    let own = env::current_exe().ok()?;
    let folders = own.ancestors().skip(1);
    let beside = folders.clone().take(1).map(|folder| folder.join(AXUM));
    let built = folders.map(|folder| folder.join(AXUM_BUILT).join(AXUM));
    beside
        .chain(built)
        .find(|path: &PathBuf| Path::is_file(path))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_that_hangs_over_its_version_is_given_up() {
        let sleep = Path::new("sleep");
        let told = first_line(sleep, "1000", Duration::ZERO).unwrap_err();
        let told = told.to_string();
        assert_eq!(told, "sleep 1000 did not end within 0 s");
        let said = first_line(Path::new("echo"), "one", STARTING_MAX);
        assert_eq!(said.unwrap().as_deref(), Some("one"));
        let absent = first_line(Path::new("/nowhere/loiter"), "one", STARTING_MAX);
        assert_eq!(absent.unwrap(), None);
    }

    #[test]
    fn only_what_keeps_messages_has_a_disk() {
        let on_disk = CONTENDERS.into_iter().filter(|c| c.has_disk());
        let names: Vec<&str> = on_disk.map(Contender::name).collect();
        assert_eq!(names, ["loiter", "axum"]);
        assert!(!Contender::Nchan.dialect().has_users());
    }
}
