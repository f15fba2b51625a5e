//! Tags, forms, and which files there are.

use super::*;

#[test]
fn a_tag_is_that_of_the_content() {
    // Test vectors of the function's authors.
    for (content, wanted) in [
        (&b""[..], r#""cbf29ce484222325""#),
        (b"a", r#""af63dc4c8601ec8c""#),
        (b"foobar", r#""85944171f73967e8""#),
    ] {
        let file = File::new("/", "text/plain", content, b"x");
        assert_eq!(file.plain().tag(), wanted);
    }
}

#[cfg(feature = "web")]
mod given {
    use std::collections::HashSet;
    use std::io::Read;

    use flate2::read::GzDecoder;

    use super::*;

    #[test]
    fn each_file_has_a_path_of_its_own_and_each_form_a_tag() {
        let mut tags = HashSet::new();
        for one in &FILES {
            assert_eq!(file(one.path), Some(one));
            assert!(!one.path.ends_with('/'), "{}", one.path);
            for form in [one.plain(), one.packed()] {
                assert!(tags.insert(form.tag()), "{}", one.path);
            }
        }
        assert_eq!(file("/loiter.rs"), None);
    }

    #[test]
    fn what_is_compressed_is_what_was_written() {
        for file in &FILES {
            let (plain, packed) = (file.plain(), file.packed());
            let mut unpacked = Vec::new();
            let mut decoder = GzDecoder::new(packed.content());
            decoder.read_to_end(&mut unpacked).expect("it is sound");
            assert!(unpacked == plain.content(), "{}", file.path);
            assert_eq!((plain.coding(), packed.coding()), (None, Some("gzip")));
            assert_eq!(plain.content_type(), packed.content_type());
        }
    }

    /// With the client, and without its types, which no browser asks for.
    #[test]
    fn all_that_the_page_loads_is_small() {
        let loaded = FILES.iter().filter(|file| file.path != "/loiter.d.ts");
        let bytes: usize = loaded.map(|file| file.packed().content().len()).sum();
        assert!(bytes < 40_000, "{bytes}");
    }

    /// What a page loads stands in its text, and in that of what it loads.
    #[test]
    fn the_page_loads_what_is_given_and_nothing_else() {
        let mut named = HashSet::from([""]);
        for file in &FILES {
            let text = str::from_utf8(file.plain().content()).expect("UTF-8");
            let quoted = text.split(['"', '\'']);
            named.extend(quoted.filter(|part| part.starts_with("/page/") || *part == "/loiter.js"));
            let is_elsewhere = |part: &str| part.starts_with("//") || part.contains("://");
            let elsewhere = text
                .split(['"', '\'', '(', ' '])
                .filter(|part| is_elsewhere(part));
            let elsewhere: Vec<&str> = elsewhere
                .filter(|part| !part.trim_matches('/').is_empty())
                .collect();
            // The name of a format, and an example in a comment: neither is asked for.
            let known = ["http://www.w3.org/2000/svg", "`https://chat.example`;"];
            assert!(
                elsewhere.iter().all(|part| known.contains(part)),
                "{elsewhere:?}"
            );
        }
        let given = FILES.iter().map(|file| file.path);
        // Those are for tools.
        let is_loaded = |path: &&str| !["/loiter.d.ts", "/openapi.json"].contains(path);
        let given: HashSet<&str> = given.filter(is_loaded).collect();
        assert_eq!(named, given);
    }
}

#[cfg(not(feature = "web"))]
#[test]
fn without_the_feature_there_are_none() {
    assert_eq!(file("/loiter.js"), None);
    assert_eq!(file(""), None);
}
