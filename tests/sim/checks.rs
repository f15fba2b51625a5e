//! What must hold for every answer at the moment at which the engine sends it.

use serde_json::{Value, json};

use crate::answer::Answer;
use crate::ask::Ask;
use crate::data::{chatroom_id, hash_of};
use crate::ledger::{Begun, EndedPoll};
use crate::line::Asked;
use crate::world::World;
use loiter::model::UserId;

type Verdict = Result<(), String>;

fn demand(holds: bool, what: &str) -> Verdict {
    match holds {
        true => Ok(()),
        false => Err(what.to_owned()),
    }
}

impl World {
    /// Holds an answer against its request.
    pub(crate) fn judge(&mut self, asked: &Asked, answer: &Answer) -> Verdict {
        let Some(begun) = asked.begun else {
            let is_garbage = matches!(asked.ask, Ask::Garbage { .. });
            let is_late = answer.is(408, "request_timeout");
            demand(
                is_garbage || is_late,
                "a request was answered that is not all here",
            )?;
            return self.judge_garbage(asked, answer);
        };
        let must_close = asked.wants_close || self.ledger.is_draining;
        demand(
            answer.closes || !must_close,
            "the connection is not told to close",
        )?;
        if let Ask::Garbage { .. } = asked.ask {
            return self.judge_garbage(asked, answer);
        }
        if let Ask::Stray { status, .. } = asked.ask {
            demand(answer.status == status, "the wrong status")?;
            return demand(
                answer.has_allow == matches!(status, 204 | 405),
                "Allow stands where it should not, or does not where it should",
            );
        }
        if answer.is(500, "storage_failed") {
            self.note_not_saved(asked)?;
            let mut failed = self.ledger.storage_failures > begun.storage_failures;
            if let (Ask::EndPolls { chatroom }, Some(token)) = (&asked.ask, &asked.token) {
                // At another loop, where it may have had no room; at the others polls may have ended.
                failed |= self.loops.len() > 1 && self.ledger.refusals > begun.refusals;
                self.orphans.insert((token.clone(), *chatroom));
            }
            return demand(failed, "the storage has not failed");
        }
        if answer.is(503, "overloaded") {
            self.note_not_saved(asked)?;
            demand(answer.has_retry_after, "no Retry-After")?;
            let refused = self.ledger.refusals > begun.refusals;
            return demand(refused, "no job was refused");
        }
        match asked.ask.needs_session() {
            true => self.judge_in_session(asked, begun, answer),
            false => self.judge_without(&asked.ask, answer),
        }
    }

    fn judge_garbage(&self, asked: &Asked, answer: &Answer) -> Verdict {
        if !answer.is(408, "request_timeout")
            && let Ask::Garbage { statuses, .. } = asked.ask
        {
            demand(statuses.contains(&answer.status), "the wrong status")?;
        }
        demand(answer.closes, "the connection goes on")
    }

    fn judge_without(&self, ask: &Ask, answer: &Answer) -> Verdict {
        let data = &self.store.data;
        match ask {
            Ask::LogIn { name, password } => {
                if answer.is(429, "too_many_attempts") {
                    demand(answer.has_retry_after, "no Retry-After")?;
                    return demand(self.config.login_attempts > 0, "logins are not limited");
                }
                let account = data.named(&name.to_lowercase());
                let account = account.filter(|account| account.password == *password);
                let Some(account) = account else {
                    return demand(answer.is(401, "bad_credentials"), "a wrong password got in");
                };
                demand(answer.status == 200, "the right password is refused")?;
                let token = answer.token.as_deref().unwrap_or_default();
                let session = data.session(token).ok_or("the session is not stored")?;
                demand(session.user == account.user.id, "another user's session")
            }
            Ask::Register { name } if answer.status == 409 => {
                let taken = data.named(&name.to_lowercase()).is_some();
                demand(taken, "nobody has this name")
            }
            Ask::Register { name } => {
                let account = data.named(&name.to_lowercase()).ok_or("not stored")?;
                let user = json!({"userid": account.user.id.get(), "username": name});
                demand(answer.body == user && answer.status == 200, "another user")
            }
            ask => unreachable!("{ask:?} needs a session"),
        }
    }

