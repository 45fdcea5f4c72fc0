//! Names and keys from DNS.
