//! A request's parameters, checked, as a call.

use std::net::IpAddr;
use std::ops::RangeInclusive;
use std::sync::Arc;

use super::route::Route;
use crate::chat::{
    BadParameter, Call, Limit, PollCall, SessionCall, SeveralCall, Since, StreamCall, Wanted, Which,
};
use crate::config::Config;
use crate::http::{Form, Method, Request};
use crate::job::Whom;
use crate::model::{
    ChatroomId, ChatroomName, MessageId, PASSWORD_BYTES, Secret, SessionHash, UserId, Username,
    fold,
};

/// Bytes of a nonce.
const NONCE_MAX: usize = 64;
/// How long a poll may ask to wait.
const TIMEOUT_S: RangeInclusive<u16> = 1..=3600;
/// Bytes of a session's token, beyond which nobody needs to hash it to know that it is none of ours.
const TOKEN_MAX: usize = 128;

/// The name of the session's cookie.
const COOKIE: &str = "session";
/// … where it is `Secure`: with this beginning a browser takes it only from the host itself, by HTTPS (RFC 6265bis §4.1.3.2). The other
/// name then counts for nothing: a neighbour could have set it.
const HOST_COOKIE: &str = "__Host-session";

/// What the settings say of requests.
#[derive(Clone, Copy, Debug)]
pub struct Rules {
    /// Bytes of a message.
    pub message_max: usize,
    /// Characters of a new password.
    pub password_chars_min: usize,
    /// The name of the session's cookie.
    pub session_cookie: &'static str,
}

impl From<&Config> for Rules {
    fn from(config: &Config) -> Self {
        Self {
            message_max: config.max_message,
            password_chars_min: config.min_password_length,
            session_cookie: match config.secure_cookies {
                true => HOST_COOKIE,
                false => COOKIE,
            },
        }
    }
}

type Checked<T> = Result<T, BadParameter>;

/// The session that a request names: the SHA-256 of its cookie's text.
pub fn session_of(request: &Request<'_>, rules: &Rules) -> Option<SessionHash> {
    let token = request.cookie(rules.session_cookie)?;
    if token.is_empty() || token.len() > TOKEN_MAX {
        return None;
    }
    let digest = ring::digest::digest(&ring::digest::SHA256, token.as_bytes());
    digest.as_ref().try_into().ok().map(SessionHash)
}

/// What a request to `route`, from `origin`, means.
///
/// # Errors
/// [`BadParameter`] for a call that needs no session; for the others it is in the call.
pub fn parse(
    route: Route,
    request: &Request<'_>,
    origin: &dyn Fn() -> IpAddr,
    rules: &Rules,
) -> Checked<Call> {
    let parameters = Parameters::of(request);
    match route {
        Route::Register => register(&parameters?, origin(), rules),
        Route::Login => log_in(&parameters?, origin()),
        Route::Healthz => Ok(Call::Health),
        Route::Readyz => Ok(Call::Readiness),
        Route::WhoAmI => Ok(Call::InSession(SessionCall::WhoAmI {
            token: Secret(
                (request.cookie(rules.session_cookie))
                    .unwrap_or_default()
                    .into(),
            ),
        })),
        _ => {
            let call = parameters
                .and_then(|parameters| in_session(route, request, &parameters, origin, rules));
            Ok(Call::InSession(call.unwrap_or_else(SessionCall::Refused)))
        }
    }
}

fn register(parameters: &Parameters<'_>, address: IpAddr, rules: &Rules) -> Checked<Call> {
    let name =
        Username::parse(parameters.required("username")?).map_err(|rule| bad("username", rule))?;
    let password = new_password(parameters, "password", rules)?;
    Ok(Call::Register {
        name,
        password,
        address,
    })
}

fn new_password(parameters: &Parameters<'_>, name: &str, rules: &Rules) -> Checked<Secret> {
    let password = parameters.required(name)?;
    Secret::new_password(password, rules.password_chars_min).map_err(|rule| bad(name, rule))
}

/// A password to verify. One that could not have been set is as good as none, which could not either.
fn verifiable(password: &str) -> Secret {
    let is_possible = password.len() <= *PASSWORD_BYTES.end();
    Secret(if is_possible { password } else { "" }.into())
}

