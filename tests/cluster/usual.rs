//! Servers that begin together on an empty database, and for whom it takes something else for usual than it does by itself.

use std::sync::Barrier;
use std::thread;

use crate::serving::{OtherProgram, Serving};

/// Who waits for the first to make the tables finds them made, also where transactions see what was there at their begin.
#[test]
fn all_that_begin_at_once_on_an_empty_database_begin() {
    const SERVERS: usize = 10;
    let first = Serving::start();
    let database = first.database();
    first.stop();
    first.wait_for_end();
    let address = database.to_str().expect("an address").to_owned();
    let schema = format!("u{}", std::process::id());
    let mut other = OtherProgram::on(&database);
    for isolation in ["read committed", "repeatable read", "serializable"] {
        other.execute(&format!("DROP SCHEMA IF EXISTS {schema} CASCADE"));
        other.execute(&format!("CREATE SCHEMA {schema}"));
        let (before, _) = address.split_once("?").expect("parameters");
        let isolation = isolation.replace(' ', "%5C%20");
        let address = format!(
            "{before}?options=-csearch_path%3D{schema}%20-cdefault_transaction_isolation%3D{isolation}"
        );
        let together = Barrier::new(SERVERS);
        thread::scope(|scope| {
            for _ in 0..SERVERS {
                scope.spawn(|| {
                    together.wait();
                    let server = Serving::alone("each begins by itself", |config| {
                        config.database = address.clone().into();
                    });
                    server.user(&format!("ann{:?}", thread::current().id()));
                });
            }
        });
    }
    other.execute(&format!("DROP SCHEMA {schema} CASCADE"));
}
