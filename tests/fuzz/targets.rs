//! The targets by their names.

/// What a target does with an input: it panics if something does not hold.
pub(crate) type Run = fn(&[u8]);

/// The names are those of the corpora's folders.
pub(crate) const TARGETS: [(&str, Run); 4] = [
    ("head", crate::head::run),
    ("body", crate::body::run),
    ("parameters", crate::parameters::run),
    ("engine", crate::engine::run),
];
