//! The control protocol, whack and the ipsec command.
