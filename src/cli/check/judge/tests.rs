//! Machines made up, and what is said of each.

use super::*;

const GIB: u64 = 1 << 30;

/// A machine that holds very many.
fn large() -> Machine {
    Machine {
        files_soft: Some(1024),
        files_hard: Some(3_000_000),
        nr_open: Some(4_000_000),
        file_max: Some(9_000_000),
        files_open: Some(2_000),
        epoll_watches: Some(8_000_000),
        memory_bytes: Some(64 * GIB),
        cgroup: None,
        conntrack: None,
        somaxconn: Some(65_535),
        tcp_pressure_pages: Some(2_000_000),
        ports: Some((1024, 65_535)),
        file_system: Some("ext4".to_owned()),
        free_bytes: Some(100 * GIB),
    }
}

fn judged(machine: &Machine, asked: Option<u64>) -> Report {
    judge(machine, &Config::default(), asked)
}

/// The first limit, how many polls it allows, and what to do about it.
fn first(machine: &Machine, asked: u64) -> (&'static str, Option<u64>, String) {
    let report = judged(machine, Some(asked));
    let limit = &report.limits[0];
    assert_eq!(report.fits(), limit.set.is_empty(), "{limit:?}");
    (limit.name, report.holds(), limit.set.join("; "))
}

fn warnings(report: &Report) -> Vec<&'static str> {
    let all = report.remarks.iter();
    all.filter(|remark| remark.is_warning)
        .map(|remark| remark.name)
        .collect()
}

fn remark<'a>(report: &'a Report, name: &str) -> &'a Remark {
    let found = report.remarks.iter().find(|remark| remark.name == name);
    found.expect(name)
}

#[test]
fn a_million_fits_a_large_machine_and_nothing_is_to_be_set() {
    let report = judged(&large(), Some(1_000_000));
    assert!(report.fits());
    assert!(report.limits.iter().all(|limit| limit.set.is_empty()));
    assert_eq!(warnings(&report), [""; 0]);
    // What 68 files are kept back for: see `Config::files_kept_back`.
    assert_eq!(report.holds(), Some(3_000_000 - 68));
}

#[test]
fn each_limit_comes_first_where_it_is_the_tightest_and_says_what_to_set() {
    let asked = 1_000_000;
    let files = Machine {
        files_hard: Some(20_000),
        nr_open: Some(1_000_000),
        ..large()
    };
    let (name, holds, set) = first(&files, asked);
    assert_eq!((name, holds), ("open_files", Some(19_932)));
    assert!(
        set.starts_with("sysctl -w fs.nr_open=1000068; LimitNOFILE=1000068 in"),
        "{set}"
    );

    let of_all = Machine {
        file_max: Some(100_000),
        ..large()
    };
    let expected = "sysctl -w fs.file-max=1002068".to_owned();
    assert_eq!(
        first(&of_all, asked),
        ("files_of_all", Some(97_932), expected)
    );

    let epoll = Machine {
        epoll_watches: Some(200_000),
        ..large()
    };
    let expected = "sysctl -w fs.epoll.max_user_watches=1000068".to_owned();
    assert_eq!(
        first(&epoll, asked),
        ("epoll_watches", Some(199_932), expected)
    );

    let memory = Machine {
        memory_bytes: Some(GIB),
        ..large()
    };
    let (name, holds, set) = first(&memory, asked);
    let expected = (GIB - 8 * MIB) / (118 + 4_000);
    assert_eq!((name, holds), ("memory", Some(expected)));
    assert_eq!(set, "3.8 GiB of memory available");

    let cgroup = Machine {
        cgroup: Some(Cgroup {
            max_bytes: 64 * MIB,
            used_bytes: 4 * MIB,
        }),
        ..large()
    };
    let (name, holds, set) = first(&cgroup, asked);
    assert_eq!(
        (name, holds),
        ("cgroup_memory", Some(52 * MIB / (118 + 4_000)))
    );
    assert!(set.starts_with("MemoryMax=3940M in"), "{set}");

    let tracked = Machine {
        conntrack: Some(Conntrack {
            max: 262_144,
            count: 44,
        }),
        ..large()
    };
    let (name, holds, set) = first(&tracked, asked);
    assert_eq!((name, holds), ("conntrack", Some(262_100)));
    assert!(
        set.starts_with("sysctl -w net.netfilter.nf_conntrack_max=1000044,"),
        "{set}"
    );
}

