//! An input as a script: what the clients of four connections, the store and the clock do, one after the other.

use super::world::World;

const PLACES: usize = 4;
/// Steps of one script: more show nothing new.
const STEPS_MAX: usize = 200;
/// What may pass at once, in milliseconds.
const PASSES_MS: [u64; 8] = [1, 90, 1_000, 5_100, 10_500, 31_000, 76_000, 1_100_000];

/// Whole requests, or what is left out of one, so that a script gets deep by a byte.
const REQUESTS: [&str; 40] = [
    "GET /message/longpoll?chatroomid=1 HTTP/1.1\r\nHost: h\r\nCookie: session=ann\r\n\r\n",
    "GET /message/longpoll?chatroomid=1 HTTP/1.1\r\nHost: h\r\nCookie: session=bob\r\n\r\n",
    "GET /message/longpoll?chatroomid=1&since=1 HTTP/1.1\r\nHost: h\r\nCookie: session=ann\r\n\r\n",
    "GET /message/longpoll?chatroomid=1&since=0&limit=2&timeout=5 HTTP/1.1\r\nHost: h\r\nCookie: session=bob\r\n\r\n",
    "GET /message/longpoll?chatroomid=1,2&since=1:1 HTTP/1.1\r\nHost: h\r\nCookie: session=ann\r\n\r\n",
    "GET /message/longpoll?chatroomid=all HTTP/1.1\r\nHost: h\r\nCookie: session=bob\r\n\r\n",
    "GET /message/longpoll?chatroomid=9 HTTP/1.1\r\nHost: h\r\nCookie: session=bob\r\n\r\n",
    "GET /message/stream?chatroomid=1 HTTP/1.1\r\nHost: h\r\nCookie: session=ann\r\n\r\n",
    "GET /message/stream?chatroomid=1&since=0 HTTP/1.1\r\nHost: h\r\nCookie: session=bob\r\n\r\n",
    "GET /message/stream?chatroomid=1 HTTP/1.0\r\nCookie: session=ann\r\nLast-Event-ID: 1\r\n\r\n",
    "GET /message/endpoll?chatroomid=1 HTTP/1.1\r\nHost: h\r\nCookie: session=ann\r\n\r\n",
    "GET /message/endpoll?chatroomid=1 HTTP/1.1\r\nHost: h\r\nCookie: session=bob\r\n\r\n",
    "POST /message/sendMessage?chatroomid=1&message=hi HTTP/1.1\r\nHost: h\r\nCookie: session=ann\r\n\r\n",
    "POST /message/sendMessage?chatroomid=1&message=ho&nonce=n HTTP/1.1\r\nHost: h\r\nCookie: session=bob\r\n\r\n",
    "POST /message/sendMessage HTTP/1.1\r\nHost: h\r\nCookie: session=bob\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n",
    "1d\r\n{\"chatroomid\":1,\"message\":\"hi\"\r\n1\r\n}\r\n0\r\n\r\n",
    "POST /message/newChatroom HTTP/1.1\r\nHost: h\r\nCookie: session=bob\r\n\r\n",
    "POST /message/addToChatroom?chatroomid=2&usertoadd=bob HTTP/1.1\r\nHost: h\r\nCookie: session=ann\r\n\r\n",
    "POST /message/addToChatroom?chatroomid=1&usertoadd=bob HTTP/1.1\r\nHost: h\r\nCookie: session=ann\r\n\r\n",
    "POST /message/removeFromChatroom?chatroomid=1&usertoremove=2 HTTP/1.1\r\nHost: h\r\nCookie: session=ann\r\n\r\n",
    "POST /message/leaveChatroom?chatroomid=1 HTTP/1.1\r\nHost: h\r\nCookie: session=bob\r\n\r\n",
    "POST /message/renameChatroom?chatroomid=1&name=tea HTTP/1.1\r\nHost: h\r\nCookie: session=ann\r\n\r\n",
    "GET /message/chatroomParticipants?chatroomid=1 HTTP/1.1\r\nHost: h\r\nCookie: session=bob\r\n\r\n",
    "GET /message/presence?chatroomid=1 HTTP/1.1\r\nHost: h\r\nCookie: session=ann\r\n\r\n",
    "GET /message/history?chatroomid=1&before=3 HTTP/1.1\r\nHost: h\r\nCookie: session=bob\r\n\r\n",
    "GET /message/chatrooms HTTP/1.1\r\nHost: h\r\nCookie: session=ann\r\n\r\n",
    "GET /message/overview HTTP/1.1\r\nHost: h\r\nCookie: session=bob\r\n\r\n",
    "GET /message/getUser?name=a HTTP/1.1\r\nHost: h\r\nCookie: session=bob\r\n\r\n",
    "HEAD /message/getUser?name=x HTTP/1.1\r\nHost: h\r\nCookie: session=token-1\r\n\r\n",
    "POST /register?username=cy&password=pw HTTP/1.1\r\nHost: h\r\n\r\n",
    "POST /login HTTP/1.1\r\nHost: h\r\nContent-Type: application/x-www-form-urlencoded\r\nContent-Length: 24\r\n\r\nusername=ann&password=pw",
    "POST /login?username=bob&password=no HTTP/1.1\r\nHost: h\r\n\r\n",
    "POST /changePassword?password=pw&newpassword=pw HTTP/1.1\r\nHost: h\r\nCookie: session=ann\r\n\r\n",
    "POST /logout HTTP/1.1\r\nHost: h\r\nCookie: session=bob\r\nConnection: close\r\n\r\n",
    "POST /logout HTTP/1.1\r\nHost: h\r\nCookie: session=token-1\r\n\r\n",
    "GET /whoami HTTP/1.0\r\nConnection: keep-alive\r\nCookie: session=ann\r\n\r\n",
    "GET /readyz HTTP/1.1\r\nHost: h\r\n\r\nGET /healthz HTTP/1.1\r\nHost: h\r\n\r\n",
    "HEAD /loiter.js HTTP/1.1\r\nHost: h\r\n\r\nOPTIONS * HTTP/1.1\r\nHost: h\r\n\r\n",
    "POST /logout HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n",
    "\r\n",
];

