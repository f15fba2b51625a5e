//! Who means what is parked at another server: few would by chance.

use crate::ask::Ask;
use crate::world::World;

impl World {
    /// An endpoll or a logout of a session that polls somewhere, and its token; as it was chosen where there is none.
    pub(super) fn aim(&mut self, ask: Ask) -> (Ask, Option<String>) {
        let is_meant = match ask {
            Ask::EndPolls { .. } => self.rng.u8(..4) > 0,
            Ask::LogOut => self.rng.bool(),
            _ => false,
        };
        if self.cluster.is_none() || !is_meant {
            return (ask, None);
        }
        let here = self.here;
        let elsewhere = |world: &Self| match world.here == here {
            true => Vec::new(),
            false => world.parked(),
        };
        let parked = self.at_each(elsewhere).concat();
        let Some((token, chatroom)) = self.rng.choice(parked) else {
            return (ask, None);
        };
        let ask = match ask {
            Ask::EndPolls { limit, .. } => Ask::EndPolls { chatroom, limit },
            ask => ask,
        };
        (ask, Some(token))
    }

    /// The polls of a server: their sessions' tokens and their chatrooms.
    pub(crate) fn parked(&self) -> Vec<(String, usize)> {
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
