//! What a client may ask.

/// A request's meaning.
#[derive(Clone, Debug)]
pub(crate) enum Ask {
    Poll(Poll),
    /// A poll of several chatrooms.
    Several(Several),
    Stream(Stream),
    EndPolls {
        chatroom: usize,
        limit: Option<u8>,
    },
    Send {
        chatroom: usize,
        text: String,
        nonce: Option<Nonce>,
        limit: Option<u8>,
    },
    LogOut,
    LogIn {
        name: String,
        password: String,
    },
    ChangePassword {
        password: String,
        new: String,
    },
    Register {
        name: String,
    },
    WhoAmI,
    /// Whether the server is ready.
    Ready,
    CreateChatroom {
        name: Option<&'static str>,
    },
    Rename {
        chatroom: usize,
        name: &'static str,
    },
    Add {
        chatroom: usize,
        whom: String,
    },
    Remove {
        chatroom: usize,
        whom: String,
    },
    Leave {
        chatroom: usize,
    },
    Chatrooms,
    Overview,
    Participants {
        chatroom: usize,
    },
    Presence {
        chatroom: usize,
    },
    History {
        chatroom: usize,
        before: Option<i64>,
        limit: Option<u8>,
    },
    FindUsers {
        prefix: String,
    },
    /// A call in a session with a wrong parameter.
    Wrong {
        path: &'static str,
        query: &'static str,
    },
    /// A request that is none of the API's, or always gets the same; the status that it gets.
    Stray {
        line: &'static str,
        status: u16,
    },
    /// No request; the statuses that it may get, before the connection closes.
    Garbage {
        bytes: Vec<u8>,
        statuses: &'static [u16],
    },
}

/// A poll of one chatroom.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Poll {
    pub(crate) chatroom: usize,
    pub(crate) since: Option<i64>,
    pub(crate) limit: Option<u8>,
    pub(crate) timeout_s: Option<u16>,
}

impl Poll {
    /// One as the document has it.
    pub(crate) fn plain(chatroom: usize) -> Self {
        Self {
            chatroom,
            since: None,
            limit: None,
            timeout_s: None,
        }
    }
}

/// A poll of several chatrooms.
#[derive(Clone, Debug)]
pub(crate) struct Several {
    pub(crate) which: Which,
    /// How far its client has read, in pairs.
    pub(crate) since: Option<Vec<(usize, i64)>>,
    pub(crate) limit: Option<u8>,
    pub(crate) timeout_s: Option<u16>,
}

/// Which chatrooms.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Which {
    /// Two or more.
    These(Vec<usize>),
    /// Those that the user is in.
    All,
}

impl Several {
    /// How far its client says that it has read in a chatroom.
    pub(crate) fn since(&self, chatroom: usize) -> Option<i64> {
        let mut pairs = self.since.iter().flatten();
        let pair = pairs.find(|(id, _)| *id == chatroom);
        pair.map(|(_, since)| *since)
    }

    fn parameters(&self) -> [Option<(&'static str, String)>; 4] {
        let joined = |parts: Vec<String>| parts.join(",");
        let chatrooms = match &self.which {
            Which::All => "all".to_owned(),
            Which::These(ids) => joined(ids.iter().map(usize::to_string).collect()),
        };
        let pairs = self.since.as_ref().map(|pairs| {
            let pairs = pairs.iter().map(|(id, since)| format!("{id}:{since}"));
            joined(pairs.collect())
        });
        [
            some("chatroomid", Some(chatrooms)),
            some("since", pairs),
            some("limit", self.limit),
            some("timeout", self.timeout_s),
        ]
    }
}

/// A stream of one chatroom.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Stream {
    pub(crate) chatroom: usize,
    pub(crate) since: Option<i64>,
    /// That is said by `Last-Event-ID`.
    pub(crate) in_header: bool,
}

/// What makes a message safe to repeat.
#[derive(Clone, Debug)]
pub(crate) struct Nonce {
    pub(crate) text: String,
    /// The same message was sent with it before.
    pub(crate) is_repeated: bool,
}

