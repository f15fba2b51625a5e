//! What the store says, taken in: the caches change here and nowhere else.

use super::Chat;
use super::call::{Failure, Reply};
use super::chatrooms::{ChatroomKey, Load, Loading};
use super::recent::Recent;
use super::serve::Ending;
use super::sessions::{SessionKey, Standing};
use super::waits::AHEAD_MAX;
use crate::buffer::Bytes;
use crate::job::{
    Completion, Fault, Job, MessageRange, RecentRows, Saved, SavedBefore, SessionRow,
};
use crate::model::{ChatroomId, Message, MessageId, Now, SessionHash, Ticket};

impl Chat {
    /// Takes in what became of a job.
    pub fn complete(&mut self, now: Now, completion: Completion) {
        match completion {
            Completion::SessionFound { session, found, .. } => self.session_found(&session, found),
            Completion::UserLoaded {
                user, chatrooms, ..
            } => self.user_loaded(now, user, chatrooms),
            Completion::ChatroomLoaded {
                chatroom, loaded, ..
            } => {
                self.chatroom_loaded(chatroom, loaded);
            }
            Completion::MessagesRead {
                ticket,
                range,
                read,
                ..
            } => self.messages_read(now, ticket, range, read),
            Completion::NewestRead { ticket, read } => self.newest_read(ticket, read),
            Completion::NewsRead { ticket, read } => self.news_read(ticket, read),
            Completion::MessageSaved {
                ticket,
                chatroom,
                saved,
            } => self.message_saved(now, ticket, chatroom, saved),
            Completion::MessagesExpired { chatroom, first } => {
                self.messages_expired(chatroom, first);
            }
            Completion::ChangesMissed => self.changes_missed(),
            Completion::LoggedOut {
                ticket,
                session,
                done,
            } => self.logged_out(ticket, session, done),
            Completion::LoggedIn { ticket, login } => {
                let reply = login.map(|(user, token)| Reply::LoggedIn(user, token));
                self.verified(now, ticket, reply);
            }
            Completion::PasswordChanged {
                ticket,
                user,
                session,
                ended,
                done,
            } => {
                if done.is_ok() {
                    self.end_others(user, &session, ended.as_deref());
                }
                self.password_changed(now, ticket, done);
            }
            Completion::ChatroomCreated {
                ticket,
                admin,
                chatroom,
            } => self.chatroom_created(now, ticket, admin, chatroom),
            Completion::ParticipantAdded {
                ticket,
                chatroom,
                added,
            } => self.participant_added(now, ticket, chatroom, added),
            Completion::ParticipantRemoved {
                ticket,
                chatroom,
                removed,
            } => self.participant_removed(ticket, chatroom, removed),
            Completion::ChatroomRenamed {
                ticket,
                chatroom,
                renamed,
            } => self.answer_own(ticket, renamed.map(|row| Reply::Chatroom(chatroom, row))),
            Completion::Registered { ticket, user } => {
                self.answer_own(ticket, user.map(Reply::Registered));
            }
            Completion::Probed { done, .. } => self.probed(done),
            Completion::OverviewListed { ticket, chatrooms } => {
                self.answer_own(ticket, chatrooms.map(Reply::Overview));
            }
            Completion::ParticipantsListed { ticket, users } => {
                self.participants_listed(ticket, users);
            }
            Completion::ServersAnswered { ticket, answer } => self.servers_answered(ticket, answer),
            Completion::ServerAsks { id, question } => self.server_asks(now, id, question),
            Completion::UsersFound { ticket, users } => {
                self.answer_own(ticket, users.map(Reply::Users));
            }
        }
    }

    /// The store can write, or cannot. A drain may have begun since that was asked.
    fn probed(&mut self, done: Result<(), Fault>) {
        let is_ready = done.is_ok() && !self.is_draining;
        for ticket in std::mem::take(&mut self.probed_for) {
            let reply = match is_ready {
                true => Reply::Done,
                false => Reply::Failed(Failure::NotReady),
            };
            self.answer(ticket, reply);
        }
    }

