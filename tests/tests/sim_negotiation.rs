//! What two hosts can agree on, and how they say that they cannot.

#![allow(
    clippy::indexing_slicing,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test that misses what it looks for fails"
)]

use pluto_connections::{Authby, Encapsulation, Id, IpsecMode};
use pluto_states::{ChildUp, CookieJar, DownReason, Finish, Request};
use pluto_tests::net::Nat;
use pluto_tests::peer::{Report, esp_proposals, ike_proposals, selectors};
use pluto_tests::sim::{EAST, Sim, WEST};
use pluto_wire::numbers::{EncrId, ExchangeType, KeId};
use pluto_wire::{Header, IkeSpi};
use std::sync::Arc;
use std::time::Duration;

fn up(sim: &Sim, host: usize) -> Box<ChildUp> {
    let up = |report: &Report| match report {
        Report::Up(up) => Some(up.clone()),
        _ => None,
    };
    sim.peers[host].reports.iter().find_map(up).expect("a Child SA is up")
}

#[track_caller]
fn establish(mut sim: Sim) -> Sim {
    sim.initiate();
    sim.settle();
    assert!(sim.is_up(), "{:#?} {:#?}", sim.peers[0].log, sim.peers[1].log);
    sim
}

fn set_ike(sim: &mut Sim, west: &str, east: &str) {
    sim.west().ike.proposals = Arc::new(ike_proposals(west));
    sim.east().ike.proposals = Arc::new(ike_proposals(east));
}

#[test]
fn the_log_has_the_lines_that_scripts_read() {
    let sim = establish(Sim::calm(1));
    let has = |host: usize, line: &str| {
        assert!(sim.peers[host].logged(line), "{line:?} in {:#?}", sim.peers[host].log);
    };
    has(0, "\"west-east\" #1: initiating IKEv2 connection to 192.0.2.2 using UDP");
    has(0, "\"west-east\" #1: sent IKE_SA_INIT request to 192.0.2.2:UDP/500");
    has(
        0,
        "processed IKE_SA_INIT response from 192.0.2.2:UDP/500 {cipher=AES_GCM_16_256 integ=n/a prf=HMAC_SHA2_256 ke=DH31}, initiating IKE_AUTH",
    );
    has(
        0,
        "sent IKE_AUTH request to 192.0.2.2:UDP/500 with shared-key-mac and FQDN '@west'; Child SA #2 {ESP <0x00001001} [10.1.0.0/24===10.2.0.0/24]",
    );
    has(
        0,
        "processing IKE_AUTH response from 192.0.2.2:UDP/500 containing SK{IDr,AUTH,SA,TSi,TSr}",
    );
    has(0, "initiator established IKE SA; authenticated peer using authby=secret and FQDN '@east'");
    has(
        0,
        "\"west-east\" #2: initiator established Child SA using #1; IPsec tunnel [10.1.0.0/24===10.2.0.0/24] {ESP",
    );
    has(0, "=>0x00001001 <0x00001001 xfrm=AES_GCM_16_256 DPD=passive}");
    has(1, "proposal 1:IKE=AES_GCM_16_256-HMAC_SHA2_256-DH31 chosen from remote proposals 1:IKE:");
    has(1, "sent IKE_SA_INIT response to 192.0.2.1:UDP/500 {cipher=");
    has(1, "responder established IKE SA; authenticated peer using authby=secret and FQDN '@west'");
    has(
        1,
        "responder established Child SA using #1; IPsec tunnel [10.2.0.0/24===10.1.0.0/24] {ESP",
    );
}

#[test]
fn ipv6_outside_and_ipv4_inside_and_the_other_way_round() {
    for (inner, west) in [
        (["10.1.0.0/24", "10.2.0.0/24"], "2001:db8::1"),
        (["2001:db8:1::/64", "2001:db8:2::/64"], "192.0.2.1"),
    ] {
        let mut sim = Sim::calm(1);
        let east = if west.contains(':') { "2001:db8::2" } else { "192.0.2.2" };
        for (host, address) in [(0, west), (1, east)] {
            sim.peers[host].address = address.parse().unwrap();
            sim.peers[host].child.local_ts = selectors(inner[host]);
            sim.peers[host].child.remote_ts = selectors(inner[1 - host]);
        }
        let sim = establish(sim);
        assert_eq!(up(&sim, 1).remote.ip().to_string(), west);
    }
}