    fn judge_in_session(&mut self, asked: &Asked, begun: Begun, answer: &Answer) -> Verdict {
        let token = asked.token.as_deref().unwrap_or_default();
        let session = self.store.data.session(token);
        let is_gone = session.is_none_or(|session| session.is_gone);
        if answer.status == 401 {
            demand(answer.is(401, "no_session"), "another code")?;
            let may_be_old = session.is_some() && self.has_short_sessions;
            self.note_not_saved(asked)?;
            return demand(is_gone || may_be_old, "a good session is refused");
        }
        let user = session.ok_or("nobody's session is good")?.user;
        demand(!begun.session_ended, "a session is good that was ended")?;
        match &asked.ask {
            Ask::LogOut => {
                demand(is_gone, "logged out, but not in the store")?;
                demand(
                    answer.status == 200 && answer.body["status"] == "ok",
                    "no 200",
                )
            }
            Ask::Wrong { .. } => demand(answer.is(400, "bad_parameter"), "not 400 bad_parameter"),
            ask => match ask.chatroom() {
                Some(chatroom) => self.judge_in_chatroom(asked, begun, chatroom, user, answer),
                None => self.judge_of_user(ask, begun, user, answer),
            },
        }
    }

    fn judge_of_user(&self, ask: &Ask, begun: Begun, user: UserId, answer: &Answer) -> Verdict {
        demand(answer.status == 200, "not 200")?;
        let data = &self.store.data;
        match ask {
            Ask::CreateChatroom => {
                let id = answer.body["chatroomid"].as_i64().ok_or("no id")?;
                let chatroom = data.chatroom(chatroom_id(id as usize));
                demand(chatroom.ok_or("not stored")?.admin == user, "another admin")
            }
            Ask::Chatrooms if !answer.body.is_null() => {
                let told: Vec<i64> = (answer.body.as_array().ok_or("no array")?.iter())
                    .filter_map(Value::as_i64)
                    .collect();
                let stored: Vec<i64> = data.chatrooms_of(user).iter().map(|id| id.get()).collect();
                demand(told.is_sorted(), "not ascending")?;
                demand(
                    told.iter().all(|id| stored.contains(id)),
                    "a foreign chatroom",
                )?;
                demand(told.len() >= begun.chatrooms, "a chatroom is missing")
            }
            Ask::FindUsers { prefix } if !answer.body.is_null() => {
                let users = answer.body.as_array().map_or(&[][..], |users| users);
                demand(users.len() <= 50, "too many")?;
                demand(!users.is_empty() || answer.body == json!({}), "not {}")?;
                let begins = |user: &Value| {
                    let name = user["username"].as_str().unwrap_or_default();
                    name.to_lowercase().starts_with(prefix)
                };
                demand(users.iter().all(begins), "another beginning")
            }
            _ => Ok(()),
        }
    }

    fn judge_in_chatroom(
        &mut self,
        asked: &Asked,
        begun: Begun,
        chatroom: usize,
        user: UserId,
        answer: &Answer,
    ) -> Verdict {
        let status = match asked.ask {
            Ask::Participants { .. } | Ask::Presence { .. } | Ask::Add { .. } => 403,
            _ => 500,
        };
        if let Ask::Add { whom, .. } = &asked.ask {
            return self.judge_add((chatroom, whom), begun, user, answer);
        }
        let has_joined = (self.store.data).has_joined(user, chatroom_id(chatroom));
        if answer.is(status, "not_a_participant") {
            self.note_not_saved(asked)?;
            return demand(!begun.has_joined, "a participant is refused");
        }
        demand(answer.status == 200, "the wrong status")?;
        demand(has_joined, "an outsider is answered")?;
        match &asked.ask {
            Ask::Participants { .. } | Ask::Presence { .. } if answer.body.is_null() => Ok(()),
            Ask::Presence { .. } => self.judge_presence(&answer.body, chatroom, begun),
            Ask::Participants { .. } => self.judge_participants(&answer.body, chatroom, begun),
            Ask::Poll { .. } => self.judge_poll(asked, begun, chatroom, answer),
            &Ask::Follow { since, limit, .. } => {
                self.judge_follow(asked, begun, (chatroom, since, limit), answer)
            }
            Ask::EndPolls { .. } => self.judge_end_polls(asked, begun, chatroom, answer),
            Ask::Send { text, .. } => {
                self.judge_list(&answer.body, chatroom, begun)?;
                let last = answer.body.as_array().and_then(|list| list.last());
                let last = last.ok_or("an empty list answers a message")?;
                demand(last["message"] == **text, "another message is the last")?;
                demand(last["userid"] == user.get(), "another user's message")
            }
            ask => unreachable!("{ask:?} is about no chatroom"),
        }
    }

