//! Up to which message the loops are noted to have been told of a chatroom, beside what was posted to them and what hints have said: that is
//! never too high, and soon high enough.
//!
//! What fails here clients would hardly notice. A chat core that meets a gap loads the chatroom anew, and hides what was passed over, unless that load fails; what a
//! hint has said in vain is asked for a moment later.

use std::collections::{BTreeMap, BTreeSet};

use loiter::job::{Completion, Saved};
use loiter::model::MessageId;
use loiter::store::others::Hinted;

use crate::world::World;

/// What was posted to a server's loops.
#[derive(Debug, Default)]
pub(crate) struct Posted(BTreeMap<i64, OfChatroom>);

#[derive(Debug, Default)]
struct OfChatroom {
    /// What they have loaded went up to this message.
    loaded: i64,
    /// Messages that they were told of.
    messages: BTreeSet<i64>,
}

/// Up to which message chatrooms are, as hints have said.
#[derive(Debug, Default)]
pub(super) struct Heard {
    chatrooms: BTreeMap<i64, i64>,
    /// Those that the round under way follows up.
    in_round: BTreeMap<i64, i64>,
}

impl Heard {
    pub(super) fn note(&mut self, chatroom: i64, last: i64) {
        let newest = self.chatrooms.entry(chatroom).or_default();
        *newest = last.max(*newest);
    }
}

impl Posted {
    pub(crate) fn note(&mut self, completion: &Completion) {
        if let Completion::MessageSaved {
            chatroom,
            saved: Ok(Saved::New(message)),
            ..
        } = completion
        {
            let of = self.0.entry(chatroom.get()).or_default();
            of.messages.insert(message.id.get());
        }
    }

    /// It is read, and will be posted.
    pub(crate) fn note_read(&mut self, completion: &Completion) {
        let mut loaded = |chatroom: i64, last: Option<MessageId>| {
            let of = self.0.entry(chatroom).or_default();
            of.loaded = of.loaded.max(last.map_or(0, MessageId::get));
        };
        match completion {
            Completion::ChatroomLoaded {
                chatroom,
                loaded: Ok(rows),
                ..
            } => loaded(chatroom.get(), rows.last),
            Completion::NewestRead {
                read: Ok(newest), ..
            } => newest
                .iter()
                .for_each(|(chatroom, last)| loaded(chatroom.get(), *last)),
            _ => {}
        }
    }
}

impl World {
    /// Of each chatroom that is held, whatever is noted as told was, or is gone.
    pub(super) fn check_told(&mut self) {
        let followed = self.store.lanes.followed.as_ref();
        let (chatrooms, told) = followed.expect("it is shared").some(None, usize::MAX).0;
        for (chatroom, told) in chatrooms.into_iter().zip(told) {
            let kept = self.kept_from(chatroom as usize);
            let of = self.store.lanes.posted.0.entry(chatroom).or_default();
            let mut passed = (of.loaded + 1).max(kept)..=told;
            let is_over = passed.find(|id| !of.messages.contains(id));
            let what =
                format!("{is_over:?} of chatroom {chatroom} was passed over: told is {told}");
            self.demand(is_over.is_none(), &what);
        }
    }
    /// A round is over: what hints had said before it of chatrooms that are held has been told.
    pub(super) fn check_followed_up(&mut self) {
        let mut in_round = std::mem::take(&mut self.listener().heard.in_round);
        self.retain_behind(&mut in_round);
        self.demand(
            in_round.is_empty(),
            &format!("hints were not followed up: {in_round:?}"),
        );
    }

    /// A round may begin: it is to follow up all that hints have said, also before the chatroom was loaded.
    pub(super) fn check_hinted(&mut self, hinted: &Hinted) {
        let mut behind = self.listener().heard.chatrooms.clone();
        self.retain_behind(&mut behind);
        for (chatroom, last) in &behind {
            let is_said = hinted.chatrooms.get(chatroom) >= Some(last);
            let what = format!("a hint of {last} in chatroom {chatroom} is forgotten: {hinted:?}");
            self.demand(is_said, &what);
        }
        // What is still being loaded is due when it is.
        let followed = self.store.lanes.followed.as_ref();
        let (loaded, _) = followed.expect("it is shared").some(None, usize::MAX).0;
        let heard = &mut self.listener().heard;
        for chatroom in loaded {
            heard.chatrooms.remove(&chatroom);
        }
        heard.in_round = behind;
    }

    /// Keeps those chatrooms that are held and loaded, and have not been told of all that is kept of them.
    fn retain_behind(&self, lasts: &mut BTreeMap<i64, i64>) {
        let followed = self.store.lanes.followed.as_ref();
        let (chatrooms, told) = followed.expect("it is shared").some(None, usize::MAX).0;
        let told: BTreeMap<i64, i64> = chatrooms.into_iter().zip(told).collect();
        lasts.retain(|chatroom, last| {
            let is_kept = self.kept_from(*chatroom as usize) <= *last;
            // A loop that loads what was read before lowers the number.
            let of = self.store.lanes.posted.0.get(chatroom);
            let was_posted = of.is_some_and(|of| of.messages.contains(last));
            is_kept && !was_posted && told.get(chatroom).is_some_and(|told| told < last)
        });
    }
}
