//! Every payload by hand: its octets, its value, and what is said when it is cut short.

mod cp;
mod delete;
mod encrypted;
mod notify;
mod plain;
mod sa;
mod ts;
