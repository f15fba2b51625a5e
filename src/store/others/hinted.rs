//! What hints say ("-5 @8 7:42 9:3 +": who tells it, whose question was answered, which chatrooms have got messages and up to which, whether anything
//! else has changed; or "-5 -": it is gone), and what is to be fetched for the loops.

use std::collections::BTreeMap;

use super::Followed;
use crate::job::{Completion, Saved};
use crate::model::{ChatroomId, Message, Ticket};

/// Messages that are fetched at once.
pub const FETCHED_MAX: usize = 1000;

/// What hints say: up to which message chatrooms are, and whether anything else has changed.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Hinted {
    /// By chatroom the newest message.
    pub chatrooms: BTreeMap<i64, i64>,
    /// Anything else has changed, or something is asked.
    pub is_changed: bool,
    /// Somebody has answered this server.
    pub is_answered: bool,
    /// A server has ended: nobody is to wait for its answers.
    pub has_gone: bool,
    /// There were others, perhaps, of which this server has not heard: it is to ask.
    pub is_missed: bool,
    /// It is the database itself that has said so, when it was asked. A hint may be wrong: of a commit that a database which has failed over
    /// knows nothing of, or of another database.
    pub is_certain: bool,
}

impl Hinted {
    /// Takes in the text of a hint to this server. What is not understood, of a newer loiter, is something that has changed.
    pub fn take(&mut self, text: &str, server: i64) {
        for word in text.split_ascii_whitespace().skip(1) {
            if let Some(asker) = word.strip_prefix('@') {
                self.is_answered |= asker.parse() == Ok(server);
                continue;
            }
            if word == GONE {
                self.has_gone = true;
                continue;
            }
            let pair = word.split_once(':');
            match pair.map(|(chatroom, last)| (chatroom.parse(), last.parse::<i64>())) {
                Some((Ok(chatroom), Ok(last))) => self.note(chatroom, last),
                _ => self.is_changed = true,
            }
        }
    }

    /// A chatroom has got messages up to this one.
    pub fn note(&mut self, chatroom: i64, last: i64) {
        let newest = self.chatrooms.entry(chatroom).or_insert(last);
        *newest = last.max(*newest);
    }
}

/// What a server says that has ended.
const GONE: &str = "-";

/// The text of the last hint of a server.
pub fn last_hint(server: i64) -> String {
    format!("{server} {GONE}")
}

/// The text of a hint: who tells it, and what. Nothing where there is nothing to tell.
pub fn hint(
    server: i64,
    lasts: impl Iterator<Item = (ChatroomId, i64)>,
    is_changed: bool,
    answered: &[i64],
) -> Option<String> {
    /// Bytes of a notification; PostgreSQL takes 8,000.
    const MAX: usize = 7900;
    let mut text = server.to_string();
    let head = text.len();
    let answers = answered.iter().map(|asker| format!(" @{asker}"));
    let lasts = lasts.map(|(chatroom, last)| format!(" {}:{last}", chatroom.get()));
    for word in answers.chain(lasts) {
        if text.len() + word.len() + 2 > MAX {
            break;
        }
        text.push_str(&word);
    }
    if is_changed {
        text.push_str(" +");
    }
    (text.len() > head).then_some(text)
}

/// What the loops have not been told: of chatrooms that they hold what is newer than this.
#[derive(Debug)]
pub struct Missing {
    gaps: Vec<Gap>,
    /// As [`Hinted::is_certain`].
    is_certain: bool,
}

#[derive(Debug)]
struct Gap {
    chatroom: ChatroomId,
    /// Up to which message they have been told.
    told: i64,
    /// Up to which it is, as was said.
    last: i64,
}

impl Missing {
    /// What is missing of what was said.
    pub fn of(followed: &Followed, hinted: &Hinted) -> Self {
        let gap = |(&chatroom, &last): (&i64, &i64)| {
            let chatroom = ChatroomId::new(chatroom)?;
            let told = followed.behind(chatroom, last)?;
            Some(Gap {
                chatroom,
                told,
                last,
            })
        };
        Self {
            gaps: hinted.chatrooms.iter().filter_map(gap).collect(),
            is_certain: hinted.is_certain,
        }
    }

