//! NAT detection (RFC 7296, 2.23).
