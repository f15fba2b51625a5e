//! Hints on their way from one thread to another, where a Redis carries them: from the writing lane to the thread that publishes, and from the
//! one that is subscribed to the one that asks.
//!
//! What is in a box takes in what comes, and its size is bounded: so nobody waits who puts something in.

use std::collections::{HashMap, HashSet};
use std::sync::{Condvar, Mutex, PoisonError};
use std::time::Duration;

use super::carrier::News;
use crate::model::ChatroomId;
use crate::store::others::{Hinted, hint};

/// Chatrooms in a box at most, and servers that were answered. Beyond it those that are listened to are all asked for, and of those that are told
/// nothing more is: others ask for it.
const EACH_MAX: usize = 10_000;

/// Chatrooms, and servers that were answered, of which one hint tells: as many as find a place in it, however long their numbers.
const TOLD_AT_ONCE: usize = 120;

/// See the module.
#[derive(Debug, Default)]
pub(super) struct HintBox<T> {
    content: Mutex<T>,
    filled: Condvar,
}

/// From the writing lane to the thread that publishes.
pub(super) type Outbox = HintBox<Outgoing>;

/// From the thread that is subscribed to the one that asks.
pub(super) type Inbox = HintBox<Hinted>;

/// What is to be told.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Outgoing {
    lasts: HashMap<ChatroomId, i64>,
    answered: HashSet<i64>,
    is_changed: bool,
}

impl<T: Default + PartialEq> HintBox<T> {
    /// Waits until there is something, for so long at most, and takes all that is there.
    pub(super) fn wait(&self, time: Duration) -> T {
        let content = self.content.lock().unwrap_or_else(PoisonError::into_inner);
        let nothing = T::default();
        let waited = self
            .filled
            .wait_timeout_while(content, time, |content| *content == nothing);
        let (mut content, _) = waited.unwrap_or_else(PoisonError::into_inner);
        std::mem::take(&mut *content)
    }

    fn change(&self, change: impl FnOnce(&mut T)) {
        change(&mut self.content.lock().unwrap_or_else(PoisonError::into_inner));
        self.filled.notify_one();
    }
}

impl Outbox {
    pub(super) fn put(&self, news: &News) {
        self.change(|outgoing| {
            outgoing.note(news.lasts(), news.answered.iter().copied());
            outgoing.is_changed |= news.is_changed;
        });
    }

    /// What could not be told.
    pub(super) fn put_back(&self, told: Outgoing) {
        self.change(|outgoing| {
            outgoing.note(told.lasts.into_iter(), told.answered.into_iter());
            outgoing.is_changed |= told.is_changed;
        });
    }
}

impl Inbox {
    /// The text of a hint to this server.
    pub(super) fn take_in(&self, text: &str, server: i64) {
        self.change(|hinted| {
            hinted.take(text, server);
            if hinted.chatrooms.len() > EACH_MAX {
                hinted.chatrooms.clear();
                hinted.is_missed = true;
            }
        });
    }

    /// Others may have told what nobody here has heard.
    pub(super) fn miss(&self) {
        self.change(|hinted| hinted.is_missed = true);
    }
}

impl Outgoing {
    fn note(
        &mut self,
        lasts: impl Iterator<Item = (ChatroomId, i64)>,
        answered: impl Iterator<Item = i64>,
    ) {
        for (chatroom, last) in lasts {
            if self.lasts.len() < EACH_MAX || self.lasts.contains_key(&chatroom) {
                let newest = self.lasts.entry(chatroom).or_insert(last);
                *newest = last.max(*newest);
            }
        }
        for server in answered {
            if self.answered.len() < EACH_MAX {
                self.answered.insert(server);
            }
        }
    }

