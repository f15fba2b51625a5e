//! Parameters: `application/x-www-form-urlencoded` text, from a query or a body, or a JSON object → pairs.
//!
//! What cannot be read one way only is a fault, not a guess: a name given twice, an escape that is
//! none, bytes that are not UTF-8.

use std::borrow::Cow;
use std::fmt;

use percent_encoding::percent_decode;
use smallvec::SmallVec;

use super::object;
use super::target::has_whole_escapes;

/// Pairs of one form. Looking for a name twice costs their square.
const PAIRS_MAX: usize = 256;
/// Characters of a name that a fault shows.
const SHOWN_MAX: usize = 64;

/// Pairs that need no allocation: as many as the calls have parameters.
const PAIRS_INLINE: usize = 4;

/// Parameters in their order, decoded, no name twice.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Form<'a> {
    pairs: SmallVec<[(Cow<'a, str>, Cow<'a, str>); PAIRS_INLINE]>,
}

/// Why a text is no form. `Display` is a whole clause that names the parameter, where it is about one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FormFault {
    /// The parameter is given twice.
    Twice(String),
    /// A `%` in the parameter is not followed by two hexadecimal digits.
    BadEscape(String),
    /// The parameter is not UTF-8 when decoded.
    NotUtf8(String),
    /// There are more parameters than any call has.
    TooMany,
    /// What should be a flat JSON object of strings and numbers is none.
    NoObject,
}

impl<'a> Form<'a> {
    /// Decodes `name=value` pairs between ampersands: `+` is a space, a name alone has an empty value, and
    /// empty pairs are skipped.
    ///
    /// # Errors
    /// The first [`FormFault`] in the text.
    pub fn parse(text: &'a [u8]) -> Result<Self, FormFault> {
        let mut form = Self::default();
        for pair in text
            .split(|&byte| byte == b'&')
            .filter(|pair| !pair.is_empty())
        {
            let equals = pair.iter().position(|&byte| byte == b'=');
            let (raw_name, raw_value) = match equals {
                Some(at) => (&pair[..at], &pair[at + 1..]),
                None => (pair, &[][..]),
            };
            let name = decode(raw_name, raw_name)?;
            let value = decode(raw_value, raw_name)?;
            form.insert(name, value)?;
        }
        Ok(form)
    }

    /// Reads the pairs of a flat JSON object of strings and numbers; a number's value is its digits as they stand
    /// there. Empty text has no pairs.
    ///
    /// # Errors
    /// The first [`FormFault`] in the text.
    pub fn parse_json(text: &[u8]) -> Result<Self, FormFault> {
        object::parse(text)
    }

    pub(super) fn insert(
        &mut self,
        name: Cow<'a, str>,
        value: Cow<'a, str>,
    ) -> Result<(), FormFault> {
        if self.pairs.len() == PAIRS_MAX {
            return Err(FormFault::TooMany);
        }
        if self.value(&name).is_some() {
            return Err(FormFault::Twice(shown(&name)));
        }
        self.pairs.push((name, value));
        Ok(())
    }

    /// The value of a parameter; `None` if it is not given.
    pub fn value(&self, name: &str) -> Option<&str> {
        self.pairs
            .iter()
            .find(|(given, _)| given == name)
            .map(|(_, value)| &**value)
    }
}

fn decode<'a>(raw: &'a [u8], name: &[u8]) -> Result<Cow<'a, str>, FormFault> {
    let raw_shown = || shown(&String::from_utf8_lossy(name));
    // percent-encoding would let a bad escape stand for itself.
    if !has_whole_escapes(raw) {
        return Err(FormFault::BadEscape(raw_shown()));
    }
    let bytes: Cow<'a, [u8]> = match raw.contains(&b'+') {
        false => percent_decode(raw).into(),
        true => {
            let spaced: Vec<u8> = raw
                .iter()
                .map(|&byte| if byte == b'+' { b' ' } else { byte })
                .collect();
            Cow::Owned(percent_decode(&spaced).collect())
        }
    };
    let text = match bytes {
        Cow::Borrowed(bytes) => str::from_utf8(bytes).ok().map(Cow::Borrowed),
        Cow::Owned(bytes) => String::from_utf8(bytes).ok().map(Cow::Owned),
    };
    text.ok_or_else(|| FormFault::NotUtf8(raw_shown()))
}

/// A name as a person may see it: a name is the peer's, and as long as the peer likes.
fn shown(name: &str) -> String {
    match name.char_indices().nth(SHOWN_MAX) {
        Some((end, _)) => format!("{}…", &name[..end]),
        None => name.to_owned(),
    }
}

