//! What goes into an IKE SA, and what comes out of it.

use crate::{Instant, Story};
use pluto_connections::{
    AuthLookup, ChildLookup, ChildPolicy, ConnectionSerial, Id, IkePolicy, IpsecMode, Mismatch,
    Selector, SerialNo,
};
use pluto_crypto::{Entropy, Error as CryptoError, HashId, LocalKey, Secret, hash};
use pluto_wire::IkeSpi;
use pluto_wire::numbers::{EncrId, IntegId, KeId, PrfId, ProtocolId};
use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

/// What an SA is given besides its input.
pub struct Env<'a> {
    /// The time.
    pub now: Instant,
    /// Random octets.
    pub entropy: &'a mut dyn Entropy,
    /// The next free serial number.
    pub serials: &'a mut Serials,
}

impl fmt::Debug for Env<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Env").field("now", &self.now).finish_non_exhaustive()
    }
}

/// Gives out serial numbers of SAs.
#[derive(Debug, Clone, Default)]
pub struct Serials {
    last: u64,
}

impl Serials {
    /// The next one; the first is #1.
    pub fn next_serial(&mut self) -> SerialNo {
        self.last = self.last.saturating_add(1);
        SerialNo(self.last)
    }
}

/// A datagram with its addresses. On port 4500 the non-ESP marker is the shell's business:
/// it is not in `bytes`.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Datagram {
    /// Our address and port.
    pub local: SocketAddr,
    /// The peer's address and port.
    pub remote: SocketAddr,
    /// Whether the non-ESP marker was, or is to be, in front.
    pub non_esp_marker: bool,
    /// The IKE message.
    pub bytes: Vec<u8>,
}

/// What can happen to an IKE SA.
#[derive(Debug, Clone)]
pub enum Input {
    /// Begin, as initiator.
    Start,
    /// A datagram whose header names this SA.
    Datagram(Datagram),
    /// The deadline has come.
    Timer,
    /// A job has ended.
    JobDone(JobId, JobResult),
    /// A question was answered.
    AskDone(AskId, AskResult),
    /// The kernel has answered.
    KernelDone(KernelResult),
    /// An order from whack, the connection, the kernel or the supervisor.
    Request(Request),
}

/// Orders.
#[derive(Debug, Clone, serde::Serialize, serde::Deserialize)]
pub enum Request {
    /// Delete the IKE SA with all its Child SAs: tell the peer, wait for its answer.
    DeleteIke,
    /// Delete one Child SA.
    DeleteChild(SerialNo),
    /// Say Delete once and end at once, without waiting (shutdown).
    Shutdown,
    /// End without a word to the peer (`--deletestate` of a half-open SA, uniqueids).
    Abandon,
    /// Check that the peer is alive.
    Liveness,
    /// The IKE SA that this one has replaced ends without the Delete of the peer, who should have
    /// said one. Unless the peer has been heard on this one, it may never have learned of it: it
    /// is asked, and has a minute.
    PredecessorEnds,
    /// Bring up another Child SA (CREATE_CHILD_SA).
    CreateChild(Arc<ChildPolicy>),
    /// Replace a Child SA (CREATE_CHILD_SA with REKEY_SA).
    RekeyChild(SerialNo),
    /// Replace the IKE SA.
    RekeyIke,
    /// What has sent in the place of this Child SA, on another IKE SA, goes: it sends from now
    /// on.
    Send(SerialNo),
    /// Another IKE SA, made from the beginning, stands in the place of this one.
    ReplacedBy {
        /// The new one.
        ike: SerialNo,
        /// Child SAs of this one, each with the one in its place.
        children: Vec<(SerialNo, SerialNo)>,
    },
    /// The IKE SA that this one has replaced has found the peer no longer at the first of these
    /// addresses, and at the second (RFC 4555).
    PeerFound(IpAddr, IpAddr),
    /// This host's addresses that IKE can use; also told when its routes have changed.
    LocalAddresses(Arc<[IpAddr]>),
    /// The connection that it belonged to leaves it to another one, which has the same wishes
    /// for it.
    BelongTo(Arc<IkePolicy>),
    /// What the kernel has answered to the IKE SA that this one has replaced, about a Child SA
    /// that is this one's by now.
    Kernel(KernelResult),
}

