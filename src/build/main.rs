//! The build script: what is made before the library and the binary are compiled.
//!
//! A program of its own, and no module of the library.

mod layout;
#[cfg(feature = "web")]
mod packed;

fn main() {
    // Otherwise cargo would look at every file of the package.
    println!("cargo::rerun-if-changed=src/build");
    #[cfg(feature = "web")]
    packed::write();
    layout::lay_out();
}