fn log_in(parameters: &Parameters<'_>, address: IpAddr) -> Checked<Call> {
    let name = parameters.required("username")?;
    let password = parameters.required("password")?;
    // What could not have been registered is refused as a wrong password is: no rule is told here.
    let is_possible = PASSWORD_BYTES.contains(&password.len());
    let name = Username::parse(name).ok().filter(|_| is_possible);
    let shortened: String = password.chars().take(*PASSWORD_BYTES.end()).collect();
    Ok(Call::LogIn {
        folded: name.map(|name| name.folded().clone()),
        password: Secret(shortened.into()),
        address,
    })
}

fn in_session(
    route: Route,
    request: &Request<'_>,
    parameters: &Parameters<'_>,
    origin: &dyn Fn() -> IpAddr,
    rules: &Rules,
) -> Checked<SessionCall> {
    Ok(match route {
        Route::Register | Route::Login | Route::Healthz | Route::Readyz | Route::WhoAmI => {
            unreachable!("no call with parameters and a session")
        }
        Route::Logout => SessionCall::LogOut,
        Route::ChangePassword => SessionCall::ChangePassword {
            password: verifiable(parameters.required("password")?),
            new: new_password(parameters, "newpassword", rules)?,
            address: origin(),
        },
        Route::Chatrooms => SessionCall::Chatrooms,
        Route::Overview => SessionCall::Overview,
        Route::GetUser => SessionCall::FindUsers {
            prefix: prefix(parameters.required("name")?)?,
        },
        Route::Longpoll => longpoll(parameters)?,
        Route::Stream => SessionCall::Stream(StreamCall {
            chatroom: parameters.chatroom()?,
            since: match last_event_id(request)? {
                Some(last) => Some(last),
                None => parameters.since()?,
            },
            is_ahead: false,
        }),
        Route::Endpoll => SessionCall::EndPolls {
            chatroom: parameters.chatroom()?,
            limit: parameters.limit()?,
        },
        Route::SendMessage => SessionCall::Send {
            chatroom: parameters.chatroom()?,
            text: message(parameters.required("message")?, rules)?,
            limit: parameters.limit()?,
            nonce: parameters.nonce()?,
        },
        Route::NewChatroom => SessionCall::CreateChatroom {
            name: parameters.optional("name").map(chatroom_name).transpose()?,
        },
        Route::RenameChatroom => SessionCall::RenameChatroom {
            chatroom: parameters.chatroom()?,
            name: chatroom_name(parameters.required("name")?)?,
        },
        Route::AddToChatroom => SessionCall::AddParticipant {
            chatroom: parameters.chatroom()?,
            whom: whom(parameters.required("usertoadd")?),
        },
        Route::LeaveChatroom => SessionCall::RemoveParticipant {
            chatroom: parameters.chatroom()?,
            whom: None,
        },
        Route::RemoveFromChatroom => SessionCall::RemoveParticipant {
            chatroom: parameters.chatroom()?,
            whom: Some(whom(parameters.required("usertoremove")?)),
        },
        Route::ChatroomParticipants => SessionCall::Participants {
            chatroom: parameters.chatroom()?,
        },
        Route::Presence => SessionCall::Presence {
            chatroom: parameters.chatroom()?,
        },
        Route::History => SessionCall::History {
            chatroom: parameters.chatroom()?,
            before: parameters.before()?,
            limit: parameters.limit()?,
        },
    })
}

fn longpoll(parameters: &Parameters<'_>) -> Checked<SessionCall> {
    let limit = parameters.limit()?;
    let timeout_s = parameters.timeout_s()?;
    let given = parameters.required("chatroomid")?;
    let chatrooms = match given {
        "all" => Which::All,
        several if several.contains(',') => Which::These(ids(several)?),
        one => {
            return Ok(SessionCall::Poll(PollCall {
                chatroom: id(one)
                    .and_then(ChatroomId::new)
                    .ok_or_else(|| bad("chatroomid", IDS_RULE))?,
                wanted: Wanted {
                    since: parameters.since()?,
                    limit,
                },
                timeout_s,
                is_over: false,
                is_ahead: false,
            }));
        }
    };
    let since = parameters.optional("since").map(pairs).transpose()?;
    if let (Which::These(ids), Some(pairs)) = (&chatrooms, &since)
        && let Some((id, _)) = pairs.iter().find(|(id, _)| ids.binary_search(id).is_err())
    {
        let rule = format!("names chatroom {id}, which chatroomid does not");
        return Err(bad("since", rule));
    }
    Ok(SessionCall::PollSeveral(Box::new(SeveralCall {
        chatrooms,
        since,
        limit,
        timeout_s,
        is_over: false,
        is_ahead: false,
    })))
}

