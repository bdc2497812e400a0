//! Files that are whole or not there.

use std::ffi::OsString;
use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::path::Path;
use std::process;
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::FormatError;

/// Writes a file next to `path` and gives it that name once all of it is on the disk, so that a crash leaves the old file
/// or the new one. An error names the file.
pub(crate) fn replace(
    path: &Path,
    write: impl FnOnce(&mut BufWriter<File>) -> Result<(), FormatError>,
) -> Result<(), FormatError> {
    static WRITTEN: AtomicUsize = AtomicUsize::new(0);
    let beside = || -> Result<(), FormatError> {
        let name = path.file_name().ok_or_else(|| io::Error::new(io::ErrorKind::InvalidInput, "this names no file"))?;
        let mut temporary = OsString::from(".");
        temporary.push(name);
        temporary.push(format!(".{}-{}", process::id(), WRITTEN.fetch_add(1, Ordering::Relaxed)));
        let temporary = path.with_file_name(temporary);
        let complete = || -> Result<(), FormatError> {
            let mut file = BufWriter::new(File::create_new(&temporary)?);
            write(&mut file)?;
            file.flush()?;
            file.get_ref().sync_all()?;
            fs::rename(&temporary, path)?;
            Ok(sync_folder(path)?)
        };
        complete().inspect_err(|_| {
            // The first error says more than one of cleaning up.
            let _ = fs::remove_file(&temporary);
        })
    };
    beside().map_err(|error| error.in_file(path))
}

/// Waits until the new name is on the disk too.
///
/// Only Unix opens a folder to do so; elsewhere the file system itself keeps names in order.
fn sync_folder(path: &Path) -> io::Result<()> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    if cfg!(unix) { File::open(folder)?.sync_all() } else { Ok(()) }
}
