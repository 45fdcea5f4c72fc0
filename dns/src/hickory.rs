//! The resolver that asks real servers.

use crate::name::{self, Preference};
use crate::{DnsError, Lookup, Resolver, arrange, literal};
use hickory_resolver::TokioResolver;
use hickory_resolver::config::{
    ConnectionConfig, LookupIpStrategy, NameServerConfig, ResolverConfig, ResolverOpts,
};
use hickory_resolver::net::runtime::TokioRuntimeProvider;
use hickory_resolver::net::{DnsError as Answered, NetError};
use hickory_resolver::proto::op::ResponseCode;
use hickory_resolver::system_conf::read_system_conf;
use std::cell::RefCell;
use std::fmt;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::os::unix::fs::MetadataExt;
use std::time::Duration;

/// How long one look-up may take, with everything that is sent again in it.
const LIMIT: Duration = Duration::from_secs(5);
/// How long one question waits before it is sent again: three fit into [`LIMIT`].
const ONE_QUESTION: Duration = Duration::from_millis(1_500);
/// A name that was not there is asked for again after this long, whatever its zone says:
/// an administrator who has just added it is waiting.
const LONGEST_DENIAL: Duration = Duration::from_secs(60);
/// Answers that the cache keeps.
const CACHED: u64 = 1_024;
/// Questions under way at once to one server, both families counted.
const AT_ONCE: usize = 256;
/// The files that the system's configuration is in.
const FILES: [&str; 2] = ["/etc/resolv.conf", "/etc/hosts"];

/// Asks the servers of /etc/resolv.conf (after /etc/hosts); when the files change, it reads
/// them again, so that a network that comes up after the daemon is used. Answers are
/// cached for as long as their TTL says.
pub struct HickoryResolver {
    preference: Preference,
    /// Fixed servers in place of the system's.
    servers: Option<Vec<SocketAddr>>,
    current: RefCell<Option<Current>>,
}

#[derive(Clone)]
struct Current {
    resolver: TokioResolver,
    read_from: [Stamp; 2],
    /// What was wrong with the system's configuration.
    trouble: Option<String>,
}

/// Tells one version of a file from the next; none when it is not there.
type Stamp = Option<(u64, i64, i64, u64)>;

impl fmt::Debug for HickoryResolver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HickoryResolver")
            .field("preference", &self.preference)
            .field("servers", &self.servers)
            .finish_non_exhaustive()
    }
}

impl HickoryResolver {
    /// With the system's servers; none configured: 127.0.0.1, as resolv.conf(5) has it. The
    /// first question sets it up, or is told why that cannot be.
    #[must_use]
    pub fn system() -> Self {
        Self { preference: Preference::default(), servers: None, current: RefCell::new(None) }
    }

    /// With these servers, and without /etc/hosts.
    #[must_use]
    pub fn with_servers(servers: Vec<SocketAddr>) -> Self {
        let preference = Preference::default();
        Self { preference, servers: Some(servers), current: RefCell::new(None) }
    }

    /// The same with another preference.
    #[must_use]
    pub fn preferring(self, preference: Preference) -> Self {
        Self { preference, servers: self.servers, current: RefCell::new(None) }
    }

    fn current(&self) -> Result<Current, DnsError> {
        let stamps = if self.servers.is_some() { [None; 2] } else { FILES.map(stamp) };
        let mut current = self.current.borrow_mut();
        if let Some(current) = current.as_ref().filter(|current| current.read_from == stamps) {
            return Ok(current.clone());
        }
        let built = self.build(stamps)?;
        *current = Some(built.clone());
        Ok(built)
    }

