//! The rules of names, of users and of chatrooms, and the folding that makes two spellings one name.
//!
//! A name is normalised (NFKC), shown in the case it was given in, and compared in
//! lower case. Lower case is taken character by character, and a final sigma is a sigma: the whole-string
//! rule for it would make a prefix differ from the beginning of the name it is of.

use std::fmt;
use std::sync::Arc;

use unicode_normalization::UnicodeNormalization;
use unicode_properties::{GeneralCategory, UnicodeGeneralCategory};

/// Characters that a name may have.
pub(super) const NAME_CHARS_MAX: usize = 64;

/// A username that keeps the rules.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Username {
    shown: Arc<str>,
    folded: Arc<str>,
}

/// A chatroom's name that keeps the rules of usernames. Several chatrooms may have the same.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChatroomName(Arc<str>);

/// Why a text is no name. Its `Display` is a sentence's end: "must …".
///
/// ```
/// # let folder = tempfile::tempdir()?;
/// # let config = loiter::Config {
/// #     listen: vec!["127.0.0.1:0".parse()?],
/// #     database: folder.path().join("chat.db"),
/// #     ..loiter::Config::default()
/// # };
/// # drop(loiter::Server::bind(config.clone())?);
///
/// use loiter::{BadName, Users, UsersError};
///
/// let refused = Users::open(&config)?.check_new("Ann ");
/// assert!(matches!(refused, Err(UsersError::BadName(BadName::OuterSpace))));
/// assert!(BadName::OuterSpace.to_string().starts_with("must "));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BadName {
    /// No characters, or more than 64.
    Length,
    /// A control character, a format character, or a line or paragraph separator.
    Character(char),
    /// White space at the beginning or at the end.
    OuterSpace,
}

impl Username {
    /// Normalises and checks a name.
    ///
    /// # Errors
    /// [`BadName`] says which rule `given` breaks after NFKC normalisation.
    pub fn parse(given: &str) -> Result<Self, BadName> {
        let shown = normalise(given)?;
        let folded = lower(&shown);
        Ok(Self {
            shown: shown.into(),
            folded: folded.into(),
        })
    }

    /// The name in the case it was given in.
    pub fn shown(&self) -> &Arc<str> {
        &self.shown
    }

    /// The form in which names are compared: equal for two spellings of one name.
    pub fn folded(&self) -> &Arc<str> {
        &self.folded
    }
}

impl ChatroomName {
    /// Normalises and checks a name.
    ///
    /// # Errors
    /// [`BadName`] says which rule `given` breaks after NFKC normalisation.
    pub fn parse(given: &str) -> Result<Self, BadName> {
        normalise(given).map(|shown| Self(shown.into()))
    }

    /// The name in the case it was given in.
    pub fn shown(&self) -> &Arc<str> {
        &self.0
    }
}

/// What is shown of a name that keeps the rules.
fn normalise(given: &str) -> Result<String, BadName> {
    // NFKC lengthens one character to at most 18; what is longer than this cannot pass.
    if given.len() > NAME_CHARS_MAX * 4 * 4 {
        return Err(BadName::Length);
    }
    let shown: String = given.nfkc().collect();
    if !(1..=NAME_CHARS_MAX).contains(&shown.chars().count()) {
        return Err(BadName::Length);
    }
    if let Some(refused) = shown.chars().find(|&c| is_refused(c)) {
        return Err(BadName::Character(refused));
    }
    if shown.trim() != shown {
        return Err(BadName::OuterSpace);
    }
    Ok(shown)
}

/// Folds any text as [`Username::folded`] is folded, for searching by a name's beginning.
pub fn fold(text: &str) -> String {
    lower(&text.nfkc().collect::<String>())
}

fn lower(text: &str) -> String {
    let lower = text.chars().flat_map(char::to_lowercase);
    // Both have the one upper case Σ.
    let lower = lower.map(|c| if c == 'ς' { 'σ' } else { c });
    // Some letters have a composed form in lower case alone: J̌ and ǰ are one.
    lower.nfkc().collect()
}