    fn judge_add(
        &self,
        (chatroom, whom): (usize, &str),
        begun: Begun,
        user: UserId,
        answer: &Answer,
    ) -> Verdict {
        let data = &self.store.data;
        let room = data.chatroom(chatroom_id(chatroom));
        let Some(room) = room.filter(|room| room.admin == user) else {
            return demand(answer.is(403, "not_admin"), "not 403 not_admin");
        };
        if answer.is(403, "not_admin") {
            return demand(begun.participants == 0, "the admin is refused");
        }
        let account = data.users.iter().find(|account| {
            account.user.id.to_string() == whom || *account.folded == *whom.to_lowercase()
        });
        let Some(account) = account else {
            return demand(answer.is(404, "no_such_user"), "not 404 no_such_user");
        };
        if answer.is(404, "no_such_user") {
            let was_there = account.user.id.get() <= begun.users as i64;
            return demand(!was_there, "the user was there all the time");
        }
        demand(answer.status == 200, "not 200")?;
        let id = account.user.id;
        demand(room.participants.contains(&id), "not stored")?;
        let told = (answer.body["participants"].as_array()).ok_or("no array")?;
        let is_told = told.iter().any(|user| user["userid"] == id.get());
        demand(
            is_told && answer.body["admin"] == user.get(),
            "another chatroom",
        )
    }

    fn judge_participants(&self, body: &Value, chatroom: usize, begun: Begun) -> Verdict {
        let told = body.as_array().ok_or("no array")?;
        let stored = self.store.data.participants(chatroom_id(chatroom));
        demand(told.len() >= begun.participants, "one is missing")?;
        let is_same = |(told, stored): (&Value, &loiter::model::User)| {
            told["userid"] == stored.id.get() && told["username"] == *stored.name
        };
        let same = told.iter().zip(&stored).all(is_same);
        demand(same && told.len() <= stored.len(), "another order")
    }

    fn judge_poll(
        &mut self,
        asked: &Asked,
        begun: Begun,
        chatroom: usize,
        answer: &Answer,
    ) -> Verdict {
        let last = self.judge_list(&answer.body, chatroom, begun)?;
        let is_nothing_new = last <= begun.heard && !begun.is_loading;
        self.note_ended(asked, chatroom, is_nothing_new)
    }

    /// The oldest of all that is newer, or nothing where nothing is and somebody has ended it.
    fn judge_follow(
        &mut self,
        asked: &Asked,
        begun: Begun,
        (chatroom, since, limit): (usize, i64, Option<u8>),
        answer: &Answer,
    ) -> Verdict {
        let list = answer.body.as_array().ok_or("no array")?;
        let first = list
            .first()
            .map_or(since + 1, |m| m["id"].as_i64().unwrap_or(0));
        demand(first == since + 1, "what is right behind since is left out")?;
        let last = self.judge_slice(list, chatroom, first)?.max(since);
        let length_max = limit.map_or(i64::from(self.config.recent), i64::from);
        let length = last - since;
        demand(length <= length_max, "the list is too long")?;
        demand(
            last >= begun.heard || length == length_max,
            "what was known is left out",
        )?;
        self.note_ended(asked, chatroom, list.is_empty())
    }