#[test]
fn no_child_at_all_is_possible() {
    let mut sim = Sim::calm(1);
    let now = sim.clock.now();
    let (local, remote) = ((WEST, 500).into(), (EAST, 500).into());
    let policy = Arc::new(sim.peers[0].ike.clone());
    let mut entropy = pluto_crypto::SeededEntropy::new(5);
    let serial = pluto_connections::SerialNo(70);
    let sa = pluto_states::IkeSa::initiator(serial, policy, vec![], local, remote, &mut entropy);
    sim.west().sas.insert(serial, sa);
    let effects = sim.west().input(now, serial, pluto_states::Input::Start);
    sim.carry_out(0, effects);
    sim.settle();
    assert!(sim.peers.iter().all(|p| p.established().len() == 1 && p.kernel.is_empty()));
}

/// The kernel never answers: the attempt ends, and the peer of an established SA is told.
#[test]
fn an_answer_that_never_comes_ends_the_attempt() {
    for host in 0..2 {
        let mut sim = Sim::calm(1);
        sim.peers[host].kernel.mute = true;
        sim.initiate();
        sim.run_for(Duration::from_secs(120));
        let finishes: Vec<_> = sim.peers.iter().map(|p| p.finishes()).collect();
        assert!(finishes.iter().all(|f| f.len() == 1), "{finishes:?}");
        assert!(!matches!(finishes[host][..], [Finish::Deleted | Finish::PeerDeleted]));
        sim.assert_nothing_left();
    }
}

#[test]
fn every_kind_of_algorithm_protects_ike_and_child() {
    let cases = [
        ("aes256-sha2_256-dh19", "aes256-sha2_256", EncrId::AES_CBC),
        ("aes_gcm128-sha2_512-dh20", "aes_gcm128", EncrId::AES_GCM_16),
        ("chacha20_poly1305-sha2_256-dh31", "chacha20_poly1305", EncrId::CHACHA20_POLY1305),
        ("3des-sha1-dh14", "aes_ctr256-sha1", EncrId::AES_CTR),
    ];
    for (ike, esp, encr) in cases {
        let mut sim = Sim::calm(1);
        set_ike(&mut sim, ike, ike);
        for peer in &mut sim.peers {
            peer.child.proposals = Arc::new(esp_proposals(esp));
        }
        let sim = establish(sim);
        assert_eq!(up(&sim, 0).suite.encr, encr);
    }
}

/// ```text
/// IKE_SA_INIT {SA(dh14, dh15), KE(dh14)..}  -->
///                                           <--  IKE_SA_INIT {N(INVALID_KE_PAYLOAD: dh15)}
/// IKE_SA_INIT {SA(dh14, dh15), KE(dh15)..}  -->
///                                           <--  IKE_SA_INIT {SA(dh15), KE(dh15)..}
/// ```
#[test]
fn invalid_ke_payload_leads_to_the_method_that_both_have() {
    let mut sim = Sim::calm(1);
    set_ike(&mut sim, "aes256-sha2_256-dh14+dh31", "aes256-sha2_256-dh31");
    sim.thinking = Duration::from_millis(5);
    let sim = establish(sim);
    assert!(sim.peers[0].logged("INVALID_KE_PAYLOAD response to Key Exchange Method (DH) MODP2048; resending with suggested DH31"));
    let summary = sim.peers[0].sas.values().next().unwrap().summary();
    assert_eq!(summary.suite.unwrap().ke, KeId::X25519);
    // The refused attempt left nothing on the responder's side.
    assert_eq!(sim.peers[1].sas.len(), 1);
}

