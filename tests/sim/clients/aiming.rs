//! Who means what is parked at another server, or who is out of a chatroom while something of theirs is parked there: few would by chance.

use crate::ask::Ask;
use crate::data::chatroom_id;
use crate::world::World;

/// A session's token and a chatroom in which it polls.
type Parked = (String, usize);

impl World {
    /// An endpoll, a logout or a departure of a session that polls somewhere, or somebody's who does that is let go or in, and whose token it needs; as it was chosen
    /// where there is none.
    pub(super) fn aim(&mut self, ask: Ask) -> (Ask, Option<String>) {
        let is_meant = match ask {
            Ask::EndPolls { .. } | Ask::Add { .. } | Ask::Remove { .. } => self.rng.u8(..4) > 0,
            Ask::LogOut | Ask::Leave { .. } => self.rng.bool(),
            _ => false,
        };
        if self.cluster.is_none() || !is_meant {
            return (ask, None);
        }
        let here = self.here;
        let is_of_admin = matches!(ask, Ask::Add { .. } | Ask::Remove { .. });
        let parked = |world: &Self| match world.here == here && !is_of_admin {
            true => Vec::new(),
            false => world.parked(),
        };
        let mut parked = self.at_each(parked).concat();
        if let Ask::Add { .. } = ask {
            // Let go at another server just now.
            parked.retain(|parked| !self.is_in_it(parked));
        }
        let Some((token, chatroom)) = self.rng.choice(parked) else {
            return (ask, None);
        };
        let whom = match self.store.data.session(&token) {
            Some(session) => session.user.to_string(),
            None => return (ask, None),
        };
        let (ask, token) = match ask {
            Ask::EndPolls { limit, .. } => (Ask::EndPolls { chatroom, limit }, Some(token)),
            Ask::Leave { .. } => (Ask::Leave { chatroom }, Some(token)),
            Ask::Remove { .. } => (Ask::Remove { chatroom, whom }, self.admins(chatroom)),
            Ask::Add { .. } => (Ask::Add { chatroom, whom }, self.admins(chatroom)),
            ask => (ask, Some(token)),
        };
        (ask, token)
    }

    fn is_in_it(&self, (token, chatroom): &Parked) -> bool {
        let session = self.store.data.session(token);
        session.is_none_or(|session| {
            let chatroom = chatroom_id(*chatroom);
            self.store.data.has_joined(session.user, chatroom)
        })
    }

    /// A good token of a chatroom's admin, the last that is known.
    fn admins(&self, chatroom: usize) -> Option<String> {
        let data = &self.store.data;
        let admin = data.chatroom(chatroom_id(chatroom))?.admin;
        let is_its = |token: &&String| {
            let session = data.session(token);
            session.is_some_and(|session| session.user == admin && !session.is_gone)
        };
        self.tokens.iter().rfind(is_its).cloned()
    }

    /// The polls of a server: their sessions' tokens and their chatrooms.
    pub(crate) fn parked(&self) -> Vec<Parked> {
        let lines = self.lines.values().filter(|line| line.is_held());
        let asked = lines.filter_map(|line| Some((line, line.asked.front()?)));
        let begun = asked
            .filter(|(line, asked)| asked.begun.is_some() && !self.awaits_store(line, asked))
            .map(|(_, asked)| asked);
        let parked = begun.flat_map(|asked| {
            let token = asked.token.clone();
            let polled = self.polled(asked).into_iter();
            polled.filter_map(move |chatroom| Some((token.clone()?, chatroom)))
        });
        parked.collect()
    }
}