    /// Answers a ticket of this loop. Completions of writes come to every loop.
    pub(super) fn answer_own(&mut self, ticket: Ticket, reply: Result<Reply, Fault>) {
        if ticket.event_loop == self.settings.event_loop {
            self.answer(ticket, reply.unwrap_or_else(Reply::from));
        }
    }

    fn session_found(&mut self, hash: &SessionHash, found: Result<Option<SessionRow>, Fault>) {
        let Some((key, ended)) = self.loading_session(hash) else {
            return;
        };
        if matches!(found, Ok(Some(_))) && self.sessions.is_doubted(key) {
            return self.find_session(*hash);
        }
        let waiters = self.take_waiters(key);
        match found {
            Ok(Some(row)) if !ended && !self.sessions.has_parted(key, row.user.id) => {
                self.sessions.settle(key, row.user, row.used_unix_ms);
                self.again.extend(waiters);
            }
            Ok(_) => {
                self.sessions.remove(key);
                for waiter in waiters {
                    self.give_up(waiter, Fault::NoSession);
                }
            }
            Err(fault) => {
                self.sessions.remove(key);
                for waiter in waiters {
                    self.give_up(waiter, fault);
                }
            }
        }
    }

    fn loading_session(&mut self, hash: &SessionHash) -> Option<(SessionKey, bool)> {
        let key = self.sessions.find(hash)?;
        match self.sessions.session(key)?.standing {
            Standing::Loading { ended, .. } => Some((key, ended)),
            Standing::Good(_) | Standing::Ended(..) => None,
        }
    }

    fn take_waiters(&mut self, key: SessionKey) -> Vec<super::HeldKey> {
        match &mut self.sessions.session(key).expect("found").standing {
            Standing::Loading { waiters, .. } => std::mem::take(waiters),
            Standing::Good(_) | Standing::Ended(..) => Vec::new(),
        }
    }

    fn logged_out(&mut self, ticket: Ticket, hash: SessionHash, done: Result<(), Fault>) {
        if matches!(done, Ok(()) | Err(Fault::NoSession)) {
            self.end_session(&hash);
        }
        let reply = done.map(|()| Reply::LoggedOut);
        match reply {
            // Who is told that it was gone before relies on that as well.
            Ok(_) | Err(Fault::NoSession) => {
                if ticket.event_loop == self.settings.event_loop {
                    self.answer_when_heard(ticket, reply.unwrap_or_else(Reply::from));
                }
            }
            Err(_) => self.answer_own(ticket, reply),
        }
    }

    fn end_session(&mut self, hash: &SessionHash) {
        self.end_reads(Fault::NoSession, |reader| reader.session == *hash);
        self.end_remembered(hash);
    }

    /// Ends what is remembered of a session that is gone for good.
    pub(super) fn end_remembered(&mut self, hash: &SessionHash) {
        let Some(key) = self.sessions.find(hash) else {
            return;
        };
        let session = self.sessions.session(key).expect("found");
        if let Standing::Loading { ended, .. } = &mut session.standing {
            *ended = true;
        } else {
            self.sessions.end(key, Fault::NoSession);
            self.end(key, Ending::of_session());
        }
    }

    fn message_saved(
        &mut self,
        now: Now,
        ticket: Ticket,
        id: ChatroomId,
        saved: Result<Saved, Fault>,
    ) {
        let author = match &saved {
            Ok(Saved::New(message)) => Some(message.user.id),
            Ok(Saved::Before(_)) | Err(_) => None,
        };
        self.rates.end_send(now, ticket, author);
        let sender = (ticket.event_loop == self.settings.event_loop).then_some(ticket);
        let message = match saved {
            Ok(Saved::New(message)) => message,
            Ok(Saved::Before(before)) => {
                self.sends -= usize::from(sender.is_some());
                return self.said_before(ticket, id, before);
            }
            Err(fault) => {
                self.sends -= usize::from(sender.is_some());
                self.take_limit(ticket);
                return self.answer_own(ticket, Err(fault));
            }
        };
        if self.is_news(id, message.id) {
            self.told_log.note(id, message.id);
        }
        let key = match sender {
            Some(_) => self.chatrooms.enter(id),
            None => match self.chatrooms.find(id) {
                Some(key) => key,
                None => return,
            },
        };
        let room = self.chatrooms.chatroom(key).expect("entered");
        room.told.note(message.id);
        if matches!(room.load, Load::Unknown) {
            // It may be here still, though nothing is known of it any more.
            if sender.is_none() && !room.is_pinned() {
                return;
            }
            self.load_chatroom(key);
        }
        self.take_in(key, message, sender);
    }

