//! `whack`: tells pluto what to do.

use std::process::ExitCode;

fn main() -> ExitCode {
    pluto_whack::program::whack("whack", pluto_whack::program::arguments())
}
