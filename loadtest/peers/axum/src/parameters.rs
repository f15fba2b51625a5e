//! A call's parameters: of the query, and on a POST of a form or a flat JSON object, which win.

use axum::body::{Body, Bytes};
use axum::extract::{FromRequest, Request};
use axum::http::{Method, header};
use http_body_util::{BodyExt as _, Limited};
use percent_encoding::percent_decode_str;
use serde_json::Value;

use crate::failure::Failure;

const BODY_MAX: usize = 65_536;

/// All parameters of one request, the body's first.
#[derive(Debug, Default)]
pub(crate) struct Parameters(Vec<(String, String)>);

impl<S: Send + Sync> FromRequest<S> for Parameters {
    type Rejection = Failure;

    async fn from_request(request: Request, _state: &S) -> Result<Self, Failure> {
        let mut found = Vec::new();
        let query = request.uri().query().map(pairs).transpose()?;
        if request.method() == Method::POST {
            let kind = request.headers().get(header::CONTENT_TYPE);
            let kind = kind.and_then(|kind| kind.to_str().ok()).unwrap_or("");
            let kind = kind.split(';').next().unwrap_or("").trim();
            let (is_form, is_json) = (
                kind.eq_ignore_ascii_case("application/x-www-form-urlencoded"),
                kind.eq_ignore_ascii_case("application/json"),
            );
            let body = read(request.into_body()).await?;
            if is_form && !body.is_empty() {
                let text = std::str::from_utf8(&body)
                    .map_err(|_| Failure::BadParameter("The body is not UTF-8.".into()))?;
                found = pairs(text)?;
            } else if is_json && !body.is_empty() {
                found = members(&body)?;
            }
        }
        found.extend(query.into_iter().flatten());
        Ok(Self(found))
    }
}

async fn read(body: Body) -> Result<Bytes, Failure> {
    let body = Limited::new(body, BODY_MAX).collect().await;
    body.map(|body| body.to_bytes())
        .map_err(|_| Failure::BodyTooLarge)
}

impl Parameters {
    /// The value, which must be there.
    pub(crate) fn text(&self, name: &str) -> Result<&str, Failure> {
        let found = self.0.iter().find(|(key, _)| key == name);
        found
            .map(|(_, value)| value.as_str())
            .ok_or_else(|| Failure::BadParameter(format!("{name} is missing.")))
    }

    /// An id, from 1 to 2^63-1 in decimal digits.
    pub(crate) fn id(&self, name: &str) -> Result<i64, Failure> {
        let text = self.text(name)?;
        let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        let id = digits.then(|| text.parse::<i64>().ok()).flatten();
        id.filter(|id| *id > 0)
            .ok_or_else(|| Failure::BadParameter(format!("{name} is not an id.")))
    }
}

fn pairs(text: &str) -> Result<Vec<(String, String)>, Failure> {
    let mut found: Vec<(String, String)> = Vec::new();
    for pair in text.split('&').filter(|pair| !pair.is_empty()) {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        let (name, value) = (decoded(name)?, decoded(value)?);
        push(&mut found, name, value)?;
    }
    Ok(found)
}

fn members(body: &[u8]) -> Result<Vec<(String, String)>, Failure> {
    let bad = || Failure::BadParameter("The body is not a flat JSON object.".into());
    let object: serde_json::Map<String, Value> = serde_json::from_slice(body).map_err(|_| bad())?;
    let mut found = Vec::new();
    for (name, value) in object {
        match value {
            Value::String(text) => push(&mut found, name, text)?,
            Value::Number(number) => push(&mut found, name, number.to_string())?,
            _ => return Err(bad()),
        }
    }
    Ok(found)
}

fn push(found: &mut Vec<(String, String)>, name: String, value: String) -> Result<(), Failure> {
    if found.iter().any(|(before, _)| *before == name) {
        return Err(Failure::BadParameter(format!("{name} is given twice.")));
    }
    found.push((name, value));
    Ok(())
}

fn decoded(text: &str) -> Result<String, Failure> {
    let mut escapes = text.split('%').skip(1);
    let is_hex = |byte: &u8| byte.is_ascii_hexdigit();
    let sound = escapes.all(|rest| rest.len() >= 2 && rest.as_bytes()[..2].iter().all(is_hex));
    let text = text.replace('+', " ");
    let decoded = percent_decode_str(&text).decode_utf8();
    match decoded {
        Ok(decoded) if sound => Ok(decoded.into_owned()),
        _ => Err(Failure::BadParameter("A bad percent escape.".into())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pairs_are_decoded_and_come_once() {
        let found = pairs("a=1&b=x+y%20%C3%A4&c").unwrap();
        let expected = [("a", "1"), ("b", "x y ä"), ("c", "")];
        assert!(
            found
                .iter()
                .map(|(a, b)| (a.as_str(), b.as_str()))
                .eq(expected)
        );
        for bad in ["a=1&a=2", "a=%", "a=%4", "a=%zz", "a=%ff"] {
            assert!(pairs(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn ids_are_digits_from_one() {
        let parameters = |value: &str| Parameters(vec![("id".into(), value.into())]);
        assert_eq!(parameters("17").id("id").unwrap(), 17);
        for bad in ["", "0", "-1", "+1", "9223372036854775808", "1a"] {
            assert!(parameters(bad).id("id").is_err(), "{bad}");
        }
    }
}
