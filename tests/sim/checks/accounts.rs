//! Answers about users, their sessions and passwords, and what is theirs.

use loiter::model::UserId;
use serde_json::{Value, json};

use super::{Verdict, demand};
use crate::answer::Answer;
use crate::ask::Ask;
use crate::chronicle::user_json;
use crate::data::Account;
use crate::ledger::Begun;
use crate::line::Asked;
use crate::world::World;

/// The passwords that an account had since a request began, the one of then first.
fn passwords(account: &Account, begun: Begun) -> &[String] {
    &account.passwords[begun.passwords.saturating_sub(1)..]
}

impl World {
    pub(super) fn judge_without(&self, ask: &Ask, begun: Begun, answer: &Answer) -> Verdict {
        let data = &self.store.data;
        match ask {
            Ask::LogIn { name, password } => self.judge_login((name, password), begun, answer),
            Ask::Register { name } if answer.status == 409 => {
                let taken = data.named(&name.to_lowercase()).is_some();
                demand(taken, "nobody has this name")
            }
            Ask::Register { name } => {
                let account = data.named(&name.to_lowercase()).ok_or("not stored")?;
                let user = json!({"userid": account.user.id.get(), "username": name});
                demand(answer.body == user && answer.status == 200, "another user")
            }
            Ask::Ready if answer.is(503, "not_ready") => {
                let ledger = &self.ledger;
                let may_be = ledger.is_draining
                    || ledger.has_storage_failed(&begun)
                    || ledger.refusals > begun.refusals;
                demand(may_be && answer.has_retry_after, "it is ready")
            }
            Ask::Ready => demand(
                answer.status == 200 && !self.ledger.is_draining,
                "the server is about to end",
            ),
            ask => unreachable!("{ask:?} needs a session"),
        }
    }

    fn judge_login(
        &self,
        (name, password): (&str, &String),
        begun: Begun,
        answer: &Answer,
    ) -> Verdict {
        if answer.is(429, "too_many_attempts") {
            return self.judge_too_many(answer);
        }
        let data = &self.store.data;
        let account = data.named(&name.to_lowercase());
        if answer.is(401, "bad_credentials") {
            let was_right = account.is_some_and(|account| {
                begun.passwords > 0 && passwords(account, begun).iter().all(|p| p == password)
            });
            return demand(!was_right, "the right password is refused");
        }
        let account = account.ok_or("nobody got in")?;
        let was_right = passwords(account, begun).contains(password);
        demand(answer.status == 200 && was_right, "a wrong password got in")?;
        let token = answer.token.as_deref().unwrap_or_default();
        let session = data.session(token).ok_or("the session is not stored")?;
        demand(session.user == account.user.id, "another user's session")
    }

    fn judge_too_many(&self, answer: &Answer) -> Verdict {
        demand(answer.has_retry_after, "no Retry-After")?;
        demand(self.config.login_attempts > 0, "logins are not limited")
    }

    fn judge_new_password(
        &self,
        (password, new): (&String, &String),
        begun: Begun,
        user: UserId,
        answer: &Answer,
    ) -> Verdict {
        if answer.is(429, "too_many_attempts") {
            return self.judge_too_many(answer);
        }
        let account = &self.store.data.users[user.get() as usize - 1];
        let had = passwords(account, begun);
        if answer.is(403, "bad_credentials") {
            let was_right = had.iter().all(|p| p == password);
            return demand(!was_right, "the right password is refused");
        }
        demand(answer.body == json!({"status": "ok"}), "not done")?;
        demand(had.contains(password), "a wrong password was taken")?;
        demand(had[1..].contains(new), "the new password is not stored")
    }

    pub(super) fn judge_of_user(
        &self,
        asked: &Asked,
        begun: Begun,
        user: UserId,
        answer: &Answer,
    ) -> Verdict {
        if let Ask::ChangePassword { password, new } = &asked.ask {
            return self.judge_new_password((password, new), begun, user, answer);
        }
        demand(answer.status == 200, "not 200")?;
        if answer.body.is_null() {
            return demand(asked.is_head, "no body");
        }
        match &asked.ask {
            Ask::WhoAmI => {
                let whose = self.store.data.user(user).ok_or("nobody")?;
                demand(answer.body == user_json(whose), "another user")?;
                demand(answer.token == asked.token, "another session")
            }
            Ask::CreateChatroom { name } => {
                let id = answer.body["chatroomid"].as_u64().ok_or("no id")? as usize;
                let rooms = self.store.chronicle.rooms(id, begun.committed);
                let mut rooms = rooms.iter();
                let made = rooms
                    .find(|room| room.admin.is_some())
                    .ok_or("not stored")?;
                demand(made.admin == Some(user), "another admin")?;
                demand(made.name.as_deref() == *name, "another name")
            }
            Ask::Chatrooms => self.judge_chatrooms(begun, user, &answer.body),
            Ask::Overview => self.judge_overview(begun, user, &answer.body),
            Ask::FindUsers { prefix } => judge_found(prefix, &answer.body),
            ask => unreachable!("{ask:?} is judged elsewhere"),
        }
    }
}

fn judge_found(prefix: &str, body: &Value) -> Verdict {
    let users = body.as_array().map_or(&[][..], |users| users);
    demand(users.len() <= 50, "too many")?;
    demand(!users.is_empty() || *body == json!({}), "not {}")?;
    let begins = |user: &Value| {
        let name = user["username"].as_str().unwrap_or_default();
        name.to_lowercase().starts_with(prefix)
    };
    demand(users.iter().all(begins), "another beginning")
}
