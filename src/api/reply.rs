//! The chat core's answer as a response: the one map from what happened to the wire.

use std::time::{Duration, UNIX_EPOCH};

use smallvec::SmallVec;

use super::call::Rules;
use super::draft::{Body, Draft, FIELDS};
use super::events::EventRenderer;
use super::guests::{self, Guest, Guests};
use super::json;
use super::route::Route;
use crate::buffer::{Bytes, LONG_BYTES};
use crate::chat::{Failure, Reply, Streamed};
use crate::config::Config;
use crate::http::{After, Framing, Rejection, Response, Status, Version};
use crate::job::Fault;
use crate::model::Now;
use crate::routes;
use crate::web::Representation;

/// When it is worth trying again where a queue was full: it is emptied many times a second.
const OVERLOADED_RETRY_AFTER_S: &str = "1";
/// When it is worth asking again whether the server is ready: a lock or a full disk may be gone, or another server here.
const NOT_READY_RETRY_AFTER_S: &str = "5";

/// What a request came to.
#[derive(Debug)]
pub enum Outcome {
    /// A call to this route was answered.
    Replied(Route, Reply),
    /// It was refused before it was a call.
    Failed(Failure),
    /// The HTTP layer refused it.
    Rejected(Rejection),
    /// A browser sends it for another site.
    CrossSite,
    /// No such path.
    NotFound,
    /// The path has other methods.
    NotAllowed(&'static str),
    /// OPTIONS.
    Allowed(&'static str),
    /// One of the server's files, in the form that is best for who asks.
    File(&'static Representation),
    /// … which who asks has already.
    Unchanged(&'static Representation),
    /// What the host answers on a path of its own.
    Own(routes::Response),
}

/// Renders responses, and remembers the last shared one.
///
/// All polls that one message wakes get the same list, and all whom a host wakes the same response; the first renders it, the
/// others share its bytes.
#[derive(Debug)]
pub struct Renderer {
    session_cookie: &'static str,
    secure_cookies: bool,
    session_max_age_s: u64,
    guests: Guests,
    date: String,
    date_unix_s: u64,
    /// Of one source, one for each framing and guest that has asked for it.
    last: SmallVec<[Shared; 1]>,
    events: EventRenderer,
    /// Where responses are rendered.
    scratch: Vec<u8>,
}

/// The bytes of a response.
#[derive(Clone, Debug)]
pub struct Rendered {
    /// Its status code.
    pub status: u16,
    /// All of it, mostly.
    pub first: Bytes,
    /// A body that is long, and so was not copied: it is sent from where it stands.
    pub long_body: Option<Bytes>,
    /// What stands behind that.
    pub end: &'static [u8],
}

/// A response that others may get too.
#[derive(Debug)]
struct Shared {
    source: Kept,
    framing: Framing,
    guest: Option<Guest>,
    response: Rendered,
}

/// What is rendered once.
#[derive(Clone, Copy)]
enum Source<'a> {
    /// A list of messages.
    List(&'a Bytes),
    /// What a host answers.
    Own(&'a routes::Response),
}

/// The same, kept to be compared with the next.
#[derive(Debug)]
enum Kept {
    List(Bytes),
    Own(routes::Response),
}

impl Renderer {
    /// A renderer that has rendered nothing.
    pub fn new(config: &Config) -> Self {
        Self {
            session_cookie: Rules::from(config).session_cookie,
            secure_cookies: config.secure_cookies,
            session_max_age_s: config.session_lifetime.as_secs(),
            guests: Guests::new(&config.allowed_origins),
            date: String::new(),
            date_unix_s: u64::MAX,
            last: SmallVec::new(),
            events: EventRenderer::default(),
            scratch: Vec::new(),
        }
    }

    /// The bytes of a response; `guest` is the allowed origin that it is for.
    pub fn render(
        &mut self,
        now: Now,
        outcome: &Outcome,
        framing: Framing,
        guest: Option<Guest>,
    ) -> Rendered {
        self.tell_time(now);
        let source = match outcome {
            Outcome::Replied(_, Reply::Messages(list)) => Source::List(list),
            Outcome::Own(response) => Source::Own(response),
            // Its head may be none that could be read.
            Outcome::Rejected(_) => {
                let guest = guest.or(self.guests.unknown());
                return self.draw(self.draft(outcome, guest), framing, guest);
            }
            _ => return self.draw(self.draft(outcome, guest), framing, guest),
        };
        if (self.last.first()).is_some_and(|last| !last.source.is(source)) {
            self.last.clear();
        }
        let is_wanted = |last: &&Shared| last.framing == framing && last.guest == guest;
        if let Some(last) = self.last.iter().find(is_wanted) {
            return last.response.clone();
        }
        let response = self.draw(source.draft(), framing, guest);
        self.last.push(Shared {
            source: source.keep(),
            framing,
            guest,
            response: response.clone(),
        });
        response
    }

    /// The answer to a newcomer for whom there is no room, whatever it asks for.
    pub fn render_refusal(&mut self, now: Now) -> Vec<u8> {
        self.tell_time(now);
        let message = "All connections that this server can have are in use.";
        let framing = Framing {
            after: After::Close,
            version: Version::Http11,
            head_only: false,
        };
        let draft =
            Draft::error(503, "overloaded", message).with("Retry-After", OVERLOADED_RETRY_AFTER_S);
        let rendered = self.draw(draft, framing, self.guests.unknown());
        rendered.first.to_vec()
    }

    fn draw(&mut self, draft: Draft<'_>, framing: Framing, guest: Option<Guest>) -> Rendered {
        let mut scratch = std::mem::take(&mut self.scratch);
        scratch.clear();
        let length = draft.body.len();
        let is_long = length >= LONG_BYTES && !framing.head_only;
        let own = draft.fields.iter().map(|(name, value)| (*name, &**value));
        let fields = &draft.fields;
        let says = |name: &str| fields.iter().any(|(of, _)| of.eq_ignore_ascii_case(name));
        let origins: SmallVec<[_; FIELDS]> = self.guests.fields_beside(guest, says).collect();
        let origins = origins.iter().map(|(name, value)| (*name, &**value));
        let fields: SmallVec<[(&str, &str); FIELDS]> = own.chain(origins).collect();
        let response = Response {
            status: Status(draft.status),
            caching: draft.caching,
            fields: &fields,
            content_type: draft.content_type,
            body: b"",
        };
        response.render_head(&mut scratch, &self.date, framing, length);
        let pieces = draft.body.pieces();
        let copied = match (framing.head_only, is_long) {
            (true, _) => &[][..],
            (false, true) => &pieces[..1],
            (false, false) => &pieces[..],
        };
        copied
            .iter()
            .for_each(|piece| scratch.extend_from_slice(piece));
        let first = Bytes::copy_from_slice(&scratch);
        self.scratch = scratch;
        Rendered {
            status: draft.status,
            first,
            long_body: is_long.then(|| draft.body.share()),
            end: if is_long { draft.body.end() } else { b"" },
        }
    }

    /// The bytes of a part of a stream.
    pub fn render_stream(
        &mut self,
        now: Now,
        part: &Streamed,
        framing: Framing,
        guest: Option<Guest>,
    ) -> Bytes {
        match part {
            Streamed::Begin => {
                self.tell_time(now);
                let fields = self.guests.fields(guest);
                self.events.begin(&self.date, framing, fields)
            }
            Streamed::Events(events) => self.events.render(events, framing),
            Streamed::End => self.events.end(framing),
        }
    }

    /// The bytes that tell a stream's peer that it still is there.
    pub fn render_comment(&mut self, framing: Framing) -> Bytes {
        self.events.comment(framing)
    }

    /// Lets go of the shared response.
    pub fn forget(&mut self) {
        self.last.clear();
        self.events.forget();
    }

    fn tell_time(&mut self, now: Now) {
        let unix_s = now.unix_ms / 1000;
        if unix_s != self.date_unix_s {
            self.date_unix_s = unix_s;
            let time = UNIX_EPOCH.checked_add(Duration::from_secs(unix_s));
            self.date = httpdate::fmt_http_date(time.unwrap_or(UNIX_EPOCH));
            self.last.clear();
        }
    }

    fn draft<'a>(&self, outcome: &'a Outcome, guest: Option<Guest>) -> Draft<'a> {
        match outcome {
            Outcome::Replied(route, reply) => self.replied(*route, reply),
            Outcome::Failed(failure) => failed(None, failure),
            Outcome::Rejected(rejection) => {
                let (status, code) = rejected(rejection);
                let draft = Draft::error(status, code, &format!("Refused: {rejection}."));
                match rejection {
                    Rejection::Overloaded => draft.with("Retry-After", OVERLOADED_RETRY_AFTER_S),
                    _ => draft,
                }
            }
            Outcome::CrossSite => {
                let message = "Another site may not do this here: the request must come from a page of this host, or from no page.";
                Draft::error(403, "cross_site", message)
            }
            Outcome::NotFound => Draft::error(404, "not_found", "There is nothing at this path."),
            Outcome::NotAllowed(allow) => {
                let message = format!("This path allows {allow}.");
                Draft::error(405, "method_not_allowed", &message).with("Allow", *allow)
            }
            Outcome::Allowed(allow) => {
                let mut draft = Draft::empty(204).with("Allow", *allow);
                if guest.is_some() {
                    draft.fields.extend(guests::preflight(allow));
                }
                draft
            }
            Outcome::File(file) => Draft::file(file),
            Outcome::Unchanged(file) => Draft::of_file(304, file),
            Outcome::Own(response) => Draft::own(response),
        }
    }

    fn replied<'a>(&self, route: Route, reply: &'a Reply) -> Draft<'a> {
        match reply {
            Reply::Registered(user) => Draft::ok(json::user(user).into_bytes()),
            Reply::LoggedIn(user, token) => {
                let cookie = self.cookie(&token.0, self.session_max_age_s);
                Draft::ok(json::user(user).into_bytes()).with("Set-Cookie", cookie)
            }
            Reply::LoggedOut => Draft::done().with("Set-Cookie", self.cookie("", 0)),
            Reply::Chatrooms(ids) => Draft::ok(json::chatrooms(ids).into_bytes()),
            Reply::Overview(rows) => Draft::ok(json::overview(rows).into_bytes()),
            // The document gives getUser an empty object where it finds nobody.
            Reply::Users(users) if users.is_empty() && route == Route::GetUser => {
                Draft::ok(&b"{}"[..])
            }
            Reply::Users(users) => Draft::ok(json::users(users).into_bytes()),
            Reply::Messages(list) => Draft::ok(list),
            Reply::Sent { id, messages } => {
                Draft::ok(messages).with("Loiter-Message-Id", id.to_string())
            }
            Reply::Ended { polls, messages } => {
                let before = format!(r#"{{"status":"ok","ended":{polls},"messages":"#);
                Draft::ok(Body::Around(before.into_bytes(), messages, b"}"))
            }
            Reply::Created(id) => Draft::ok(format!(r#"{{"chatroomid":{id}}}"#).into_bytes()),
            Reply::Done => Draft::done(),
            // Who has left is not told who stays.
            Reply::Chatroom(..) if route == Route::LeaveChatroom => Draft::done(),
            Reply::Chatroom(id, room) => Draft::ok(json::chatroom(*id, room).into_bytes()),
            Reply::Failed(failure) => failed(Some(route), failure),
        }
    }

    /// Without origins that are allowed, a browser sends it for no other site's page.
    fn cookie(&self, token: &str, max_age_s: u64) -> String {
        let name = self.session_cookie;
        let same_site = if self.guests.is_empty() {
            "Lax"
        } else {
            "None"
        };
        let secure = if self.secure_cookies { "; Secure" } else { "" };
        format!(
            "{name}={token}; HttpOnly; SameSite={same_site}; Path=/; Max-Age={max_age_s}{secure}"
        )
    }
}

fn failed<'a>(route: Option<Route>, failure: &Failure) -> Draft<'a> {
    match failure {
        Failure::BadParameter(what) => Draft::error(400, "bad_parameter", &what.0),
        Failure::SinceAhead { chatroom, last } => {
            let message =
                "There is no such message yet: since is ahead of the newest, whose id is last.";
            Draft::error_in(409, "since_ahead", message, *chatroom, ("last", *last))
        }
        Failure::SinceExpired { chatroom, first } => {
            let message = "What came right after since is no longer kept: the oldest message that is has the id first.";
            let first = ("first", first.get());
            Draft::error_in(410, "since_expired", message, *chatroom, first)
        }
        Failure::TooManyAttempts { retry_after_s } => {
            let message = match route {
                Some(Route::SendMessage) => "You have sent too many messages within a minute.",
                Some(Route::Register) => "Too many have registered from this address just now.",
                _ => "Too many passwords were wrong for this name or from this address.",
            };
            Draft::error(429, "too_many_attempts", message)
                .with("Retry-After", retry_after_s.to_string())
        }
        Failure::NotReady => {
            let message = "The server is about to end, or its database cannot be written just now.";
            Draft::error(503, "not_ready", message).with("Retry-After", NOT_READY_RETRY_AFTER_S)
        }
        Failure::Fault(fault) => faulted(route, *fault),
    }
}

fn faulted<'a>(route: Option<Route>, fault: Fault) -> Draft<'a> {
    let (status, code, message) = match fault {
        Fault::TooManyAttempts { retry_after_s } => {
            return failed(route, &Failure::TooManyAttempts { retry_after_s });
        }
        Fault::StorageFailed => (
            500,
            "storage_failed",
            "The database could not be read or written just now. Nothing was changed.",
        ),
        Fault::OutcomeUnknown => (
            500,
            "storage_failed",
            "The database failed while this was being done. Whether it was done is not known.",
        ),
        Fault::Overloaded => (
            503,
            "overloaded",
            "Too much is waiting to be done. Nothing was begun.",
        ),
        Fault::UsernameTaken => (409, "username_taken", "Another user has this name."),
        // Whose session it is was never in doubt.
        Fault::BadCredentials if route == Some(Route::ChangePassword) => {
            (403, "bad_credentials", "This is not your password.")
        }
        Fault::BadCredentials => (
            401,
            "bad_credentials",
            "There is no user with this name and password.",
        ),
        Fault::NoSession => (401, "no_session", "Log in first: there is no such session."),
        Fault::NotAParticipant => (
            not_a_participant(route),
            "not_a_participant",
            "There is no such chatroom, or you are not in it.",
        ),
        Fault::NotAdmin => (
            403,
            "not_admin",
            "There is no such chatroom, or you are not its admin.",
        ),
        Fault::NoSuchUser => (404, "no_such_user", "There is no such user."),
        Fault::AdminMustStay => (
            403,
            "admin_must_stay",
            "You are the chatroom's admin, and others are still in it: you can leave when they have.",
        ),
    };
    let draft = Draft::error(status, code, message);
    match fault {
        Fault::Overloaded => draft.with("Retry-After", OVERLOADED_RETRY_AFTER_S),
        _ => draft,
    }
}

/// The document says 500 for polling and sending; elsewhere it is silent.
fn not_a_participant(route: Option<Route>) -> u16 {
    match route {
        Some(Route::Longpoll | Route::Endpoll | Route::SendMessage) => 500,
        _ => 403,
    }
}

fn rejected(rejection: &Rejection) -> (u16, &'static str) {
    match rejection {
        Rejection::BadRequest(_) => (400, "bad_request"),
        Rejection::RequestTimeout => (408, "request_timeout"),
        Rejection::BodyTooLarge => (413, "body_too_large"),
        Rejection::UriTooLong => (414, "uri_too_long"),
        Rejection::ExpectationFailed => (417, "expectation_failed"),
        Rejection::HeadTooLarge => (431, "head_too_large"),
        Rejection::NotImplemented => (501, "not_implemented"),
        Rejection::Overloaded => (503, "overloaded"),
        Rejection::VersionNotSupported => (505, "version_not_supported"),
    }
}

impl<'a> Source<'a> {
    fn draft(self) -> Draft<'a> {
        match self {
            Self::List(list) => Draft::ok(list),
            Self::Own(response) => Draft::own(response),
        }
    }

    fn keep(self) -> Kept {
        match self {
            Self::List(list) => Kept::List(list.clone()),
            Self::Own(response) => Kept::Own(response.clone()),
        }
    }
}

impl Kept {
    /// Whether these are the same bytes in the same place, and not only alike.
    fn is(&self, source: Source<'_>) -> bool {
        match (self, source) {
            (Self::List(a), Source::List(b)) => std::ptr::eq::<[u8]>(&**a, &**b),
            (Self::Own(a), Source::Own(b)) => a.is_same(b),
            (Self::List(_), Source::Own(_)) | (Self::Own(_), Source::List(_)) => false,
        }
    }
}