fn is_refused(c: char) -> bool {
    match c.general_category() {
        GeneralCategory::Control
        | GeneralCategory::LineSeparator
        | GeneralCategory::ParagraphSeparator => true,
        // The two joiners are part of ordinary words in several scripts.
        GeneralCategory::Format => !matches!(c, '\u{200C}' | '\u{200D}'),
        _ => false,
    }
}

impl fmt::Display for BadName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Length => write!(f, "must have 1 to {NAME_CHARS_MAX} characters"),
            Self::Character(c) => write!(f, "must not hold the character U+{:04X}", u32::from(*c)),
            Self::OuterSpace => f.write_str("must not begin or end with white space"),
        }
    }
}

impl std::error::Error for BadName {}

#[cfg(test)]
mod tests {
    use super::*;

    fn folded(name: &str) -> String {
        Username::parse(name).expect(name).folded().to_string()
    }

    #[test]
    fn keeps_the_case_and_folds_it() {
        let name = Username::parse("Ann Ö").expect("a good name");
        assert_eq!(&**name.shown(), "Ann Ö");
        assert_eq!(&**name.folded(), "ann ö");
    }

    #[test]
    fn compatible_spellings_are_one_name() {
        assert_eq!(folded("ｆｕｌｌ"), "full");
        assert_eq!(folded("e\u{301}"), folded("É"));
        assert_eq!(folded("\u{fb01}n"), "fin");
    }

    #[test]
    fn letters_that_compose_in_one_case_only_are_one_name() {
        for (upper, lower) in [
            ("J\u{30c}", "\u{1f0}"),
            ("W\u{30a}", "\u{1e98}"),
            ("\u{3aa}\u{301}", "\u{390}"),
        ] {
            assert_eq!(folded(upper), folded(lower));
        }
    }

    #[test]
    fn a_prefix_folds_to_a_prefix() {
        assert!(folded("ΣΑΣΑ").starts_with(&fold("ΣΑΣ")));
        assert!(folded("Σίσυφος").starts_with(&fold("σίς")));
    }

    #[test]
    fn a_final_sigma_is_a_sigma() {
        assert_eq!(folded("Σίσυφος"), folded("ΣΊΣΥΦΟΣ"));
    }

    #[test]
    fn the_length_counts_characters_after_normalisation() {
        assert!(Username::parse(&"ö".repeat(64)).is_ok());
        assert!(Username::parse(&"o\u{308}".repeat(64)).is_ok());
        assert_eq!(Username::parse(&"ö".repeat(65)), Err(BadName::Length));
        assert_eq!(
            Username::parse(&"\u{fb01}".repeat(33)),
            Err(BadName::Length)
        );
        assert_eq!(Username::parse(""), Err(BadName::Length));
        assert_eq!(Username::parse(&"x".repeat(100_000)), Err(BadName::Length));
    }

    #[test]
    fn refuses_what_cannot_be_seen() {
        for c in [
            '\0', '\u{7f}', '\u{85}', '\u{200b}', '\u{202e}', '\u{feff}', '\u{2028}', '\u{2029}',
        ] {
            assert_eq!(
                Username::parse(&format!("a{c}b")),
                Err(BadName::Character(c)),
                "{c:?}"
            );
        }
        assert!(Username::parse("a\u{200c}b\u{200d}c").is_ok());
    }

    #[test]
    fn refuses_outer_space_even_when_normalisation_makes_it() {
        for name in [" a", "a ", "\u{3000}a", "a\u{a0}"] {
            assert_eq!(Username::parse(name), Err(BadName::OuterSpace), "{name:?}");
        }
        assert!(Username::parse("a b").is_ok());
    }

    #[test]
    fn chatrooms_keep_the_rules_of_usernames() {
        let name = ChatroomName::parse("Ｔea\u{a0}& Ö").expect("a good name");
        assert_eq!(&**name.shown(), "Tea & Ö");
        for (given, bad) in [
            ("", BadName::Length),
            (&"x".repeat(65), BadName::Length),
            ("a\nb", BadName::Character('\n')),
            (" a", BadName::OuterSpace),
        ] {
            assert_eq!(ChatroomName::parse(given), Err(bad), "{given:?}");
        }
    }
}
