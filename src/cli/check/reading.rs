//! What the machine says of itself: `/proc`, `/sys`, the limits of this process, the database's file system.
//!
//! What is not there, or not as it was expected to be, is not known, and no error: a container may hide any of it.

use std::fs;
use std::path::{Path, PathBuf};

use super::machine::{Cgroup, Conntrack, Machine};

/// What a cgroup's limit is beyond when it has none: the first version of cgroups says so by a number.
const NO_LIMIT: u64 = 1 << 60;

/// Reads all of it, for a database of this path; with none, nothing of where that would be.
pub(super) fn read(database: Option<&Path>) -> Machine {
    let root = Root(PathBuf::from("/"));
    let files = rlimit::Resource::NOFILE.get().ok();
    let place = database.and_then(existing);
    Machine {
        files_soft: files.map(|(soft, _)| soft),
        files_hard: files.map(|(_, hard)| hard),
        free_bytes: place.as_deref().and_then(free_bytes),
        file_system: place.as_deref().and_then(|place| {
            let mounts = root.text("proc/self/mountinfo")?;
            file_system(&mounts, place)
        }),
        ..root.machine()
    }
}

/// A folder that has `proc` and `sys` in it.
struct Root(PathBuf);

impl Root {
    fn machine(&self) -> Machine {
        let mut ports = self
            .numbers("proc/sys/net/ipv4/ip_local_port_range")
            .into_iter();
        Machine {
            nr_open: self.number("proc/sys/fs/nr_open"),
            file_max: self.number("proc/sys/fs/file-max"),
            files_open: self.number("proc/sys/fs/file-nr"),
            epoll_watches: self.number("proc/sys/fs/epoll/max_user_watches"),
            memory_bytes: self.memory(),
            cgroup: self.cgroup(),
            conntrack: self.conntrack(),
            somaxconn: self.number("proc/sys/net/core/somaxconn"),
            tcp_pressure_pages: self.numbers("proc/sys/net/ipv4/tcp_mem").get(1).copied(),
            ports: ports.next().zip(ports.next()),
            ..Machine::default()
        }
    }

    fn text(&self, path: impl AsRef<Path>) -> Option<String> {
        fs::read_to_string(self.0.join(path)).ok()
    }

    fn numbers(&self, path: impl AsRef<Path>) -> Vec<u64> {
        let text = self.text(path).unwrap_or_default();
        text.split_whitespace()
            .map_while(|word| word.parse().ok())
            .collect()
    }

    fn number(&self, path: impl AsRef<Path>) -> Option<u64> {
        self.numbers(path).first().copied()
    }

    fn memory(&self) -> Option<u64> {
        let text = self.text("proc/meminfo")?;
        field(&text, "MemAvailable:")?.checked_mul(1024)
    }

    /// Absent where nothing is tracked.
    fn conntrack(&self) -> Option<Conntrack> {
        Some(Conntrack {
            max: self.number("proc/sys/net/netfilter/nf_conntrack_max")?,
            count: self.number("proc/sys/net/netfilter/nf_conntrack_count")?,
        })
    }

    /// The one that leaves least, of the process's own and those that this is in.
    fn cgroup(&self) -> Option<Cgroup> {
        let own = self.text("proc/self/cgroup")?;
        let of_line = |line: &str| {
            let (_, line) = line.split_once(':')?;
            let (controllers, path) = line.split_once(':')?;
            let (base, kind) = match controllers {
                "" => ("sys/fs/cgroup", &SECOND),
                _ if controllers.split(',').any(|name| name == "memory") => {
                    ("sys/fs/cgroup/memory", &FIRST)
                }
                _ => return None,
            };
            // Within a container the path may be one that is only known outside: then there is its root alone.
            let path = Path::new(path.trim_start_matches('/'));
            let all = path.ancestors();
            let all = all.filter_map(|path| self.cgroup_at(&Path::new(base).join(path), kind));
            all.min_by_key(|cgroup| cgroup.max_bytes.saturating_sub(cgroup.used_bytes))
        };
        let all = own.lines().filter_map(of_line);
        all.min_by_key(|cgroup| cgroup.max_bytes.saturating_sub(cgroup.used_bytes))
    }

