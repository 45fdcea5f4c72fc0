//! NAT detection (RFC 7296, 2.23).

use crate::Datagram;
use pluto_connections::{Encapsulation, NAT_PORT};
use pluto_crypto::{HashId, hash};
use pluto_wire::IkeSpis;
use pluto_wire::numbers::NotifyType;
use pluto_wire::v2::{Notify, Payload};
use std::net::{IpAddr, SocketAddr};

/// IKE's port.
pub(crate) const IKE_PORT: u16 = 500;

/// Between which addresses an SA speaks, and whether its messages carry the marker.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub(crate) struct Path {
    /// Our address and port.
    pub(crate) local: SocketAddr,
    /// The peer's.
    pub(crate) remote: SocketAddr,
    /// Four zero octets go in front (RFC 3948, 2.2).
    pub(crate) non_esp_marker: bool,
}

impl Path {
    /// The way back to where a datagram came from (RFC 7296, 2.11).
    pub(crate) fn of(datagram: &Datagram) -> Self {
        Self {
            local: datagram.local,
            remote: datagram.remote,
            non_esp_marker: datagram.non_esp_marker,
        }
    }

    /// A path that begins with these addresses; behind a NAT `nat_port` is ours.
    pub(crate) fn between(local: SocketAddr, remote: SocketAddr, nat_port: u16) -> Self {
        let non_esp_marker = local.port() == nat_port || remote.port() == NAT_PORT;
        Self { local, remote, non_esp_marker }
    }

    /// The initiator's move to port 4500 (RFC 7296, 2.23), and to `nat_port` of ours. A peer
    /// that was configured with a port of its own keeps it.
    pub(crate) fn float(&mut self, nat_port: u16) {
        if self.non_esp_marker {
            return;
        }
        self.local.set_port(nat_port);
        if self.remote.port() == IKE_PORT {
            self.remote.set_port(NAT_PORT);
        }
        self.non_esp_marker = true;
    }

    /// A datagram on this path.
    pub(crate) fn datagram(&self, bytes: Vec<u8>) -> Datagram {
        Datagram {
            local: self.local,
            remote: self.remote,
            non_esp_marker: self.non_esp_marker,
            bytes,
        }
    }
}

/// Who is behind a NAT.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, serde::Serialize, serde::Deserialize)]
pub(crate) struct NatDetection {
    /// We are: keepalives are ours to send.
    pub(crate) local: bool,
    /// The peer is.
    pub(crate) remote: bool,
    /// `encapsulation=yes`: as if there were one.
    pub(crate) forced: bool,
}

impl NatDetection {
    /// Whether IKE and ESP go through port 4500.
    pub(crate) fn encapsulates(self) -> bool {
        self.local || self.remote || self.forced
    }

    /// Judges the notifications of a message that came on `path`. Without any of them the
    /// peer cannot do NAT traversal, and there is none.
    pub(crate) fn judge(
        policy: Encapsulation,
        payloads: &[Payload],
        spis: IkeSpis,
        path: &Path,
    ) -> Self {
        if policy == Encapsulation::No {
            return Self::default();
        }
        let mut sources = hashes(payloads, NotifyType::NAT_DETECTION_SOURCE_IP).peekable();
        let mut destinations =
            hashes(payloads, NotifyType::NAT_DETECTION_DESTINATION_IP).peekable();
        if sources.peek().is_none() || destinations.peek().is_none() {
            return Self::default();
        }
        let (ours, theirs) = (detection_hash(spis, path.local), detection_hash(spis, path.remote));
        Self {
            local: !destinations.any(|data| data == ours),
            // A multihomed peer sends several sources; one that matches is enough.
            remote: !sources.any(|data| data == theirs),
            forced: policy == Encapsulation::Yes,
        }
    }
}

/// Whether a message has both notifications.
pub(crate) fn is_announced(payloads: &[Payload]) -> bool {
    let has = |wanted| hashes(payloads, wanted).next().is_some();
    has(NotifyType::NAT_DETECTION_SOURCE_IP) && has(NotifyType::NAT_DETECTION_DESTINATION_IP)
}

/// The hash of our address and port as the sender sees them.
pub(crate) fn seen(payloads: &[Payload]) -> Option<&[u8]> {
    hashes(payloads, NotifyType::NAT_DETECTION_DESTINATION_IP).next()
}

