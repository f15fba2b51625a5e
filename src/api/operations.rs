//! Every call of the API: the one table from which routing, `/openapi.json` and the reference in `docs/api.md` come.
//!
//! What is said of a parameter here is what `call` reads; tests of that file hold the two against each other.

use super::route::{Methods, Route};

/// A call.
#[derive(Debug)]
pub struct Operation {
    /// Which.
    pub route: Route,
    /// Its path, without the trailing slash.
    pub path: &'static str,
    pub(super) methods: Methods,
    /// What it does, in a line.
    pub summary: &'static str,
    /// Whether it needs a session.
    pub needs_session: bool,
    /// What it takes.
    pub parameters: &'static [Parameter],
    /// What it is answered with.
    pub success: Success,
    /// Why it fails, beyond what any call of its kind may fail for: see [`Operation::failures`].
    pub own_failures: &'static [(u16, &'static str)],
}

/// A parameter of a call.
#[derive(Debug)]
pub struct Parameter {
    /// Its name.
    pub name: &'static str,
    /// Whether the call fails without it.
    pub is_required: bool,
    /// What it must be.
    pub kind: Kind,
    /// What it says.
    pub about: &'static str,
}

/// What a parameter must be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// An integer in decimal digits, from the first to the second.
    Integer(i64, i64),
    /// Any text but the empty one.
    Text,
    /// Text of so many bytes.
    Bytes(u32, u32),
    /// A name that can be registered.
    Name,
    /// A user's id, or name.
    User,
    /// A chatroom's id; several, with commas between them; or `all`.
    Chatrooms,
    /// A message's id or 0; for several chatrooms pairs of a chatroom's id and that, with commas between them.
    Sinces,
}

/// What a call is answered with, if it is done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Success {
    /// `{"status":"ok"}`
    Done,
    /// A user.
    User,
    /// Users; where the flag is set, an empty object for none.
    Users {
        /// Whether none are an empty object.
        none_is_object: bool,
    },
    /// Chatrooms' ids.
    Ids,
    /// A chatroom's id.
    Id,
    /// A chatroom.
    Chatroom,
    /// Lines of an overview.
    Overview,
    /// Messages.
    Messages,
    /// How many polls were ended, and messages.
    Ended,
    /// Server-sent events.
    Events,
}

const ID_MAX: i64 = i64::MAX;

const CHATROOM: Parameter = required("chatroomid", Kind::Integer(1, ID_MAX), "The chatroom's id.");
const LIMIT: Parameter = optional(
    "limit",
    Kind::Integer(1, 200),
    "Messages in the list, at most; without it as many as --recent says.",
);
const NAME_OF_CHATROOM: &str = "The chatroom's name: as usernames are, and it need not be unique.";

const NOT_A_PARTICIPANT: (u16, &str) = (403, "not_a_participant");
const NOT_ADMIN: (u16, &str) = (403, "not_admin");
/// Where the document says 500.
const NOT_A_PARTICIPANT_500: (u16, &str) = (500, "not_a_participant");
const TOO_MANY_ATTEMPTS: (u16, &str) = (429, "too_many_attempts");
const SINCE_AHEAD: (u16, &str) = (409, "since_ahead");
const SINCE_EXPIRED: (u16, &str) = (410, "since_expired");

const fn required(name: &'static str, kind: Kind, about: &'static str) -> Parameter {
    Parameter {
        name,
        is_required: true,
        kind,
        about,
    }
}

const fn optional(name: &'static str, kind: Kind, about: &'static str) -> Parameter {
    Parameter {
        is_required: false,
        ..required(name, kind, about)
    }
}