    fn cgroup_at(&self, folder: &Path, kind: &Kind) -> Option<Cgroup> {
        let max_bytes = self.number(folder.join(kind.max))?;
        let used = self.number(folder.join(kind.used))?;
        let stat = self.text(folder.join("memory.stat")).unwrap_or_default();
        // Files that are kept in memory in case somebody reads them again.
        let spare = field(&stat, kind.spare).unwrap_or(0);
        (max_bytes < NO_LIMIT).then_some(Cgroup {
            max_bytes,
            used_bytes: used.saturating_sub(spare),
        })
    }
}

/// How a version of cgroups names what it tells.
struct Kind {
    max: &'static str,
    used: &'static str,
    spare: &'static str,
}

const FIRST: Kind = Kind {
    max: "memory.limit_in_bytes",
    used: "memory.usage_in_bytes",
    spare: "total_inactive_file",
};
const SECOND: Kind = Kind {
    max: "memory.max",
    used: "memory.current",
    spare: "inactive_file",
};

/// The number behind a name that begins a line.
fn field(text: &str, name: &str) -> Option<u64> {
    let mut lines = text.lines().map(str::split_whitespace);
    let mut line = lines.find_map(|mut words| (words.next() == Some(name)).then_some(words))?;
    line.next()?.parse().ok()
}

/// The database, or else the folder that it is to be in.
fn existing(database: &Path) -> Option<PathBuf> {
    if let Ok(database) = database.canonicalize() {
        return Some(database);
    }
    std::path::absolute(database)
        .ok()?
        .parent()?
        .canonicalize()
        .ok()
}

fn free_bytes(place: &Path) -> Option<u64> {
    let system = rustix::fs::statvfs(place).ok()?;
    system.f_bavail.checked_mul(system.f_frsize)
}

/// What the kernel calls the file system that a path is in. Of those that are mounted at the same place the last one is seen.
fn file_system(mounts: &str, place: &Path) -> Option<String> {
    let of_line = |line: &str| {
        let (before, behind) = line.split_once(" - ")?;
        let at = PathBuf::from(unescaped(before.split(' ').nth(4)?));
        let name = behind.split(' ').next()?;
        place.starts_with(&at).then(|| (at, name.to_owned()))
    };
    let all = mounts.lines().filter_map(of_line);
    let nearest = all.max_by_key(|(at, _)| at.components().count())?;
    Some(nearest.1)
}