#[test]
fn a_guess_that_is_acceptable_is_taken_without_another_round() {
    let mut sim = Sim::calm(1);
    set_ike(&mut sim, "aes256-sha2_256-dh31+dh19", "aes256-sha2_256-dh19+dh31");
    let sim = establish(sim);
    assert_eq!(sim.net.log.len(), 4);
    let summary = sim.peers[0].sas.values().next().unwrap().summary();
    assert_eq!(summary.suite.unwrap().ke, KeId::X25519);
}

/// ```text
/// IKE_SA_INIT {SA, KE, Ni}  -->
///                           <--  IKE_SA_INIT {N(COOKIE)}
/// IKE_SA_INIT {N(COOKIE), SA, KE, Ni}  -->
/// ```
#[test]
fn a_cookie_is_sent_back() {
    let mut sim = Sim::calm(1);
    let jar = CookieJar::new(&mut pluto_crypto::SeededEntropy::new(9));
    sim.east().answers = false;
    sim.initiate();
    let request = sim.net.log[0].clone();
    let challenge = jar.challenge(&request.bytes, request.local).unwrap().unwrap();
    let mut answer = request.clone();
    (answer.local, answer.remote, answer.bytes) = (request.remote, request.local, challenge);
    sim.settle();
    sim.east().answers = true;
    sim.inject(answer);
    sim.settle();
    assert_eq!(jar.challenge(&sim.net.log[1].bytes, request.local), Ok(None));
    assert!(sim.is_up(), "{:#?}", sim.peers[0].log);
    assert!(sim.peers[0].logged("received COOKIE"));
}

/// NAT between: the initiator moves to port 4500 in IKE_AUTH, the responder follows to
/// where the translator shows the peer, and who is behind it sends keepalives.
#[test]
fn behind_a_nat_both_move_to_4500_and_keepalives_go_out() {
    let mut sim = Sim::calm(1);
    let outside = "198.51.100.7".parse().unwrap();
    sim.net.nats.push(Nat { inside: WEST, outside, shift: 10_000 });
    let mut sim = establish(sim);
    let (west, east) = (up(&sim, 0), up(&sim, 1));
    assert!(west.encapsulated && east.encapsulated);
    assert_eq!((west.local.port(), west.remote.port()), (4500, 4500));
    assert_eq!((east.local.port(), east.remote), (4500, (outside, 14_500).into()));
    assert!(sim.net.log[2].non_esp_marker && sim.net.log[3].non_esp_marker);
    assert!(!sim.net.log[1].non_esp_marker);
    assert!(sim.peers[0].logged("NAT detected: we are behind NAT"));
    assert!(sim.peers[1].logged("NAT detected: peer is behind NAT"));
    sim.run_for(Duration::from_secs(100));
    let keepalives =
        |host: usize| sim.peers[host].reports.iter().filter(|r| matches!(r, Report::Keepalive(..)));
    assert_eq!(keepalives(0).count(), 5);
    assert_eq!(keepalives(1).count(), 0);
}

#[test]
fn behind_a_nat_our_port_may_be_another_one() {
    let mut sim = Sim::calm(1);
    let outside = "198.51.100.7".parse().unwrap();
    sim.net.nats.push(Nat { inside: WEST, outside, shift: 10_000 });
    sim.west().ike.nat_port = 4600;
    let sim = establish(sim);
    let (west, east) = (up(&sim, 0), up(&sim, 1));
    assert_eq!((west.local.port(), west.remote.port()), (4600, 4500));
    assert_eq!((east.local.port(), east.remote), (4500, (outside, 14_600).into()));
    assert!(sim.net.log[2].non_esp_marker && sim.net.log[3].non_esp_marker);
}

#[test]
fn forced_encapsulation_goes_through_udp_without_a_nat() {
    let mut sim = Sim::calm(1);
    sim.west().ike.encapsulation = Encapsulation::Yes;
    let sim = establish(sim);
    assert!(up(&sim, 0).encapsulated && up(&sim, 1).encapsulated);
    assert_eq!(up(&sim, 1).remote.port(), 4500);
}

