//! A request as a host's handler reads it: a view of what the HTTP layer has, nothing of it copied.

use std::fmt;
use std::net::IpAddr;

use crate::http::{self, Form};

/// One whole request to a path of the host's own. All that it gives is borrowed and gone when the handler returns.
///
/// ```
/// use loiter::{Answer, Request, Response};
///
/// fn answer(request: &Request<'_>) -> Answer {
///     match (request.method(), request.path()) {
///         ("GET" | "HEAD", "/builds") => Response::json("[]").into(),
///         ("POST", "/builds") => match str::from_utf8(request.body()) {
///             Ok(name) => Response::text(format!("{name}, from {}", request.client())).into(),
///             Err(_) => Response::error(400, "bad_name", "A name is UTF-8.").into(),
///         },
///         (_, "/builds") => Response::error(405, "method_not_allowed", "GET, HEAD or POST.").into(),
///         _ => Response::error(404, "not_found", "There is nothing at this path.").into(),
///     }
/// }
/// # let _ = answer;
/// ```
pub struct Request<'a> {
    http: &'a http::Request<'a>,
    client: &'a dyn Fn() -> IpAddr,
    is_cross_site: &'a dyn Fn() -> bool,
}

impl<'a> Request<'a> {
    /// A view; the closures say what takes a call of the system, or a search, and is not asked for by everybody.
    pub(crate) fn new(
        http: &'a http::Request<'a>,
        client: &'a dyn Fn() -> IpAddr,
        is_cross_site: &'a dyn Fn() -> bool,
    ) -> Self {
        Self {
            http,
            client,
            is_cross_site,
        }
    }
}

impl Request<'_> {
    /// The method's name as sent: `GET`, say. Names are case-sensitive (RFC 9110 §9.1).
    ///
    /// A HEAD may be answered like its GET: the server keeps the body back.
    pub fn method(&self) -> &str {
        self.http.method_name()
    }

    /// The path as sent, percent-encoding and all.
    pub fn path(&self) -> &str {
        self.http.path()
    }

    /// The query as sent, without its question mark; empty where there is none.
    pub fn query(&self) -> &str {
        self.http.query()
    }

    /// A parameter of the query, decoded (`+` is a space). `None` where it is not given, and for all of them where the query cannot be read in one way
    /// only: a name stands there twice, an escape is none, or it is not UTF-8 when decoded.
    pub fn parameter(&self, name: &str) -> Option<String> {
        let form = Form::parse(self.query().as_bytes()).ok()?;
        form.value(name).map(str::to_owned)
    }

    /// The values of all fields of this name, letter case aside, in their order, without the white space around them.
    pub fn fields(&self, name: &str) -> impl Iterator<Item = &[u8]> {
        self.http.fields(name)
    }

    /// The value of the one field of this name; `None` where there is none, or several, or it is not UTF-8.
    pub fn field(&self, name: &str) -> Option<&str> {
        let mut values = self.fields(name);
        let (Some(value), None) = (values.next(), values.next()) else {
            return None;
        };
        str::from_utf8(value).ok()
    }

    /// The value of the first cookie of this name; `None` where there is none, or it is not UTF-8.
    pub fn cookie(&self, name: &str) -> Option<&str> {
        self.http.cookie(name)
    }

    /// `host[:port]` as the client knows this server; empty where it has said none.
    pub fn host(&self) -> &str {
        self.http.host()
    }

    /// The body, all of it and without its framing; empty where there is none. [`Config::max_body`](crate::Config::max_body) bytes at most.
    pub fn body(&self) -> &[u8] {
        self.http.body()
    }

    /// Where it comes from, as the API counts it: the peer's address, or what one of
    /// [`Config::trusted_proxies`](crate::Config::trusted_proxies) says of it. A call of the system: for those who need it.
    pub fn client(&self) -> IpAddr {
        (self.client)()
    }

    /// Whether a browser has marked it as coming from another site, which is none of [`Config::allowed_origins`](crate::Config::allowed_origins). The server itself refuses
    /// such requests with 403, but for GET, HEAD and OPTIONS: of use to a handler that changes something by GET all the same.
    pub fn is_cross_site(&self) -> bool {
        (self.is_cross_site)()
    }
}

/// Says neither query nor fields nor body: secrets may stand there.
impl fmt::Debug for Request<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.http.fmt(f)
    }
}