/// What an IKE SA wants done, in order.
#[derive(Debug, Clone)]
pub enum Output {
    /// Send a datagram.
    Transmit(Datagram),
    /// Send a datagram after a while, though this IKE SA will be gone then.
    TransmitLater(Duration, Datagram),
    /// Send a NAT keepalive: one octet 0xff, without a non-ESP marker (RFC 3948, 2.3).
    Keepalive {
        /// Our address and port.
        local: SocketAddr,
        /// The peer's address and port.
        remote: SocketAddr,
    },
    /// Compute something slow; answer with [`Input::JobDone`].
    Job(JobId, Job),
    /// Ask somebody who knows; answer with [`Input::AskDone`].
    Ask(AskId, Ask),
    /// Ask the kernel; what needs an answer is answered with [`Input::KernelDone`].
    Kernel(KernelRequest),
    /// Something happened to a Child SA.
    Child(ChildEvent),
    /// The replacement of this SA, IKE or Child, has failed for this reason; it may be tried
    /// again later.
    NotRekeyed(SerialNo, String),
    /// The IKE SA is established: it may be told to the connection.
    Established(IkeEstablished),
    /// A line of log.
    Story(Story),
    /// One more of something, for totals.
    Count(crate::Count),
    /// A successor made by rekeying the IKE SA: start it as an actor of its own.
    Successor(Box<crate::IkeSa>),
    /// Another IKE SA is to be made in the place of this one, from the beginning: start an
    /// [`crate::IkeSa::reauthenticating`].
    Reauthenticate(Box<crate::Reauthentication>),
    /// The address that this IKE SA has is no more this host's, and it may not leave it: as soon
    /// as the connection leads from another one, an [`crate::IkeSa::reauthenticating`] is to take
    /// its place. None: the address is back.
    Uprooted(Option<Box<crate::Reauthentication>>),
    /// It stands: to be told to the old one by [`Request::ReplacedBy`].
    Reauthenticated {
        /// The old one.
        old: SerialNo,
        /// Its Child SAs, each with the one in its place.
        children: Vec<(SerialNo, SerialNo)>,
    },
    /// An order for the IKE SA that has replaced this one: what this one has found out of the
    /// peer concerns that.
    OrderSuccessor(SerialNo, Request),
    /// A last answer, to be repeated for a while when this IKE SA is gone; `Finished` follows.
    Farewell(crate::Farewell),
    /// The IKE SA has ended; its Child SAs have been reported as down before.
    Finished(Finish),
}

/// Where outputs are collected.
pub type Outbox = Vec<Output>;

/// Names a job within its SA.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, serde::Serialize, serde::Deserialize,
)]
pub struct JobId(pub u64);

/// Names a question within its SA.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, serde::Serialize, serde::Deserialize,
)]
pub struct AskId(pub u64);

/// Something slow: a pure function for the blocking pool. It carries its own random octets
/// (a seed), so that a simulation can run it inline and still replay.
#[derive(Debug, Clone)]
pub enum Job {
    /// Make a key pair.
    GenerateKey {
        /// Of this method.
        method: KeId,
        /// Seed of 32 octets for the private value.
        seed: Secret,
    },
    /// Compute a shared secret.
    Agree {
        /// Ours.
        key: LocalKey,
        /// The peer's public value.
        peer: Vec<u8>,
    },
    /// Make a key pair and compute the shared secret with it: a responder's.
    GenerateAndAgree {
        /// Of this method.
        method: KeId,
        /// Seed of 32 octets for the private value.
        seed: Secret,
        /// The peer's public value.
        peer: Vec<u8>,
    },
}

/// Random octets made of a job's seed: SHA2-256 over the seed and a counter.
struct SeedStream<'a> {
    seed: &'a Secret,
    counter: u64,
}

impl<'a> SeedStream<'a> {
    fn new(seed: &'a Secret) -> Self {
        Self { seed, counter: 0 }
    }
}

impl Entropy for SeedStream<'_> {
    fn fill(&mut self, octets: &mut [u8]) {
        for chunk in octets.chunks_mut(32) {
            let block = Secret::new(hash(
                HashId::Sha2_256,
                &[self.seed.expose(), &self.counter.to_be_bytes()],
            ));
            self.counter = self.counter.wrapping_add(1);
            chunk.iter_mut().zip(block.expose()).for_each(|(to, from)| *to = *from);
        }
    }
}

