//! ipsec.secrets.

use crate::Id;
use pluto_crypto::Secret;
use std::fmt;
use std::path::{Path, PathBuf};

/// What a secret is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum SecretKind {
    /// Pre-shared key.
    Psk,
    /// Password of an XAUTH user.
    Xauth,
    /// Post-quantum pre-shared key (RFC 8784).
    Ppk,
}

/// A complaint about one line; the rest of the file counts all the same.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SecretsError {
    /// The file.
    pub file: PathBuf,
    /// The line, from 1; 0 when it is about the whole file.
    pub line: usize,
    /// What is wrong.
    pub why: String,
}

impl fmt::Display for SecretsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "\"{}\" line {}: {}", self.file.display(), self.line, self.why)
    }
}

impl std::error::Error for SecretsError {}

/// All secrets of a file and of those it includes.
#[derive(Debug, Clone, Default)]
pub struct Secrets {
    _private: (),
}

impl Secrets {
    /// Reads a file (or glob pattern) and what it includes. `read` opens files and expands
    /// patterns, so that this is testable and the caller decides where it may block.
    ///
    /// Returns what could be read, the files read in order, and all complaints.
    pub fn load(_path: &Path, _read: &mut dyn SecretFiles) -> (Self, Vec<PathBuf>, Vec<SecretsError>) {
        unimplemented!()
    }
    /// The best secret for the pair of identities (reference: ipsec-secrets, 5).
    #[must_use]
    pub fn find(&self, _kind: SecretKind, _local: &Id, _remote: &Id, _asymmetric: bool) -> Option<&Secret> {
        unimplemented!()
    }
    /// The lines of `--listpsks`: (line number, kind, ids as text).
    #[must_use]
    pub fn list(&self) -> Vec<(usize, SecretKind, String)> {
        unimplemented!()
    }
}

/// How [`Secrets::load`] gets at files.
pub trait SecretFiles {
    /// The files that a shell pattern means, sorted; itself when it has no magic.
    fn expand(&mut self, pattern: &Path) -> Vec<PathBuf>;
    /// The text of a file.
    ///
    /// # Errors
    /// The operating system's text.
    fn read(&mut self, file: &Path) -> Result<Vec<u8>, String>;
}
