//! Command lines, each of them a table of options.
//!
//! `lexopt`, which the rest of the world would take, knows neither unique prefixes nor
//! optional arguments, and libreswan's users rely on both; so [`getopt`] reads long options
//! as `getopt_long` does.

pub mod getopt;
#[cfg(test)]
pub(crate) mod manual;
pub mod value;

pub use getopt::{Complaint, Found, Opt, Reader, Takes};