#[test]
fn encapsulation_no_never_encapsulates() {
    let mut sim = Sim::calm(1);
    for peer in &mut sim.peers {
        peer.ike.encapsulation = Encapsulation::No;
    }
    let outside = "198.51.100.7".parse().unwrap();
    sim.net.nats.push(Nat { inside: WEST, outside, shift: 0 });
    let sim = establish(sim);
    assert!(!up(&sim, 0).encapsulated && !up(&sim, 1).encapsulated);
}

fn transport(sim: &mut Sim) {
    for (host, local, remote) in [(0, WEST, EAST), (1, EAST, WEST)] {
        let child = &mut sim.peers[host].child;
        child.mode = IpsecMode::Transport;
        child.local_ts = selectors(&format!("{local}/32"));
        child.remote_ts = selectors(&format!("{remote}/32"));
    }
}

#[test]
fn transport_mode_is_agreed_on() {
    let mut sim = Sim::calm(1);
    transport(&mut sim);
    let sim = establish(sim);
    assert_eq!((up(&sim, 0).mode, up(&sim, 1).mode), (IpsecMode::Transport, IpsecMode::Transport));
    assert!(sim.peers[0].logged("IPsec transport [192.0.2.1/32===192.0.2.2/32]"));
}

#[test]
fn transport_mode_through_a_nat_uses_the_addresses_of_the_packets() {
    let mut sim = Sim::calm(1);
    transport(&mut sim);
    let outside = "198.51.100.7".parse().unwrap();
    sim.net.nats.push(Nat { inside: WEST, outside, shift: 0 });
    sim.east().child.remote_ts = selectors("198.51.100.7/32");
    sim.initiate();
    sim.settle();
    assert_eq!(up(&sim, 1).remote_ts, selectors("198.51.100.7/32"), "{:#?}", sim.peers[1].log);
    assert_eq!(up(&sim, 0).local_ts, selectors("192.0.2.1/32"));
}

#[test]
fn a_responder_that_wants_transport_refuses_tunnel_mode_and_the_ike_sa_stays() {
    let mut sim = Sim::calm(1);
    transport(&mut sim);
    sim.west().child.mode = IpsecMode::Tunnel;
    refused(sim, "NO_PROPOSAL_CHOSEN");
}

#[test]
fn an_initiator_that_wants_transport_deletes_a_tunnel() {
    let mut sim = Sim::calm(1);
    transport(&mut sim);
    sim.east().child.mode = IpsecMode::Tunnel;
    sim.initiate();
    sim.settle();
    assert!(matches!(sim.peers[0].downs()[..], [DownReason::Unacceptable(_)]));
    assert_eq!(sim.peers[1].downs(), [DownReason::PeerDeleted]);
    assert!(sim.peers.iter().all(|p| p.kernel.is_empty() && p.established().len() == 1));
}

/// The Child SA is refused with this notification; the IKE SA stands, and works.
#[track_caller]
fn refused(mut sim: Sim, notify: &str) {
    let serial = sim.initiate();
    sim.settle();
    let ours = match notify {
        "TS_UNACCEPTABLE" => "; ours are [10.",
        "NO_PROPOSAL_CHOSEN" => "; our proposals are 1:ESP",
        _ => "",
    };
    let refused = matches!(&sim.peers[0].downs()[..], [DownReason::Refused(why)]
        if why.starts_with(&format!("{notify}{ours}")));
    assert!(refused, "{:?} {:#?}", sim.peers[0].downs(), sim.peers[0].log);
    assert!(sim.peers[0].logged(&format!("IKE_AUTH response rejected Child SA with {notify}")));
    for peer in &sim.peers {
        assert_eq!(peer.established().len(), 1, "{:#?}", peer.log);
        assert!(peer.kernel.is_empty());
    }
    sim.order(0, serial, Request::Liveness);
    sim.settle();
    sim.order(0, serial, Request::DeleteIke);
    sim.settle();
    sim.assert_nothing_left();
}

#[test]
fn selectors_without_anything_in_common_fail_the_child_alone() {
    let mut sim = Sim::calm(1);
    sim.east().child.local_ts = selectors("10.9.0.0/24");
    refused(sim, "TS_UNACCEPTABLE");
}

