//! As much of a request as the floor needs: which path its first bytes name, and one number or text behind it.
//!
//! Not a parser. Texts are taken as they stand, neither decoded nor checked beyond what keeps the answer JSON, and whatever
//! is not found where this program's clients write it is as good as not there.

/// Chatrooms beyond are not there. A number from a request makes a table grow, so there is an end to it.
pub(super) const CHATROOMS_MAX: u32 = 1 << 20;

/// What a request asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Call<'a> {
    /// Parks in a chatroom.
    Longpoll(u32),
    /// Ends what is parked in a chatroom.
    Endpoll(u32),
    /// Says something in a chatroom.
    Send(u32, &'a [u8]),
    Chatrooms,
    /// Comes with the name.
    Register(&'a [u8]),
    Login,
    NewChatroom,
    AddToChatroom(u32),
    Unknown,
}

/// Reads a whole request.
pub(super) fn call(request: &[u8]) -> Call<'_> {
    let with = |rest, call: fn(u32) -> Call<'static>| chatroomid(rest).map_or(Call::Unknown, call);
    if let Some(path) = request.strip_prefix(b"GET /message/") {
        if let Some(rest) = path.strip_prefix(b"longpoll") {
            with(rest, Call::Longpoll)
        } else if path.starts_with(b"chatrooms") {
            Call::Chatrooms
        } else if let Some(rest) = path.strip_prefix(b"endpoll") {
            with(rest, Call::Endpoll)
        } else {
            Call::Unknown
        }
    } else if let Some(path) = request.strip_prefix(b"POST /message/") {
        if let Some(rest) = path.strip_prefix(b"sendMessage") {
            chatroomid(rest).map_or(Call::Unknown, |id| Call::Send(id, message(rest)))
        } else if let Some(rest) = path.strip_prefix(b"addToChatroom") {
            with(rest, Call::AddToChatroom)
        } else if path.starts_with(b"newChatroom") {
            Call::NewChatroom
        } else {
            Call::Unknown
        }
    } else if let Some(rest) = request.strip_prefix(b"POST /register") {
        Call::Register(behind(rest, b"username=").map_or(b"", plain))
    } else if request.starts_with(b"POST /login") {
        Call::Login
    } else {
        Call::Unknown
    }
}

fn chatroomid(rest: &[u8]) -> Option<u32> {
    let digits = behind(rest, b"chatroomid=")?;
    let mut id: u32 = 0;
    for digit in digits.iter().take_while(|byte| byte.is_ascii_digit()) {
        id = id.checked_mul(10)?.checked_add(u32::from(digit - b'0'))?;
    }
    (1..CHATROOMS_MAX).contains(&id).then_some(id)
}

/// The message: a member of a JSON body, a field of a form body, or a parameter of the query.
fn message(rest: &[u8]) -> &[u8] {
    if let Some(text) = behind(rest, b"\"message\":") {
        let text = text.trim_ascii_start();
        return text.strip_prefix(b"\"").map_or(b"", json_text);
    }
    behind(rest, b"message=").map_or(b"", plain)
}

/// Up to what ends a parameter, or could not stand in JSON as it is.
fn plain(text: &[u8]) -> &[u8] {
    let ends = |byte: &u8| matches!(byte, 0..=b' ' | b'&' | b'"' | b'\\');
    &text[..text.iter().position(ends).unwrap_or(text.len())]
}

/// Up to the quote that ends a JSON string, escapes as they are; nothing where none ends it.
fn json_text(text: &[u8]) -> &[u8] {
    let mut is_escaped = false;
    for (at, byte) in text.iter().enumerate() {
        match byte {
            b'"' if !is_escaped => return &text[..at],
            0..=31 => break,
            _ => is_escaped = *byte == b'\\' && !is_escaped,
        }
    }
    b""
}

fn behind<'a>(text: &'a [u8], name: &[u8]) -> Option<&'a [u8]> {
    let at = text.windows(name.len()).position(|part| part == name)?;
    Some(&text[at + name.len()..])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_with_its_number_is_found() {
        let tail = " HTTP/1.1\r\nHost: h\r\nCookie: session=5\r\n\r\n";
        for (line, expected) in [
            ("GET /message/longpoll/?chatroomid=17", Call::Longpoll(17)),
            ("GET /message/longpoll?chatroomid=1", Call::Longpoll(1)),
            ("GET /message/endpoll/?chatroomid=9", Call::Endpoll(9)),
            ("GET /message/chatrooms/", Call::Chatrooms),
            ("POST /message/newChatroom/", Call::NewChatroom),
            (
                "POST /message/addToChatroom/?usertoadd=b&chatroomid=4",
                Call::AddToChatroom(4),
            ),
            (
                "POST /register/?username=ann&password=x",
                Call::Register(b"ann"),
            ),
            ("POST /login/?username=ann&password=x", Call::Login),
            (
                "POST /message/sendMessage/?chatroomid=7&message=a.1",
                Call::Send(7, b"a.1"),
            ),
        ] {
            let request = format!("{line}{tail}");
            assert_eq!(call(request.as_bytes()), expected, "{line}");
        }
    }

    #[test]
    fn a_message_is_found_in_either_body() {
        let head = "POST /message/sendMessage/?chatroomid=7 HTTP/1.1\r\nHost: h\r\n\r\n";
        for (body, expected) in [
            (r#"{"message":"a \"b\" \\"}"#, r#"a \"b\" \\"#),
            (r#"{ "message": "ä"}"#, "ä"),
            ("message=a.1&x=2", "a.1"),
            (r#"{"message":"never ends"#, ""),
            (r#"{"message":3}"#, ""),
            ("message=a\"b", "a"),
            ("", ""),
        ] {
            let request = format!("{head}{body}");
            let Call::Send(7, text) = call(request.as_bytes()) else {
                panic!("{body}");
            };
            assert_eq!(text, expected.as_bytes(), "{body}");
        }
    }

    #[test]
    fn what_is_not_there_is_unknown() {
        for line in [
            "",
            "GET / HTTP/1.1\r\n\r\n",
            "GET /message/longpoll/ HTTP/1.1\r\n\r\n",
            "GET /message/longpoll/?chatroomid=0 HTTP/1.1\r\n\r\n",
            "GET /message/longpoll/?chatroomid=1048576 HTTP/1.1\r\n\r\n",
            "GET /message/longpoll/?chatroomid=99999999999 HTTP/1.1\r\n\r\n",
            "DELETE /message/chatrooms/ HTTP/1.1\r\n\r\n",
        ] {
            assert_eq!(call(line.as_bytes()), Call::Unknown, "{line}");
        }
    }
}
