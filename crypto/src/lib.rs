//! Cryptography behind one surface; the only user of openssl and aws-lc-rs.
