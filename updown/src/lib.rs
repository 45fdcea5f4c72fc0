//! What happens to routes when a tunnel comes and goes: scripts and their native equivalent.