#[test]
fn selectors_that_need_narrowing_are_refused_without_it() {
    let mut sim = Sim::calm(1);
    sim.west().child.remote_ts = selectors("10.2.0.0/25");
    refused(sim, "TS_UNACCEPTABLE");
}

#[test]
fn selectors_are_narrowed_by_the_responder() {
    let mut sim = Sim::calm(1);
    sim.west().child.remote_ts = selectors("10.0.0.0/8");
    sim.west().child.narrowing = true;
    let sim = establish(sim);
    assert_eq!(up(&sim, 0).remote_ts, selectors("10.2.0.0/24"));
}

#[test]
fn an_initiator_without_narrowing_deletes_what_was_narrowed() {
    let mut sim = Sim::calm(1);
    sim.west().child.remote_ts = selectors("10.0.0.0/8");
    sim.initiate();
    sim.settle();
    assert!(matches!(sim.peers[0].downs()[..], [DownReason::Unacceptable(_)]));
    assert_eq!(sim.peers[1].downs(), [DownReason::PeerDeleted]);
}

#[test]
fn selectors_with_protocol_and_port_are_agreed_on() {
    let mut sim = Sim::calm(1);
    for (host, local, remote) in
        [(0, "10.1.0.0/24/tcp", "10.2.0.0/24/tcp/80"), (1, "10.2.0.0/24/tcp/80", "10.1.0.0/24/tcp")]
    {
        sim.peers[host].child.local_ts = selectors(local);
        sim.peers[host].child.remote_ts = selectors(remote);
    }
    let sim = establish(sim);
    assert_eq!(up(&sim, 0).remote_ts, selectors("10.2.0.0/24/tcp/80"));
}

#[test]
fn no_common_child_proposal_fails_the_child_alone() {
    let mut sim = Sim::calm(1);
    sim.east().child.proposals = Arc::new(esp_proposals("aes128-sha1"));
    refused(sim, "NO_PROPOSAL_CHOSEN");
}

#[test]
fn a_responders_kernel_that_fails_is_a_temporary_failure_of_the_child_alone() {
    for (spis, installs) in [(1, 0), (0, 1)] {
        let mut sim = Sim::calm(1);
        sim.east().kernel.refuse_spis = spis;
        sim.east().kernel.refuse_installs = installs;
        refused(sim, "TEMPORARY_FAILURE");
    }
}

#[test]
fn an_initiators_kernel_that_fails_is_told_to_the_peer() {
    let mut sim = Sim::calm(1);
    sim.west().kernel.refuse_installs = 1;
    sim.initiate();
    sim.settle();
    assert!(matches!(sim.peers[0].downs()[..], [DownReason::Kernel(_)]));
    assert_eq!(sim.peers[1].downs(), [DownReason::PeerDeleted]);
    assert!(sim.peers.iter().all(|p| p.kernel.is_empty() && p.established().len() == 1));
    let mut sim = Sim::calm(1);
    sim.west().kernel.refuse_spis = 1;
    sim.initiate();
    sim.run_for(Duration::from_secs(60));
    assert!(matches!(sim.peers[0].finishes()[..], [Finish::Failed(_)]));
    sim.assert_nothing_left();
}

/// An error that nobody has signed is believed after two more transmissions.
#[test]
fn no_common_ike_proposal_is_told_within_seconds() {
    let mut sim = Sim::calm(1);
    set_ike(&mut sim, "aes256-sha2_256-dh31", "aes128-sha1-dh14");
    sim.initiate();
    sim.run_for(Duration::from_secs(3));
    let finishes = sim.peers[0].finishes();
    assert!(
        matches!(&finishes[..], [Finish::Failed(why)] if why.contains("NO_PROPOSAL_CHOSEN")),
        "{finishes:?}"
    );
    assert!(sim.peers[1].logged("NO_PROPOSAL_CHOSEN"));
    sim.assert_nothing_left();
}