    /// Whether nothing is.
    pub fn is_empty(&self) -> bool {
        self.gaps.is_empty()
    }

    /// How many of the gaps are asked for at once: those that together lack no more than is fetched at once, as far as that is known; one at least.
    fn at_once(&self) -> usize {
        let mut lacked: i64 = 0;
        let fit = self.gaps.iter().take_while(|gap| {
            lacked = lacked.saturating_add(gap.last - gap.told);
            lacked <= FETCHED_MAX as i64
        });
        fit.count().max(1).min(self.gaps.len())
    }

    /// The chatrooms that are asked for next.
    pub fn chatrooms(&self) -> Vec<i64> {
        let asked = &self.gaps[..self.at_once()];
        asked.iter().map(|gap| gap.chatroom.get()).collect()
    }

    /// Of each, what is newer than this message.
    pub fn told(&self) -> Vec<i64> {
        let asked = &self.gaps[..self.at_once()];
        asked.iter().map(|gap| gap.told).collect()
    }

    /// The loops have been told what was fetched; what is left is still to be fetched. What is not there has expired, where it is certain that it
    /// ever was: else a message that comes to have its id would not be told.
    pub fn note_told(&mut self, followed: &Followed, fetched: &Fetched) {
        let mut left = self.gaps.split_off(self.at_once());
        for mut gap in self.gaps.drain(..) {
            let is_whole = fetched.is_all_of(gap.chatroom);
            if let Some(&last) = fetched.lasts.get(&gap.chatroom) {
                // What is between is not kept any more.
                followed.told(gap.chatroom, gap.told + 1, last);
                gap.told = last;
            } else if is_whole && self.is_certain {
                followed.expired(gap.chatroom, gap.last);
            }
            if !is_whole {
                left.push(gap);
            }
        }
        self.gaps = left;
    }

    /// What is left is fetched later.
    pub fn put_off(self, followed: &Followed) {
        let left = self.gaps.iter().map(|gap| (gap.chatroom, gap.last));
        followed.put_off(left);
    }
}

/// Messages that were fetched, of each chatroom the oldest that were missing: [`FETCHED_MAX`] at most.
#[derive(Debug)]
pub struct Fetched {
    messages: Vec<Message>,
    lasts: BTreeMap<ChatroomId, i64>,
}

impl Fetched {
    /// Those of each chatroom in the order of their ids.
    pub fn of(messages: Vec<Message>) -> Self {
        let lasts = messages.iter();
        let lasts = lasts.map(|message| (message.chatroom, message.id.get()));
        Self {
            lasts: lasts.collect(),
            messages,
        }
    }

    /// Whether there was no more in this chatroom: they are in the order of the chatrooms.
    fn is_all_of(&self, chatroom: ChatroomId) -> bool {
        let last = self.lasts.last_key_value();
        self.messages.len() < FETCHED_MAX || last.is_none_or(|(&last, _)| chatroom < last)
    }