    /// A poll has ended; one with nothing new, because somebody has asked for it.
    fn note_ended(&mut self, asked: &Asked, chatroom: usize, is_nothing_new: bool) -> Verdict {
        if self.ledger.is_draining {
            return Ok(());
        }
        let token = asked.token.clone().unwrap_or_default();
        let ended = EndedPoll {
            turn: self.trace.turns(),
            is_by_endpoll: is_nothing_new,
        };
        if ended.is_by_endpoll {
            let is_asked = self.is_endpoll_under_way(&token, chatroom);
            demand(is_asked, "a poll ended with nothing new")?;
        }
        let ended_polls = &mut self.ledger.ended_polls;
        let ended_polls = ended_polls.entry((token, chatroom)).or_default();
        ended_polls.polls.push(ended);
        Ok(())
    }

    fn is_endpoll_under_way(&self, token: &str, chatroom: usize) -> bool {
        self.is_endpoll_asked(token, chatroom)
            // Its connection may have gone, and its line with it.
            || self.orphans.contains(&(token.to_owned(), chatroom))
    }

    fn is_endpoll_asked(&self, token: &str, chatroom: usize) -> bool {
        let asked = self.lines.values().flat_map(|line| &line.asked);
        let mut asked = asked.filter(|asked| asked.begun.is_some());
        asked.any(|asked| {
            matches!(asked.ask, Ask::EndPolls { chatroom: c } if c == chatroom)
                && asked.token.as_deref() == Some(token)
        })
    }

    fn judge_end_polls(
        &mut self,
        asked: &Asked,
        begun: Begun,
        chatroom: usize,
        answer: &Answer,
    ) -> Verdict {
        let list = &answer.body["messages"];
        let last = self.judge_list(list, chatroom, begun)?;
        demand(last >= begun.heard, "the list is old")?;
        let ended = answer.body["ended"].as_u64().ok_or("no number")?;
        let key = (asked.token.clone().unwrap_or_default(), chatroom);
        self.check_none_is_parked(&key)?;
        if self.ledger.is_draining {
            // All polls end then, and by what is not counted.
            return Ok(());
        }
        // One whose answer nobody waited for may have had a part in these.
        let is_shared = self.orphans.contains(&key);
        let is_last = !self.is_endpoll_asked(&key.0, chatroom);
        let mut polls = self.ledger.ended_polls.remove(&key).unwrap_or_default();
        polls.told += ended;
        let since = polls.since.unwrap_or(begun.turn).min(begun.turn);
        let told = polls.told;
        let (sure, others): (Vec<_>, Vec<_>) =
            (polls.polls.iter()).partition(|poll| poll.is_by_endpoll);
        let sure = sure.len() as u64;
        // A message that comes meanwhile is in the lists of those that end after it: they may have ended by either.
        let perhaps = others.iter().filter(|poll| poll.turn >= since).count() as u64;
        let perhaps = perhaps + self.follows_under_way(&key);
        let is_enough = told >= sure || is_shared || !is_last;
        if !is_last {
            // Two loops may end a session's polls at once, each some of them.
            polls.since = Some(since);
            self.ledger.ended_polls.insert(key, polls);
        }
        demand(
            is_enough && told <= sure + perhaps,
            &format!("{told} told, {sure} to {} ended", sure + perhaps),
        )
    }

    /// Polls that have ended, perhaps, and whose list is still being read: it goes back further than what is remembered.
    fn follows_under_way(&self, (token, chatroom): &(String, usize)) -> u64 {
        let asked = self.lines.values().filter_map(|line| line.asked.front());
        let is_meant = |asked: &&Asked| {
            asked.token.as_ref() == Some(token)
                && asked.begun.is_some()
                && asked.ask.chatroom() == Some(*chatroom)
                && self.is_behind(&asked.ask)
        };
        asked.filter(is_meant).count() as u64
    }

    /// It has been told of something newer than its `since`: it is parked no longer, though its list may still be being read.
    fn is_behind(&self, ask: &Ask) -> bool {
        matches!(ask, Ask::Follow { chatroom, since, .. } if *since < self.ledger.heard(*chatroom))
    }

