//! TLS to the database: what each `sslmode` takes, and what it refuses.

use std::path::{Path, PathBuf};

use loiter::Config;
use loiter::store::Store;

use crate::serving::{Serving, database_in};

fn certificate(name: &str) -> String {
    let folder = std::env::var("LOITER_TEST_CERTIFICATES").expect("tests/cluster.sh sets it");
    format!("{folder}/{name}")
}

/// The address of a test's database, for this host and with these parameters beside its own.
fn address(database: &Path, host: &str, parameters: &str) -> PathBuf {
    let database = database.to_str().expect("an address");
    let at_host = database.replace("127.0.0.1", host);
    format!("{at_host}&{parameters}").into()
}

#[test]
fn what_is_asked_for_is_spoken() {
    let root = format!("sslrootcert={}", certificate("ca.pem"));
    let chain = format!("sslmode=verify-ca&{root}");
    let full = format!("sslmode=verify-full&{root}");
    // The certificate is for localhost.
    let modes = [
        ("127.0.0.1", "sslmode=disable", false),
        ("127.0.0.1", "sslmode=prefer", true),
        ("127.0.0.1", "sslmode=require", true),
        ("127.0.0.1", &chain, true),
        ("localhost", &full, true),
    ];
    for (at, (host, mode, is_tls)) in modes.into_iter().enumerate() {
        let name = format!("tls-{at}");
        let serving = Serving::with(|config| {
            let parameters = format!("{mode}&application_name={name}");
            config.database = address(&config.database, host, &parameters);
        });
        let ann = serving.user("ann");
        serving.chatroom(&ann);
        let mut other = serving.other_program();
        let mut count = |is_tls: bool| {
            other.number(&format!(
                "SELECT count(*) FROM pg_stat_ssl JOIN pg_stat_activity USING (pid)
                 WHERE application_name = '{name}' AND ssl = {is_tls}"
            ))
        };
        // Those that write, read, hash and listen.
        assert!(count(is_tls) >= 4, "{mode}");
        assert_eq!(count(!is_tls), 0, "{mode}");
    }
}

#[test]
fn who_is_not_who_was_asked_for_is_refused() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let database = database_in(folder.path());
    let root = format!("sslrootcert={}", certificate("ca.pem"));
    let other_root = format!("sslrootcert={}", certificate("server.pem"));
    for (host, mode, why) in [
        // Another name than the certificate's; somebody else's signature; one that the system trusts.
        (
            "127.0.0.1",
            format!("sslmode=verify-full&{root}"),
            "certificate",
        ),
        (
            "localhost",
            format!("sslmode=verify-full&{other_root}"),
            "certificate",
        ),
        (
            "localhost",
            format!("sslmode=verify-ca&{other_root}"),
            "certificate",
        ),
    ] {
        let config = Config {
            database: address(&database, host, &mode),
            ..Config::default()
        };
        let Err(refused) = Store::open(&config, |_| ()) else {
            panic!("{mode} is taken at {host}");
        };
        let mut told = refused.to_string();
        let mut source = std::error::Error::source(&refused);
        while let Some(cause) = source {
            told = format!("{told}: {cause}");
            source = cause.source();
        }
        assert!(told.contains(why), "{told}");
    }
}