#[test]
fn what_is_set_is_enough_and_no_more() {
    let machine = large();
    let exact = 3_000_000 - 68;
    assert!(judged(&machine, Some(exact)).fits());
    let report = judged(&machine, Some(exact + 1));
    assert!(!report.fits());
    let short: Vec<_> = report
        .limits
        .iter()
        .filter(|limit| !limit.set.is_empty())
        .collect();
    assert_eq!(short.len(), 1);
    // As far as fs.nr_open goes only the limit itself is to be raised.
    assert!(
        short[0].set[0].starts_with("LimitNOFILE=3000001 in"),
        "{short:?}"
    );
    let set = Machine {
        files_hard: Some(3_000_001),
        ..machine
    };
    assert!(judged(&set, Some(exact + 1)).fits());
}

#[test]
fn settings_of_the_server_count() {
    let config = Config {
        max_connections: Some(5_000),
        loops: 4,
        workers: 8,
        ..Config::default()
    };
    let report = judge(&large(), &config, Some(10_000));
    assert_eq!(
        (report.limits[0].name, report.holds()),
        ("max_connections", Some(5_000))
    );
    let files = report
        .limits
        .iter()
        .find(|limit| limit.name == "open_files");
    let kept_back = 64 + 3 * 40 + 8 * 2;
    assert_eq!(files.expect("a limit").polls, Some(3_000_000 - kept_back));
    // Each loop has a backlog of its own.
    let few = Machine {
        somaxconn: Some(2_500),
        ..large()
    };
    assert!(!remark(&judge(&few, &config, Some(10_000)), "backlog").is_warning);
    assert!(remark(&judge(&few, &config, Some(10_004)), "backlog").is_warning);
}

#[test]
fn what_is_not_known_limits_nothing_and_is_said() {
    let report = judged(&Machine::default(), Some(1_000_000));
    assert_eq!(report.holds(), None);
    assert!(report.fits());
    assert!(report.limits.iter().all(|limit| limit.polls.is_none()));
    assert_eq!(warnings(&report), [""; 0]);
    for name in ["backlog", "tcp_memory", "ports", "file_system", "disk"] {
        let text = &remark(&report, name).text;
        assert!(text.contains("not known"), "{text}");
    }
    // One that is known among others that are not comes first.
    let one = Machine {
        file_max: Some(1_068),
        ..Machine::default()
    };
    assert_eq!(judged(&one, None).holds(), Some(1_000));
}

#[test]
fn bursts_ask_for_more_than_waiting() {
    let small = Machine {
        somaxconn: Some(4_096),
        tcp_pressure_pages: Some(300_000),
        ports: Some((32_768, 60_999)),
        ..large()
    };
    let report = judged(&small, Some(1_000_000));
    assert!(report.fits());
    assert_eq!(warnings(&report), ["backlog", "tcp_memory"]);
    assert_eq!(
        remark(&report, "backlog").set,
        ["sysctl -w net.core.somaxconn=65535"]
    );
    let pages = "sysctl -w net.ipv4.tcp_mem=\"750000 1000000 1500000\"";
    assert_eq!(remark(&report, "tcp_memory").set, [pages]);
    let ports = remark(&report, "ports");
    assert!(ports.text.contains("28,232"), "{}", ports.text);
    assert!(ports.set[0].ends_with("16 addresses or ports (--listen) that it connects to"));
    let keepalive = remark(&report, "keepalive");
    assert!(
        keepalive.text.contains("40,000 a second"),
        "{}",
        keepalive.text
    );
    assert!(keepalive.set[0].starts_with("--keepalive 100s"));
    let few = judged(&small, Some(4_096));
    assert_eq!(warnings(&few), [""; 0]);
    assert!(remark(&few, "ports").set.is_empty());
    assert!(few.remarks.iter().all(|remark| remark.name != "keepalive"));
}

#[test]
fn caches_that_have_no_room_are_told() {
    let tight = Machine {
        memory_bytes: Some(200 * MIB),
        ..large()
    };
    assert_eq!(warnings(&judged(&tight, Some(1_000))), [""; 0]);
    assert_eq!(warnings(&judged(&tight, Some(10_000))), ["caches"]);
}

#[test]
fn a_database_belongs_on_a_local_disk() {
    for (name, is_warning, part) in [
        ("ext4", false, "ext4."),
        ("overlay", false, "overlay."),
        ("nfs4", true, "of another machine"),
        ("fuse.sshfs", true, "of another machine"),
        ("tmpfs", true, "gone when the machine is off"),
    ] {
        let machine = Machine {
            file_system: Some(name.to_owned()),
            ..large()
        };
        let report = judged(&machine, None);
        let remark = remark(&report, "file_system");
        assert_eq!(remark.is_warning, is_warning, "{name}");
        assert!(remark.text.contains(part), "{}", remark.text);
    }
    let full = Machine {
        free_bytes: Some((256 << 20) - 1),
        ..large()
    };
    assert_eq!(warnings(&judged(&full, None)), ["disk"]);
}
