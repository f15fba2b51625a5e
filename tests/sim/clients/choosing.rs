//! What each client asks for next.

use fastrand::Rng;

use super::Role;
use super::following::{any_several, any_stream};
use crate::ask::{Ask, Nonce, Poll};
use crate::request::Shape;
use crate::world::World;

const PASSWORDS: [&str; 3] = ["right", "other", "wrong"];
const TITLES: [&str; 3] = ["tea", "Salon é", "7"];

impl World {
    pub(super) fn choose(&mut self, at: usize) -> Ask {
        let rng = &mut self.rng;
        let rooms = self.store.data.chatrooms.len();
        let chatroom = rng.usize(..=rooms.min(4) + 1).max(1);
        let client = &mut self.clients[at];
        match client.role {
            Role::Patient | Role::Host => Ask::Poll(Poll::plain(client.chatroom)),
            role if role.follows() => client.follow(rng),
            Role::Speaker => {
                self.texts += 1;
                let text = format!("m{}", self.texts);
                let limit = limit(rng);
                client.speaker.next(client.chatroom, text, limit)
            }
            Role::Impatient if rng.u8(..5) == 0 => Ask::EndPolls {
                chatroom,
                limit: limit(rng),
            },
            Role::Impatient => any_wait(rng, chatroom, rooms),
            Role::Doorkeeper => match rng.u8(..3) {
                0 => Ask::Remove {
                    chatroom,
                    whom: whom(rng),
                },
                _ => Ask::Add {
                    chatroom,
                    whom: whom(rng),
                },
            },
            Role::Vandal if rng.bool() => Ask::garbage(rng, self.config.max_head),
            _ => self.choose_call(chatroom),
        }
    }

    fn choose_call(&mut self, chatroom: usize) -> Ask {
        if self.cluster.is_some() && self.rng.u8(..3) == 0 {
            // Who went comes back, perhaps before all servers have heard that they went.
            let went = self.store.chronicle.newest_left();
            return match went.filter(|_| self.rng.bool()) {
                Some((user, chatroom)) => Ask::Add {
                    chatroom,
                    whom: user.to_string(),
                },
                None => choose_for_servers(&mut self.rng, chatroom),
            };
        }
        let rng = &mut self.rng;
        match rng.u8(..60) {
            0..20 => {
                self.texts += 1;
                let tail = ["", " \"quoted\" \\", " tea & é\n\t+1", "😀 %41"][rng.usize(..4)];
                Ask::Send {
                    chatroom,
                    text: format!("m{}{tail}", self.texts),
                    nonce: (rng.u8(..4) == 0).then(|| Nonce {
                        text: format!("x{}", rng.u8(..4)),
                        is_repeated: false,
                    }),
                    limit: limit(rng),
                }
            }
            20..26 => any_wait(rng, chatroom, self.store.data.chatrooms.len()),
            26..31 => Ask::EndPolls {
                chatroom,
                limit: limit(rng),
            },
            31..39 => choose_change(rng, chatroom),
            39..47 => choose_question(rng, chatroom),
            47..55 => choose_of_accounts(rng),
            55..58 => Ask::wrong(rng),
            _ => Ask::stray(rng),
        }
    }

    pub(super) fn shape(&mut self, role: Role, ask: &Ask) -> Shape {
        let rng = &mut self.rng;
        let in_body = ask.can_have_body() && rng.bool();
        let is_http10 = rng.u8(..30) == 0;
        let is_plain = matches!(ask, Ask::Wrong { .. } | Ask::Stray { .. });
        Shape {
            is_head: ask.can_be_head() && rng.u8(..5) == 0,
            wants_close: role != Role::Patient && rng.u8(..30) == 0,
            is_http10: is_http10 && !is_plain,
            in_body,
            is_json: in_body && rng.u8(..3) == 0,
            is_chunked: in_body && !is_http10 && rng.bool(),
            expects_continue: in_body && !is_http10 && rng.u8(..3) == 0,
            has_slash: rng.bool(),
        }
    }
}