    fn build(&self, read_from: [Stamp; 2]) -> Result<Current, DnsError> {
        let (config, mut options, trouble) = match &self.servers {
            Some(servers) => (fixed(servers), without_hosts(), None),
            None => match read_system_conf() {
                Ok((config, options)) => (config, options, None),
                Err(error) => {
                    let local = fixed(&[SocketAddr::from((Ipv4Addr::LOCALHOST, 53))]);
                    (local, ResolverOpts::default(), Some(format!("{}: {error}", FILES[0])))
                }
            },
        };
        options.timeout = ONE_QUESTION;
        options.attempts = 2;
        options.cache_size = CACHED;
        options.max_active_requests = AT_ONCE;
        options.negative_max_ttl = Some(LONGEST_DENIAL);
        options.ip_strategy = match self.preference {
            Preference::Ipv4First => LookupIpStrategy::Ipv4AndIpv6,
            Preference::Ipv6First => LookupIpStrategy::Ipv6AndIpv4,
            Preference::Ipv4Only => LookupIpStrategy::Ipv4Only,
            Preference::Ipv6Only => LookupIpStrategy::Ipv6Only,
        };
        let mut builder =
            TokioResolver::builder_with_config(config, TokioRuntimeProvider::default());
        *builder.options_mut() = options;
        let resolver = builder
            .build()
            .map_err(|error| DnsError::Failed(format!("cannot set the resolver up: {error}")))?;
        Ok(Current { resolver, read_from, trouble })
    }
}

impl Resolver for HickoryResolver {
    fn addresses(&self, name: &str) -> Lookup {
        if let Some(address) = literal(name) {
            return Box::pin(std::future::ready(Ok(vec![address])));
        }
        let current = match name::check(name).and_then(|()| self.current()) {
            Ok(current) => current,
            Err(error) => return Box::pin(std::future::ready(Err(error))),
        };
        let (name, preference) = (name.to_string(), self.preference);
        Box::pin(async move {
            let answer = tokio::time::timeout(LIMIT, current.resolver.lookup_ip(name)).await;
            let addresses = match answer {
                Err(_) => Err(DnsError::Timeout),
                Ok(Err(error)) => Err(judge(&error)),
                Ok(Ok(found)) => {
                    let addresses: Vec<IpAddr> = found.iter().collect();
                    Ok(arrange(&addresses, preference))
                }
            };
            match (addresses, current.trouble) {
                (Ok(none), _) if none.is_empty() => Err(DnsError::NoRecords),
                (Err(error), Some(trouble)) if error != DnsError::NoRecords => {
                    Err(DnsError::Failed(format!("{error} (asked 127.0.0.1, for {trouble})")))
                }
                (answer, _) => answer,
            }
        })
    }
}

fn judge(error: &NetError) -> DnsError {
    match error {
        NetError::Timeout => DnsError::Timeout,
        NetError::Dns(Answered::NoRecordsFound(none)) => match none.response_code {
            ResponseCode::NoError | ResponseCode::NXDomain => DnsError::NoRecords,
            code => DnsError::Failed(format!("the DNS server answered {code}")),
        },
        NetError::Dns(Answered::ResponseCode(code)) => {
            DnsError::Failed(format!("the DNS server answered {code}"))
        }
        NetError::NoConnections => DnsError::Failed("no DNS server can be reached".into()),
        NetError::Busy => DnsError::Failed("too many DNS questions under way".into()),
        other => DnsError::Failed(other.to_string()),
    }
}

fn fixed(servers: &[SocketAddr]) -> ResolverConfig {
    let servers = servers.iter().map(|server| {
        let mut connections = [ConnectionConfig::udp(), ConnectionConfig::tcp()];
        for connection in &mut connections {
            connection.port = server.port();
        }
        NameServerConfig::new(server.ip(), true, connections.to_vec())
    });
    ResolverConfig::from_name_servers(servers.collect())
}

fn without_hosts() -> ResolverOpts {
    let mut options = ResolverOpts::default();
    options.use_hosts_file = hickory_resolver::config::ResolveHosts::Never;
    options
}

fn stamp(path: &str) -> Stamp {
    let data = std::fs::metadata(path).ok()?;
    Some((data.ino(), data.mtime(), data.mtime_nsec(), data.len()))
}

#[cfg(test)]
#[path = "hickory_tests.rs"]
mod tests;