    /// Whether who hears of a chatroom from now on has not heard of this message. What others write may be told twice; and how far a
    /// chatroom is of which nothing is known is read before anybody hears of it from then on.
    fn is_news(&mut self, chatroom: ChatroomId, id: MessageId) -> bool {
        if !self.settings.is_shared {
            return true;
        }
        let key = self.chatrooms.find(chatroom);
        let room = key.and_then(|key| self.chatrooms.chatroom(key));
        let known = room.and_then(|room| room.known_newest());
        known.is_some_and(|known| id.get() > known)
    }

    /// A message was sent once more: nothing was saved, and nobody is woken. The sender gets the list as it is now, if they are still in
    /// the chatroom: so it comes from the store, which alone knows.
    fn said_before(&mut self, sender: Ticket, chatroom: ChatroomId, before: SavedBefore) {
        let limit = self.take_limit(sender).min(self.settings.recent);
        self.sent_before.insert(sender, before.id);
        self.submit(Job::ReadMessages {
            ticket: sender,
            chatroom,
            user: before.author,
            range: MessageRange::Before(None),
            limit,
        });
    }

    fn messages_expired(&mut self, id: ChatroomId, first: MessageId) {
        let Some(key) = self.chatrooms.find(id) else {
            return;
        };
        // They may begin with what is gone.
        self.last_list = None;
        self.last_events = None;
        match &mut self.chatrooms.chatroom(key).expect("found").load {
            Load::Unknown => {}
            // The read may have been done before.
            Load::Loading(loading) => loading.first = Some(first),
            Load::Known => self.expire_before(key, first),
        }
    }

    /// Lets go of messages that are gone, and keeps them out of a wake that is under way.
    fn expire_before(&mut self, key: ChatroomKey, first: MessageId) {
        self.chatrooms.forget_before(key, first);
        let max = self.settings.recent;
        let room = self.chatrooms.chatroom(key).expect("just changed");
        if room.wake_list.is_some() {
            room.wake_list = Some(room.recent.list(max));
        }
    }

    /// Takes in a saved message, in the order of ids, and wakes whoever waits for it.
    fn take_in(&mut self, key: ChatroomKey, message: Message, sender: Option<Ticket>) {
        let max = self.settings.recent;
        let room = self.chatrooms.chatroom(key).expect("entered");
        let is_doubled = room.woken >= Some(message.id);
        if let Load::Loading(loading) = &mut room.load {
            if sender.is_some() || !is_doubled {
                loading.saved.push((message, sender));
            }
            return;
        }
        let id = message.id;
        let is_known = room.recent.last().is_some_and(|last| id <= last);
        if !is_known && !room.recent.is_next(id) {
            // A gap: what another server has written before is on its way here. Fetch, never guess.
            if !self.settings.is_shared {
                log::warn!(
                    "chatroom {}: message {id} does not follow; loading anew",
                    room.id
                );
            }
            room.load = Load::Unknown;
            self.load_chatroom(key);
            return self.take_in(key, message, sender);
        }
        if !is_known {
            self.chatrooms.push(key, &message, self.kept_max(max));
        }
        let mut usual = None;
        if let Some(sender) = sender {
            let limit = self.take_limit(sender);
            let room = self.chatrooms.chatroom(key).expect("the newest stays");
            let list = match room.recent.holds(id) {
                true => room.recent.list_until(id, limit),
                // So many were saved behind it while the list was loaded that it is no longer here.
                false => list_of_one(&message),
            };
            if limit == max && room.recent.last() == Some(id) && room.recent.holds(id) {
                usual = Some(list.clone());
            }
            let sent = Reply::Sent { id, messages: list };
            self.sends -= 1;
            self.answer(sender, sent);
        }
        if is_doubled {
            return;
        }
        if self.settings.is_shared {
            let room = self.chatrooms.chatroom(key).expect("the newest stays");
            room.woken = Some(id);
        }
        self.wake_by(key, usual);
    }

