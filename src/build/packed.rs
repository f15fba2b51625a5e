//! Compresses the files that the server gives to browsers, so that nothing is compressed while it serves.
//!
//! The library includes what is written here (`web/mod.rs`).

use std::io::Write;
use std::path::Path;
use std::{env, fs};

use flate2::Compression;
use flate2::write::GzEncoder;

/// Below `src/web`: single files, and a folder whose files are all given.
const FILES: [&str; 3] = ["loiter.js", "loiter.d.ts", "openapi.json"];
const FOLDER: &str = "page";

/// Each file below the folder for what is built, by its own name and `.gz`.
pub(super) fn write() {
    let source = Path::new("src/web");
    let target = env::var_os("OUT_DIR").expect("cargo says where");
    let target = Path::new(&target);
    fs::create_dir_all(target.join(FOLDER)).expect("a folder");
    let entries = fs::read_dir(source.join(FOLDER)).expect("the page");
    let names = entries.map(|entry| entry.expect("a file").file_name());
    let page = names.map(|name| Path::new(FOLDER).join(name));
    for file in FILES.iter().map(|name| name.into()).chain(page) {
        println!("cargo::rerun-if-changed={}", source.join(&file).display());
        let packed = pack(&fs::read(source.join(&file)).expect("a file that can be read"));
        let name = format!("{}.gz", file.display());
        fs::write(target.join(name), packed).expect("a file that can be written");
    }
    println!("cargo::rerun-if-changed={}", source.join(FOLDER).display());
}

/// The same bytes wherever and whenever it is built: without a name and a time.
fn pack(content: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(content).expect("a Vec takes all");
    encoder.finish().expect("a Vec takes all")
}
