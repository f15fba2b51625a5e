//! Variables of the environment that look as if they were loiter's and are not: whoever has mistyped one would think that it counts.

use clap::Command;

use super::shown::command;

const PREFIX: &str = "LOITER_";

/// What tests set, for themselves and for a build that heeds some of it.
const OF_TESTS: &str = "LOITER_TEST_";

/// Says to the log which there are, and what may be meant. Their values may be secrets, and are not told.
pub(crate) fn tell_unknown() {
    let mut known = Vec::new();
    note_known(&command(), &mut known);
    let given = std::env::vars_os().filter_map(|(name, _)| name.into_string().ok());
    let is_unknown = |name: &String| {
        name.starts_with(PREFIX) && !name.starts_with(OF_TESTS) && !known.contains(name)
    };
    let mut unknown = Vec::from_iter(given.filter(is_unknown));
    unknown.sort();
    for name in unknown {
        match meant_by(&name, &known) {
            Some(meant) => {
                log::warn!("the variable {name} is none of loiter's: perhaps {meant} is meant")
            }
            None => log::warn!("the variable {name} is none of loiter's"),
        }
    }
}

fn note_known(command: &Command, known: &mut Vec<String>) {
    let variables = command.get_arguments().filter_map(|arg| arg.get_env());
    known.extend(variables.filter_map(|name| name.to_str().map(ToOwned::to_owned)));
    for command in command.get_subcommands() {
        note_known(command, known);
    }
}

/// The one that is spelled nearly as this, if any is.
fn meant_by<'a>(given: &str, known: &'a [String]) -> Option<&'a str> {
    let slips = |known: &str| slips(given.as_bytes(), known.as_bytes());
    let nearest = known.iter().min_by_key(|known| slips(known))?;
    // One in three letters at most, or anything would be like something.
    let is_near = slips(nearest) * 3 <= given.len() - PREFIX.len();
    is_near.then_some(nearest)
}

/// How many letters are wrong, missing or too many (Levenshtein's distance).
fn slips(one: &[u8], other: &[u8]) -> usize {
    let mut row = Vec::from_iter(0..=other.len());
    for (at, letter) in one.iter().enumerate() {
        let mut diagonal = row[0];
        row[0] = at + 1;
        for (place, wanted) in other.iter().enumerate() {
            let changed = diagonal + usize::from(letter != wanted);
            diagonal = row[place + 1];
            row[place + 1] = changed.min(diagonal + 1).min(row[place] + 1);
        }
    }
    row[other.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slips_are_counted() {
        for (one, other, count) in [
            ("", "", 0),
            ("LISTEN", "LISTEN", 0),
            ("LISTN", "LISTEN", 1),
            ("LISTENS", "LISTEN", 1),
            ("LISTNE", "LISTEN", 2),
            ("", "LOG", 3),
            ("QUEUE", "LOOPS", 5),
        ] {
            assert_eq!(slips(one.as_bytes(), other.as_bytes()), count, "{one}");
        }
    }

    #[test]
    fn what_is_meant_is_spelled_nearly_so() {
        let mut known = Vec::new();
        note_known(&command(), &mut known);
        for (given, meant) in [
            ("LOITER_DATABSE", Some("LOITER_DATABASE")),
            ("LOITER_RETENTON", Some("LOITER_RETENTION")),
            ("LOITER_MAX_CONECTIONS", Some("LOITER_MAX_CONNECTIONS")),
            ("LOITER_LOOP", Some("LOITER_LOOPS")),
            ("LOITER_PORT", None),
            ("LOITER_", None),
        ] {
            assert_eq!(meant_by(given, &known), meant, "{given}");
        }
    }
}
