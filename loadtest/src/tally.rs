//! What went wrong in a run, counted, with a few examples in words.

use serde_json::{Value, json};

/// Examples kept, at most: the first ones tell the most.
const EXAMPLES_MAX: usize = 5;

/// Counts of all that must not happen.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Tally {
    /// Deliveries or saved messages that should be there and are not.
    pub(crate) missing: u64,
    /// Deliveries or saved messages that are there more than once.
    pub(crate) doubled: u64,
    /// Answers that the contract does not allow here, and connections that broke.
    pub(crate) unexpected: u64,
    /// The first few, in words.
    pub(crate) examples: Vec<String>,
}

impl Tally {
    /// Counts something missing.
    pub(crate) fn missing(&mut self, count: u64, example: impl FnOnce() -> String) {
        self.missing += count;
        if count > 0 {
            self.example(example);
        }
    }

    /// Counts something that came again.
    pub(crate) fn doubled(&mut self, count: u64, example: impl FnOnce() -> String) {
        self.doubled += count;
        if count > 0 {
            self.example(example);
        }
    }

    /// Counts one thing that should not have come.
    pub(crate) fn unexpected(&mut self, example: impl FnOnce() -> String) {
        self.unexpected += 1;
        self.example(example);
    }

    /// Whether nothing was wrong.
    pub(crate) fn is_clean(&self) -> bool {
        self.missing + self.doubled + self.unexpected == 0
    }

    /// Adds what another part of the run counted.
    pub(crate) fn add(&mut self, other: Self) {
        self.missing += other.missing;
        self.doubled += other.doubled;
        self.unexpected += other.unexpected;
        for example in other.examples {
            self.example(|| example);
        }
    }

    /// For the file of figures, and for [`Tally::from_json`] in another process.
    pub(crate) fn to_json(&self) -> Value {
        json!({
            "missing": self.missing,
            "doubled": self.doubled,
            "unexpected": self.unexpected,
            "examples": self.examples,
        })
    }

    /// The inverse of [`Tally::to_json`]; `None` for anything else.
    pub(crate) fn from_json(value: &Value) -> Option<Self> {
        let examples = value["examples"].as_array()?;
        Some(Self {
            missing: value["missing"].as_u64()?,
            doubled: value["doubled"].as_u64()?,
            unexpected: value["unexpected"].as_u64()?,
            examples: examples
                .iter()
                .map(|e| e.as_str().map(str::to_owned))
                .collect::<Option<_>>()?,
        })
    }

    fn example(&mut self, example: impl FnOnce() -> String) {
        if self.examples.len() < EXAMPLES_MAX {
            self.examples.push(example());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tally_crosses_processes_whole() {
        let mut tally = Tally::default();
        assert!(tally.is_clean());
        tally.missing(0, || unreachable!("nothing is missing"));
        tally.missing(2, || "two".into());
        tally.doubled(1, || "one".into());
        for at in 0..9 {
            tally.unexpected(|| format!("answer {at}"));
        }
        assert!(!tally.is_clean());
        assert_eq!(tally.examples.len(), EXAMPLES_MAX);
        assert_eq!(Tally::from_json(&tally.to_json()), Some(tally.clone()));
        assert_eq!(Tally::from_json(&json!({"missing": 1})), None);
        let mut sum = tally.clone();
        sum.add(tally);
        assert_eq!((sum.missing, sum.doubled, sum.unexpected), (4, 2, 18));
        assert_eq!(sum.examples.len(), EXAMPLES_MAX);
    }
}