fn hashes(payloads: &[Payload], wanted: NotifyType) -> impl Iterator<Item = &[u8]> {
    payloads.iter().filter_map(move |payload| match payload {
        Payload::Notify(notify) if notify.notify_type == wanted => Some(notify.data.as_slice()),
        _ => None,
    })
}

/// SHA-1 over SPIs, address and port (RFC 7296, 2.23).
fn detection_hash(spis: IkeSpis, end: SocketAddr) -> Vec<u8> {
    let port = end.port().to_be_bytes();
    let (v4, v6);
    let address: &[u8] = match end.ip() {
        IpAddr::V4(ip) => {
            v4 = ip.octets();
            &v4
        }
        IpAddr::V6(ip) => {
            v6 = ip.octets();
            &v6
        }
    };
    hash(HashId::Sha1, &[&spis.initiator.0, &spis.responder.0, address, &port])
}

/// The two notifications for a message on `path`; none with `encapsulation=no`. With
/// `encapsulation=yes` the source is a lie, so that the peer sees a NAT.
pub(crate) fn notifications(policy: Encapsulation, spis: IkeSpis, path: &Path) -> Vec<Payload> {
    let source = match policy {
        Encapsulation::No => return Vec::new(),
        Encapsulation::Yes => vec![0; 20],
        Encapsulation::Auto => detection_hash(spis, path.local),
    };
    let destination = detection_hash(spis, path.remote);
    vec![
        Payload::Notify(Notify::new(NotifyType::NAT_DETECTION_SOURCE_IP, source)),
        Payload::Notify(Notify::new(NotifyType::NAT_DETECTION_DESTINATION_IP, destination)),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;
    use pluto_wire::IkeSpi;

    fn spis() -> IkeSpis {
        IkeSpis { initiator: IkeSpi([1; 8]), responder: IkeSpi([2; 8]) }
    }

    fn path(local: &str, remote: &str) -> Path {
        Path::between(local.parse().unwrap(), remote.parse().unwrap(), 4500)
    }

    fn judged(policy: Encapsulation, sent_on: &Path, received_on: &Path) -> NatDetection {
        let payloads = notifications(policy, spis(), sent_on);
        NatDetection::judge(Encapsulation::Auto, &payloads, spis(), received_on)
    }

    #[test]
    fn without_a_nat_none_is_seen() {
        let seen = judged(
            Encapsulation::Auto,
            &path("192.0.2.1:500", "192.0.2.2:500"),
            &path("192.0.2.2:500", "192.0.2.1:500"),
        );
        assert_eq!(seen, NatDetection::default());
    }

    #[test]
    fn a_changed_source_is_a_nat_in_front_of_the_peer() {
        let seen = judged(
            Encapsulation::Auto,
            &path("10.0.0.1:500", "192.0.2.2:500"),
            &path("192.0.2.2:500", "192.0.2.1:1025"),
        );
        assert_eq!(seen, NatDetection { remote: true, ..NatDetection::default() });
    }

    #[test]
    fn a_changed_destination_is_a_nat_in_front_of_us() {
        let seen = judged(
            Encapsulation::Auto,
            &path("192.0.2.1:500", "192.0.2.2:500"),
            &path("10.0.0.2:500", "192.0.2.1:500"),
        );
        assert_eq!(seen, NatDetection { local: true, ..NatDetection::default() });
    }

    #[test]
    fn forced_encapsulation_looks_like_a_nat_to_the_peer() {
        let here = path("[2001:db8::1]:500", "[2001:db8::2]:500");
        let there = path("[2001:db8::2]:500", "[2001:db8::1]:500");
        assert!(judged(Encapsulation::Yes, &here, &there).remote);
    }

    #[test]
    fn a_peer_without_the_notifications_is_behind_no_nat() {
        let here = path("192.0.2.1:500", "192.0.2.2:500");
        let seen = NatDetection::judge(Encapsulation::Yes, &[], spis(), &here);
        assert!(!seen.encapsulates());
    }

    #[test]
    fn floating_keeps_the_peers_port_that_was_configured_and_takes_ours() {
        let mut plain = path("192.0.2.1:500", "192.0.2.2:500");
        plain.float(4500);
        assert_eq!(plain, path("192.0.2.1:4500", "192.0.2.2:4500"));
        let mut own = path("192.0.2.1:500", "192.0.2.2:7000");
        own.float(4600);
        assert_eq!((own.local.port(), own.remote.port(), own.non_esp_marker), (4600, 7000, true));
    }
}
