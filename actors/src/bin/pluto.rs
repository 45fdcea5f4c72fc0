//! The IKE daemon.

use std::process::ExitCode;

fn main() -> ExitCode {
    pluto_actors::daemon::main(std::env::args().skip(1))
}
