//! What strace has noted, as steps of a disk and of what was told.
//!
//! A call of one thread may be noted in two lines, with lines of others between them. Then a write may be on the disk from the first
//! line on, and counts as written for a sync that begins behind the second; a sync has synced what was written before its first
//! line, and not before its second.

use std::collections::HashMap;
use std::fs;
use std::path::Path;

use super::MARK;

/// The calls that are looked at: all that change files here, and all that send.
pub(crate) const CALLS: &str = "openat,creat,open,write,writev,pwrite64,pwritev,fsync,fdatasync,ftruncate,fallocate,\
unlink,unlinkat,link,linkat,rename,renameat,renameat2,sendto,sendmsg,sync_file_range";

/// One thing that happens. Files are named without their folder; the folder itself is the empty name.
#[derive(Debug)]
pub(crate) enum Step {
    Open(String),
    Write {
        name: String,
        offset: usize,
        bytes: Vec<u8>,
        /// To tell writes that overlap apart.
        call: usize,
    },
    WriteEnds(usize),
    Truncate {
        name: String,
        length: usize,
        call: usize,
    },
    SyncBegins {
        name: String,
        call: usize,
    },
    SyncEnds(usize),
    Unlink(String),
    Link(String, String),
    Rename(String, String),
    /// Messages of which the first byte may be with somebody from now on.
    Tell(Vec<String>),
}

#[derive(Debug, Default)]
pub(crate) struct Trace {
    pub(crate) steps: Vec<Step>,
}

impl Trace {
    /// Reads a record as far as it is about files of `folder`, and about sockets.
    pub(crate) fn read(record: &Path, folder: &Path) -> Self {
        let record = fs::read(record).expect("a record");
        let folder = folder.canonicalize().expect("a folder");
        let mut reader = Reader {
            folder: folder.to_str().expect("UTF-8").to_owned(),
            under_way: HashMap::new(),
            calls: 0,
            trace: Self::default(),
        };
        for line in record.split(|&byte| byte == b'\n') {
            reader.line(std::str::from_utf8(line).expect("ASCII"));
        }
        reader.trace
    }

    pub(crate) fn sends(&self) -> usize {
        let tells = self.steps.iter();
        tells.filter(|step| matches!(step, Step::Tell(_))).count()
    }
}

struct Reader {
    folder: String,
    /// Writes and syncs whose end is to come, by thread.
    under_way: HashMap<String, Option<usize>>,
    calls: usize,
    trace: Trace,
}

impl Reader {
    fn line(&mut self, line: &str) {
        let Some((thread, said)) = line.split_once(' ') else {
            return;
        };
        let said = said.trim_start();
        if said.starts_with("<... ") {
            assert!(!said.contains(" = -1 EIO"), "{said}");
            if let Some(Some(call)) = self.under_way.remove(thread) {
                let is_sync = said.starts_with("<... fsync") || said.starts_with("<... fdatasync");
                self.end(call, is_sync);
            } else if said.starts_with("<... openat") {
                self.opened(said);
            }
            return;
        }
        let Some((name, arguments)) = said.split_once('(') else {
            return;
        };
        let is_whole = !arguments.ends_with("<unfinished ...>");
        let failed = is_whole && arguments.contains(") = -1 ");
        if failed {
            return;
        }
        let call = self.call(name, arguments);
        match (is_whole, call) {
            (true, Some(call)) => self.end(call, matches!(name, "fsync" | "fdatasync")),
            (true, None) => {}
            (false, call) => drop(self.under_way.insert(thread.to_owned(), call)),
        }
    }

    fn end(&mut self, call: usize, is_sync: bool) {
        self.trace.steps.push(match is_sync {
            true => Step::SyncEnds(call),
            false => Step::WriteEnds(call),
        });
    }

    /// The name of a file of the folder.
    fn name(&self, path: &str) -> Option<String> {
        let name = path.strip_prefix(&self.folder)?;
        let name = match name.strip_prefix('/') {
            Some(name) => name,
            None if name.is_empty() => "",
            None => return None,
        };
        // The locks' files hold nothing, and the log's index is made anew by whoever comes first.
        let counts = !name.ends_with("-shm") && !name.ends_with(".lock");
        counts.then(|| name.to_owned())
    }

