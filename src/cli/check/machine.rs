//! What can be known of a machine. No file of it is named here: see `reading`.

/// What is known of the machine, and of how this process may use it.
#[derive(Clone, Debug, Default)]
pub(super) struct Machine {
    /// Files that the process may have open: the soft limit, which is raised to the hard one at start.
    pub(super) files_soft: Option<u64>,
    pub(super) files_hard: Option<u64>,
    /// What the hard limit may be raised to (`fs.nr_open`).
    pub(super) nr_open: Option<u64>,
    /// Files that all processes may have open (`fs.file-max`), and have.
    pub(super) file_max: Option<u64>,
    pub(super) files_open: Option<u64>,
    /// Descriptors that one user may have in epoll.
    pub(super) epoll_watches: Option<u64>,
    /// Bytes of memory that could be had.
    pub(super) memory_bytes: Option<u64>,
    /// The tightest of the cgroups that the process is in, where one has a limit.
    pub(super) cgroup: Option<Cgroup>,
    /// Whether connections are tracked.
    pub(super) conntrack: Option<Conntrack>,
    /// Newcomers that may wait for one listening socket (`net.core.somaxconn`).
    pub(super) somaxconn: Option<u64>,
    /// Pages of TCP's buffers at which it begins to save (the second number of `net.ipv4.tcp_mem`).
    pub(super) tcp_pressure_pages: Option<u64>,
    /// Ports that one address may connect to another from: the first and the last.
    pub(super) ports: Option<(u64, u64)>,
    /// What the kernel calls the file system of the database.
    pub(super) file_system: Option<String>,
    /// Bytes that are free there.
    pub(super) free_bytes: Option<u64>,
}

/// A cgroup's memory, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Cgroup {
    pub(super) max_bytes: u64,
    /// Without what could be given back at once.
    pub(super) used_bytes: u64,
}

/// Connections that the kernel tracks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Conntrack {
    pub(super) max: u64,
    pub(super) count: u64,
}
