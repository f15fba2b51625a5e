//! Tags, and which files there are.

use super::*;

#[test]
fn a_tag_is_that_of_the_content() {
    // Test vectors of the function's authors.
    for (content, wanted) in [
        (&b""[..], r#""cbf29ce484222325""#),
        (b"a", r#""af63dc4c8601ec8c""#),
        (b"foobar", r#""85944171f73967e8""#),
    ] {
        assert_eq!(File::new("/", "text/plain", content).tag(), wanted);
    }
}

#[cfg(feature = "web")]
#[test]
fn each_file_has_a_path_and_a_tag_of_its_own() {
    for one in &FILES {
        assert_eq!(file(one.path), Some(one));
        assert!(!one.content().is_empty());
        let alike = FILES.iter().filter(|other| other.tag() == one.tag());
        assert_eq!(alike.count(), 1, "{}", one.path);
    }
    assert_eq!(file("/loiter.rs"), None);
}

#[cfg(not(feature = "web"))]
#[test]
fn without_the_feature_there_are_none() {
    assert_eq!(file("/loiter.js"), None);
}