#[test]
fn a_wrong_key_is_told_to_both_and_installs_nothing() {
    let mut sim = Sim::calm(1);
    sim.east().psk = Some(b"another key".to_vec());
    sim.initiate();
    sim.settle();
    assert!(
        sim.peers[0]
            .logged("IKE SA authentication request rejected by peer: AUTHENTICATION_FAILED")
    );
    assert!(sim.peers[1].logged("peer is not authenticated"));
    sim.run_for(Duration::from_secs(10));
    assert!(sim.peers.iter().all(|p| matches!(p.finishes()[..], [Finish::Failed(_)])));
    sim.assert_nothing_left();
}

#[test]
fn a_refusal_of_ike_auth_that_is_lost_is_repeated() {
    let mut sim = Sim::calm(1);
    sim.east().psk = Some(b"another key".to_vec());
    sim.initiate();
    // Up to the IKE_AUTH request; then the response gets lost.
    assert!(sim.run_until(Duration::from_secs(1), |sim| sim.net.log.len() == 3));
    sim.net.faults.loss = 100;
    assert!(sim.run_until(Duration::from_secs(1), |sim| sim.net.log.len() == 4));
    sim.net.faults.loss = 0;
    sim.run_for(Duration::from_secs(1));
    assert!(sim.peers[0].logged("AUTHENTICATION_FAILED"));
}

#[test]
fn no_secret_at_all_fails_either_role_cleanly() {
    for host in 0..2 {
        let mut sim = Sim::calm(1);
        sim.peers[host].psk = None;
        sim.initiate();
        sim.run_for(Duration::from_secs(60));
        assert!(sim.peers[host].logged("no pre-shared key found for"));
        assert!(matches!(sim.peers[0].finishes()[..], [Finish::Failed(_)]));
        sim.assert_nothing_left();
    }
}

#[test]
fn an_identity_that_is_not_expected_is_refused_by_either_role() {
    let mut sim = Sim::calm(1);
    sim.west().ike.local_id = Id::parse("@north").unwrap();
    sim.initiate();
    sim.run_for(Duration::from_secs(60));
    assert!(sim.peers[1].logged("no connection for peer FQDN '@north'"));
    sim.assert_nothing_left();
    // The initiator does not say whom it wants, and gets somebody else: it tells the peer.
    let mut sim = Sim::calm(1);
    sim.west().ike.remote_id_configured = false;
    sim.east().ike.local_id = Id::parse("@south").unwrap();
    sim.initiate();
    sim.run_for(Duration::from_secs(60));
    assert!(sim.peers[0].logged("we expected peer ID '@east', it is '@south'"));
    assert!(
        matches!(&sim.peers[1].finishes()[..], [Finish::Failed(why)] if why.contains("AUTHENTICATION_FAILED"))
    );
    sim.assert_nothing_left();
}

#[test]
fn nothing_authenticates_where_both_want_nothing() {
    let mut sim = Sim::calm(1);
    for peer in &mut sim.peers {
        peer.ike.local_auth = Authby::Null;
        peer.ike.remote_auth = Authby::Null;
        (peer.ike.local_id, peer.ike.remote_id) = (Id::Null, Id::Null);
        peer.psk = None;
    }
    let sim = establish(sim);
    assert!(sim.peers[0].logged("authenticated peer using authby=null"));
}

#[test]
fn one_side_may_have_a_key_and_the_other_nothing() {
    let mut sim = Sim::calm(1);
    sim.west().ike.local_auth = Authby::Null;
    sim.east().ike.remote_auth = Authby::Null;
    establish(sim);
}

#[test]
fn initial_contact_is_reported() {
    let mut sim = Sim::calm(1);
    sim.west().ike.initial_contact = true;
    let sim = establish(sim);
    let told = |host: usize| {
        let found = sim.peers[host].reports.iter().find_map(|report| match report {
            Report::Established(established) => Some(established.initial_contact),
            _ => None,
        });
        found.unwrap()
    };
    assert!(!told(0) && told(1));
}

