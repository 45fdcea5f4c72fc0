//! What the DNS actor receives.

use crate::Fault;
use actix::Message;
use pluto_dns::DnsError;
use std::net::IpAddr;

/// The addresses of a name.
#[derive(Debug, Clone, Message)]
#[rtype(result = "Result<Result<Vec<IpAddr>, DnsError>, Fault>")]
pub struct Resolve(pub String);
