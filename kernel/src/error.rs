//! What the operating system refused.

use std::fmt;

/// A refused request: what was asked, and the errno with the kernel's own words.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KernelError {
    /// What was asked, in words: `install outbound ESP SA 0x12345678`.
    pub what: String,
    /// errno, positive; 0 when it was not the kernel that refused.
    pub errno: i32,
    /// The extended acknowledgement's text, or an explanation.
    pub why: String,
}

impl fmt::Display for KernelError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.what, self.why)?;
        if self.errno != 0 {
            write!(f, " (errno {})", self.errno)?;
        }
        Ok(())
    }
}

impl std::error::Error for KernelError {}

/// A refusal with the system's words for `errno`.
pub(crate) fn refused(what: impl Into<String>, errno: i32) -> KernelError {
    let why = nix::errno::Errno::from_raw(errno).desc().to_owned();
    KernelError { what: what.into(), errno, why }
}
