//! Two-peer simulation, actor-tree tests, the laboratory and the benchmarks.
