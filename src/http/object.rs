//! Parameters: a flat JSON object (RFC 8259) of strings and numbers → pairs.
//!
//! Read by hand as far as it is flat; what a string's or a number's text means is serde_json's part. A map of its
//! making would take a name given twice in silence, and round a number that is an id.

use std::borrow::Cow;

use super::form::{Form, FormFault};

/// Reads a body that says that it is JSON. An empty one has no parameters, as where there is no body.
pub(super) fn parse<'a>(text: &[u8]) -> Result<Form<'a>, FormFault> {
    let mut form = Form::default();
    if text.is_empty() {
        return Ok(form);
    }
    let text = str::from_utf8(text).map_err(|_| FormFault::NoObject)?;
    let mut rest = Rest(text.trim_start_matches(SPACE));
    rest.expect('{')?;
    if !rest.takes('}') {
        loop {
            let name = rest.string()?;
            rest.expect(':')?;
            let value = rest.value()?;
            form.insert(Cow::Owned(name), Cow::Owned(value))?;
            if rest.takes('}') {
                break;
            }
            rest.expect(',')?;
        }
    }
    match rest.0 {
        "" => Ok(form),
        _ => Err(FormFault::NoObject),
    }
}

const SPACE: [char; 4] = [' ', '\t', '\n', '\r'];

/// What is not read yet. No white space stands before it.
struct Rest<'a>(&'a str);

impl<'a> Rest<'a> {
    fn takes(&mut self, c: char) -> bool {
        let behind = self.0.strip_prefix(c);
        if let Some(behind) = behind {
            self.0 = behind.trim_start_matches(SPACE);
        }
        behind.is_some()
    }

    fn expect(&mut self, c: char) -> Result<(), FormFault> {
        match self.takes(c) {
            true => Ok(()),
            false => Err(FormFault::NoObject),
        }
    }

    /// A string's text, or a number's as it stands there.
    fn value(&mut self) -> Result<String, FormFault> {
        if self.0.starts_with('"') {
            return self.string();
        }
        let is_number = |c: char| c.is_ascii_digit() || "+-.eE".contains(c);
        let length = self.0.find(|c| !is_number(c)).unwrap_or(self.0.len());
        let number = self.skip(length);
        match serde_json::from_str::<serde_json::Number>(number) {
            Ok(_) => Ok(number.to_owned()),
            Err(_) => Err(FormFault::NoObject),
        }
    }

    fn string(&mut self) -> Result<String, FormFault> {
        let mut is_escaped = false;
        let closing = self.0.bytes().skip(1).position(|byte| {
            let closes = byte == b'"' && !is_escaped;
            is_escaped = byte == b'\\' && !is_escaped;
            closes
        });
        // Between the quotes stand so many bytes.
        let length = closing.ok_or(FormFault::NoObject)? + 2;
        let literal = self.skip(length);
        serde_json::from_str(literal).map_err(|_| FormFault::NoObject)
    }

    fn skip(&mut self, length: usize) -> &'a str {
        let (skipped, behind) = self.0.split_at(length);
        self.0 = behind.trim_start_matches(SPACE);
        skipped
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strings_and_numbers() {
        for (text, wanted) in [
            (r#"{"a":"b"}"#, "b"),
            (r#"{"x":"y","a":"b"}"#, "b"),
            (" {\n\t\"a\" : \"b\" ,\r \"x\":1 } ", "b"),
            (r#"{"a":"\"\\\u00f6\ud83d\ude00"}"#, "\"\\ö😀"),
            (r#"{"a":"\\"}"#, "\\"),
            (r#"{"\u0061":"a+b%41"}"#, "a+b%41"),
            (r#"{"a":7}"#, "7"),
            (r#"{"a":9223372036854775807}"#, "9223372036854775807"),
            (r#"{"a":9007199254740993}"#, "9007199254740993"),
            (r#"{"a":-1.50e+3}"#, "-1.50e+3"),
            (r#"{"a":""}"#, ""),
        ] {
            let form = parse(text.as_bytes()).expect(text);
            assert_eq!(form.value("a"), Some(wanted), "{text}");
        }
        for none in ["", "{}", " { } "] {
            assert_eq!(parse(none.as_bytes()), Ok(Form::default()), "{none}");
        }
    }

    #[test]
    fn what_is_no_flat_object_is_refused() {
        for text in [
            " ",
            "a=b",
            "[]",
            "7",
            "{",
            "{}{}",
            "{}x",
            "{,}",
            r#"{"a"}"#,
            r#"{"a":}"#,
            r#"{"a":"b"#,
            r#"{"a":"b\"}"#,
            r#"{"a":"b",}"#,
            r#"{"a":"b" "c":"d"}"#,
            r#"{a:"b"}"#,
            r#"{'a':'b'}"#,
            r#"{1:"b"}"#,
            r#"{"a":b}"#,
            r#"{"a":null}"#,
            r#"{"a":true}"#,
            r#"{"a":[]}"#,
            r#"{"a":{}}"#,
            r#"{"a":01}"#,
            r#"{"a":+1}"#,
            r#"{"a":1.}"#,
            r#"{"a":.1}"#,
            r#"{"a":"\ud83d"}"#,
            r#"{"a":"\x"}"#,
            "{\"a\":\"\n\"}",
            "\u{feff}{}",
            "{\u{a0}}",
        ] {
            assert_eq!(parse(text.as_bytes()), Err(FormFault::NoObject), "{text}");
        }
        assert_eq!(parse(b"{\"a\":\"\xff\"}"), Err(FormFault::NoObject));
    }

    #[test]
    fn names_are_given_once_and_bounded() {
        let twice = r#"{"a":1,"b":2,"\u0061":3}"#;
        assert_eq!(parse(twice.as_bytes()), Err(FormFault::Twice("a".into())));
        let pairs: Vec<String> = (0..257).map(|n| format!("\"p{n}\":0")).collect();
        let object = |count: usize| parse(format!("{{{}}}", pairs[..count].join(",")).as_bytes());
        assert!(object(256).is_ok());
        assert_eq!(object(257), Err(FormFault::TooMany));
    }
}