/// What a job gives.
#[derive(Debug, Clone)]
pub enum JobResult {
    /// A key pair.
    Key(Result<LocalKey, CryptoError>),
    /// A shared secret.
    Shared(Result<Secret, CryptoError>),
    /// Both.
    KeyAndShared(Result<(LocalKey, Secret), CryptoError>),
    /// The pool is gone or the job has panicked.
    Lost,
}

impl Job {
    /// Carries it out. Blocks for up to some milliseconds.
    #[must_use]
    pub fn run(&self) -> JobResult {
        match self {
            Self::GenerateKey { method, seed } => {
                JobResult::Key(LocalKey::generate(*method, &mut SeedStream::new(seed)))
            }
            Self::Agree { key, peer } => JobResult::Shared(key.agree(peer)),
            Self::GenerateAndAgree { method, seed, peer } => {
                let key = LocalKey::generate(*method, &mut SeedStream::new(seed));
                JobResult::KeyAndShared(key.and_then(|key| {
                    let shared = key.agree(peer)?;
                    Ok((key, shared))
                }))
            }
        }
    }
}

/// A question.
#[derive(Debug, Clone)]
pub enum Ask {
    /// To the holder of secrets: the MAC over our octets, and the MAC that the peer's must
    /// have (both for method 2, so that the key itself never leaves its holder).
    Psk(PskQuestion),
    /// To the table of connections: who answers this IKE_AUTH request.
    Connection(AuthLookup),
    /// To the table of connections: who takes this Child SA.
    Child(ChildLookup),
    /// To the address pools: an inner address for the peer.
    Lease(LeaseQuestion),
}

/// Who wants an inner address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LeaseQuestion {
    /// The connection (or instance) whose pools are meant.
    pub connection: ConnectionSerial,
    /// Who the peer has proved to be.
    pub remote_id: Id,
    /// Whether it wants, and the connection has, IPv4 addresses.
    pub ipv4: bool,
    /// The same of IPv6.
    pub ipv6: bool,
}

/// Octets to be authenticated with the pre-shared key of two identities (RFC 7296, 2.15).
#[derive(Debug, Clone)]
pub struct PskQuestion {
    /// Us.
    pub local_id: Id,
    /// The peer.
    pub remote_id: Id,
    /// Whether only one side uses a pre-shared key.
    pub asymmetric: bool,
    /// The IKE SA's PRF.
    pub prf: PrfId,
    /// What to compute a MAC of, one or two values (ours, the peer's).
    pub octets: Vec<Vec<u8>>,
}

/// An answer.
#[derive(Debug, Clone)]
pub enum AskResult {
    /// The MACs, as many as were asked for; none: no secret for these identities.
    Psk(Option<Vec<Secret>>),
    /// The connection for an IKE_AUTH request.
    Connection(Result<AuthAnswer, Vec<Mismatch>>),
    /// The connection for a Child SA; none of `Ok` is never.
    Child(Result<Arc<ChildPolicy>, Vec<Mismatch>>),
    /// The policy of the Child SA with the lease in it: as the peer's traffic, and in its
    /// configuration. Or why there is none.
    Lease(Result<Arc<ChildPolicy>, String>),
    /// Who should have answered is gone.
    Lost,
}

/// The connection for an IKE_AUTH request.
#[derive(Debug, Clone)]
pub struct AuthAnswer {
    /// What the IKE SA now belongs to.
    pub ike: Arc<IkePolicy>,
    /// What the Child SA of the request belongs to, or why there is none that will do.
    pub child: Option<Result<Arc<ChildPolicy>, Vec<Mismatch>>>,
    /// Whether a Child SA of that connection stands on another IKE SA: the peer may be
    /// authenticating anew, and that one sends for the moment.
    pub stands: bool,
}

/// An SPI of ESP or AH.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, serde::Serialize, serde::Deserialize,
)]
pub struct ChildSpi(pub u32);

impl fmt::Display for ChildSpi {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "0x{:08x}", self.0)
    }
}