    /// What is opened stands behind the arguments.
    fn opened(&mut self, arguments: &str) {
        let Some((_, result)) = arguments.rsplit_once(" = ") else {
            return;
        };
        if let Some(name) = descriptor(result).and_then(|path| self.name(&path)) {
            self.trace.steps.push(Step::Open(name));
        }
    }

    /// Takes a call's beginning; its number, if its end is to be told.
    fn call(&mut self, call: &str, arguments: &str) -> Option<usize> {
        match call {
            "openat" => self.opened(arguments),
            "unlink" | "unlinkat" => {
                if let Some(name) = self.name(&text(&strings(arguments)[0])) {
                    self.trace.steps.push(Step::Unlink(name));
                }
            }
            "link" | "linkat" | "rename" | "renameat" | "renameat2" => {
                let paths = strings(arguments);
                let names = [&paths[0], &paths[1]].map(|path| self.name(&text(path)));
                if let [Some(from), Some(to)] = names {
                    self.trace.steps.push(match call.starts_with("link") {
                        true => Step::Link(from, to),
                        false => Step::Rename(from, to),
                    });
                }
            }
            _ => return self.call_of_descriptor(call, arguments),
        }
        None
    }

    fn call_of_descriptor(&mut self, call: &str, arguments: &str) -> Option<usize> {
        let path = descriptor(arguments)?;
        let Some(name) = self.name(&path) else {
            if path.starts_with("socket:") || path.starts_with("TCP:") {
                self.sent(arguments);
            }
            return None;
        };
        self.calls += 1;
        let number = self.calls;
        let step = match call {
            "pwrite64" => {
                let bytes = strings(arguments).swap_remove(0);
                let numbers = &arguments[arguments.rfind('"').expect("bytes") + 1..];
                assert!(
                    !numbers.starts_with("..."),
                    "a write is cut short in the record"
                );
                let mut numbers = numbers
                    .split([',', ')', ' '])
                    .filter(|part| !part.is_empty());
                let length: usize = numbers.next().expect("a length").parse().expect("a number");
                assert_eq!(length, bytes.len());
                let offset = numbers
                    .next()
                    .expect("an offset")
                    .parse()
                    .expect("a number");
                Step::Write {
                    name,
                    offset,
                    bytes,
                    call: number,
                }
            }
            "ftruncate" => {
                let length = arguments.split_once(", ").expect("a length").1;
                let length = length.split([')', ' ']).next().expect("a length");
                let length = length.parse().expect("a number");
                self.trace.steps.push(Step::Truncate {
                    name,
                    length,
                    call: number,
                });
                return None;
            }
            "fsync" | "fdatasync" => Step::SyncBegins { name, call: number },
            _ => panic!("{call} of {name}: nobody has said what that does to a disk"),
        };
        self.trace.steps.push(step);
        Some(number)
    }

    fn sent(&mut self, arguments: &str) {
        let mut told = Vec::new();
        for bytes in strings(arguments) {
            let bytes = String::from_utf8_lossy(&bytes).into_owned();
            for (at, _) in bytes.match_indices(MARK) {
                let text = bytes[at..].split_once('.').expect("a whole text").0;
                told.push(text.to_owned());
            }
        }
        if !told.is_empty() {
            self.trace.steps.push(Step::Tell(told));
        }
    }
}

/// The path behind a descriptor's number: `7<path>`.
fn descriptor(arguments: &str) -> Option<String> {
    let (number, rest) = arguments.split_once('<')?;
    number.parse::<u32>().ok()?;
    let (path, _) = rest.split_once('>')?;
    Some(text(&unescaped(path)))
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// All strings of a call. In its record every byte is `\x` and two digits.
fn strings(arguments: &str) -> Vec<Vec<u8>> {
    let parts = arguments.split('"').skip(1).step_by(2);
    parts.map(unescaped).collect()
}

fn unescaped(text: &str) -> Vec<u8> {
    let digits = |byte: &[u8]| {
        let digit = |digit: u8| char::from(digit).to_digit(16).expect("a digit") as u8;
        assert_eq!(&byte[..2], b"\\x", "{text:.80}");
        digit(byte[2]) << 4 | digit(byte[3])
    };
    text.as_bytes().chunks(4).map(digits).collect()
}
