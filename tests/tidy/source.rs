//! A Rust file as the rules see it: its code as tokens, its string literals, its unit tests.
//!
//! Not a parser: it knows just enough of the language to tell code from comments and literals,
//! so that a rule may be named in a comment without being broken there.

/// One file.
pub(crate) struct Source {
    /// From the root, with `/` between its parts.
    pub(crate) path: String,
    pub(crate) text: String,
    /// Identifiers, and every other character by itself except `::`; no comments, no literals.
    pub(crate) tokens: Vec<Token>,
    /// What stands between the quotes of each string literal.
    pub(crate) strings: Vec<Token>,
}

/// A piece of text and the line on which it begins, counted from 1.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Token {
    pub(crate) line: usize,
    pub(crate) text: String,
}

impl Token {
    pub(crate) fn is(&self, text: &str) -> bool {
        self.text == text
    }
}

impl Source {
    pub(crate) fn new(path: &str, text: &str) -> Self {
        let mut lexer = Lexer {
            text,
            at: 0,
            line: 1,
        };
        let (mut tokens, mut strings) = (Vec::new(), Vec::new());
        while let Some((piece, token)) = lexer.next() {
            match piece {
                Piece::Code => tokens.push(token),
                Piece::Text => strings.push(token),
                Piece::Nothing => {}
            }
        }
        Self {
            path: path.to_owned(),
            text: text.to_owned(),
            tokens,
            strings,
        }
    }

    /// How many lines the file has outside of its `#[cfg(test)] mod … { … }`.
    pub(crate) fn lines_without_tests(&self) -> usize {
        let all = self.text.lines().count();
        let opening = ["#", "[", "cfg", "(", "test", ")", "]", "mod"];
        let within: usize = (0..self.tokens.len())
            .filter(|&at| self.holds_at(at, &opening))
            .filter(|&at| self.holds_at(at + opening.len() + 1, &["{"]))
            .map(|at| 1 + self.block_end(at) - self.tokens[at].line)
            .sum();
        all - within
    }

    pub(crate) fn holds_at(&self, at: usize, expected: &[&str]) -> bool {
        let rest = self.tokens.get(at..).unwrap_or_default();
        rest.len() >= expected.len()
            && rest
                .iter()
                .zip(expected)
                .all(|(token, text)| token.is(text))
    }

    /// The line on which the first block that opens behind `at` closes.
    fn block_end(&self, at: usize) -> usize {
        let mut depth = 0;
        for token in &self.tokens[at..] {
            match token.text.as_str() {
                "{" => depth += 1,
                "}" if depth == 1 => return token.line,
                "}" => depth -= 1,
                _ => {}
            }
        }
        self.text.lines().count()
    }
}

enum Piece {
    Code,
    Text,
    Nothing,
}

struct Lexer<'a> {
    text: &'a str,
    at: usize,
    line: usize,
}

impl Lexer<'_> {
    fn next(&mut self) -> Option<(Piece, Token)> {
        let rest = &self.text[self.at..];
        let first = rest.chars().next()?;
        let (piece, length, shown) = if rest.starts_with("//") {
            (Piece::Nothing, rest.find('\n').unwrap_or(rest.len()), "")
        } else if rest.starts_with("/*") {
            (Piece::Nothing, block_comment(rest), "")
        } else if let Some((opening, length)) = string(rest) {
            (
                Piece::Text,
                length,
                rest.get(opening..length - 1).unwrap_or_default(),
            )
        } else if first == '\'' {
            (Piece::Nothing, character(rest), "")
        } else if first.is_alphanumeric() || first == '_' {
            let length = rest
                .find(|c: char| !c.is_alphanumeric() && c != '_')
                .unwrap_or(rest.len());
            (Piece::Code, length, &rest[..length])
        } else if first.is_whitespace() {
            (Piece::Nothing, first.len_utf8(), "")
        } else {
            let length = if rest.starts_with("::") {
                2
            } else {
                first.len_utf8()
            };
            (Piece::Code, length, &rest[..length])
        };
        let token = Token {
            line: self.line,
            text: shown.to_owned(),
        };
        self.line += rest[..length].matches('\n').count();
        self.at += length;
        Some((piece, token))
    }
}

