//! The files that the results go to: checked before a run, so that a mistake shows then, and written behind it.
//!
//! A run that fails or is interrupted leaves each as it was. So what is there already is opened and keeps what it holds, and
//! what is not there is made to see that it can be, and removed again.

use std::fs::{self, File};
use std::io::{self, Write as _};
use std::os::unix::fs::MetadataExt as _;
use std::path::PathBuf;

use crate::error::Error;
use crate::options::OutputOptions;

/// The files, of which each may be wanted or not.
pub(crate) struct Files {
    json: Option<Place>,
    html: Option<Place>,
    markdown: Option<Place>,
}

/// Where one of them goes.
struct Place {
    path: PathBuf,
    /// Kept open where it was there: a named pipe's reader would see its end otherwise. `None` where it is yet to be made.
    file: Option<File>,
}

impl Files {
    /// Makes sure that each can be written, and that no two are the same.
    pub(crate) fn check(
        output: &OutputOptions,
        markdown: &Option<PathBuf>,
    ) -> Result<Self, String> {
        let mut seen = Vec::new();
        let mut made = Vec::new();
        let mut check = |name: &str, path: &Option<PathBuf>| {
            let place = path.as_ref().map(|path| {
                let shown = path.display();
                let place = Place::open(path, &mut made, &mut seen);
                place.map_err(|e| format!("invalid value '{shown}' for '--{name} <FILE>': {e}"))
            });
            place.transpose()
        };
        let json = check("json", &output.json);
        let html = check("html", &output.html);
        let markdown = check("markdown", markdown);
        for path in &made {
            // One that has gone already is as it should be.
            let _ = fs::remove_file(path);
        }
        let files = Self {
            json: json?,
            html: html?,
            markdown: markdown?,
        };
        let all = seen.len();
        seen.sort_unstable();
        seen.dedup();
        match seen.len() == all {
            true => Ok(files),
            false => {
                Err("the results need files of their own, and two of them name the same".into())
            }
        }
    }

    /// Writes each that is wanted, whole.
    pub(crate) fn write(self, json: &str, html: &str, markdown: &str) -> Result<(), Error> {
        let files = [
            (self.json, json),
            (self.html, html),
            (self.markdown, markdown),
        ];
        for (place, text) in files {
            let written = place.map_or(Ok(()), |place| place.write(text));
            written.map_err(Error::io("write the figures"))?;
        }
        Ok(())
    }
}

impl Place {
    /// Opens it without a change to what it holds. One that was not there is added to those `made`; the identity of a file is
    /// added to those `seen`. A device has none: it may take several, since none overwrites another.
    fn open(
        path: &PathBuf,
        made: &mut Vec<PathBuf>,
        seen: &mut Vec<(u64, u64)>,
    ) -> io::Result<Self> {
        let was_there = path.exists();
        let file = File::options()
            .write(true)
            .create(true)
            .truncate(false)
            .open(path)?;
        let found = file.metadata()?;
        if found.is_file() {
            seen.push((found.dev(), found.ino()));
        }
        if !was_there {
            // Behind a link it is the file that was made.
            made.push(fs::canonicalize(path)?);
        }
        Ok(Self {
            path: path.clone(),
            file: was_there.then_some(file),
        })
    }

    fn write(self, text: &str) -> io::Result<()> {
        let mut file = match self.file {
            Some(file) => file,
            None => File::create(self.path)?,
        };
        if file.metadata()?.is_file() {
            file.set_len(0)?;
        }
        writeln!(file, "{text}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_changes_before_the_results_are_there() {
        let folder = tempfile::tempdir().unwrap();
        let (old, new) = (folder.path().join("old"), folder.path().join("new"));
        fs::write(&old, "of the last run").unwrap();
        let output = OutputOptions {
            json: Some(old.clone()),
            html: Some(new.clone()),
        };
        let files = Files::check(&output, &None).unwrap();
        assert_eq!(fs::read_to_string(&old).unwrap(), "of the last run");
        assert!(!new.exists());
        files.write("{}", "<html>", "").unwrap();
        assert_eq!(fs::read_to_string(&old).unwrap(), "{}\n");
        assert_eq!(fs::read_to_string(&new).unwrap(), "<html>\n");
    }

    #[test]
    fn what_is_refused_leaves_nothing_behind() {
        let folder = tempfile::tempdir().unwrap();
        let new = Some(folder.path().join("new"));
        let output = OutputOptions {
            json: new.clone(),
            html: new.clone(),
        };
        let refused = Files::check(&output, &None).err().unwrap();
        assert!(refused.contains("the same"), "{refused}");
        let output = OutputOptions {
            json: new,
            html: Some(folder.path().to_owned()),
        };
        let refused = Files::check(&output, &None).err().unwrap();
        assert!(refused.contains("--html"), "{refused}");
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
    }
}
