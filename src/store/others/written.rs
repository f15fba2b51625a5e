//! What the others have written, row by row of a table that each transaction writes to which saves messages; and which of those rows are new.
//!
//! **Each row is found once, and none is passed over**, however late its transaction commits and in whichever order: a row has its transaction's number, and
//! with the rows the database says which transactions were over when it looked for them ([`Horizon`]). What is looked for next is what those have written
//! that were not. No clock is in it, and nothing is read twice.
//!
//! That holds for one connection, and as long as the table is what it was: it is not logged, and empty after a crash. Who connects anew asks for all chatrooms that are held, from then on: another database may answer, whose transactions have
//! the same numbers.

use std::time::Duration;

use super::Hinted;

/// How long rows are kept.
pub const WRITTEN_KEPT: Duration = Duration::from_secs(300);
/// How long it may be since they were looked at: what transactions take until they commit is left over.
const AWAY_MAX: Duration = Duration::from_secs(240);

/// Rows that are found at once. Where there are more, asking for all that is held costs no more.
pub const WRITTEN_MAX: usize = 10_000;

/// Which transactions were over: all before `next` but for those that were `open`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Horizon {
    /// The first that had no number yet.
    pub next: i64,
    /// Those that had one and were not over.
    pub open: Vec<i64>,
}

impl Horizon {
    /// Behind which there is nothing.
    pub const END: Self = Self {
        next: i64::MAX,
        open: Vec::new(),
    };

    /// As PostgreSQL writes a snapshot: "10:20:10,14", the first that is open, the first to come, and all that are open.
    pub fn parse(text: &str) -> Option<Self> {
        let mut parts = text.split(':').skip(1);
        let next = parts.next()?.parse().ok()?;
        let open = parts.next()?.split(',').filter(|number| !number.is_empty());
        let open = open.map(|number| number.parse().ok());
        Some(Self {
            next,
            open: open.collect::<Option<_>>()?,
        })
    }

    /// Whether what this transaction has written was not to be seen. The database asks the same of each row.
    pub fn is_before(&self, transaction: i64) -> bool {
        transaction >= self.next || self.open.contains(&transaction)
    }
}

/// What has been found on one connection.
#[derive(Debug, Default)]
pub struct Written {
    horizon: Option<Horizon>,
    /// By which it is known that the rows are not gone.
    mark: Option<i64>,
}

impl Written {
    /// Behind what to look, where that was done last so long ago.
    pub fn behind(&mut self, away: Duration) -> Horizon {
        if away > AWAY_MAX {
            self.horizon = None;
        }
        self.horizon.clone().unwrap_or(Horizon::END)
    }

    /// Takes in what was found there, [`WRITTEN_MAX`] rows at most, each with its chatrooms and their newest messages; and what was over then, nothing
    /// where that cannot be known, with the table's mark. Where that is not all there is, all chatrooms that are held are to be asked for: whether so.
    pub fn take(
        &mut self,
        found: impl IntoIterator<Item = (Vec<i64>, Vec<i64>)>,
        now: Option<Horizon>,
        mark: Option<i64>,
    ) -> (Hinted, bool) {
        let mut said = Hinted {
            is_certain: true,
            ..Hinted::default()
        };
        let mut rows = 0;
        for (chatrooms, lasts) in found {
            rows += 1;
            for (chatroom, last) in chatrooms.into_iter().zip(lasts) {
                said.note(chatroom, last);
            }
        }
        let before = std::mem::replace(&mut self.horizon, now);
        // After a crash the table is empty, though a pooler may have kept the connection.
        let is_whole = std::mem::replace(&mut self.mark, mark) == mark && mark.is_some();
        let is_all = match (&before, &self.horizon) {
            // A database whose numbers go back is another.
            (Some(before), Some(now)) => before.next <= now.next && rows < WRITTEN_MAX,
            _ => false,
        };
        (said, !(is_all && is_whole))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn horizon(text: &str) -> Option<Horizon> {
        Some(Horizon::parse(text).expect("a snapshot"))
    }

    fn rows(lasts: &[i64]) -> Vec<(Vec<i64>, Vec<i64>)> {
        lasts.iter().map(|&last| (vec![7], vec![last])).collect()
    }

    #[test]
    fn a_snapshot_says_what_was_over() {
        let then = Horizon::parse("10:20:10,14").expect("a snapshot");
        let unseen = (8..22).filter(|&number| then.is_before(number));
        assert_eq!(Vec::from_iter(unseen), [10, 14, 20, 21]);
        assert_eq!(horizon("20:20:").expect("none").open, [0_i64; 0]);
        for bad in ["", "10", "10:20", "10:x:", "10:20:1,x"] {
            assert_eq!(Horizon::parse(bad), None, "{bad}");
        }
    }

    #[test]
    fn what_cannot_have_been_all_has_all_asked_for() {
        let mut written = Written::default();
        assert_eq!(written.behind(Duration::ZERO), Horizon::END);
        assert!(
            written.take(rows(&[]), horizon("5:5:"), Some(1)).1,
            "the first"
        );
        assert_eq!(written.behind(AWAY_MAX), Horizon::parse("5:5:").unwrap());
        let (said, asks) = written.take(rows(&[3, 9, 4]), horizon("7:9:7"), Some(1));
        assert!(!asks && said.is_certain);
        assert_eq!(Vec::from_iter(said.chatrooms), [(7, 9)]);
        assert_eq!(written.behind(Duration::ZERO).open, [7]);
        // One that has been away for too long, too many rows, another database, one that does not say.
        written.behind(AWAY_MAX + Duration::from_secs(1));
        assert!(written.take(rows(&[]), horizon("9:9:"), Some(1)).1);
        let many = vec![1; WRITTEN_MAX];
        assert!(written.take(rows(&many), horizon("10:10:"), Some(1)).1);
        assert!(!written.take(rows(&many[1..]), horizon("10:10:"), Some(1)).1);
        assert!(written.take(rows(&[]), horizon("9:9:"), Some(1)).1);
        // Rows that are gone.
        assert!(!written.take(rows(&[]), horizon("9:9:"), Some(1)).1);
        assert!(written.take(rows(&[]), horizon("9:9:"), None).1);
        assert!(written.take(rows(&[]), horizon("9:9:"), Some(2)).1);
        assert!(!written.take(rows(&[]), horizon("9:9:"), Some(2)).1);
        assert!(written.take(rows(&[]), None, Some(2)).1);
        assert_eq!(written.behind(Duration::ZERO), Horizon::END);
    }
}