#[test]
fn a_silent_peer_times_out_after_five_retransmissions() {
    let mut sim = Sim::calm(1);
    sim.east().answers = false;
    sim.initiate();
    sim.run_for(Duration::from_secs(31));
    assert_eq!(sim.net.log.len(), 6);
    assert!(sim.net.log.iter().all(|datagram| datagram == &sim.net.log[0]));
    assert_eq!(sim.peers[0].finishes(), [Finish::TimedOut]);
    assert!(sim.peers[0].logged("IKE_SA_INIT_I: 30 second timeout exceeded after 5 retransmits.  No response (or no acceptable response) to our first IKEv2 message"));
    sim.assert_nothing_left();
}

#[test]
fn a_half_open_responder_is_discarded_after_30_seconds() {
    let mut sim = Sim::calm(1);
    let serial = sim.initiate();
    assert!(sim.run_until(Duration::from_secs(1), |sim| sim.net.log.len() == 2));
    sim.order(0, serial, Request::Abandon);
    sim.run_for(Duration::from_secs(29));
    assert_eq!(sim.peers[1].sas.len(), 1);
    sim.run_for(Duration::from_secs(2));
    assert_eq!(sim.peers[1].finishes(), [Finish::TimedOut]);
    sim.assert_nothing_left();
}

#[test]
fn requests_that_come_again_get_the_same_octets_again() {
    let mut sim = Sim::calm(1);
    let serial = sim.initiate();
    assert!(sim.run_until(Duration::from_secs(1), |sim| sim.net.log.len() == 2));
    let request = sim.net.log[0].clone();
    sim.inject(request.clone());
    sim.settle();
    let exchange = |bytes: &[u8]| Header::peek(bytes).unwrap().exchange;
    let responses = |sim: &Sim, wanted: ExchangeType| {
        let from_east = sim.net.log.iter().filter(|d| d.local.ip() == EAST);
        let of = from_east.filter(|d| exchange(&d.bytes) == wanted).map(|d| d.bytes.clone());
        of.collect::<Vec<_>>()
    };
    let init = responses(&sim, ExchangeType::IKE_SA_INIT);
    assert_eq!((init.len(), &init[0] == init.last().unwrap()), (2, true));
    // Once IKE_AUTH is over, IKE_SA_INIT is not answered any more.
    sim.inject(request);
    let auth = sim.net.log.iter().find(|d| exchange(&d.bytes) == ExchangeType::IKE_AUTH).cloned();
    sim.inject(auth.unwrap());
    sim.settle();
    let auths = responses(&sim, ExchangeType::IKE_AUTH);
    assert_eq!((auths.len(), auths[0] == auths[1]), (2, true));
    assert_eq!(sim.peers[1].established().len(), 1);
    sim.order(0, serial, Request::DeleteIke);
    sim.settle();
}

#[test]
fn liveness_is_checked_and_a_dead_peer_noticed() {
    let mut sim = Sim::calm(1);
    sim.west().ike.dpd_delay = Some(Duration::from_secs(10));
    let mut sim = establish(sim);
    assert!(sim.peers[0].logged("DPD=active"));
    sim.run_for(Duration::from_secs(100));
    assert!(sim.is_up());
    let checks = (sim.net.log.len() - 4) / 2;
    assert!((8..=10).contains(&checks), "{checks}");
    sim.net.faults.loss = 100;
    sim.run_for(Duration::from_secs(41));
    assert_eq!(sim.peers[0].finishes(), [Finish::TimedOut]);
    assert!(sim.peers[0].kernel.is_empty());
}

#[test]
fn a_child_is_deleted_and_the_ike_sa_stays() {
    for host in 0..2 {
        let mut sim = establish(Sim::calm(1));
        let (ike, child) = (sim.peers[host].established()[0], up(&sim, host).child);
        sim.order(host, ike, Request::DeleteChild(child));
        sim.settle();
        assert_eq!(sim.peers[host].downs(), [DownReason::Requested]);
        assert_eq!(sim.peers[1 - host].downs(), [DownReason::PeerDeleted]);
        assert!(sim.peers.iter().all(|p| p.kernel.is_empty() && p.established().len() == 1));
        assert!(
            sim.peers[host].logged(
                "sent INFORMATIONAL request to delete established Child SA using IKE SA #1"
            )
        );
    }
}

