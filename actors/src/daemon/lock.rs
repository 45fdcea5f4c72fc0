//! The lock file, which holds the process id.

use nix::fcntl::{Flock, FlockArg};
use std::fmt;
use std::fs::File;
use std::io::{self, Read, Seek, Write};
use std::path::{Path, PathBuf};

/// The lock file, held.
#[derive(Debug)]
pub(super) struct Lock {
    path: PathBuf,
    file: Flock<File>,
    stale: Option<i32>,
}

/// Why it could not be taken.
#[derive(Debug)]
pub(super) enum LockError {
    /// Its owner lives.
    Taken(String),
    /// The operating system.
    Io(String),
}

impl fmt::Display for LockError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Taken(text) | Self::Io(text) => f.write_str(text),
        }
    }
}

impl Lock {
    /// Takes the lock, or takes it over when its owner is gone.
    pub(super) fn take(path: &Path) -> Result<Self, LockError> {
        let io =
            |error: io::Error| LockError::Io(format!("lock file \"{}\": {error}", path.display()));
        let mut file = File::options()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(path)
            .map_err(io)?;
        let mut text = String::new();
        // Whatever it holds, a number is all that matters.
        let _ = Read::by_ref(&mut file).take(32).read_to_string(&mut text);
        let pid: Option<i32> = text.trim().parse().ok();
        let taken = |pid: Option<i32>| {
            let owner = pid.map_or("another process".to_string(), |pid| format!("process {pid}"));
            LockError::Taken(format!(
                "lock file \"{}\" exists and {owner} lives: pluto is already running",
                path.display()
            ))
        };
        let file = match Flock::lock(file, FlockArg::LockExclusiveNonblock) {
            Ok(file) => file,
            Err((_, nix::Error::EWOULDBLOCK)) => return Err(taken(pid)),
            Err((_, error)) => return Err(io(error.into())),
        };
        // Another IKE daemon may use a lock file without a lock on it.
        let stale = match pid {
            Some(pid) if pid != std::process::id().cast_signed() && is_pluto(pid) => {
                return Err(taken(Some(pid)));
            }
            other => other,
        };
        Ok(Self { path: path.to_path_buf(), file, stale })
    }

    /// Writes our process id, after the fork.
    pub(super) fn write_pid(&self) -> io::Result<()> {
        let mut file: &File = &self.file;
        file.set_len(0)?;
        file.rewind()?;
        writeln!(file, "{}", std::process::id())
    }

    /// Whose it was before, when he was gone.
    pub(super) fn stale(&self) -> Option<i32> {
        self.stale
    }
}

/// Whether the process is a pluto that runs; one that has ended and was not waited for yet is
/// gone for our purposes.
fn is_pluto(pid: i32) -> bool {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let field = |name: &str| {
        let line = status.lines().find(|line| line.starts_with(name));
        line.and_then(|line| line.get(name.len()..)).map(str::trim)
    };
    field("Name:") == Some("pluto") && field("State:").is_some_and(|state| !state.starts_with('Z'))
}

impl Drop for Lock {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.path);
    }
}

#[cfg(test)]
#[path = "lock_tests.rs"]
mod tests;
