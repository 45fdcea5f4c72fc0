//! Where what outlives a reboot is kept: the leases of address pools.

use pluto_whack::pluto_options::PlutoOptions;
use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

/// The file's name in either directory.
const LEASES: &str = "leases.json";

/// The file of the leases, and what the administrator should know about it. A state
/// directory that cannot be used leaves them in the run directory, until the next reboot;
/// what is found there later is taken over. Only for whoever holds the lock.
pub(super) fn leases(options: &PlutoOptions) -> (PathBuf, Vec<String>) {
    let dir = options.state_dir();
    let (kept, found) = (dir.join(LEASES), options.rundir.join(LEASES));
    if kept == found {
        return (kept, Vec::new());
    }
    if let Err(error) = usable(&dir, &kept) {
        let warning = format!(
            "state directory \"{}\" cannot be used: {error}; \
             leases are kept in \"{}\" and are lost at a reboot",
            dir.display(),
            options.rundir.display()
        );
        return (found, vec![warning]);
    }
    let warning = match take_over(&found, &kept) {
        Ok(()) => None,
        Err(error) => Some(format!("\"{}\": leases are not taken over: {error}", found.display())),
    };
    (kept, warning.into_iter().collect())
}

/// Makes the directory where it is missing, and tries to write beside the file.
fn usable(dir: &Path, file: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(dir)?;
    let trial = file.with_extension("json.try");
    private(&trial)?;
    fs::remove_file(trial)
}

/// Moves the file unless there is a newer one. The two may be on different file systems, so
/// it is copied: the old one or the new one is there, never half of one.
fn take_over(found: &Path, kept: &Path) -> io::Result<()> {
    let changed = |path: &Path| fs::metadata(path).and_then(|metadata| metadata.modified());
    let there = match changed(found) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        there => there?,
    };
    if changed(kept).is_ok_and(|kept| kept > there) {
        return Ok(());
    }
    let beside = kept.with_extension("json.new");
    let mut copy = private(&beside)?;
    io::copy(&mut File::open(found)?, &mut copy)?;
    copy.sync_all()?;
    fs::rename(&beside, kept)?;
    fs::remove_file(found)
}

fn private(path: &Path) -> io::Result<File> {
    OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(path)
}

#[cfg(test)]
#[path = "state_tests.rs"]
mod tests;