/// ```text
/// INFORMATIONAL {D(ESP a)}  -->   <--  INFORMATIONAL {D(ESP b)}
/// INFORMATIONAL {}          -->   <--  INFORMATIONAL {}
/// ```
#[test]
fn deletes_of_one_child_that_cross_are_answered_without_deletes() {
    let mut sim = establish(Sim::calm(1));
    for host in 0..2 {
        let (ike, child) = (sim.peers[host].established()[0], up(&sim, host).child);
        sim.order(host, ike, Request::DeleteChild(child));
    }
    sim.settle();
    let responses: Vec<usize> = sim.net.log[6..].iter().map(|d| d.bytes.len()).collect();
    // A header, an SK header, IV, pad length and tag: nothing inside.
    assert_eq!(responses, [28 + 4 + 8 + 1 + 16; 2]);
    for peer in &sim.peers {
        assert_eq!(peer.downs(), [DownReason::Requested]);
        assert!(peer.kernel.is_empty() && peer.established().len() == 1);
    }
}

#[test]
fn deletes_of_the_ike_sa_that_cross_end_both() {
    let mut sim = establish(Sim::calm(1));
    for host in 0..2 {
        let ike = sim.peers[host].established()[0];
        sim.order(host, ike, Request::DeleteIke);
    }
    sim.settle();
    sim.assert_nothing_left();
    assert!(sim.peers.iter().all(|p| p.finishes() == [Finish::Deleted]));
}

#[test]
fn shutdown_says_delete_once_and_does_not_wait() {
    let mut sim = establish(Sim::calm(1));
    sim.order(0, pluto_connections::SerialNo(1), Request::Shutdown);
    assert_eq!(sim.peers[0].finishes(), [Finish::Deleted]);
    sim.settle();
    assert_eq!(sim.peers[1].finishes(), [Finish::PeerDeleted]);
    sim.assert_nothing_left();
}

#[test]
fn the_end_of_a_lifetime_ends_the_ike_sa_and_is_told() {
    let mut sim = Sim::calm(1);
    let life = Duration::from_secs(3600);
    sim.west().ike.lifetimes.life = life;
    sim.west().ike.lifetimes.rekey = false;
    let mut sim = establish(sim);
    let deadlines = sim.peers[0].sas.values().next().unwrap().summary().deadlines;
    let names: Vec<_> = deadlines.iter().map(|(name, _)| *name).collect();
    assert_eq!(names, ["EXPIRE"]);
    sim.run_for(life + Duration::from_secs(1));
    assert_eq!(sim.peers[0].finishes(), [Finish::Expired]);
    assert_eq!(sim.peers[0].downs(), [DownReason::Expired]);
    assert_eq!(sim.peers[1].finishes(), [Finish::PeerDeleted]);
    sim.assert_nothing_left();
}

#[test]
fn the_spis_of_an_sa_are_never_zero() {
    let sim = establish(Sim::calm(3));
    for peer in &sim.peers {
        let spis = peer.sas.values().next().unwrap().spis();
        assert!(spis.initiator != IkeSpi::ZERO && spis.responder != IkeSpi::ZERO);
    }
}

/// The responder is done, and already deletes the Child SA, while the initiator still has
/// its secrets looked up and its kernel at work.
#[test]
fn a_request_that_overtakes_the_end_of_ike_auth_is_kept_not_lost() {
    let mut sim = Sim::calm(1);
    sim.initiate();
    let responder_is_up = |sim: &Sim| !sim.peers[1].established().is_empty();
    assert!(sim.run_until(Duration::from_secs(1), responder_is_up));
    sim.thinking = Duration::from_millis(400);
    let (ike, child) = (sim.peers[1].established()[0], up(&sim, 1).child);
    sim.order(1, ike, Request::DeleteChild(child));
    let sent = sim.net.log.len();
    sim.settle();
    assert_eq!(sim.peers[0].downs(), [DownReason::PeerDeleted]);
    assert_eq!(sim.peers[1].downs(), [DownReason::Requested]);
    assert_eq!(sim.net.log.len(), sent + 1, "one response, and nothing was sent again");
}
