//! IKEv2: the table of exchanges, and a file for each.