pub(super) fn limit(rng: &mut Rng) -> Option<u8> {
    (rng.u8(..4) == 0).then(|| rng.u8(1..8))
}

pub(super) fn timeout_s(rng: &mut Rng) -> Option<u16> {
    (rng.u8(..4) == 0).then(|| rng.u16(1..40))
}

fn any_wait(rng: &mut Rng, chatroom: usize, rooms: usize) -> Ask {
    match rng.u8(..8) {
        0 | 1 => Ask::Several(any_several(rng, rooms)),
        2 => Ask::Stream(any_stream(rng, chatroom)),
        _ => Ask::Poll(any_poll(rng, chatroom)),
    }
}

/// Now and then since what is long gone or still to come.
fn any_poll(rng: &mut Rng, chatroom: usize) -> Poll {
    Poll {
        chatroom,
        since: (rng.u8(..4) == 0).then(|| rng.i64(0..40)),
        limit: limit(rng),
        timeout_s: timeout_s(rng),
    }
}

fn name(rng: &mut Rng) -> String {
    ["Ann", "bob", "Cid", "dora", "nobody"][rng.usize(..5)].to_owned()
}

fn whom(rng: &mut Rng) -> String {
    match rng.u8(..7) {
        0..3 => name(rng),
        3 => "new1".to_owned(),
        4 => " ".to_owned(),
        _ => rng.u8(1..7).to_string(),
    }
}

/// Who is in a chatroom changes, or what it is called. More come than go.
fn choose_change(rng: &mut Rng, chatroom: usize) -> Ask {
    let title = TITLES[rng.usize(..TITLES.len())];
    match rng.u8(..10) {
        0 => Ask::CreateChatroom {
            name: rng.bool().then_some(title),
        },
        1 => Ask::Rename {
            chatroom,
            name: title,
        },
        2 => Ask::Leave { chatroom },
        3 | 4 => Ask::Remove {
            chatroom,
            whom: whom(rng),
        },
        _ => Ask::Add {
            chatroom,
            whom: whom(rng),
        },
    }
}

/// What servers ask one another for, and what makes up for it.
fn choose_for_servers(rng: &mut Rng, chatroom: usize) -> Ask {
    match rng.u8(..16) {
        0..6 => Ask::EndPolls {
            chatroom,
            limit: limit(rng),
        },
        6..8 => Ask::Presence { chatroom },
        8 => Ask::LogOut,
        9 => Ask::Leave { chatroom },
        10 => Ask::Remove {
            chatroom,
            whom: whom(rng),
        },
        11..14 => Ask::Add {
            chatroom,
            whom: whom(rng),
        },
        _ => choose_of_accounts(rng),
    }
}

fn choose_question(rng: &mut Rng, chatroom: usize) -> Ask {
    match rng.u8(..8) {
        0 => Ask::Chatrooms,
        1 => Ask::Overview,
        2 => Ask::Participants { chatroom },
        3 | 4 => Ask::History {
            chatroom,
            before: rng.bool().then(|| rng.i64(1..40)),
            limit: limit(rng),
        },
        5 => Ask::Presence { chatroom },
        6 => Ask::FindUsers {
            prefix: ["a", "new", "zz"][rng.usize(..3)].to_owned(),
        },
        _ => Ask::Ready,
    }
}

fn choose_of_accounts(rng: &mut Rng) -> Ask {
    let password = |rng: &mut Rng| PASSWORDS[rng.usize(..PASSWORDS.len())].to_owned();
    match rng.u8(..8) {
        0 => Ask::LogOut,
        1..4 => Ask::LogIn {
            name: name(rng),
            password: password(rng),
        },
        4 => Ask::ChangePassword {
            password: password(rng),
            new: PASSWORDS[rng.usize(..2)].to_owned(),
        },
        5 => Ask::Register {
            name: format!("new{}", rng.u8(..4)),
        },
        _ => Ask::WhoAmI,
    }
}