    /// How many messages stay, so that each sender finds a whole list that ends with their own: what other servers have written behind it may be told
    /// before.
    fn kept_max(&self, max: u32) -> u32 {
        match self.settings.is_shared && self.sends > 0 {
            true => max.saturating_add(AHEAD_MAX),
            false => max,
        }
    }

    fn chatroom_loaded(&mut self, id: ChatroomId, loaded: Result<RecentRows, Fault>) {
        let Some(key) = self.chatrooms.find(id) else {
            return;
        };
        let room = self.chatrooms.chatroom(key).expect("found");
        let Load::Loading(loading) = &mut room.load else {
            return;
        };
        if loaded.is_ok() && std::mem::take(&mut loading.is_stale) {
            return self.ask_for_chatroom(id);
        }
        let Load::Loading(loading) = std::mem::replace(&mut room.load, Load::Known) else {
            unreachable!("it was loading")
        };
        match loaded {
            Ok(rows) => {
                self.fill(key, &rows, &loading);
                let room = self.chatrooms.chatroom(key).expect("found");
                if self.settings.is_shared && !room.has_polls() {
                    room.woken = room.woken.max(rows.last);
                }
                // What was read before it was written may be gone by now, and is in the list of nobody who has spoken since.
                let mut expired = loading.first;
                for (message, sender) in loading.saved {
                    if let Some(first) = expired.take_if(|first| *first <= message.id) {
                        self.expire_before(key, first);
                    }
                    self.take_in(key, message, sender);
                }
                if let Some(first) = expired {
                    self.expire_before(key, first);
                }
                // And so it is where one of them did not follow, and the list is being read once more.
                let room = self.chatrooms.chatroom(key).expect("found");
                if let Load::Loading(again) = &mut room.load {
                    again.first = again.first.max(loading.first);
                }
                let ahead_max = if self.sends > 0 { AHEAD_MAX } else { 0 };
                let kept_max = self.settings.recent.saturating_add(ahead_max);
                self.chatrooms.trim(key, kept_max);
                self.again.extend(loading.waiters);
                if self.is_draining {
                    self.wake(key);
                }
                for polls in loading.endings {
                    self.end_parked(polls);
                }
                if !self.late.is_empty() {
                    self.end_late(key);
                }
            }
            Err(fault) => self.load_failed(key, *loading, fault),
        }
    }

    /// Fills a chatroom's list. The store may be ahead of what it has told: then the list begins with what
    /// was told meanwhile, so that every sender finds the list that ends with their own message.
    fn fill(&mut self, key: ChatroomKey, rows: &RecentRows, loading: &Loading) {
        let first = rows.messages.first().map(|message| message.id);
        let told = loading.saved.iter().map(|(message, _)| message);
        let older = told.take_while(|told| first.is_some_and(|first| told.id < first));
        self.chatrooms
            .fill(key, older.chain(&rows.messages), rows.last);
        if let Some(first) = loading.first {
            self.chatrooms.forget_before(key, first);
        }
    }

    /// The recent messages cannot be had. What was saved meanwhile is told all the same, as a
    /// short list: the senders' messages are on disk, and a poll that slept on would have missed one.
    fn load_failed(&mut self, key: ChatroomKey, loading: Loading, fault: Fault) {
        let room = self.chatrooms.chatroom(key).expect("found");
        room.load = Load::Unknown;
        let mut short = Recent::default();
        let mut newest: Option<Bytes> = None;
        for (message, sender) in loading.saved {
            if self.settings.is_shared {
                let room = self.chatrooms.chatroom(key).expect("found");
                room.woken = room.woken.max(Some(message.id));
            }
            short.push(&message, self.settings.recent);
            if let Some(first) = loading.first {
                short.forget_before(first);
            }
            newest = Some(short.list(self.settings.recent));
            if let Some(sender) = sender {
                let limit = self.take_limit(sender);
                let messages = match short.holds(message.id) {
                    true => short.list(limit),
                    false => list_of_one(&message),
                };
                let id = message.id;
                self.sends -= 1;
                self.answer(sender, Reply::Sent { id, messages });
            }
        }
        match newest {
            Some(list) => self.wake_with(key, list),
            None if self.is_draining => self.wake(key),
            None => {}
        }
        // How far it is nobody knows: who may have missed something asks again.
        let late = self.late.extract_if(.., |(_, of)| *of == key);
        self.closing.extend(late.map(|(held, _)| held));
        for waiter in loading.waiters {
            self.give_up(waiter, fault);
        }
        for polls in loading.endings {
            self.tell_ended(polls.caller(), Err(fault));
        }
    }
}

