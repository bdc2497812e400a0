use std::fs::File;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use crate::DataError;

/// What tells that a file is another than it was.
#[derive(Clone, Debug)]
pub(super) struct Stamp {
    path: PathBuf,
    length: u64,
    /// `None` on systems that don't know it.
    modified: Option<SystemTime>,
}

impl Stamp {
    /// Opens a file and keeps what it is now.
    pub(super) fn open(path: &Path) -> Result<(Self, File), DataError> {
        let open = || {
            let file = File::open(path)?;
            let metadata = file.metadata()?;
            let stamp = Self { path: path.to_owned(), length: metadata.len(), modified: metadata.modified().ok() };
            Ok((stamp, file))
        };
        open().map_err(|error: DataError| error.in_file(path))
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// The number of bytes.
    pub(super) fn length(&self) -> u64 {
        self.length
    }

    /// Checks that the file at this path is what it was.
    pub(super) fn check(&self) -> Result<(), DataError> {
        let check = || {
            let metadata = std::fs::metadata(&self.path)?;
            if (metadata.len(), metadata.modified().ok()) == (self.length, self.modified) {
                return Ok(());
            }
            Err(DataError::FileChanged { before: self.length, now: metadata.len() })
        };
        check().map_err(|error: DataError| error.in_file(&self.path))
    }
}
