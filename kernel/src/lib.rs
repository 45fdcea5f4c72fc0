//! Everything asked of the operating system.
