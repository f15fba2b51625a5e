//! A response that is not rendered yet: what it says, before it is known how it is framed.

use std::borrow::Cow;

use smallvec::SmallVec;

use super::json;
use crate::buffer::{self, Bytes};
use crate::http::Caching;
use crate::model::ChatroomId;
use crate::routes;
use crate::web::{self, Representation};

/// Fields of its own that a response has, at most, without an allocation.
pub(super) const FIELDS: usize = 2;

const JSON: &str = "application/json; charset=utf-8";

/// A response that is not rendered yet.
pub(super) struct Draft<'a> {
    pub(super) status: u16,
    pub(super) content_type: Option<&'a str>,
    pub(super) caching: Caching,
    pub(super) fields: SmallVec<[(&'a str, Cow<'a, str>); FIELDS]>,
    pub(super) body: Body<'a>,
}

/// A response's body.
pub(super) enum Body<'a> {
    Own(Cow<'a, [u8]>),
    Shared(&'a Bytes),
    /// A list within an object: what stands before it, and what behind it.
    Around(Vec<u8>, &'a Bytes, &'static [u8]),
}

impl<'a> Draft<'a> {
    pub(super) fn json(status: u16, body: impl Into<Body<'a>>) -> Self {
        Self {
            content_type: Some(JSON),
            body: body.into(),
            ..Self::empty(status)
        }
    }

    pub(super) fn empty(status: u16) -> Self {
        Self {
            status,
            content_type: None,
            caching: Caching::NoStore,
            fields: SmallVec::new(),
            body: Cow::Borrowed(&b""[..]).into(),
        }
    }

    /// What a host answers on its own paths.
    pub(super) fn own(response: &'a routes::Response) -> Self {
        let caching = match response.says_caching() {
            true => Caching::Told,
            false => Caching::NoStore,
        };
        let fields = response.fields();
        Self {
            status: response.status(),
            content_type: response.content_type(),
            caching,
            fields: fields.map(|(name, value)| (name, value.into())).collect(),
            body: response.body().into(),
        }
    }

    pub(super) fn file(file: &'static Representation) -> Self {
        let draft = Self {
            content_type: Some(file.content_type()),
            body: Cow::Borrowed(file.content()).into(),
            ..Self::of_file(200, file)
        };
        match file.coding() {
            Some(coding) => draft.with("Content-Encoding", coding),
            None => draft,
        }
    }

    /// What is said of a file whether or not it comes with it (RFC 9110 §15.4.5). The policy too: a browser that has the file
    /// goes by what it is told now, so that a new policy needs no new file.
    pub(super) fn of_file(status: u16, file: &'static Representation) -> Self {
        let draft = Self {
            caching: Caching::NoCache,
            ..Self::empty(status)
        };
        draft
            .with("ETag", file.tag())
            .with("Vary", "Accept-Encoding")
            .with("Content-Security-Policy", web::POLICY)
            .with("Referrer-Policy", "no-referrer")
    }

    pub(super) fn ok(body: impl Into<Body<'a>>) -> Self {
        Self::json(200, body)
    }

    /// It was done, and there is nothing to tell.
    pub(super) fn done() -> Self {
        Self::ok(&br#"{"status":"ok"}"#[..])
    }

    pub(super) fn error(status: u16, code: &str, message: &str) -> Self {
        Self::json(status, json::error(code, message).into_bytes())
    }

    /// A failure that tells a number, and in which chatroom it is, when the call named several.
    pub(super) fn error_in(
        status: u16,
        code: &str,
        message: &str,
        chatroom: Option<ChatroomId>,
        number: (&str, i64),
    ) -> Self {
        let chatroom = chatroom.map(|id| ("chatroomid", id.get()));
        let numbers: SmallVec<[_; 2]> = chatroom.into_iter().chain([number]).collect();
        Self::json(
            status,
            json::error_with(code, message, &numbers).into_bytes(),
        )
    }

    pub(super) fn with(mut self, name: &'static str, value: impl Into<Cow<'a, str>>) -> Self {
        self.fields.push((name, value.into()));
        self
    }
}

impl Body<'_> {
    pub(super) fn len(&self) -> usize {
        match self {
            Self::Own(bytes) => bytes.len(),
            Self::Shared(bytes) => bytes.len(),
            Self::Around(before, list, after) => [before.len(), list.len(), after.len()]
                .into_iter()
                .fold(0, usize::saturating_add),
        }
    }

    /// All of it, in up to three pieces.
    pub(super) fn pieces(&self) -> [&[u8]; 3] {
        match self {
            Self::Own(bytes) => [b"", bytes, b""],
            Self::Shared(bytes) => [b"", bytes, b""],
            Self::Around(before, list, after) => [before, list, after],
        }
    }

    /// The second of the pieces, to be sent from where it stands.
    pub(super) fn share(&self) -> Bytes {
        match *self {
            Self::Own(ref bytes) => buffer::share(bytes),
            Self::Shared(bytes) | Self::Around(_, bytes, _) => bytes.clone(),
        }
    }

    /// The third.
    pub(super) fn end(&self) -> &'static [u8] {
        match *self {
            Self::Own(_) | Self::Shared(_) => b"",
            Self::Around(_, _, after) => after,
        }
    }
}

impl<'a> From<Cow<'a, [u8]>> for Body<'a> {
    fn from(bytes: Cow<'a, [u8]>) -> Self {
        Self::Own(bytes)
    }
}

impl From<Vec<u8>> for Body<'_> {
    fn from(bytes: Vec<u8>) -> Self {
        Self::Own(bytes.into())
    }
}

impl<'a> From<&'a [u8]> for Body<'a> {
    fn from(bytes: &'a [u8]) -> Self {
        Self::Own(bytes.into())
    }
}

impl<'a> From<&'a Bytes> for Body<'a> {
    fn from(bytes: &'a Bytes) -> Self {
        Self::Shared(bytes)
    }
}