type Parameters = Vec<(&'static str, String)>;

fn some<T: ToString>(name: &'static str, value: Option<T>) -> Option<(&'static str, String)> {
    value.map(|value| (name, value.to_string()))
}

impl Ask {
    /// Method and path.
    pub(crate) fn route(&self) -> (&'static str, &'static str) {
        match self {
            Self::Poll(_) | Self::Several(_) => ("GET", "/message/longpoll"),
            Self::Stream(_) => ("GET", "/message/stream"),
            Self::EndPolls { .. } => ("GET", "/message/endpoll"),
            Self::Send { .. } => ("POST", "/message/sendMessage"),
            Self::LogOut => ("POST", "/logout"),
            Self::LogIn { .. } => ("POST", "/login"),
            Self::ChangePassword { .. } => ("POST", "/changePassword"),
            Self::Register { .. } => ("POST", "/register"),
            Self::WhoAmI => ("GET", "/whoami"),
            Self::Ready => ("GET", "/readyz"),
            Self::CreateChatroom { .. } => ("POST", "/message/newChatroom"),
            Self::Rename { .. } => ("POST", "/message/renameChatroom"),
            Self::Add { .. } => ("POST", "/message/addToChatroom"),
            Self::Remove { .. } => ("POST", "/message/removeFromChatroom"),
            Self::Leave { .. } => ("POST", "/message/leaveChatroom"),
            Self::Chatrooms => ("GET", "/message/chatrooms"),
            Self::Overview => ("GET", "/message/overview"),
            Self::Participants { .. } => ("GET", "/message/chatroomParticipants"),
            Self::Presence { .. } => ("GET", "/message/presence"),
            Self::History { .. } => ("GET", "/message/history"),
            Self::FindUsers { .. } => ("GET", "/message/getUser"),
            Self::Wrong { .. } | Self::Stray { .. } | Self::Garbage { .. } => {
                unreachable!("written as they are")
            }
        }
    }

    pub(crate) fn parameters(&self) -> Parameters {
        let mut parameters = self.own_parameters();
        let chatroom = self.chatroom();
        parameters.extend(chatroom.map(|id| ("chatroomid", id.to_string())));
        parameters
    }

    /// All but the chatroom.
    fn own_parameters(&self) -> Parameters {
        let all = |parameters: &[Option<(&'static str, String)>]| {
            parameters.iter().flatten().cloned().collect()
        };
        match self {
            Self::Poll(poll) => all(&[
                some("since", poll.since),
                some("limit", poll.limit),
                some("timeout", poll.timeout_s),
            ]),
            Self::Several(several) => all(&several.parameters()),
            Self::Stream(stream) if !stream.in_header => all(&[some("since", stream.since)]),
            Self::EndPolls { limit, .. } => all(&[some("limit", *limit)]),
            Self::Send {
                text, nonce, limit, ..
            } => all(&[
                some("message", Some(text)),
                some("nonce", nonce.as_ref().map(|nonce| &nonce.text)),
                some("limit", *limit),
            ]),
            Self::LogIn { name, password } => {
                vec![("username", name.clone()), ("password", password.clone())]
            }
            Self::ChangePassword { password, new } => {
                vec![("password", password.clone()), ("newpassword", new.clone())]
            }
            Self::Register { name } => {
                vec![("username", name.clone()), ("password", "new".to_owned())]
            }
            Self::CreateChatroom { name } => all(&[some("name", *name)]),
            Self::Rename { name, .. } => vec![("name", (*name).to_owned())],
            Self::Add { whom, .. } => vec![("usertoadd", whom.clone())],
            Self::Remove { whom, .. } => vec![("usertoremove", whom.clone())],
            Self::History { before, limit, .. } => {
                all(&[some("before", *before), some("limit", *limit)])
            }
            Self::FindUsers { prefix } => vec![("name", prefix.clone())],
            _ => Vec::new(),
        }
    }

    /// Whether it must come in a session.
    pub(crate) fn needs_session(&self) -> bool {
        !matches!(
            self,
            Self::LogIn { .. }
                | Self::Register { .. }
                | Self::Ready
                | Self::Stray { .. }
                | Self::Garbage { .. }
        )
    }

    pub(crate) fn can_be_head(&self) -> bool {
        matches!(
            self,
            Self::Chatrooms
                | Self::Overview
                | Self::Participants { .. }
                | Self::Presence { .. }
                | Self::History { .. }
                | Self::FindUsers { .. }
                | Self::WhoAmI
                | Self::Ready
        )
    }

    pub(crate) fn can_have_body(&self) -> bool {
        let is_call = !matches!(
            self,
            Self::Wrong { .. } | Self::Stray { .. } | Self::Garbage { .. }
        );
        is_call && self.route().0 == "POST" && !self.parameters().is_empty()
    }

    /// The chatroom that it is about.
    pub(crate) fn chatroom(&self) -> Option<usize> {
        match self {
            Self::Poll(Poll { chatroom, .. })
            | Self::Stream(Stream { chatroom, .. })
            | Self::EndPolls { chatroom, .. }
            | Self::Send { chatroom, .. }
            | Self::Rename { chatroom, .. }
            | Self::Add { chatroom, .. }
            | Self::Remove { chatroom, .. }
            | Self::Leave { chatroom }
            | Self::History { chatroom, .. }
            | Self::Participants { chatroom }
            | Self::Presence { chatroom } => Some(*chatroom),
            _ => None,
        }
    }

    /// A poll of one chatroom or several.
    pub(crate) fn is_poll(&self) -> bool {
        matches!(self, Self::Poll(_) | Self::Several(_))
    }

    /// Whether its answer may be long in coming.
    pub(crate) fn waits(&self) -> bool {
        self.is_poll() || matches!(self, Self::Stream(_))
    }

    /// How long it waits at most, as it says.
    pub(crate) fn timeout_s(&self) -> Option<u16> {
        match self {
            Self::Poll(Poll { timeout_s, .. }) | Self::Several(Several { timeout_s, .. }) => {
                *timeout_s
            }
            _ => None,
        }
    }

    /// What it says as `Last-Event-ID`.
    pub(crate) fn last_event_id(&self) -> Option<i64> {
        match self {
            Self::Stream(stream) => stream.since.filter(|_| stream.in_header),
            _ => None,
        }
    }
}
