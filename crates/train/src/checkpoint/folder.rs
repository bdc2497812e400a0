//! The files of a run's checkpoints.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use downhill_formats::{Tensors, safetensors};

use super::CheckpointError;

const START: &str = "step-";
const END: &str = ".safetensors";

/// A folder that holds the checkpoints of one run.
#[derive(Debug)]
pub(super) struct Folder {
    path: PathBuf,
}

impl Folder {
    /// Makes the folder if it is not there.
    pub(super) fn create(path: &Path) -> Result<Self, CheckpointError> {
        let folder = Self { path: path.to_owned() };
        fs::create_dir_all(path).map_err(|error| folder.error(error))?;
        Ok(folder)
    }

    /// A folder to read from.
    pub(super) fn at(path: &Path) -> Self {
        Self { path: path.to_owned() }
    }

    fn error(&self, error: io::Error) -> CheckpointError {
        CheckpointError::Folder { folder: self.path.clone(), error }
    }

    fn names(&self) -> Result<Vec<String>, CheckpointError> {
        let read = || -> io::Result<Vec<String>> {
            let mut names = Vec::new();
            for entry in fs::read_dir(&self.path)? {
                names.extend(entry?.file_name().into_string());
            }
            Ok(names)
        };
        match read() {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
            read => read.map_err(|error| self.error(error)),
        }
    }

    /// The checkpoints with their steps, the earliest first.
    pub(super) fn checkpoints(&self) -> Result<Vec<(u64, PathBuf)>, CheckpointError> {
        let names = self.names()?;
        let step = |name: &str| name.strip_prefix(START)?.strip_suffix(END)?.parse::<u64>().ok();
        let mut found: Vec<_> = names.iter().filter_map(|name| Some((step(name)?, self.path.join(name)))).collect();
        found.sort_unstable();
        Ok(found)
    }

    /// Removes what a crash in the midst of writing has left.
    pub(super) fn clean(&self) -> Result<(), CheckpointError> {
        let is_left = |name: &&String| name.starts_with(".step-") && name.contains(END);
        for name in self.names()?.iter().filter(is_left) {
            self.remove(&self.path.join(name))?;
        }
        Ok(())
    }

    pub(super) fn write(&self, step: u64, tensors: &Tensors<'_>) -> Result<(), CheckpointError> {
        Ok(safetensors::write_checked(tensors, self.path.join(format!("{START}{step:012}{END}")))?)
    }

    /// Removes all but the last ones and the best.
    pub(super) fn prune(&self, keep_last: usize, best: &[(u64, f64)]) -> Result<(), CheckpointError> {
        let found = self.checkpoints()?;
        let old = found.len().saturating_sub(keep_last);
        for (step, path) in found.iter().take(old) {
            if !best.iter().any(|(kept, _)| kept == step) {
                self.remove(path)?;
            }
        }
        Ok(())
    }

    fn remove(&self, path: &Path) -> Result<(), CheckpointError> {
        match fs::remove_file(path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(self.error(error)),
            _ => Ok(()),
        }
    }

    /// Gives a damaged checkpoint another name, so that it does not count as one of the last.
    pub(super) fn set_aside(&self, path: &Path) -> Result<(), CheckpointError> {
        let mut name = path.as_os_str().to_owned();
        name.push(".damaged");
        fs::rename(path, name).map_err(|error| self.error(error))
    }
}
