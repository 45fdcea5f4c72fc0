//! Two-peer simulation, actor-tree tests, the laboratory and the benchmarks.
//!
//! Level 1 of the simulation is here: no actors, virtual time, and a seed that fixes every
//! octet.

pub mod clock;
pub mod crossing;
pub mod net;
pub mod peer;
pub mod puppet;
pub mod sim;
pub mod stage;
pub mod tree;