fn list_of_one(message: &Message) -> Bytes {
    let mut alone = Recent::default();
    alone.push(message, 1);
    alone.list(1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::arena::Arena;
    use crate::chat::Output;
    use crate::config::Config;
    use crate::job::Job;
    use crate::model::{Connection, User, UserId};

    fn message(id: i64) -> Message {
        Message {
            id: MessageId::new(id).expect("positive"),
            chatroom: ChatroomId::new(7).expect("positive"),
            user: User {
                id: UserId::new(1).expect("positive"),
                name: "ann".into(),
            },
            text: "hi".into(),
            time_unix_ms: 0,
        }
    }

    fn chat(recent: u32) -> Chat {
        let config = Config {
            recent,
            ..Config::default()
        };
        Chat::new(&config, 0)
    }

    fn ticket() -> Ticket {
        let mut keys: Arena<(), Connection> = Arena::default();
        Ticket {
            connection: keys.insert(()),
            exchange: 1,
            event_loop: 0,
        }
    }

    fn saved(chat: &mut Chat, id: i64) {
        chat.sends += 1;
        let completion = Completion::MessageSaved {
            ticket: ticket(),
            chatroom: message(id).chatroom,
            saved: Ok(Saved::New(message(id))),
        };
        chat.complete(Now::default(), completion);
    }

    /// The store has loaded these; `ahead` may be beyond what it has told.
    fn loaded(chat: &mut Chat, ids: std::ops::RangeInclusive<i64>) {
        let rows = RecentRows {
            last: MessageId::new(*ids.end()),
            messages: ids.map(message).collect(),
        };
        let completion = Completion::ChatroomLoaded {
            event_loop: 0,
            chatroom: message(1).chatroom,
            loaded: Ok(rows),
        };
        chat.complete(Now::default(), completion);
    }

    /// The ids of each list that was answered.
    fn answered(chat: &mut Chat) -> Vec<Vec<i64>> {
        std::iter::from_fn(|| chat.next_output())
            .filter_map(|output| match output {
                Output::Answer(_, Reply::Sent { messages: list, .. }) => {
                    let list: serde_json::Value = serde_json::from_slice(&list).expect("JSON");
                    let ids = list.as_array().expect("an array").iter();
                    Some(ids.map(|m| m["id"].as_i64().expect("an id")).collect())
                }
                _ => None,
            })
            .collect()
    }

    /// Of a server that shares its database.
    fn shared_chat(recent: u32) -> Chat {
        let config = Config {
            recent,
            database: "postgres://db.example.com/chat".into(),
            ..Config::default()
        };
        Chat::new(&config, 0)
    }

    fn saved_elsewhere(chat: &mut Chat, id: i64) {
        let completion = Completion::MessageSaved {
            ticket: Ticket::of_nobody(),
            chatroom: message(id).chatroom,
            saved: Ok(Saved::New(message(id))),
        };
        chat.complete(Now::default(), completion);
    }

    #[test]
    fn what_is_told_while_a_list_is_loaded_shortens_no_senders_list() {
        let mut chat = shared_chat(3);
        saved(&mut chat, 3);
        (5..=8).for_each(|id| saved_elsewhere(&mut chat, id));
        // Told last, as it may be.
        saved(&mut chat, 4);
        loaded(&mut chat, 1..=4);
        let lists: [&[i64]; 2] = [&[1, 2, 3], &[2, 3, 4]];
        assert_eq!(answered(&mut chat), lists);
        assert_eq!(chat.sends, 0);
    }

    #[test]
    fn what_other_servers_have_written_behind_it_shortens_no_senders_list() {
        let mut chat = shared_chat(3);
        saved(&mut chat, 3);
        loaded(&mut chat, 1..=3);
        chat.sends += 1;
        (4..=9).for_each(|id| saved_elsewhere(&mut chat, id));
        chat.sends -= 1;
        saved(&mut chat, 5);
        saved(&mut chat, 10);
        let lists: [&[i64]; 3] = [&[1, 2, 3], &[3, 4, 5], &[8, 9, 10]];
        assert_eq!(answered(&mut chat), lists);
    }

    #[test]
    fn every_sender_gets_a_list_that_ends_with_their_message_however_far_the_load_is_ahead() {
        let mut chat = chat(2);
        (5..=7).for_each(|id| saved(&mut chat, id));
        // All of them were committed when the load was done, and one more that is told later.
        loaded(&mut chat, 3..=8);
        saved(&mut chat, 8);
        saved(&mut chat, 9);
        let lists = [[4, 5], [5, 6], [6, 7], [7, 8], [8, 9]];
        assert_eq!(answered(&mut chat), lists);
    }

    #[test]
    fn a_sender_whose_message_is_older_than_all_that_was_loaded_gets_it_all_the_same() {
        let mut chat = chat(2);
        (1..=4).for_each(|id| saved(&mut chat, id));
        loaded(&mut chat, 3..=4);
        let lists: [&[i64]; 4] = [&[1], &[1, 2], &[2, 3], &[3, 4]];
        assert_eq!(answered(&mut chat), lists);

        let mut chat = self::chat(2);
        saved(&mut chat, 1);
        loaded(&mut chat, 8..=9);
        saved(&mut chat, 2);
        let lists: [&[i64]; 2] = [&[1], &[2]];
        assert_eq!(answered(&mut chat), lists);
    }

    fn expired(chat: &mut Chat, first: i64) {
        let completion = Completion::MessagesExpired {
            chatroom: message(1).chatroom,
            first: message(first).id,
        };
        chat.complete(Now::default(), completion);
    }

    #[test]
    fn what_has_expired_is_in_no_list() {
        let mut chat = chat(5);
        saved(&mut chat, 4);
        // The store has read before it removed, and tells of it in the other order.
        expired(&mut chat, 3);
        loaded(&mut chat, 1..=4);
        saved(&mut chat, 5);
        expired(&mut chat, 5);
        saved(&mut chat, 6);
        // All are gone, and the next one follows all the same.
        expired(&mut chat, 7);
        saved(&mut chat, 7);
        let lists: [&[i64]; 4] = [&[3, 4], &[3, 4, 5], &[5, 6], &[7]];
        assert_eq!(answered(&mut chat), lists);
    }

    #[test]
    fn what_has_expired_before_the_list_was_here_is_in_none_after() {
        let mut chat = chat(5);
        saved(&mut chat, 4);
        expired(&mut chat, 5);
        // It was read before any of that.
        loaded(&mut chat, 1..=3);
        saved(&mut chat, 5);
        let lists: [&[i64]; 2] = [&[4], &[5]];
        assert_eq!(answered(&mut chat), lists);
    }

    #[test]
    fn a_chatroom_whose_messages_are_all_gone_goes_on_where_it_was() {
        let mut chat = chat(5);
        saved(&mut chat, 8);
        while chat.next_output().is_some() {}
        let completion = Completion::ChatroomLoaded {
            event_loop: 0,
            chatroom: message(1).chatroom,
            loaded: Ok(RecentRows {
                last: MessageId::new(7),
                messages: Vec::new(),
            }),
        };
        chat.complete(Now::default(), completion);
        let list = chat.next_output();
        assert!(
            matches!(list, Some(Output::Answer(_, Reply::Sent { .. }))),
            "{list:?}"
        );
        assert!(chat.next_output().is_none(), "nothing is loaded anew");
    }

    #[test]
    fn more_is_loaded_than_a_list_has() {
        let mut chat = chat(2);
        saved(&mut chat, 1);
        let output = chat.next_output();
        let Some(Output::Submit(Job::LoadChatroom { recent, .. })) = output else {
            panic!("{output:?}");
        };
        assert_eq!(recent, 2 + AHEAD_MAX);
    }
}