/// Spaces and the like stand there in octal: `\040`.
fn unescaped(text: &str) -> String {
    let mut parts = text.split('\\');
    let mut plain = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let code = part
            .get(..3)
            .and_then(|code| u8::from_str_radix(code, 8).ok());
        match code {
            Some(code) => {
                plain.push(char::from(code));
                plain.push_str(&part[3..]);
            }
            None => {
                plain.push('\\');
                plain.push_str(part);
            }
        }
    }
    plain
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A machine that says so much.
    fn machine(files: &[(&str, &str)]) -> Machine {
        let folder = tempfile::tempdir().expect("a folder");
        for (path, text) in files {
            let path = folder.path().join(path);
            fs::create_dir_all(path.parent().expect("a folder")).expect("created");
            fs::write(path, text).expect("written");
        }
        Root(folder.path().to_owned()).machine()
    }

    #[test]
    fn what_is_missing_or_strange_is_not_known() {
        for files in [
            &[][..],
            &[
                ("proc/sys/fs/nr_open", ""),
                ("proc/sys/net/ipv4/tcp_mem", "3"),
                ("proc/sys/net/ipv4/ip_local_port_range", "1024"),
                ("proc/meminfo", "MemTotal: 5 kB\nMemAvailable:\n"),
                ("proc/self/cgroup", "nonsense\n0::/\n"),
                ("proc/sys/net/netfilter/nf_conntrack_max", "many"),
            ],
        ] {
            let shown = format!("{:?}", machine(files));
            assert_eq!(shown, format!("{:?}", Machine::default()));
        }
    }

    #[test]
    fn what_is_there_is_read() {
        let machine = machine(&[
            ("proc/sys/fs/file-nr", "4008\t0\t2466170\n"),
            ("proc/sys/net/ipv4/tcp_mem", "10\t20\t30\n"),
            ("proc/sys/net/ipv4/ip_local_port_range", "32768\t60999\n"),
            ("proc/meminfo", "MemTotal:  9 kB\nMemAvailable:     7 kB\n"),
            ("proc/sys/net/netfilter/nf_conntrack_max", "100\n"),
            ("proc/sys/net/netfilter/nf_conntrack_count", "3\n"),
        ]);
        assert_eq!(machine.files_open, Some(4008));
        assert_eq!(machine.tcp_pressure_pages, Some(20));
        assert_eq!(machine.ports, Some((32_768, 60_999)));
        assert_eq!(machine.memory_bytes, Some(7 * 1024));
        assert_eq!(machine.conntrack, Some(Conntrack { max: 100, count: 3 }));
    }

    #[test]
    fn the_tightest_cgroup_counts_less_what_it_could_give_back() {
        let second = machine(&[
            ("proc/self/cgroup", "0::/all/ours\n"),
            ("sys/fs/cgroup/all/memory.max", "1000\n"),
            ("sys/fs/cgroup/all/memory.current", "900\n"),
            (
                "sys/fs/cgroup/all/memory.stat",
                "anon 1\ninactive_file 200\n",
            ),
            ("sys/fs/cgroup/all/ours/memory.max", "max\n"),
            ("sys/fs/cgroup/all/ours/memory.current", "5\n"),
            ("sys/fs/cgroup/memory.max", "5000\n"),
            ("sys/fs/cgroup/memory.current", "10\n"),
        ]);
        let cgroup = |max_bytes, used_bytes| {
            Some(Cgroup {
                max_bytes,
                used_bytes,
            })
        };
        assert_eq!(second.cgroup, cgroup(1000, 700));
        let first = machine(&[
            (
                "proc/self/cgroup",
                "5:cpu:/\n4:memory:/known/outside\n0::/\n",
            ),
            ("sys/fs/cgroup/memory/memory.limit_in_bytes", "800\n"),
            ("sys/fs/cgroup/memory/memory.usage_in_bytes", "90\n"),
        ]);
        assert_eq!(first.cgroup, cgroup(800, 90));
        let unlimited = machine(&[
            ("proc/self/cgroup", "4:memory:/\n"),
            (
                "sys/fs/cgroup/memory/memory.limit_in_bytes",
                "9223372036854771712\n",
            ),
            ("sys/fs/cgroup/memory/memory.usage_in_bytes", "90\n"),
        ]);
        assert_eq!(unlimited.cgroup, None);
    }

    #[test]
    fn a_path_is_in_the_nearest_mount() {
        let mounts = "\
            22 1 0:21 / / rw - ext4 /dev/vda rw\n\
            23 22 0:22 / /srv rw,relatime shared:1 - xfs /dev/vdb rw\n\
            24 23 0:23 / /srv/my\\040chat rw - nfs4 far:/chat rw\n\
            25 22 0:24 / /srv rw - btrfs /dev/vdc rw\n\
            nonsense\n";
        let of = |path: &str| file_system(mounts, Path::new(path));
        assert_eq!(of("/srv/my chat/loiter.db").as_deref(), Some("nfs4"));
        assert_eq!(of("/srv/my chatter/loiter.db").as_deref(), Some("btrfs"));
        assert_eq!(of("/home/loiter.db").as_deref(), Some("ext4"));
        assert_eq!(file_system("", Path::new("/")), None);
    }

    #[test]
    fn what_is_not_octal_stays() {
        assert_eq!(unescaped("/a\\040b\\134c"), "/a b\\c");
        assert_eq!(unescaped("/a\\x\\"), "/a\\x\\");
    }

    #[test]
    fn a_database_that_is_not_there_yet_is_where_its_folder_is() {
        let folder = tempfile::tempdir().expect("a folder");
        let real = folder.path().canonicalize().expect("there");
        assert_eq!(existing(&real.join("new.db")), Some(real.clone()));
        fs::write(real.join("old.db"), "").expect("written");
        assert_eq!(existing(&real.join("old.db")), Some(real.join("old.db")));
        assert_eq!(existing(&real.join("no/folder.db")), None);
        assert!(free_bytes(&real).is_some());
    }
}
