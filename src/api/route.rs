//! Which call a path and a method name.

use std::net::IpAddr;

use super::operations::OPERATIONS;
use super::prefixes::Prefixes;
use super::site::Sites;
use crate::http::{Method, Request};
use crate::web::{self, File};

/// The calls of the API.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Route {
    /// `POST /register`
    Register,
    /// `POST /login`
    Login,
    /// `POST /logout`
    Logout,
    /// `POST /changePassword`
    ChangePassword,
    /// `GET /message/chatrooms`
    Chatrooms,
    /// `GET /message/overview`
    Overview,
    /// `GET /message/getUser`
    GetUser,
    /// `GET /message/longpoll`
    Longpoll,
    /// `GET /message/stream`
    Stream,
    /// `GET /message/endpoll`
    Endpoll,
    /// `POST /message/sendMessage`
    SendMessage,
    /// `POST /message/newChatroom`
    NewChatroom,
    /// `POST /message/renameChatroom`
    RenameChatroom,
    /// `POST /message/addToChatroom`
    AddToChatroom,
    /// `POST /message/leaveChatroom`
    LeaveChatroom,
    /// `POST /message/removeFromChatroom`
    RemoveFromChatroom,
    /// `GET /message/chatroomParticipants`
    ChatroomParticipants,
    /// `GET /message/presence`
    Presence,
    /// `GET /message/history`
    History,
    /// `GET /whoami`
    WhoAmI,
    /// `GET /healthz`
    Healthz,
    /// `GET /readyz`
    Readyz,
}

/// The methods that a route has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Methods {
    /// GET, and HEAD, which asks for the same without its body.
    Get,
    /// GET alone: HEAD would wait, or end what waits, for an answer that nobody wants to read.
    GetOnly,
    Post,
}

/// Every path, without its trailing slash: what is looked through for each request, without what else is said of calls.
const ROUTES: [(&str, Methods, Route); OPERATIONS.len()] = {
    let mut routes = [("", Methods::Get, Route::Healthz); OPERATIONS.len()];
    let mut at = 0;
    while at < routes.len() {
        let operation = &OPERATIONS[at];
        routes[at] = (operation.path, operation.methods, operation.route);
        at = at.saturating_add(1);
    }
    routes
};

/// What a path and a method come to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Routed {
    /// A call.
    To(Route),
    /// One of the server's files.
    File(&'static File),
    /// A path of the host's own.
    Own,
    /// OPTIONS: these are allowed.
    Allowed(&'static str),
    /// A call that changes something, which a browser sends for another site.
    CrossSite,
    /// No such path.
    NotFound,
    /// The path has other methods: these.
    NotAllowed(&'static str),
}

impl Route {
    /// Whether its answer may be long in coming, so that its client's end is looked out for meanwhile.
    pub fn waits(self) -> bool {
        matches!(self, Self::Longpoll | Self::Stream)
    }
}

impl Methods {
    fn allow(self) -> &'static str {
        match self {
            Self::Get => "GET, HEAD, OPTIONS",
            Self::GetOnly => "GET, OPTIONS",
            Self::Post => "POST, OPTIONS",
        }
    }

    fn has(self, method: Method) -> bool {
        match self {
            Self::Get => matches!(method, Method::Get | Method::Head),
            Self::GetOnly => method == Method::Get,
            Self::Post => method == Method::Post,
        }
    }
}

/// Finds what a request is to; below the prefixes is what the host answers. `peer` says who has connected.
pub fn route(
    request: &Request<'_>,
    sites: &Sites,
    own: &Prefixes,
    peer: &dyn Fn() -> IpAddr,
) -> Routed {
    match find(request.path(), request.method()) {
        Routed::NotFound if own.have(request.path()) => {
            // What the host's GET does is the host's business: it can ask the same.
            let is_safe = matches!(
                request.method(),
                Method::Get | Method::Head | Method::Options
            );
            match !is_safe && sites.is_elsewhere(request, peer) {
                true => Routed::CrossSite,
                false => Routed::Own,
            }
        }
        // What other calls by GET and HEAD do is nothing that another site could want.
        Routed::To(route)
            if (request.method() == Method::Post || route == Route::Endpoll)
                && sites.is_elsewhere(request, peer) =>
        {
            Routed::CrossSite
        }
        routed => routed,
    }
}

fn find(path: &str, method: Method) -> Routed {
    if path == "*" && method == Method::Options {
        return Routed::Allowed("GET, HEAD, POST, OPTIONS");
    }
    let bare = path.strip_suffix('/').unwrap_or(path);
    let call = ROUTES.iter().find(|(path, ..)| *path == bare);
    let call = call.map(|(_, methods, route)| (*methods, Routed::To(*route)));
    let found = call.or_else(|| Some((Methods::Get, Routed::File(web::file(bare)?))));
    match found {
        None => Routed::NotFound,
        Some((methods, _)) if method == Method::Options => Routed::Allowed(methods.allow()),
        Some((methods, routed)) if methods.has(method) => routed,
        Some((methods, _)) => Routed::NotAllowed(methods.allow()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn with_and_without_the_trailing_slash() {
        assert_eq!(find("/login", Method::Post), Routed::To(Route::Login));
        assert_eq!(find("/login/", Method::Post), Routed::To(Route::Login));
        for path in ["/login//", "//login", "/Login", "//", "/login/x", "*"] {
            assert_eq!(find(path, Method::Post), Routed::NotFound, "{path:?}");
        }
    }

    #[cfg(feature = "web")]
    #[test]
    fn the_root_is_the_page() {
        let page = web::file("").expect("the page");
        assert_eq!(find("/", Method::Get), Routed::File(page));
        assert_eq!(find("/", Method::Head), Routed::File(page));
    }

    #[test]
    fn each_path_has_its_methods() {
        for (path, methods, route) in ROUTES {
            let allow = methods.allow();
            assert_eq!(find(path, Method::Options), Routed::Allowed(allow));
            assert_eq!(find(path, Method::Other), Routed::NotAllowed(allow));
            for (method, name) in [
                (Method::Get, "GET"),
                (Method::Head, "HEAD"),
                (Method::Post, "POST"),
            ] {
                let wanted = match allow.split(", ").any(|allowed| allowed == name) {
                    true => Routed::To(route),
                    false => Routed::NotAllowed(allow),
                };
                assert_eq!(find(path, method), wanted, "{name} {path}");
            }
        }
    }

    #[test]
    fn head_works_wherever_get_does_not_wait() {
        assert_eq!(
            find("/message/longpoll", Method::Head),
            Routed::NotAllowed("GET, OPTIONS")
        );
        assert_eq!(
            find("/message/endpoll", Method::Head),
            Routed::NotAllowed("GET, OPTIONS")
        );
        assert_eq!(
            find("/message/getUser", Method::Head),
            Routed::To(Route::GetUser)
        );
    }

    #[test]
    fn the_server_itself_has_options() {
        assert!(matches!(find("*", Method::Options), Routed::Allowed(_)));
    }
}