/// The length of a block comment, which may hold others.
fn block_comment(rest: &str) -> usize {
    let (mut at, mut depth) = (0, 0);
    while at < rest.len() {
        match rest.as_bytes()[at..] {
            [b'/', b'*', ..] => (at, depth) = (at + 2, depth + 1),
            [b'*', b'/', ..] => (at, depth) = (at + 2, depth - 1),
            _ => at += 1,
        }
        if depth == 0 {
            return at;
        }
    }
    rest.len()
}

/// The lengths of a string literal's opening and of the whole; `None` where none begins.
fn string(rest: &str) -> Option<(usize, usize)> {
    let unprefixed = rest.trim_start_matches(['b', 'c']);
    let raw = unprefixed.strip_prefix('r');
    let hashes = raw.map_or(0, |raw| raw.len() - raw.trim_start_matches('#').len());
    let prefix = rest.len() - unprefixed.len() + raw.map_or(0, |_| 1 + hashes);
    let body = rest[prefix..].strip_prefix('"')?;
    let opening = prefix + 1;
    if raw.is_some() {
        let closing = format!("\"{}", "#".repeat(hashes));
        let length = body
            .find(&closing)
            .map_or(body.len(), |at| at + closing.len());
        // The hashes behind the quote count as the literal's, not its text's: see the caller's `- 1`.
        return Some((opening, opening + length));
    }
    let mut escaped = false;
    let end = body.find(|c| {
        let closes = c == '"' && !escaped;
        escaped = c == '\\' && !escaped;
        closes
    });
    Some((opening, opening + end.map_or(body.len(), |at| at + 1)))
}

/// The length of a character literal; of the quote alone where a lifetime begins.
fn character(rest: &str) -> usize {
    let mut characters = rest.char_indices().skip(1);
    match (characters.next(), characters.next()) {
        (Some((_, '\\')), Some((escaped, _))) => {
            // Behind the escaped character, which may be a quote itself.
            let body = &rest[escaped + 1..];
            body.find('\'')
                .map_or(rest.len(), |at| escaped + 1 + at + 1)
        }
        (Some(_), Some((end, '\''))) => end + 1,
        _ => 1,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn code(text: &str) -> String {
        let tokens = Source::new("src/x.rs", text).tokens;
        tokens
            .iter()
            .map(|token| token.text.as_str())
            .collect::<Vec<_>>()
            .join(" ")
    }

    fn strings(text: &str) -> Vec<String> {
        let strings = Source::new("src/x.rs", text).strings;
        strings.into_iter().map(|token| token.text).collect()
    }

    #[test]
    fn comments_are_no_code() {
        assert_eq!(code("a // b\n/* c /* d */ e */ f //! g"), "a f");
        assert_eq!(code("/* never closed"), "");
    }

    #[test]
    fn literals_are_no_code() {
        assert_eq!(
            code(r#"a("b \" c", 'd', '\'', '"', b"e", '\u{7f}') f"#),
            "a ( , , , , , ) f"
        );
        assert_eq!(code(r##"a r#"b " c"# d br"\" e"##), "a d e");
        assert_eq!(
            code("f::<'a>(&'a x, '\\\\', y)"),
            "f :: < a > ( & a x , , y )"
        );
        assert_eq!(code("break_r; bc; r"), "break_r ; bc ; r");
    }

    #[test]
    fn the_text_of_strings_is_kept() {
        assert_eq!(strings(r#"("a", b"b", 'c', "d\"e")"#), ["a", "b", "d\\\"e"]);
        assert_eq!(strings("\"SELECT\n  1\""), ["SELECT\n  1"]);
        assert!(strings(r##"r#"INSERT INTO"#"##)[0].starts_with("INSERT INTO"));
    }

    #[test]
    fn lines_are_counted_through_comments_and_literals() {
        let source = Source::new("src/x.rs", "/*\n*/ \"\n\"\nlast");
        assert_eq!((source.tokens[0].line, source.strings[0].line), (4, 2));
    }

    #[test]
    fn unit_tests_do_not_count_as_lines() {
        let text = "a\n#[cfg(test)]\nmod tests {\n  fn b() {}\n}\nc\n";
        assert_eq!(Source::new("src/x.rs", text).lines_without_tests(), 2);
        let elsewhere = "#[cfg(test)]\nmod tests;\nc\n";
        assert_eq!(Source::new("src/x.rs", elsewhere).lines_without_tests(), 3);
    }
}
