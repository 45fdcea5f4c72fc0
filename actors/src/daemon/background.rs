//! Into the background: fork once, before there are threads; the parent waits until the
//! child is ready, and has its exit status.

use crate::platform;
use std::io::{self, PipeReader, PipeWriter, Read, Write};
use std::process::ExitCode;

/// Who we are after the fork.
pub(super) enum Forked {
    /// The parent, with its exit status.
    Parent(ExitCode),
    /// The child.
    Child(Readiness),
}

/// How to tell that the daemon is ready.
#[derive(Debug)]
pub(super) enum Readiness {
    /// On standard output, for whoever started it in the foreground.
    Foreground,
    /// To the parent.
    Background(PipeWriter),
}

impl Readiness {
    pub(super) fn tell(self) {
        match self {
            Self::Foreground => println!("Pluto initialized"),
            Self::Background(mut parent) => {
                let _ = parent.write_all(&[0]);
                drop(parent);
                let _ = platform::forget_terminal();
            }
        }
    }
}

pub(super) fn fork() -> io::Result<Forked> {
    let (from_child, to_parent) = io::pipe()?;
    if platform::fork()? {
        drop(to_parent);
        return Ok(Forked::Parent(wait(from_child)));
    }
    drop(from_child);
    nix::unistd::setsid()?;
    Ok(Forked::Child(Readiness::Background(to_parent)))
}

/// A child that ends without a word has failed, and has said why on standard error.
fn wait(mut child: PipeReader) -> ExitCode {
    let mut octet = [0_u8];
    match child.read(&mut octet) {
        Ok(1) => ExitCode::SUCCESS,
        _ => ExitCode::FAILURE,
    }
}
