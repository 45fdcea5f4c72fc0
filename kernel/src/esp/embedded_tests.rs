//! What is refused before anything is asked of the device.

use super::*;
use pluto_crypto::Secret;
use pluto_wire::numbers::{EncrId, IntegId};

fn spec(child: u64, spi_out: u32) -> SaPairSpec {
    let keys = SaKeys {
        encr: EncrId::AES_GCM_16,
        encr_bits: 128,
        encr_key: Secret::new(vec![7; 20]),
        integ: IntegId::NONE,
        integ_key: Secret::default(),
    };
    SaPairSpec {
        child,
        connection: 1,
        protocol: ProtocolId::ESP,
        transport: false,
        local: "192.0.2.1:500".parse().unwrap(),
        remote: "192.0.2.2:500".parse().unwrap(),
        encapsulated: false,
        spi_in: 0x1000,
        spi_out,
        keys_in: keys.clone(),
        keys_out: keys,
        esn: false,
        replay_window: 32,
        reqid: 16384,
        traffic: Vec::new(),
        bytes: (u64::MAX, u64::MAX),
        packets: (u64::MAX, u64::MAX),
        mark_in: None,
        mark_out: None,
        if_id: 0,
        tfc: 0,
        decap_dscp: false,
        no_encap_dscp: false,
        nopmtudisc: false,
    }
}

#[test]
fn a_spi_of_the_peers_that_another_child_sa_sends_with_is_refused_as_by_xfrm() {
    let mut ledger = Ledger::default();
    let first = spec(1, 0x2001);
    let (_, outbound) = child_sas(&first);
    assert_eq!(unused(&ledger, &first), Ok(()));
    ledger.add_sa(1, outbound);
    assert_eq!(unused(&ledger, &first), Ok(()), "its own");
    let error = unused(&ledger, &spec(2, 0x2001)).unwrap_err();
    assert_eq!(
        (error.errno, error.why.as_str()),
        (libc::EEXIST, "#1 has an SA with the SPI 0x2001")
    );
    assert_eq!(unused(&ledger, &spec(2, 0x2002)), Ok(()));
    let elsewhere = "192.0.2.3:500".parse().unwrap();
    assert_eq!(unused(&ledger, &SaPairSpec { remote: elsewhere, ..spec(2, 0x2001) }), Ok(()));
    ledger.take_child(1);
    assert_eq!(unused(&ledger, &spec(2, 0x2001)), Ok(()), "it is free again");
}
