//! `ipsec`: the command that administrators type.

use std::process::ExitCode;

fn main() -> ExitCode {
    pluto_whack::program::ipsec(pluto_whack::program::arguments())
}