    /// As the loops hear of them; nobody here has sent them.
    pub fn completions(&self) -> Vec<Completion> {
        let saved = |message: &Message| Completion::MessageSaved {
            ticket: Ticket::of_nobody(),
            chatroom: message.chatroom,
            saved: Ok(Saved::New(message.clone())),
        };
        self.messages.iter().map(saved).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::MessageId;

    fn hinted(text: &str) -> Hinted {
        let mut hinted = Hinted::default();
        hinted.take(text, 3);
        hinted
    }

    #[test]
    fn what_is_told_is_heard() {
        let chatroom = |n| ChatroomId::new(n).expect("positive");
        let lasts = [(chatroom(7), 42), (chatroom(9), 3)];
        let text = hint(-5, lasts.into_iter(), true, &[8]).expect("something");
        assert_eq!(text, "-5 @8 7:42 9:3 +");
        let heard = hinted(&text);
        assert_eq!(heard.chatrooms, BTreeMap::from([(7, 42), (9, 3)]));
        assert!(heard.is_changed);
        assert!(!heard.is_answered);
        assert!(hinted("1 @3").is_answered);
        assert!(!hinted("1 @3 7:42 +").has_gone);
        let last = hinted(&last_hint(-5));
        assert!(last.has_gone && !last.is_changed && !last.is_answered);
        assert_eq!(hint(1, [].into_iter(), false, &[]), None);
        let mut heard = hinted("1 7:42");
        heard.take("1 7:41 9:3", 1);
        assert_eq!(heard.chatrooms, BTreeMap::from([(7, 42), (9, 3)]), "late");
        assert!(!hinted("1 7:42").is_changed);
        assert!(hinted("1 something new").is_changed);
    }

    #[test]
    fn only_what_the_database_has_said_can_have_expired() {
        let chatroom = ChatroomId::new(7).expect("positive");
        let followed = Followed::default();
        followed.follow(0, &[(chatroom, true)]);
        followed.loaded(chatroom, MessageId::new(3));
        let mut said = hinted("1 7:9");
        let look = |said: &Hinted| {
            let mut missing = Missing::of(&followed, said);
            missing.note_told(&followed, &Fetched::of(Vec::new()));
            assert!(missing.is_empty());
        };
        look(&said);
        assert_eq!(followed.behind(chatroom, 9), Some(3), "it may be wrong");
        said.is_certain = true;
        look(&said);
        assert_eq!(followed.behind(chatroom, 9), None);
    }

    #[test]
    fn much_that_is_missing_is_fetched_piece_by_piece() {
        let chatroom = |n| ChatroomId::new(n).expect("positive");
        let followed = Followed::default();
        let lasts = [(chatroom(7), 600), (chatroom(8), 400), (chatroom(9), 2500)];
        for (id, _) in lasts {
            followed.follow(0, &[(id, true)]);
            followed.loaded(id, None);
        }
        let said = Hinted {
            chatrooms: lasts.map(|(id, last)| (id.get(), last)).into(),
            is_certain: true,
            ..Hinted::default()
        };
        let mut missing = Missing::of(&followed, &said);
        assert_eq!(missing.chatrooms(), [7, 8]);
        // By now there is more: it is cut off within the second.
        let ids = |of, ids: std::ops::RangeInclusive<i64>| ids.map(move |id| message(of, id));
        let fetched: Vec<_> = ids(7, 1..=700).chain(ids(8, 1..=300)).collect();
        missing.note_told(&followed, &Fetched::of(fetched));
        assert_eq!((missing.chatrooms(), missing.told()), (vec![9], vec![0]));
        missing.note_told(&followed, &Fetched::of(ids(9, 1..=1000).collect()));
        assert_eq!((missing.chatrooms(), missing.told()), (vec![8], vec![300]));
        missing.note_told(&followed, &Fetched::of(Vec::new()));
        assert_eq!(followed.behind(chatroom(8), 400), None, "they have expired");
        assert_eq!((missing.chatrooms(), missing.told()), (vec![9], vec![1000]));
        missing.put_off(&followed);
        assert_eq!(followed.take_due(), [(chatroom(9), 2500)]);
    }

    fn message(chatroom: i64, id: i64) -> Message {
        Message {
            chatroom: ChatroomId::new(chatroom).expect("positive"),
            id: MessageId::new(id).expect("positive"),
            user: crate::model::User {
                id: crate::model::UserId::new(1).expect("positive"),
                name: "ann".into(),
            },
            text: "hi".into(),
            time_unix_ms: 0,
        }
    }

    #[test]
    fn a_hint_of_very_many_chatrooms_is_one_that_postgresql_takes() {
        let lasts = (1..10_000).map(|n| (ChatroomId::new(n).expect("positive"), n));
        let text = hint(i64::MIN, lasts, true, &[1]).expect("something");
        assert!(text.len() < 8000 && text.ends_with(" +"));
    }
}
