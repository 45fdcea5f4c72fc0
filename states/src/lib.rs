//! The IKE state machines, without input or output.