    /// Of the polls that were parked before an endpoll was asked for, none is when it is answered.
    fn check_none_is_parked(&self, (token, chatroom): &(String, usize)) -> Verdict {
        let lines = self.lines.values();
        let left = lines.filter(|line| !line.is_closing && !line.is_finishing);
        let mut left = left.filter_map(|line| line.asked.front());
        let is_left = left.any(|asked| {
            asked.is_parked
                && !self.is_behind(&asked.ask)
                && asked.ask.chatroom() == Some(*chatroom)
                && asked.token.as_ref() == Some(token)
        });
        demand(!is_left, "an endpoll has left a poll")
    }

    /// A list of most recent messages must be the store's; returns the last one's id, 0 for none.
    fn judge_list(&self, list: &Value, chatroom: usize, begun: Begun) -> Result<i64, String> {
        let list = list.as_array().ok_or("no array")?;
        let first = list.first().map_or(1, |m| m["id"].as_i64().unwrap_or(0));
        let length = list.len() as i64;
        let last = self.judge_slice(list, chatroom, first)?;
        let recent = i64::from(self.config.recent);
        demand(length <= recent, "the list is too long")?;
        let is_full = length == recent.min(last) && (length > 0 || begun.heard == 0);
        let may_be_short = self.ledger.unloaded(chatroom) > begun.unloaded;
        demand(is_full || may_be_short, "the list is too short")?;
        Ok(last)
    }

    /// Messages must be the store's, from one id on; returns the last one's id, 0 for none.
    fn judge_slice(&self, list: &[Value], chatroom: usize, first: i64) -> Result<i64, String> {
        let room = self.store.data.chatroom(chatroom_id(chatroom));
        let room = room.ok_or("no chatroom")?;
        for (id, told) in (first..).zip(list) {
            let stored = room.messages.get(id as usize - 1).ok_or("not stored")?;
            let same = told["id"] == id
                && told["chatroomid"] == chatroom
                && told["userid"] == stored.user.id.get()
                && told["username"] == *stored.user.name
                && told["message"] == *stored.text;
            demand(same, "the list is no slice of the stored messages")?;
        }
        Ok(match list.len() as i64 {
            0 => 0,
            length => first + length - 1,
        })
    }

    fn note_not_saved(&mut self, asked: &Asked) -> Verdict {
        let Ask::Send { text, .. } = &asked.ask else {
            return Ok(());
        };
        self.not_saved.insert(text.clone());
        demand(!self.is_saved(text), "a refused message is stored")
    }

    pub(crate) fn is_saved(&self, text: &str) -> bool {
        let messages = (self.store.data.chatrooms.iter()).flat_map(|room| &room.messages);
        messages.into_iter().any(|message| *message.text == *text)
    }

    /// What must hold when everything has been delivered and nothing is left to serve.
    pub(crate) fn check_rest(&self) {
        let mut held = 0;
        for line in self.lines.values() {
            let is_over = line.ended && line.is_finished && !line.is_closing;
            self.demand(!is_over, "both ends have ended, and it is not closed");
            if line.is_closing || line.is_finishing || line.key.is_none() {
                continue;
            }
            let Some(asked) = line.asked.front() else {
                continue;
            };
            let Some(begun) = asked.begun else {
                let is_here = asked.end <= line.arrived_up_to();
                self.demand(!is_here, "a whole request was never begun");
                continue;
            };
            held += 1;
            let heard = self.ledger.heard(asked.ask.chatroom().unwrap_or(0));
            match asked.ask {
                Ask::Poll { .. } => self.demand(begun.heard == heard, "a wake was lost"),
                Ask::Follow { since, .. } => {
                    self.demand(since == heard, "a poll is parked behind its chatroom");
                }
                _ => self.demand(false, "a call was never answered"),
            }
            self.demand(!line.hung_up, "a poll is held for nobody");
            let hash = hash_of(asked.token.as_deref().unwrap_or_default());
            self.demand(
                !self.ledger.has_ended(hash),
                "an ended session's poll is held",
            );
            self.demand(!self.ledger.is_draining, "a drain left a poll");
        }
        let counts = self.counts();
        self.demand(
            (counts.held, counts.logins, counts.sweeps) == (held, 0, 0),
            &format!("{held} polls should be held: {counts:?}"),
        );
    }
}