    /// The texts that tell all of it.
    pub(super) fn texts(&self, server: i64) -> Vec<String> {
        let lasts = Vec::from_iter(self.lasts.iter().map(|(&chatroom, &last)| (chatroom, last)));
        let answered = Vec::from_iter(self.answered.iter().copied());
        let (mut lasts, mut answered) = (lasts.chunks(TOLD_AT_ONCE), answered.chunks(TOLD_AT_ONCE));
        let mut is_changed = self.is_changed;
        let mut texts = Vec::new();
        loop {
            let lasts = lasts.next().unwrap_or_default().iter().copied();
            let answered = answered.next().unwrap_or_default();
            match hint(server, lasts, std::mem::take(&mut is_changed), answered) {
                Some(text) => texts.push(text),
                None => return texts,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    fn chatroom(n: i64) -> ChatroomId {
        ChatroomId::new(n).expect("positive")
    }

    fn put(outbox: &Outbox, lasts: impl IntoIterator<Item = (i64, i64)>, is_changed: bool) {
        let written = lasts.into_iter().map(|(n, last)| (chatroom(n), last, last));
        outbox.put(&News {
            written: written.collect(),
            answered: vec![3, 4],
            is_changed,
            last_change: None,
        });
    }

    fn taken<T: Default + PartialEq>(of: &HintBox<T>) -> T {
        of.wait(Duration::ZERO)
    }

    /// What another server, of this number, hears of it.
    fn heard(told: &Outgoing, server: i64) -> Hinted {
        let inbox = Inbox::default();
        let texts = told.texts(i64::MIN);
        assert!(texts.iter().all(|text| text.len() < 7900));
        texts.iter().for_each(|text| inbox.take_in(text, server));
        taken(&inbox)
    }

    #[test]
    fn what_comes_is_taken_in_and_taken_out_once() {
        let outbox = Outbox::default();
        assert_eq!(taken(&outbox), Outgoing::default());
        put(&outbox, [(7, 42), (9, 3)], false);
        put(&outbox, [(7, 41), (9, 4)], true);
        let told = taken(&outbox);
        assert_eq!(taken(&outbox), Outgoing::default());
        let hinted = heard(&told, 4);
        assert_eq!(hinted.chatrooms, [(7, 42), (9, 4)].into());
        assert!(hinted.is_changed && hinted.is_answered && !hinted.is_missed);
        assert!(!heard(&told, 5).is_answered);
        outbox.put_back(told);
        put(&outbox, [(9, 5)], false);
        let hinted = heard(&taken(&outbox), 3);
        assert_eq!(hinted.chatrooms, [(7, 42), (9, 5)].into());
        assert!(hinted.is_changed && hinted.is_answered);
    }

    #[test]
    fn a_box_that_nobody_empties_is_bounded() {
        let outbox = Outbox::default();
        let many = 2 * EACH_MAX as i64;
        put(&outbox, (1..=many).map(|n| (n, n)), false);
        put(&outbox, [(1, 5)], false);
        let told = taken(&outbox);
        assert_eq!(told.lasts.len(), EACH_MAX);
        assert_eq!(told.lasts[&chatroom(1)], 5, "what has a place keeps it");
        put(&outbox, (1..=many).map(|n| (n, n)), true);
        outbox.put_back(told);
        assert_eq!(taken(&outbox).lasts.len(), EACH_MAX);
        // What is heard of so many is as good as what is heard of all.
        let inbox = Inbox::default();
        for n in 1..=many {
            inbox.take_in(&format!("-1 {n}:1"), 3);
        }
        let hinted = taken(&inbox);
        assert!(hinted.is_missed && hinted.chatrooms.len() <= EACH_MAX);
    }

    #[test]
    fn all_of_it_is_told_in_texts_that_are_bounded() {
        let outbox = Outbox::default();
        let most = i64::MAX;
        put(&outbox, (0..5000).map(|n| (most - n, most - n)), true);
        outbox.put(&News {
            answered: (0..1000).map(|n| i64::MIN + n).collect(),
            ..News::default()
        });
        let told = taken(&outbox);
        assert!(Outgoing::default().texts(1).is_empty());
        let hinted = heard(&told, i64::MIN + 999);
        assert_eq!(hinted.chatrooms.len(), 5000);
        assert!(hinted.is_changed && hinted.is_answered);
    }

    #[test]
    fn who_waits_is_woken() {
        let inbox = Arc::new(Inbox::default());
        let other = Arc::clone(&inbox);
        let waiting = std::thread::spawn(move || other.wait(Duration::from_secs(60)));
        inbox.miss();
        assert!(waiting.join().expect("it ends").is_missed);
    }
}