impl fmt::Display for FormFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Twice(name) => write!(f, "the parameter {name:?} is given twice"),
            Self::BadEscape(name) => write!(
                f,
                "the parameter {name:?} holds a % without two hexadecimal digits"
            ),
            Self::NotUtf8(name) => write!(f, "the parameter {name:?} is not UTF-8"),
            Self::TooMany => write!(f, "there are more than {PAIRS_MAX} parameters"),
            Self::NoObject => {
                f.write_str("the body is not a flat JSON object of strings and numbers")
            }
        }
    }
}

impl std::error::Error for FormFault {}

/// Says the names only: among the values are passwords.
impl fmt::Debug for Form<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set()
            .entries(self.pairs.iter().map(|(name, _)| name))
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pairs(text: &str) -> Vec<(String, String)> {
        let form = Form::parse(text.as_bytes()).expect(text);
        form.pairs
            .iter()
            .map(|(name, value)| (name.to_string(), value.to_string()))
            .collect()
    }

    fn fault(text: &[u8]) -> FormFault {
        Form::parse(text).expect_err("a fault")
    }

    #[test]
    fn pairs_come_decoded_and_in_order() {
        for (text, wanted) in [
            ("", vec![]),
            ("&&", vec![]),
            ("a=b", vec![("a", "b")]),
            ("b=1&a=2", vec![("b", "1"), ("a", "2")]),
            ("a", vec![("a", "")]),
            ("a=&b", vec![("a", ""), ("b", "")]),
            ("&a=b&&c=d&", vec![("a", "b"), ("c", "d")]),
            ("=x", vec![("", "x")]),
            ("a=b=c", vec![("a", "b=c")]),
            ("a=b+c%2Bd%20e", vec![("a", "b c+d e")]),
            ("%61+b=%C3%b6", vec![("a b", "ö")]),
            ("a=%26%3D%25", vec![("a", "&=%")]),
            ("a=%2541", vec![("a", "%41")]),
            ("a=ö;b", vec![("a", "ö;b")]),
        ] {
            let found = pairs(text);
            let found: Vec<_> = found.iter().map(|(n, v)| (&**n, &**v)).collect();
            assert_eq!(found, wanted, "{text}");
        }
    }

    #[test]
    fn plain_text_is_borrowed() {
        let form = Form::parse(b"chatroomid=7").expect("a form");
        assert!(matches!(
            form.pairs[..],
            [(Cow::Borrowed(_), Cow::Borrowed("7"))]
        ));
        assert_eq!(form.value("chatroomid"), Some("7"));
        assert_eq!(form.value("Chatroomid"), None);
    }

    #[test]
    fn faults_name_the_parameter() {
        let name = || "a".to_owned();
        for text in ["a=1&a=2", "a=1&b=2&%61=1", "a&a"] {
            assert_eq!(fault(text.as_bytes()), FormFault::Twice(name()), "{text}");
        }
        for text in ["a=%", "a=%4", "a=%4g", "a=%%41", "a=1%2", "a=%+1", "a=% 1"] {
            assert_eq!(
                fault(text.as_bytes()),
                FormFault::BadEscape(name()),
                "{text}"
            );
        }
        assert_eq!(fault(b"%zz=1"), FormFault::BadEscape("%zz".into()));
        for text in [
            &b"a=%ff"[..],
            b"a=\xff",
            b"a=%C3",
            b"a=%c0%80",
            b"a=%ed%a0%80",
            b"a=+%ff",
        ] {
            assert_eq!(
                fault(text),
                FormFault::NotUtf8(name()),
                "{}",
                text.escape_ascii()
            );
        }
        assert_eq!(fault(b"%ff=1"), FormFault::NotUtf8("%ff".into()));
        assert!(fault(b"a=%").to_string().contains("\"a\""));
    }

    #[test]
    fn names_and_pairs_are_bounded() {
        let text: String = (0..257).map(|n| format!("p{n}=&")).collect();
        assert_eq!(fault(text.as_bytes()), FormFault::TooMany);
        assert!(Form::parse(text.trim_end_matches("p256=&").as_bytes()).is_ok());
        let long = format!("{0}=%", "ö".repeat(1000));
        assert_eq!(
            fault(long.as_bytes()),
            FormFault::BadEscape("ö".repeat(64) + "…")
        );
    }

    #[test]
    fn debug_output_hides_values() {
        let form = Form::parse(b"password=hunter2").expect("a form");
        assert_eq!(format!("{form:?}"), "{\"password\"}");
    }
}
