//! Key exchanges of Child SAs made by CREATE_CHILD_SA, between peers that want other ones: what
//! a responder lets in by default, with `pfs=yes`, `ms-dh-downgrade=` and
//! `pfs-rekey-workaround=`.

#![allow(
    clippy::indexing_slicing,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test that misses what it looks for fails"
)]

use pluto_connections::proposal::ChildProposals;
use pluto_connections::{Pfs, RekeyPfs, SerialNo};
use pluto_states::{Request, StoryEvent};
use pluto_tests::sim::Sim;
use pluto_wire::numbers::{KeId, ProtocolId};
use std::sync::Arc;

/// `esp=aes_gcm256` with these key exchange methods.
fn esp(methods: &[KeId]) -> Arc<ChildProposals> {
    let mut proposals = ChildProposals::parse(ProtocolId::ESP, "aes_gcm256", true).unwrap();
    proposals.proposals[0].ke = methods.to_vec();
    Arc::new(proposals)
}

/// A tunnel between a west that has been set up like this and an east like that; both IKE SAs
/// are made with X25519.
fn tunnel(west: impl Fn(&mut Sim), pfs: Pfs, rekey_pfs: RekeyPfs) -> (Sim, SerialNo) {
    let mut sim = Sim::calm(11);
    west(&mut sim);
    (sim.peers[1].child.pfs, sim.peers[1].child.rekey_pfs) = (pfs, rekey_pfs);
    let ike = sim.initiate();
    sim.settle();
    assert!(sim.is_up(), "{}", sim.story());
    (sim, ike)
}

/// West rekeys its first Child SA; the method that the new one has, or none: it was refused,
/// and the old one stands.
fn rekeyed(sim: &mut Sim, ike: SerialNo) -> Option<KeId> {
    let old = sim.peers[0].children()[0];
    sim.order(0, ike, Request::RekeyChild(old));
    sim.settle();
    assert!(sim.is_up(), "{}", sim.story());
    let new = sim.peers[0].children()[0];
    (new != old).then(|| method(sim))
}

/// Of west's newest Child SA.
fn method(sim: &Sim) -> KeId {
    let ups = sim.peers[0].reports.iter().rev();
    ups.filter_map(|report| match report {
        pluto_tests::peer::Report::Up(up) => Some(up.suite.ke),
        _ => None,
    })
    .next()
    .unwrap()
}

fn without(sim: &mut Sim) {
    sim.peers[0].child.pfs = Pfs::No;
}

const LINE: &str = "Child SA is made without PFS: the peer proposes no key exchange for it";

/// ```text
/// CREATE_CHILD_SA {N(REKEY_SA), SA, Ni, TSi, TSr}  -->   as macOS does
///                                                  <--  {SA, Nr, TSi, TSr}
/// ```
#[test]
fn a_peer_that_rekeys_without_pfs_is_let_in_where_nothing_was_said() {
    assert_eq!(StoryEvent::WithoutPfs.to_string(), LINE);
    for named in [false, true] {
        let west = |sim: &mut Sim| {
            without(sim);
            if named {
                sim.peers[1].child.proposals = esp(&[KeId::ECP_256]);
            }
        };
        let (mut sim, ike) = tunnel(west, Pfs::Preferred, RekeyPfs::Same);
        assert!(!sim.peers[1].logged(LINE), "IKE_AUTH has none by nature: {}", sim.story());
        assert_eq!(rekeyed(&mut sim, ike), Some(KeId::NONE), "{}", sim.story());
        assert!(sim.peers[1].logged(LINE), "{}", sim.story());
        assert!(!sim.peers[0].logged(LINE), "it wants none");
        let policy = Arc::new(sim.peers[0].child.clone());
        sim.order(0, ike, Request::CreateChild(policy));
        sim.settle();
        assert_eq!(sim.peers[1].kernel.installed.len(), 2, "{}", sim.story());
    }
}

#[test]
fn who_proposes_pfs_gets_it_where_nothing_was_said() {
    let (mut sim, ike) = tunnel(|_| (), Pfs::Preferred, RekeyPfs::Same);
    assert_eq!(rekeyed(&mut sim, ike), Some(KeId::X25519));
    assert!(!sim.peers[1].logged(LINE));
    // Another method than ours is no reason to do without.
    let west = |sim: &mut Sim| sim.peers[0].child.proposals = esp(&[KeId::MODP2048]);
    let (mut sim, ike) = tunnel(west, Pfs::Preferred, RekeyPfs::Same);
    assert_eq!(rekeyed(&mut sim, ike), None, "{}", sim.story());
}

