//! Pages of other origins that may use the API with cookies: CORS (Fetch standard, §3.3).
//!
//! A browser lets such a page read an answer only where it names the page's origin. So an answer depends on who asks, and says so
//! (`Vary`), also where it is for nobody in particular: a cache must not give one origin what is for another.

use std::borrow::Cow;
use std::num::NonZeroU8;

use crate::config::{ORIGINS_MAX, Origin};
use crate::http::Request;

/// A guest is counted in a byte.
const _: () = assert!(ORIGINS_MAX < u8::MAX as usize);

/// How long a browser may go by the answer to what it has asked beforehand, in seconds: an origin that is allowed no more is
/// refused its answers at once all the same.
const PREFLIGHT_AGE_S: &str = "600";

const ALLOW_ORIGIN: &str = "Access-Control-Allow-Origin";
const VARY: &str = "Vary";

/// Which of the allowed origins a request comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Guest(NonZeroU8);

/// The allowed origins.
#[derive(Clone, Debug)]
pub(super) struct Guests(Box<[Origin]>);

/// A field's name and value.
pub(super) type Field<'a> = (&'static str, Cow<'a, str>);

impl Guests {
    pub(super) fn new(origins: &[Origin]) -> Self {
        Self(origins.into())
    }

    /// Whether no other origin is allowed.
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Which allowed origin a request comes from. `Origin` names one or none; of several it cannot be known which.
    pub(super) fn guest(&self, request: &Request<'_>) -> Option<Guest> {
        if self.0.is_empty() {
            return None;
        }
        let mut origins = request.fields("origin");
        let (Some(given), None) = (origins.next(), origins.next()) else {
            return None;
        };
        let at = (self.0.iter()).position(|origin| origin.as_str().as_bytes() == given)?;
        let number = u8::try_from(at.checked_add(1)?).ok()?;
        NonZeroU8::new(number).map(Guest)
    }

    /// For an answer before it is known who asks: where there is but one allowed origin, it is for that one. Whoever else asks, their
    /// browser compares and keeps it from them.
    pub(super) fn unknown(&self) -> Option<Guest> {
        (self.0.len() == 1).then_some(Guest(NonZeroU8::MIN))
    }

    /// What every answer says that has not said it by itself: `says` tells which fields it has. Where a host's answer says whom it allows, what else is
    /// allowed is the host's to say too.
    pub(super) fn fields_beside(
        &self,
        guest: Option<Guest>,
        says: impl Fn(&str) -> bool,
    ) -> impl Iterator<Item = Field<'_>> {
        let guest = guest.filter(|_| !says(ALLOW_ORIGIN));
        let fields = self.fields(guest);
        // A list, of which each field is a part, and the answer varies in any case.
        fields.filter(move |(name, _)| *name == VARY || !says(name))
    }

    /// What every answer says.
    pub(super) fn fields(&self, guest: Option<Guest>) -> impl Iterator<Item = Field<'_>> {
        let varies = (!self.0.is_empty()).then_some((VARY, Cow::Borrowed("Origin")));
        let origin =
            guest.map(|Guest(at)| self.0[usize::from(at.get()).saturating_sub(1)].as_str());
        let allowed = origin.map(|origin| {
            [
                (ALLOW_ORIGIN, Cow::Borrowed(origin)),
                ("Access-Control-Allow-Credentials", Cow::Borrowed("true")),
                (
                    "Access-Control-Expose-Headers",
                    Cow::Borrowed("Loiter-Message-Id, Retry-After"),
                ),
            ]
        });
        varies.into_iter().chain(allowed.into_iter().flatten())
    }
}

/// What the answer to OPTIONS says more where it is a browser that asks beforehand for a page (a preflight): all that the path
/// has, and the fields that the API reads and a page may not set by itself.
pub(super) fn preflight(allow: &'static str) -> [Field<'static>; 3] {
    [
        ("Access-Control-Allow-Methods", Cow::Borrowed(allow)),
        (
            "Access-Control-Allow-Headers",
            Cow::Borrowed("Content-Type, Last-Event-ID"),
        ),
        ("Access-Control-Max-Age", Cow::Borrowed(PREFLIGHT_AGE_S)),
    ]
}