/// What longpoll's `chatroomid` must be.
const IDS_RULE: &str = "must be an id, several with commas between them, or all: an id is an integer from 1 to 9223372036854775807 in decimal digits";

/// Chatrooms' ids between commas, ascending.
fn ids(given: &str) -> Checked<Vec<ChatroomId>> {
    let read = |given| id(given).and_then(ChatroomId::new);
    let ids: Option<Vec<_>> = given.split(',').map(read).collect();
    let mut ids = ids.ok_or_else(|| bad("chatroomid", IDS_RULE))?;
    ids.sort_unstable();
    match twice(&ids) {
        Some(id) => Err(bad("chatroomid", format!("names chatroom {id} twice"))),
        None => Ok(ids),
    }
}

/// Pairs of a chatroom's id and a message's between commas, ascending.
fn pairs(given: &str) -> Checked<Vec<(ChatroomId, Since)>> {
    let read = |pair: &str| {
        let (chatroom, since) = pair.split_once(':')?;
        let chatroom = id(chatroom).and_then(ChatroomId::new)?;
        Some((chatroom, id(since).and_then(Since::new)?))
    };
    let rule = "of several chatrooms must be pairs with commas between them, each of a chatroom's id, a colon, and a message's id or 0 for all, as in 7:12,9:40";
    // None of them is a beginning, not a mistake: a client that has no chatroom yet has read none.
    let pairs: Option<Vec<_>> = given
        .split(',')
        .filter(|_| !given.is_empty())
        .map(read)
        .collect();
    let mut pairs = pairs.ok_or_else(|| bad("since", rule))?;
    pairs.sort_unstable();
    let ids: Vec<_> = pairs.iter().map(|&(chatroom, _)| chatroom).collect();
    match twice(&ids) {
        Some(id) => Err(bad("since", format!("names chatroom {id} twice"))),
        None => Ok(pairs),
    }
}

/// What stands twice in ascending ids.
fn twice(ids: &[ChatroomId]) -> Option<ChatroomId> {
    let pair = ids.windows(2).find(|pair| pair[0] == pair[1])?;
    Some(pair[0])
}

/// The id of the last event that a stream's client has seen, where it says so.
fn last_event_id(request: &Request<'_>) -> Checked<Option<Since>> {
    let mut given = request
        .fields("last-event-id")
        .filter(|given| !given.is_empty());
    let read = |given: &[u8]| {
        let given = std::str::from_utf8(given).ok();
        let since = given.and_then(id).and_then(Since::new);
        let rule = "must be a message's id, or 0: an integer from 0 to 9223372036854775807 in decimal digits";
        since.ok_or_else(|| bad("Last-Event-ID", rule))
    };
    given.next().map(read).transpose()
}

fn prefix(name: &str) -> Checked<String> {
    let folded = fold(name);
    match folded.is_empty() {
        true => Err(bad("name", "must not be empty")),
        false => Ok(folded),
    }
}

fn chatroom_name(given: &str) -> Checked<ChatroomName> {
    ChatroomName::parse(given).map_err(|rule| bad("name", rule))
}

fn message(given: &str, rules: &Rules) -> Checked<Box<str>> {
    let text = given.replace("\r\n", "\n");
    let max = rules.message_max;
    if text.is_empty() || text.len() > max {
        // The chat page reads the number (`web/page/outbox.js`).
        return Err(bad("message", format!("must have 1 to {max} bytes")));
    }
    let is_refused = |c: &char| c.is_control() && !matches!(c, '\t' | '\n');
    match text.chars().find(is_refused) {
        Some(c) => Err(bad(
            "message",
            format!(
                "must not hold the control character U+{:04X}: of these only tab and newline are allowed",
                u32::from(c)
            ),
        )),
        None => Ok(text.into()),
    }
}