pub(crate) fn run(data: &[u8]) {
    let mut world = World::new(PLACES);
    let mut script = Script { rest: data };
    for _ in 0..STEPS_MAX {
        let Some(step) = script.byte() else { break };
        script.step(&mut world, step);
        world.turn();
    }
    end(&mut world);
}

struct Script<'a> {
    rest: &'a [u8],
}

impl<'a> Script<'a> {
    fn byte(&mut self) -> Option<u8> {
        self.rest.split_off_first().copied()
    }

    /// A number from the input; nothing is left where it has ended.
    fn number(&mut self) -> usize {
        self.byte().unwrap_or_default().into()
    }

    fn bytes(&mut self, count: usize) -> &'a [u8] {
        let (bytes, rest) = self.rest.split_at(count.min(self.rest.len()));
        self.rest = rest;
        bytes
    }

    /// The lowest two bits say who does it.
    fn step(&mut self, world: &mut World, step: u8) {
        let place = usize::from(step) % PLACES;
        match step / 4 % 16 {
            0 => {
                let count = self.number();
                world.write(place, self.bytes(count));
            }
            1 | 2 => {
                let which = self.number() % REQUESTS.len();
                world.write(place, REQUESTS[which].as_bytes());
            }
            // The beginning of one now, the rest after a turn.
            3 => {
                let request = REQUESTS[self.number() % REQUESTS.len()].as_bytes();
                let (now, later) = request.split_at(self.number() % request.len());
                world.write(place, now);
                world.turn();
                world.write(place, later);
            }
            4 => world.connection(place).has_fin = true,
            5 => world.reset(place),
            6 => world.connection(place).window = self.number(),
            7 => world.connection(place).window = usize::MAX,
            8 => world.pass(PASSES_MS[self.number() % PASSES_MS.len()]),
            9 | 10 => {
                world.work(self.number(), false);
            }
            11 | 12 => world.work_all(false),
            13 if place == 0 => world.work_all(true),
            13 => world.store.is_full ^= true,
            14 if place == 0 => world.drain(),
            14 => world.flood(place),
            // Only the last few, so that inputs from before there were own routes mean what they did.
            _ if step >= 252 => world.wake(place as u64),
            _ => world.rest(),
        }
    }
}

/// The clients end, as far as they have not; what they leave behind must come to nothing.
fn end(world: &mut World) {
    world.store.is_full = false;
    world.rest();
    for connection in world.connections.iter_mut().flatten() {
        connection.has_fin = true;
    }
    // Who takes no answer is waited for, and then a last time.
    for ms in [6_000, 80_000, 6_000, 80_000] {
        world.rest();
        world.pass(ms);
    }
    world.rest();
    world.assert_empty();
}
