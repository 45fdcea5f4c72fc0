//! The control protocol between `whack` and the daemon, and everything that reads or
//! writes it: the command lines of `whack`, `ipsec` and `pluto`, the facts that listings
//! show, and their text and JSON forms.
//!
//! | module | what |
//! |---|---|
//! | [`request`], [`reply`] | what the two sides tell each other |
//! | [`frame`] | how: one JSON object a line; no I/O |
//! | [`render`] | listings as text |
//! | [`report`] | facts of listings, typed; both text and JSON are made of them |
//! | [`document`] | listings as JSON |
//! | [`client`] | whack's side of the socket |
//! | [`program`] | the programs: files, standard streams, exit status |
//! | [`ipsec`] | the `ipsec` command: which program does it |
//! | [`debug`] | names of debug classes |
//! | [`options`] | command lines: the reader, and whack's |
//! | [`whack_options`] | the command line of `whack` |
//! | [`pluto_options`] | the command line of `pluto` |

pub mod client;
pub mod debug;
pub mod document;
pub mod frame;
pub mod ipsec;
pub mod options;
pub mod pluto_options;
pub mod program;
pub mod render;
pub mod reply;
pub mod report;
pub mod request;
pub mod whack_options;

pub use debug::{DebugClass, DebugSet};
pub use pluto_options::{PlutoCommand, PlutoCommandLine, PlutoOptions};
pub use reply::{Reply, codes};
pub use report::Item;
pub use request::{Listing, Password, Request};

/// The version that `--version` prints and that listings name.
pub const VERSION: &str = env!("CARGO_PKG_VERSION");

/// Where the daemon keeps its control socket, pid file and dumps unless told otherwise.
pub const DEFAULT_RUNDIR: &str = "/run/pluto";

/// Where the daemon keeps what outlives a reboot unless told otherwise.
pub const DEFAULT_STATEDIR: &str = "/var/lib/ipsec";

/// The control socket's file name within the run directory.
pub const CONTROL_SOCKET: &str = "pluto.ctl";
