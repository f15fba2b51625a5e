//! A search for names that begin with a text is one for a range of names.

/// The least text that is greater than all that begin with `prefix`; `None` if there is none.
///
/// UTF-8 sorts as its characters do. So it is the prefix with its last character raised by one;
/// the last of all characters cannot be raised, and makes way for the one before.
pub(super) fn beyond(prefix: &str) -> Option<String> {
    let kept = prefix.trim_end_matches(char::MAX);
    let last = kept.chars().next_back()?;
    // Stepping over the surrogates, which are no characters.
    let raised = (last..=char::MAX).nth(1)?;
    let mut beyond = kept[..kept.len() - last.len_utf8()].to_owned();
    beyond.push(raised);
    Some(beyond)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_end_of_a_range_is_right_for_every_last_character() {
        assert_eq!(beyond("an").as_deref(), Some("ao"));
        assert_eq!(beyond("a\u{7f}").as_deref(), Some("a\u{80}"));
        assert_eq!(beyond("a\u{d7ff}").as_deref(), Some("a\u{e000}"));
        assert_eq!(beyond("a\u{ffff}").as_deref(), Some("a\u{10000}"));
        assert_eq!(beyond("a\u{10ffff}\u{10ffff}").as_deref(), Some("b"));
        assert_eq!(beyond("\u{10ffff}"), None);
        assert_eq!(beyond(""), None);
    }
}
