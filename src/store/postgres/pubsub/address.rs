//! Where a Redis is: `redis://user:password@host:port/number`, as the field writes it, or `rediss://…` for TLS.

use percent_encoding::percent_decode_str;
use redis::io::tcp::TcpSettings;
use redis::{ConnectionAddr, ConnectionInfo, IntoConnectionInfo, RedisConnectionInfo};

use crate::config::without_password;

const PORT: u16 = 6379;

/// Where to connect to, and how.
pub(in crate::store::postgres) struct RedisAddress {
    pub(super) info: ConnectionInfo,
    /// Without the password.
    pub(super) shown: String,
}

impl RedisAddress {
    /// # Errors
    /// What is wrong with it, as the end of a sentence that names it.
    pub(in crate::store::postgres) fn parse(given: &str) -> Result<Self, String> {
        let (scheme, rest) = given.split_once("://").unwrap_or(("", given));
        let scheme = scheme.to_ascii_lowercase();
        if !["redis", "rediss"].contains(&&*scheme) {
            return Err("it must begin with postgres://, redis:// or rediss://".to_owned());
        }
        let (rest, number) = split_number(rest)?;
        let (user, host) = match rest.rsplit_once('@') {
            Some((user, host)) => (Some(user), host),
            None => (None, rest),
        };
        if host.contains('/') {
            return Err("behind its host may only be the number of a database".to_owned());
        }
        let (host, port) = split_port(host)?;
        if host.is_empty() {
            return Err("it names no host".to_owned());
        }
        let host = host.to_owned();
        let place = match &*scheme {
            "redis" => ConnectionAddr::Tcp(host, port),
            // The certificate must be of one whom the system trusts.
            _ => ConnectionAddr::TcpTls {
                host,
                port,
                insecure: false,
                tls_params: None,
            },
        };
        let mut settings = RedisConnectionInfo::default().set_db(number);
        if let Some(user) = user {
            let (name, password) = user.split_once(':').unwrap_or((user, ""));
            if !name.is_empty() {
                settings = settings.set_username(decoded(name)?);
            }
            if !password.is_empty() {
                settings = settings.set_password(decoded(password)?);
            }
        }
        let info = place
            .into_connection_info()
            .map_err(|error| error.to_string())?;
        Ok(Self {
            info: info
                .set_redis_settings(settings)
                .set_tcp_settings(TcpSettings::default().set_nodelay(true)),
            shown: without_password(given),
        })
    }
}

/// What stands before the number of a database, and that; 0 where there is none.
fn split_number(rest: &str) -> Result<(&str, i64), String> {
    // One in a password is to be encoded; whatever it is, it is not told.
    if rest.contains(['?', '#']) {
        return Err(
            "it has no parameters, and a '?' or '#' in its password must be written as %3F or %23"
                .to_owned(),
        );
    }
    let Some((before, number)) = rest.rsplit_once('/') else {
        return Ok((rest, 0));
    };
    match number {
        "" => Ok((before, 0)),
        // It may be a part of a password.
        _ if number.contains('@') => Err("a '/' in its password must be written as %2F".to_owned()),
        _ => match number.parse() {
            Ok(number @ 0..) => Ok((before, number)),
            _ => Err("behind its host may only be the number of a database".to_owned()),
        },
    }
}

/// A host, of which an IPv6 address has brackets, and its port.
fn split_port(host: &str) -> Result<(&str, u16), String> {
    let (host, port) = match host.strip_prefix('[').map(|rest| rest.split_once(']')) {
        Some(Some((host, ""))) => (host, None),
        Some(Some((host, rest))) => (host, Some(rest.strip_prefix(':').unwrap_or(rest))),
        Some(None) => return Err("a ']' is missing".to_owned()),
        None => match host.split_once(':') {
            Some((host, port)) => (host, Some(port)),
            None => (host, None),
        },
    };
    match port.map(str::parse) {
        None => Ok((host, PORT)),
        Some(Ok(port)) if port > 0 => Ok((host, port)),
        Some(_) => Err("its port must be from 1 to 65535".to_owned()),
    }
}

fn decoded(part: &str) -> Result<String, String> {
    let part = percent_decode_str(part).decode_utf8();
    part.map(std::borrow::Cow::into_owned)
        .map_err(|_| "what is encoded in its user or password is no text".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(given: &str) -> (String, Option<String>, Option<String>, i64) {
        let address = RedisAddress::parse(given).expect("an address");
        let settings = address.info.redis_settings();
        (
            address.info.addr().to_string(),
            settings.username().map(ToOwned::to_owned),
            settings.password().map(ToOwned::to_owned),
            settings.db(),
        )
    }

    #[test]
    fn what_is_given_is_taken_as_it_is_written() {
        let text = |text: &str| Some(text.to_owned());
        assert_eq!(parsed("Redis://db"), parsed("redis://db"));
        assert_eq!(parsed("redis://db"), ("db:6379".into(), None, None, 0));
        assert_eq!(
            parsed("redis://ann:s%2Fcr%40t@db.example:7000/3"),
            ("db.example:7000".into(), text("ann"), text("s/cr@t"), 3)
        );
        assert_eq!(
            parsed("rediss://:secret@[::1]:7000/"),
            ("::1:7000".into(), None, text("secret"), 0)
        );
    }

    #[test]
    fn what_is_wrong_is_named_and_no_password_with_it() {
        for (given, told) in [
            ("redis://", "no host"),
            ("redis://:secret@", "no host"),
            ("redis://ann:secret@/2", "no host"),
            ("redis://db:0", "port"),
            ("redis://db:65536", "port"),
            ("redis://::1:7000", "port"),
            ("redis://[::1", "']'"),
            ("redis://db/chat", "number of a database"),
            ("redis://db/-1", "number of a database"),
            ("redis://db/1/2", "number of a database"),
            ("redis://db?db=1", "no parameters"),
            ("redis://ann:se?cret@db", "%3F"),
            ("redis://ann:se#cret@db", "%23"),
            ("redis://ann:se/cret@db", "%2F"),
            ("redis://ann:%FFsecret@db", "no text"),
            ("mysql://:secret@db", "postgres://, redis:// or"),
            ("redis:db", "redis:// or rediss://"),
            ("valkey://:secret@db", "redis:// or rediss://"),
        ] {
            let Err(why) = RedisAddress::parse(given) else {
                panic!("{given} is taken");
            };
            assert!(
                why.contains(told) && !why.contains("cret"),
                "{given}: {why}"
            );
        }
    }

    #[test]
    fn what_is_shown_has_no_password() {
        let address = RedisAddress::parse("redis://ann:s%2Fcret@db/3").expect("an address");
        assert_eq!(address.shown, "redis://ann@db/3");
    }
}