/// Digits are an id, as getUser gives them, and never a name: else whoever registers the name `7`
/// would be added in place of user 7.
fn whom(given: &str) -> Whom {
    if given.bytes().all(|byte| byte.is_ascii_digit()) {
        return match id(given).and_then(UserId::new) {
            Some(id) => Whom::Id(id),
            None => Whom::Nobody,
        };
    }
    match Username::parse(given) {
        Ok(name) => Whom::Name(Arc::clone(name.folded())),
        Err(_) => Whom::Nobody,
    }
}

/// A number in decimal digits: Rust's own parsing takes a sign too.
fn id(given: &str) -> Option<i64> {
    let is_plain = !given.is_empty() && given.bytes().all(|byte| byte.is_ascii_digit());
    given.parse().ok().filter(|_| is_plain)
}

fn bad(name: &str, rule: impl std::fmt::Display) -> BadParameter {
    BadParameter(format!("{name} {rule}."))
}

/// The parameters of a request: the body's win over the query's.
struct Parameters<'a> {
    query: Form<'a>,
    body: Option<Form<'a>>,
}

impl<'a> Parameters<'a> {
    fn of(request: &'a Request<'_>) -> Checked<Self> {
        let told = |fault| BadParameter(format!("{fault}."));
        let query = Form::parse(request.query().as_bytes()).map_err(told)?;
        let body = match request.method() {
            Method::Post if request.is_form() => Some(Form::parse(request.body())),
            Method::Post if request.is_json() => Some(Form::parse_json(request.body())),
            _ => None,
        };
        let body = body.transpose().map_err(told)?;
        Ok(Self { query, body })
    }

    fn optional(&self, name: &str) -> Option<&str> {
        let in_body = self.body.as_ref().and_then(|body| body.value(name));
        in_body.or_else(|| self.query.value(name))
    }

    fn required(&self, name: &str) -> Checked<&str> {
        self.optional(name).ok_or_else(|| bad(name, "is missing"))
    }

    fn since(&self) -> Checked<Option<Since>> {
        let rule = "must be a message's id, or 0 for all: an integer from 0 to 9223372036854775807 in decimal digits";
        self.number("since", Since::new, rule)
    }

    fn before(&self) -> Checked<Option<MessageId>> {
        let rule =
            "must be a message's id: an integer from 1 to 9223372036854775807 in decimal digits";
        self.number("before", MessageId::new, rule)
    }

    fn limit(&self) -> Checked<Option<Limit>> {
        let rule = "must be an integer from 1 to 200 in decimal digits";
        self.number("limit", Limit::new, rule)
    }

    fn timeout_s(&self) -> Checked<Option<u16>> {
        let within = |seconds| {
            u16::try_from(seconds)
                .ok()
                .filter(|s| TIMEOUT_S.contains(s))
        };
        let rule = "must be a number of seconds from 1 to 3600 in decimal digits";
        self.number("timeout", within, rule)
    }

    fn nonce(&self) -> Checked<Option<Box<str>>> {
        let read = |given: &str| match (1..=NONCE_MAX).contains(&given.len()) {
            true => Ok(given.into()),
            false => Err(bad("nonce", "must have 1 to 64 bytes")),
        };
        self.optional("nonce").map(read).transpose()
    }

    fn number<T>(
        &self,
        name: &str,
        within: impl Fn(i64) -> Option<T>,
        rule: &str,
    ) -> Checked<Option<T>> {
        let read = |given| id(given).and_then(&within).ok_or_else(|| bad(name, rule));
        self.optional(name).map(read).transpose()
    }

    fn chatroom(&self) -> Checked<ChatroomId> {
        let given = self.required("chatroomid")?;
        id(given).and_then(ChatroomId::new).ok_or_else(|| {
            let rule = "must be an id: an integer from 1 to 9223372036854775807 in decimal digits";
            bad("chatroomid", rule)
        })
    }
}
