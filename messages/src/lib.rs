//! The messages that actors receive.