/// All of them: first what needs no session.
pub static OPERATIONS: [Operation; 22] = [
    Operation {
        route: Route::Register,
        path: "/register",
        methods: Methods::Post,
        summary: "Registers a user. Does not log in.",
        needs_session: false,
        parameters: &[
            required(
                "username",
                Kind::Name,
                "The name, unique without regard to letter case.",
            ),
            required(
                "password",
                Kind::Bytes(1, 1024),
                "The password; --min-password-length asks for more characters.",
            ),
        ],
        success: Success::User,
        own_failures: &[(409, "username_taken"), TOO_MANY_ATTEMPTS],
    },
    Operation {
        route: Route::Login,
        path: "/login",
        methods: Methods::Post,
        summary: "Begins a session, whose cookie comes with the answer. A new one each time.",
        needs_session: false,
        parameters: &[
            required("username", Kind::Text, "The name, in any letter case."),
            required("password", Kind::Text, "The password."),
        ],
        success: Success::User,
        own_failures: &[(401, "bad_credentials"), TOO_MANY_ATTEMPTS],
    },
    Operation {
        route: Route::Logout,
        path: "/logout",
        methods: Methods::Post,
        summary: "Ends the session for good. Its parked polls end with 401.",
        needs_session: true,
        parameters: &[],
        success: Success::Done,
        own_failures: &[],
    },
    Operation {
        route: Route::ChangePassword,
        path: "/changePassword",
        methods: Methods::Post,
        summary: "Changes the password. Every other session of the user ends, and its polls with 401.",
        needs_session: true,
        parameters: &[
            required(
                "password",
                Kind::Text,
                "The password as it is. A wrong one counts as a failed login.",
            ),
            required(
                "newpassword",
                Kind::Bytes(1, 1024),
                "The password as it is to be.",
            ),
        ],
        success: Success::Done,
        own_failures: &[(403, "bad_credentials"), TOO_MANY_ATTEMPTS],
    },
    Operation {
        route: Route::WhoAmI,
        path: "/whoami",
        methods: Methods::Get,
        summary: "The session's user. The cookie comes afresh.",
        needs_session: true,
        parameters: &[],
        success: Success::User,
        own_failures: &[],
    },
    Operation {
        route: Route::Chatrooms,
        path: "/message/chatrooms",
        methods: Methods::Get,
        summary: "The ids of the caller's chatrooms, ascending.",
        needs_session: true,
        parameters: &[],
        success: Success::Ids,
        own_failures: &[],
    },
    Operation {
        route: Route::Overview,
        path: "/message/overview",
        methods: Methods::Get,
        summary: "The caller's chatrooms, the most recently spoken in first, each with its newest message's id (0 where nothing was ever said).",
        needs_session: true,
        parameters: &[],
        success: Success::Overview,
        own_failures: &[],
    },
    Operation {
        route: Route::GetUser,
        path: "/message/getUser",
        methods: Methods::Get,
        summary: "Users whose name begins so: the exact one first, then by name, at most 50. None are an empty object.",
        needs_session: true,
        parameters: &[required(
            "name",
            Kind::Text,
            "The name's beginning, in any letter case.",
        )],
        success: Success::Users {
            none_is_object: true,
        },
        own_failures: &[],
    },
    Operation {
        route: Route::NewChatroom,
        path: "/message/newChatroom",
        methods: Methods::Post,
        summary: "Makes a chatroom, whose admin and first participant the caller is.",
        needs_session: true,
        parameters: &[optional("name", Kind::Name, NAME_OF_CHATROOM)],
        success: Success::Id,
        own_failures: &[],
    },
    Operation {
        route: Route::RenameChatroom,
        path: "/message/renameChatroom",
        methods: Methods::Post,
        summary: "Gives a chatroom another name; for its admin.",
        needs_session: true,
        parameters: &[CHATROOM, required("name", Kind::Name, NAME_OF_CHATROOM)],
        success: Success::Chatroom,
        own_failures: &[NOT_ADMIN],
    },
    Operation {
        route: Route::AddToChatroom,
        path: "/message/addToChatroom",
        methods: Methods::Post,
        summary: "Adds a user to a chatroom; for its admin. Who is in it already stays in it.",
        needs_session: true,
        parameters: &[
            CHATROOM,
            required(
                "usertoadd",
                Kind::User,
                "Whom to add. Digits are always an id.",
            ),
        ],
        success: Success::Chatroom,
        own_failures: &[NOT_ADMIN, (404, "no_such_user")],
    },
    Operation {
        route: Route::RemoveFromChatroom,
        path: "/message/removeFromChatroom",
        methods: Methods::Post,
        summary: "Removes a user from a chatroom; for its admin. Their polls there end.",
        needs_session: true,
        parameters: &[
            CHATROOM,
            required(
                "usertoremove",
                Kind::User,
                "Whom to remove. Digits are always an id.",
            ),
        ],
        success: Success::Chatroom,
        own_failures: &[NOT_ADMIN, (403, "admin_must_stay"), (404, "no_such_user")],
    },
    Operation {
        route: Route::LeaveChatroom,
        path: "/message/leaveChatroom",
        methods: Methods::Post,
        summary: "Leaves a chatroom. The caller's polls there end. The admin must stay while others are in it.",
        needs_session: true,
        parameters: &[CHATROOM],
        success: Success::Done,
        own_failures: &[NOT_A_PARTICIPANT, (403, "admin_must_stay")],
    },
    Operation {
        route: Route::ChatroomParticipants,
        path: "/message/chatroomParticipants",
        methods: Methods::Get,
        summary: "Who is in a chatroom, by the order in which they joined.",
        needs_session: true,
        parameters: &[CHATROOM],
        success: Success::Users {
            none_is_object: false,
        },
        own_failures: &[NOT_A_PARTICIPANT],
    },
    Operation {
        route: Route::Presence,
        path: "/message/presence",
        methods: Methods::Get,
        summary: "Who has a poll waiting in a chatroom, or had one in the last 10 s, by the order in which they joined.",
        needs_session: true,
        parameters: &[CHATROOM],
        success: Success::Users {
            none_is_object: false,
        },
        own_failures: &[NOT_A_PARTICIPANT],
    },
    Operation {
        route: Route::SendMessage,
        path: "/message/sendMessage",
        methods: Methods::Post,
        summary: "Says something. Answered when it is durably saved, with the most recent messages, and with its id in Loiter-Message-Id. Every poll that waits there ends.",
        needs_session: true,
        parameters: &[
            CHATROOM,
            required(
                "message",
                Kind::Bytes(1, 4096),
                "What to say; --max-message allows more or less. CR LF becomes LF; of control characters only tab and newline are taken.",
            ),
            LIMIT,
            optional(
                "nonce",
                Kind::Bytes(1, 64),
                "Makes it safe to repeat: what was sent there with it in the last 24 h is not saved again.",
            ),
        ],
        success: Success::Messages,
        own_failures: &[NOT_A_PARTICIPANT_500, TOO_MANY_ATTEMPTS],
    },
    Operation {
        route: Route::Longpoll,
        path: "/message/longpoll",
        methods: Methods::GetOnly,
        summary: "Waits for a message, and is answered with the most recent ones; with since, with those that are newer, at once where there are some.",
        needs_session: true,
        parameters: &[
            required(
                "chatroomid",
                Kind::Chatrooms,
                "A chatroom's id; or several, with commas between them; or all.",
            ),
            optional(
                "since",
                Kind::Sinces,
                "The newest message that the client has, or 0; of several chatrooms in pairs, as in 7:12,9:40.",
            ),
            LIMIT,
            optional(
                "timeout",
                Kind::Integer(1, 3600),
                "Seconds after which it ends; --poll-timeout holds where it is less.",
            ),
        ],
        success: Success::Messages,
        own_failures: &[NOT_A_PARTICIPANT_500, SINCE_AHEAD, SINCE_EXPIRED],
    },
    Operation {
        route: Route::Endpoll,
        path: "/message/endpoll",
        methods: Methods::GetOnly,
        summary: "Ends the polls that this session has parked in a chatroom, with the most recent messages.",
        needs_session: true,
        parameters: &[CHATROOM, LIMIT],
        success: Success::Ended,
        own_failures: &[NOT_A_PARTICIPANT_500],
    },
    Operation {
        route: Route::Stream,
        path: "/message/stream",
        methods: Methods::GetOnly,
        summary: "Every message as a server-sent event, on one response that goes on. Last-Event-ID says where to go on, or else since.",
        needs_session: true,
        parameters: &[
            CHATROOM,
            optional(
                "since",
                Kind::Integer(0, ID_MAX),
                "The newest message that the client has, or 0.",
            ),
        ],
        success: Success::Events,
        own_failures: &[NOT_A_PARTICIPANT, SINCE_AHEAD, SINCE_EXPIRED],
    },
    Operation {
        route: Route::History,
        path: "/message/history",
        methods: Methods::Get,
        summary: "The newest messages that are older than one, or the newest of all.",
        needs_session: true,
        parameters: &[
            CHATROOM,
            optional(
                "before",
                Kind::Integer(1, ID_MAX),
                "The message that they are older than.",
            ),
            LIMIT,
        ],
        success: Success::Messages,
        own_failures: &[NOT_A_PARTICIPANT],
    },
    Operation {
        route: Route::Healthz,
        path: "/healthz",
        methods: Methods::Get,
        summary: "Whether the server answers.",
        needs_session: false,
        parameters: &[],
        success: Success::Done,
        own_failures: &[],
    },
    Operation {
        route: Route::Readyz,
        path: "/readyz",
        methods: Methods::Get,
        summary: "Whether the database has just taken a small write, and the server is not about to end.",
        needs_session: false,
        parameters: &[],
        success: Success::Done,
        own_failures: &[(503, "not_ready")],
    },
];

impl Operation {
    /// The method that it is called by; HEAD and OPTIONS aside.
    pub fn method(&self) -> &'static str {
        match self.methods {
            Methods::Get | Methods::GetOnly => "GET",
            Methods::Post => "POST",
        }
    }

    /// Whether HEAD asks for the same without its body.
    pub fn has_head(&self) -> bool {
        self.methods == Methods::Get
    }

    /// Whether a browser may not send it for another site.
    pub fn changes_something(&self) -> bool {
        self.methods == Methods::Post || self.route == Route::Endpoll
    }

    /// Why it may fail: statuses with their codes, in their order.
    pub fn failures(&self) -> Vec<(u16, &'static str)> {
        let mut failures = self.own_failures.to_vec();
        if !self.parameters.is_empty() {
            failures.push((400, "bad_parameter"));
        }
        if self.needs_session {
            failures.push((401, "no_session"));
        }
        if self.changes_something() {
            failures.push((403, "cross_site"));
        }
        if !matches!(self.route, Route::Healthz | Route::Readyz) {
            failures.extend([(500, "storage_failed"), (503, "overloaded")]);
        }
        failures.sort_unstable();
        failures
    }
}

#[cfg(test)]
mod tests;