/// What is asked of the kernel.
#[derive(Debug, Clone)]
pub enum KernelRequest {
    /// Reserve an inbound SPI; answered.
    AllocateSpi {
        /// For this Child SA.
        child: SerialNo,
        /// ESP or AH.
        protocol: ProtocolId,
        /// Our address.
        local: IpAddr,
        /// The peer's.
        remote: IpAddr,
        /// Of the policy.
        reqid: u32,
    },
    /// Install both SAs and the policies of a Child SA; answered.
    Install(Box<ChildInstall>),
    /// The same without the outbound SA: what replaces another sends only when the peer has
    /// its end (RFC 7296, 2.8); answered.
    InstallInbound(Box<ChildInstall>),
    /// Add the outbound SA to what [`KernelRequest::InstallInbound`] has installed; answered.
    InstallOutbound(Box<ChildInstall>),
    /// Remove the SAs (or the reserved SPI) of a Child SA; not answered. What happens to
    /// the policies is up to the connection's routing.
    Remove(SerialNo),
    /// The same for one that another Child SA has replaced: what is on its way, in the network
    /// or in the kernel, may still need its SAs for a moment.
    RemoveReplaced(SerialNo),
    /// A Child SA's packets go elsewhere from now on; answered.
    Move(ChildMove),
    /// When something last came in through any of these Child SAs; answered.
    LastHeard(Vec<SerialNo>),
    /// From which address of ours each of these addresses is reached; answered.
    SourcesFor(Vec<IpAddr>),
}

/// Where a Child SA's packets go from now on (RFC 7296, 2.23).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ChildMove {
    /// The Child SA.
    pub child: SerialNo,
    /// Its connection.
    pub connection: ConnectionSerial,
    /// Our address (and the UDP port when encapsulated).
    pub local: SocketAddr,
    /// The peer's.
    pub remote: SocketAddr,
    /// ESP in UDP.
    pub encapsulated: bool,
}

/// Everything that the kernel needs to know of a Child SA.
#[derive(Debug, Clone, serde::Serialize, serde::Deserialize)]
pub struct ChildInstall {
    /// The Child SA.
    pub child: SerialNo,
    /// Its connection.
    pub policy: Arc<ChildPolicy>,
    /// ESP or AH.
    pub protocol: ProtocolId,
    /// Tunnel or transport, as negotiated.
    pub mode: IpsecMode,
    /// Our address (and the UDP port when encapsulated).
    pub local: SocketAddr,
    /// The peer's.
    pub remote: SocketAddr,
    /// ESP in UDP.
    pub encapsulated: bool,
    /// Inbound SPI, reserved before.
    pub spi_in: ChildSpi,
    /// Outbound SPI, the peer's.
    pub spi_out: ChildSpi,
    /// Encryption.
    pub encr: EncrId,
    /// Key length in bits without salt.
    pub encr_bits: u16,
    /// Integrity.
    pub integ: IntegId,
    /// 64 bit sequence numbers.
    pub esn: bool,
    /// Encryption key with salt, inbound.
    pub key_in: Secret,
    /// Integrity key, inbound.
    pub integ_key_in: Secret,
    /// Encryption key with salt, outbound.
    pub key_out: Secret,
    /// Integrity key, outbound.
    pub integ_key_out: Secret,
    /// Our side's traffic, as negotiated.
    pub local_ts: Vec<Selector>,
    /// The peer's.
    pub remote_ts: Vec<Selector>,
    /// Octets that each of its two SAs may carry.
    pub bytes: Limit,
    /// Packets that each of its two SAs may carry.
    pub packets: Limit,
    /// The Child SA that this one replaces, whose policies are taken over.
    pub replaces: Option<SerialNo>,
}

/// How much an SA may carry, in octets or packets. `u64::MAX` is no limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Limit {
    /// From here on it should be replaced; the kernel says so once. None where we begin no
    /// replacement (`rekey=no`).
    pub soft: u64,
    /// Here it ends (`ipsec-max-bytes=`, `ipsec-max-packets=`).
    pub hard: u64,
}

/// What the kernel answers.
#[derive(Debug, Clone, serde::Serialize, serde::Deserialize)]
pub enum KernelResult {
    /// To `AllocateSpi`.
    Spi(SerialNo, Result<ChildSpi, KernelFault>),
    /// To `Install` and `InstallInbound`.
    Installed(SerialNo, Result<(), KernelFault>),
    /// To `InstallOutbound`.
    OutboundInstalled(SerialNo, Result<(), KernelFault>),
    /// To `Move`.
    Moved(SerialNo, Result<(), KernelFault>),
    /// On its own: packets of this Child SA, which are proved to be the peer's, come from
    /// there now.
    Mapping {
        /// Which.
        child: SerialNo,
        /// The peer's address and port.
        remote: SocketAddr,
    },
    /// To `SourcesFor`: each with its source; none: it cannot be reached.
    Sources(Vec<(IpAddr, Option<IpAddr>)>),
    /// To `LastHeard`: how long ago; none: never, or nobody knows.
    LastHeard(Option<std::time::Duration>),
    /// On its own: a lifetime of this Child SA has run out.
    Expired {
        /// Which.
        child: SerialNo,
        /// Hard (the SA is gone) or soft (replace it).
        hard: bool,
    },
}

