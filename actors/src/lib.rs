//! The shell: actors under a supervision tree, and the daemon itself.