#[test]
fn pfs_yes_insists_and_names_the_remedy() {
    for named in [false, true] {
        let west = |sim: &mut Sim| {
            without(sim);
            if named {
                sim.peers[1].child.proposals = esp(&[KeId::ECP_256]);
            }
        };
        let (mut sim, ike) = tunnel(west, Pfs::Required, RekeyPfs::Same);
        assert_eq!(rekeyed(&mut sim, ike), None, "{}", sim.story());
        let why = "the peer proposes no key exchange, and pfs=yes insists on one; pfs=no does not";
        assert!(sim.peers[1].logged(why), "{}", sim.story());
        assert!(sim.peers[0].logged("NO_PROPOSAL_CHOSEN"), "{}", sim.story());
    }
    // Where something else differs as well, that is not the remedy.
    let west = |sim: &mut Sim| {
        without(sim);
        sim.peers[0].child.proposals = Arc::new(pluto_tests::peer::esp_proposals("aes128-sha2"));
        sim.peers[1].child.proposals =
            Arc::new(pluto_tests::peer::esp_proposals("aes128-sha2,aes_gcm256"));
    };
    let (mut sim, ike) = tunnel(west, Pfs::Required, RekeyPfs::Same);
    sim.peers[1].child.proposals = Arc::new(pluto_tests::peer::esp_proposals("aes_gcm256"));
    let policy = Arc::new(sim.peers[0].child.clone());
    sim.order(0, ike, Request::CreateChild(policy));
    sim.settle();
    assert!(!sim.peers[1].logged("pfs=no"), "{}", sim.story());
}

#[test]
fn pfs_no_takes_what_comes_and_tells_nothing() {
    let (mut sim, ike) = tunnel(without, Pfs::No, RekeyPfs::Same);
    assert_eq!(rekeyed(&mut sim, ike), Some(KeId::NONE));
    assert!(!sim.peers[1].logged(LINE));
    let (mut sim, ike) = tunnel(|_| (), Pfs::No, RekeyPfs::Same);
    assert_eq!(rekeyed(&mut sim, ike), Some(KeId::X25519));
}

#[test]
fn ms_dh_downgrade_accepts_a_weaker_key_exchange_or_none_in_rekeys() {
    for pfs in [Pfs::Preferred, Pfs::Required] {
        for named in [false, true] {
            let east = |sim: &mut Sim| {
                if named {
                    sim.peers[1].child.proposals = esp(&[KeId::ECP_384]);
                }
            };
            let weak = |sim: &mut Sim| {
                east(sim);
                sim.peers[0].child.proposals = esp(&[KeId::MODP1536]);
            };
            let (mut sim, ike) = tunnel(weak, pfs, RekeyPfs::Same);
            assert_eq!(rekeyed(&mut sim, ike), None, "{}", sim.story());
            let (mut sim, ike) = tunnel(weak, pfs, RekeyPfs::Weaker);
            assert_eq!(rekeyed(&mut sim, ike), Some(KeId::MODP1536), "{}", sim.story());
            let none = |sim: &mut Sim| {
                east(sim);
                without(sim);
            };
            let (mut sim, ike) = tunnel(none, pfs, RekeyPfs::Weaker);
            assert_eq!(rekeyed(&mut sim, ike), Some(KeId::NONE), "{}", sim.story());
            assert!(sim.peers[1].logged(LINE), "{}", sim.story());
        }
    }
    // Of a weaker and a better one the better is chosen.
    let both = |sim: &mut Sim| {
        sim.peers[0].child.proposals = esp(&[KeId::MODP1536, KeId::X25519]);
    };
    let (mut sim, ike) = tunnel(both, Pfs::Required, RekeyPfs::Weaker);
    assert_eq!(rekeyed(&mut sim, ike), Some(KeId::X25519), "{}", sim.story());
}

#[test]
fn ms_dh_downgrade_says_nothing_of_child_sas_that_rekey_none() {
    let (mut sim, ike) = tunnel(without, Pfs::Required, RekeyPfs::Weaker);
    let policy = Arc::new(sim.peers[0].child.clone());
    sim.order(0, ike, Request::CreateChild(policy));
    sim.settle();
    assert_eq!(sim.peers[1].kernel.installed.len(), 1, "{}", sim.story());
    assert!(sim.peers[1].logged("pfs=yes insists"), "{}", sim.story());
}

#[test]
fn pfs_rekey_workaround_chooses_what_is_proposed() {
    for (wanted, chosen) in [(RekeyPfs::Same, KeId::X25519), (RekeyPfs::AsProposed, KeId::MODP2048)]
    {
        // The KE payload is for the first; east prefers the second.
        let west = |sim: &mut Sim| {
            sim.peers[0].child.proposals = esp(&[KeId::MODP2048, KeId::X25519]);
            sim.peers[1].child.proposals = esp(&[KeId::X25519, KeId::MODP2048]);
        };
        let (mut sim, ike) = tunnel(west, Pfs::Required, wanted);
        let before = sim.net.log.len();
        assert_eq!(rekeyed(&mut sim, ike), Some(chosen), "{}", sim.story());
        // Not at once: INVALID_KE_PAYLOAD comes before.
        let exchanges = if wanted == RekeyPfs::Same { 3 } else { 2 };
        assert_eq!(sim.net.log.len() - before, 2 * exchanges, "{}", sim.story());
    }
    let (mut sim, ike) = tunnel(without, Pfs::Required, RekeyPfs::AsProposed);
    assert_eq!(rekeyed(&mut sim, ike), Some(KeId::NONE), "{}", sim.story());
    let west = |sim: &mut Sim| sim.peers[0].child.proposals = esp(&[KeId::MODP3072]);
    let (mut sim, ike) = tunnel(west, Pfs::Required, RekeyPfs::AsProposed);
    assert_eq!(rekeyed(&mut sim, ike), Some(KeId::MODP3072), "{}", sim.story());
}
