//! What was sent: saved before it is answered, once where it has a nonce, and not at all where it was refused.

use loiter::model::{MessageId, UserId};

use super::lists::Last;
use super::{Verdict, demand};
use crate::answer::Answer;
use crate::ask::Ask;
use crate::data::chatroom_id;
use crate::ledger::Begun;
use crate::line::Asked;
use crate::world::World;

impl World {
    pub(super) fn judge_send(
        &self,
        asked: &Asked,
        begun: Begun,
        (user, chatroom): (UserId, usize),
        answer: &Answer,
    ) -> Result<Last, String> {
        let Ask::Send {
            text, nonce, limit, ..
        } = &asked.ask
        else {
            unreachable!("a send is judged");
        };
        let last = self.judge_list(&answer.body, (chatroom, *limit), begun, true)?;
        let id = answer.message_id.ok_or("no Loiter-Message-Id")?;
        let room = self.store.data.chatroom(chatroom_id(chatroom));
        let room = room.ok_or("no chatroom")?;
        let message = room.messages.get(id as usize - 1).ok_or("not stored")?;
        demand(message.user.id == user, "another user's message")?;
        let is_own = *message.text == **text;
        let is_repeated = nonce.as_ref().is_some_and(|nonce| {
            let key = (user, nonce.text.as_str().into());
            let is_of_nonce = room.nonces.get(&key) == MessageId::new(id).as_ref();
            is_of_nonce && (nonce.is_repeated || !is_own)
        });
        demand(is_own || is_repeated, "another message")?;
        let is_as_now = is_repeated && last.is_none_or(|last| last >= begun.of.heard);
        demand(last == Some(id) || is_as_now, "another message is the last")?;
        Ok(last)
    }

    /// A send was refused. With a nonce it may have been saved before, and may be yet.
    pub(super) fn note_not_saved(&mut self, asked: &Asked) -> Verdict {
        let Ask::Send { text, nonce, .. } = &asked.ask else {
            return Ok(());
        };
        if nonce.as_ref().is_some_and(|nonce| nonce.is_repeated) {
            return Ok(());
        }
        if self.store.uncertain.contains(text.as_str()) {
            // The database was lost while it was being committed.
            return Ok(());
        }
        demand(!self.is_saved(text), "a refused message is stored")?;
        if nonce.is_none() {
            self.not_saved.insert(text.clone());
        }
        Ok(())
    }

    pub(crate) fn is_saved(&self, text: &str) -> bool {
        let messages = (self.store.data.chatrooms.iter()).flat_map(|room| &room.messages);
        messages.into_iter().any(|message| *message.text == *text)
    }

    /// What must hold of everything that was ever said.
    pub(crate) fn check_said(&self) {
        for text in &self.not_saved {
            self.demand(!self.is_saved(text), "a refused message was stored later");
        }
        for room in &self.store.data.chatrooms {
            let mut texts: Vec<_> = room.messages.iter().map(|message| &message.text).collect();
            texts.sort_unstable();
            let is_once = texts.windows(2).all(|pair| pair[0] != pair[1]);
            self.demand(is_once, "a message was stored twice");
        }
        for client in &self.clients {
            let mut before = 0;
            for said in &client.speaker.said {
                let Some(id) = said.id else { continue };
                let room = &self.store.data.chatrooms[said.chatroom - 1];
                let stored = room.messages.get(id as usize - 1);
                let is_stored = stored.is_some_and(|message| *message.text == *said.text);
                self.demand(is_stored, "what was answered is not what was said");
                self.demand(id > before, "said in another order");
                before = id;
            }
        }
    }
}
