//! nginx with Nchan, as a server of our own: where it is, how it is configured, when it listens, which process serves.
//!
//! It does not say where it listens and cannot pick a port, so one that was free a moment ago is written into its
//! configuration, and it listens when it accepts. What it costs is its worker's, a child of the process that was started.

use std::fs;
use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use crate::crew;
use crate::error::Error;
use crate::host::Launch;
use crate::http::Target;

const STEP: Duration = Duration::from_millis(10);
const CONF: &str = include_str!("../peers/nginx/nginx.conf.in");
const MODULE: &str = "ngx_nchan_module.so";
/// Where distributions keep nginx's modules.
const MODULES: [&str; 4] = [
    "/usr/lib/nginx/modules",
    "/usr/lib64/nginx/modules",
    "/usr/local/lib/nginx/modules",
    "/usr/share/nginx/modules",
];
/// Its worker holds tables of this size, so a limit of millions is not asked for.
const FILES_MAX: u64 = 1 << 20;

/// What nginx is configured with.
#[derive(Clone, Debug)]
pub(crate) struct Configuration {
    /// The module's file.
    module: PathBuf,
    /// How many messages a chatroom keeps.
    recent: u32,
}

/// nginx with Nchan, where both are installed.
pub(crate) fn launch(recent: u32, pin: bool) -> Option<Launch> {
    let folders = MODULES.iter().map(Path::new);
    let module = folders
        .map(|folder| folder.join(MODULE))
        .find(|path| path.is_file())?;
    let args = ["-p", "{dir}", "-c", "nginx.conf", "-e", "error.log"];
    Some(Launch {
        program: program()?,
        args: args.map(str::to_owned).to_vec(),
        pin,
        nginx: Some(Configuration { module, recent }),
    })
}

/// The program: in `PATH`, or where it is for root alone.
fn program() -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let folders = std::env::split_paths(&path);
    let folders = folders.chain(["/usr/sbin", "/usr/local/sbin"].map(PathBuf::from));
    let mut found = folders.map(|folder| folder.join("nginx"));
    found.find(|path| path.is_file())
}

impl Configuration {
    /// Writes it into the folder that nginx will have; where nginx will listen.
    pub(crate) fn write(&self, folder: &Path) -> Result<SocketAddr, Error> {
        let free = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).and_then(|free| free.local_addr());
        let address = free.map_err(Error::io("find a free port"))?;
        let text = self.text(address, folder, crew::raise_file_limit());
        fs::write(folder.join("nginx.conf"), text).map_err(Error::io("write nginx.conf"))?;
        Ok(address)
    }

    fn text(&self, address: SocketAddr, folder: &Path, files: u64) -> String {
        CONF.replace("@module@", &self.module.to_string_lossy())
            .replace("@listen@", &address.to_string())
            .replace("@folder@", &folder.to_string_lossy())
            .replace("@files@", &files.min(FILES_MAX).to_string())
            .replace("@recent@", &self.recent.to_string())
    }
}

/// Waits until nginx accepts; where, and its worker's process. `None` where it `has_ended` instead, or does not until `until`.
pub(crate) fn serving(
    master: u32,
    address: SocketAddr,
    until: Instant,
    has_ended: impl Fn() -> bool,
) -> Option<(Target, u32)> {
    while Instant::now() < until && !has_ended() {
        let worker = children(master).ok()?.first().copied();
        if let Some(worker) = worker.filter(|_| TcpStream::connect(address).is_ok()) {
            return Some((format!("http://{address}").parse().ok()?, worker));
        }
        thread::sleep(STEP);
    }
    None
}

/// The processes that `parent` has started and that still are.
fn children(parent: u32) -> io::Result<Vec<u32>> {
    let is_child = |pid: &u32| {
        let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
        let field = status.lines().find_map(|line| line.strip_prefix("PPid:"));
        field.and_then(|field| field.trim().parse().ok()) == Some(parent)
    };
    let entries = fs::read_dir("/proc")?;
    let pids = entries.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok());
    Ok(pids.filter(is_child).collect())
}

#[cfg(test)]
mod tests {
    use std::io::{Read as _, Write as _};

    use super::*;
    use crate::host::STARTING_MAX;

    #[test]
    fn the_template_is_filled_without_rest() {
        let configuration = Configuration {
            module: "/m.so".into(),
            recent: 3,
        };
        let address = "127.0.0.1:81".parse().unwrap();
        let text = configuration.text(address, Path::new("/f"), 1 << 30);
        let lines = text
            .lines()
            .map(|line| line.split('#').next().unwrap_or(""));
        let text = lines.collect::<Vec<&str>>().join("\n");
        assert!(!text.contains('@'), "{text}");
        for line in [
            "load_module /m.so;",
            "listen 127.0.0.1:81 ",
            "pid /f/nginx.pid;",
            "worker_connections 1048576;",
            "nchan_message_buffer_length 3;",
        ] {
            assert!(text.contains(line), "{line}");
        }
    }

    /// Nothing to show where there is no nginx with Nchan.
    #[test]
    fn a_poll_is_woken_where_it_is_installed() {
        let Some(launch) = launch(1, false) else {
            return;
        };
        let host = launch.start().unwrap();
        let connect = || {
            let stream = TcpStream::connect(host.target.addr).unwrap();
            stream.set_read_timeout(Some(STARTING_MAX)).unwrap();
            stream
        };
        let (mut poll, mut sender) = (connect(), connect());
        let request = b"GET /message/longpoll/?chatroomid=7 HTTP/1.1\r\nHost: h\r\n\r\n";
        poll.write_all(request).unwrap();
        poll.set_nonblocking(true).unwrap();
        let send = "POST /message/sendMessage/?chatroomid=7 HTTP/1.1\r\nHost: h\r\nContent-Length: 2\r\n\r\nhi";
        // Nothing tells when the poll is parked.
        while poll.peek(&mut [0]).is_err() {
            sender.write_all(send.as_bytes()).unwrap();
            let len = sender.read(&mut [0; 1024]).unwrap();
            assert!(len > 0, "the publisher is answered");
        }
        let mut answer = [0; 1024];
        let len = poll.read(&mut answer).unwrap();
        assert!(answer[..len].ends_with(b"\r\n\r\nhi"));
        let worker = host.pid;
        let command = fs::read_to_string(format!("/proc/{worker}/cmdline")).unwrap();
        assert!(command.starts_with("nginx: worker"), "{command}");
        host.end().unwrap();
        assert!(!Path::new(&format!("/proc/{worker}")).exists());
    }
}
