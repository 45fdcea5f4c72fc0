//! What happens to routes and DNS servers when a tunnel comes and goes: the verbs, their
//! environment, scripts, and the same work done natively.
//!
//! [`environment`] and [`native`] only compute; [`run`](run::run) starts processes.

pub mod dns;
mod env;
pub mod fake;
mod lines;
pub mod native;
pub mod run;
mod verb;

pub use dns::DnsSetup;
pub use env::{LARGEST_ENVIRONMENT, LONGEST_VALUE, Surroundings, environment};
pub use lines::{LONGEST_LINE, MOST_LINES};
pub use run::{Outcome, Ran, Runner, Running, Script, Shell};
pub use verb::{Facts, Means, Verb};