/// A fault of our own kernel (never the peer's).
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct KernelFault(pub String);

impl fmt::Display for KernelFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// What happens to Child SAs.
#[derive(Debug, Clone)]
pub enum ChildEvent {
    /// Negotiation of a Child SA of this connection has begun.
    Started {
        /// The Child SA.
        child: SerialNo,
        /// Its connection.
        connection: ConnectionSerial,
    },
    /// Both SAs stand in the kernel and the peer agrees.
    Up(Box<ChildUp>),
    /// Our address for it is lost, or will be another one: what leads through it is to be
    /// undone until it has moved.
    Suspended {
        /// The Child SA.
        child: SerialNo,
        /// Its connection.
        connection: ConnectionSerial,
    },
    /// Its SAs are between other addresses now.
    Moved(Box<ChildUp>),
    /// It has ended or failed.
    Down {
        /// The Child SA.
        child: SerialNo,
        /// Its connection.
        connection: ConnectionSerial,
        /// Why.
        reason: DownReason,
        /// By which Child SA it was replaced, if it was.
        replaced_by: Option<SerialNo>,
    },
}

/// Facts of an established Child SA.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct ChildUp {
    /// The Child SA.
    pub child: SerialNo,
    /// Its IKE SA.
    pub ike: SerialNo,
    /// Its connection.
    pub policy: Arc<ChildPolicy>,
    /// What it replaces.
    pub replaces: Option<SerialNo>,
    /// Whether we initiated its exchange.
    pub initiator: bool,
    /// ESP or AH.
    pub protocol: ProtocolId,
    /// Tunnel or transport.
    pub mode: IpsecMode,
    /// ESP in UDP.
    pub encapsulated: bool,
    /// Our address and port.
    pub local: SocketAddr,
    /// The peer's.
    pub remote: SocketAddr,
    /// Inbound.
    pub spi_in: ChildSpi,
    /// Outbound.
    pub spi_out: ChildSpi,
    /// Encryption and key length.
    pub suite: pluto_crypto::ChildSuite,
    /// Our side's traffic.
    pub local_ts: Vec<Selector>,
    /// The peer's.
    pub remote_ts: Vec<Selector>,
    /// Who the peer has proved to be.
    pub remote_id: Id,
    /// The lower one of the two nonces that its keys come from: by it both ends choose one of
    /// two that were made at once.
    pub lowest_nonce: Arc<[u8]>,
}

/// Facts of an established IKE SA.
#[derive(Debug, Clone)]
pub struct IkeEstablished {
    /// The IKE SA.
    pub ike: SerialNo,
    /// What it belongs to now.
    pub policy: Arc<IkePolicy>,
    /// Who the peer has proved to be.
    pub remote_id: Id,
    /// Whether the peer sent INITIAL_CONTACT: older SAs with that identity are dead.
    pub initial_contact: bool,
    /// Whether we were the initiator.
    pub initiator: bool,
    /// Its algorithms.
    pub suite: pluto_crypto::IkeSuite,
}

/// Why a Child SA is down.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DownReason {
    /// We were told to.
    Requested,
    /// The peer deleted it.
    PeerDeleted,
    /// The peer refused it, with this notification; and what of ours did not match.
    Refused(String),
    /// We refused what the peer answered.
    Unacceptable(String),
    /// Its IKE SA ended.
    IkeEnded,
    /// Our kernel could not do it.
    Kernel(KernelFault),
    /// Its lifetime is over.
    Expired,
    /// It was replaced.
    Replaced,
}

/// Why an IKE SA has ended.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub enum Finish {
    /// We deleted it, and the peer knows (or was told once).
    Deleted,
    /// The peer deleted it.
    PeerDeleted,
    /// No answer: retransmission has been given up (whack's 51).
    TimedOut,
    /// The exchange failed (whack's 56), with the sentence that says why.
    Failed(String),
    /// Replaced by rekeying.
    Replaced(SerialNo),
    /// Its lifetime is over and nothing has replaced it; the peer was told.
    Expired,
}

/// Our SPI and the peer's, for the demux.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct LocalSpi(pub IkeSpi);
