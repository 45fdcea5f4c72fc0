use super::*;
use crate::proposal::{describe_child, describe_chosen, describe_ike, describe_offer};
use pluto_wire::v2::SaPayload;

fn ike_list(text: &str) -> IkeProposals {
    IkeProposals::parse(text).unwrap_or_else(|e| panic!("{text}: {e}"))
}

fn esp(text: &str) -> ChildProposals {
    ChildProposals::parse(ProtocolId::ESP, text, true).unwrap_or_else(|e| panic!("{text}: {e}"))
}

use crate::proposal::IkeProposals;

const ENCR: TransformType = TransformType::ENCR;
const PRF: TransformType = TransformType::PRF;
const INTEG: TransformType = TransformType::INTEG;
const KE: TransformType = TransformType::KE;
const SN: TransformType = TransformType::SN;

/// A proposal of (type, id, key length; 0 for none).
fn proposal(number: u8, protocol: ProtocolId, list: &[(TransformType, u16, u16)]) -> Proposal {
    let spi = if protocol == ProtocolId::IKE { vec![] } else { vec![0x12, 0x34, 0x56, 0x78] };
    let transforms =
        list.iter().map(|(t, id, bits)| transform(*t, *id, (*bits > 0).then_some(*bits)));
    Proposal { number, protocol, spi, transforms: transforms.collect() }
}

fn ike_offer(lists: &[&[(TransformType, u16, u16)]]) -> SaPayload {
    let all = (1..=255).zip(lists).map(|(n, list)| proposal(n, ProtocolId::IKE, list));
    SaPayload { proposals: all.collect() }
}

fn esp_offer(list: &[(TransformType, u16, u16)]) -> SaPayload {
    SaPayload { proposals: vec![proposal(1, ProtocolId::ESP, list)] }
}

const GCM: &[(TransformType, u16, u16)] = &[(ENCR, 20, 256), (PRF, 7, 0), (KE, 31, 0)];
const CBC: &[(TransformType, u16, u16)] =
    &[(ENCR, 12, 256), (PRF, 5, 0), (INTEG, 12, 0), (KE, 14, 0)];
const SPI: [u8; 4] = [0, 0, 0x12, 0x34];

fn why(result: Result<ChosenIke, NoProposal>) -> Option<TransformType> {
    result.expect_err("no proposal may match").closest
}

#[test]
fn equal_defaults_agree_on_the_first_of_everything() {
    let ours = IkeProposals::default_v2();
    let offer = ours.to_wire(&[]);
    assert_eq!(offer.proposals.len(), 5);
    let chosen = ours.choose(&offer).expect("equal lists match");
    assert_eq!(
        describe_ike(&chosen.suite),
        "{cipher=AES_GCM_16_256 integ=n/a prf=HMAC_SHA2_512 ke=DH19}"
    );
    assert_eq!(describe_chosen(&chosen.reply), "1:IKE=AES_GCM_16_256-HMAC_SHA2_512-DH19");
    let answer = SaPayload { proposals: vec![chosen.reply.clone()] };
    assert_eq!(ours.check_choice(&answer), Ok(chosen));

    let ours = ChildProposals::default_v2(ProtocolId::ESP);
    let chosen = ours.choose(&ours.to_wire(SPI, None), None).expect("equal lists match");
    assert_eq!(describe_child(&chosen.suite), "AES_GCM_16_256");
    assert!(chosen.suite.esn);
    assert_eq!(chosen.remote_spi, SPI);
    assert_eq!(describe_chosen(&chosen.reply), "1:ESP=AES_GCM_16_256-ESN:YES");

    let ours = ChildProposals::default_v2(ProtocolId::AH);
    let chosen = ours.choose(&ours.to_wire(SPI, None), None).expect("equal lists match");
    assert_eq!((chosen.suite.encr, chosen.suite.integ), (EncrId::NULL, IntegId::HMAC_SHA2_512_256));
}

#[test]
fn no_default_offers_a_legacy_algorithm() {
    let child = [ProtocolId::ESP, ProtocolId::AH].map(|p| ChildProposals::default_v2(p).proposals);
    for proposal in IkeProposals::default_v2().0.iter().chain(child.iter().flatten()) {
        assert!(
            proposal
                .encr
                .iter()
                .all(|(id, _)| !matches!(*id, EncrId::TRIPLE_DES | EncrId::DES | EncrId::NULL))
        );
        assert!(proposal.prf.iter().all(|id| !matches!(*id, PrfId::HMAC_MD5 | PrfId::HMAC_SHA1)));
        assert!(
            proposal
                .integ
                .iter()
                .all(|id| !matches!(*id, IntegId::HMAC_MD5_96 | IntegId::HMAC_SHA1_96))
        );
        assert!(proposal.ke.iter().all(|id| id.0 > KeId::MODP1536.0));
    }
}

#[test]
fn our_order_of_proposals_and_of_algorithms_wins() {
    // Ours: CBC before GCM, SHA2_256 before SHA2_512, MODP2048 before curve 25519.
    let ours = ike_list("aes256-sha2_256+sha2_512-modp2048+dh31,aes_gcm256-sha2_256+sha2_512-dh31");
    let offer = ike_offer(&[
        &[(ENCR, 20, 256), (PRF, 7, 0), (PRF, 5, 0), (KE, 31, 0)],
        &[
            (ENCR, 12, 256),
            (PRF, 7, 0),
            (PRF, 5, 0),
            (INTEG, 14, 0),
            (INTEG, 12, 0),
            (KE, 31, 0),
            (KE, 14, 0),
        ],
    ]);
    let chosen = ours.choose(&offer).expect("both match");
    assert_eq!(
        describe_chosen(&chosen.reply),
        "2:IKE=AES_CBC_256-HMAC_SHA2_256-HMAC_SHA2_256_128-MODP2048"
    );
    // Of equals the peer's first is taken.
    let offer = ike_offer(&[GCM, GCM]);
    assert_eq!(ours.choose(&offer).expect("matches").reply.number, 1);
}

#[test]
fn an_open_key_length_means_256_then_128_for_ike_and_128_then_256_for_esp() {
    let bits = |payload: SaPayload| -> Vec<Option<u16>> {
        let transforms = payload.proposals[0].transforms.clone();
        transforms.iter().filter(|t| t.transform_type == ENCR).map(|t| t.key_length).collect()
    };
    assert_eq!(bits(ike_list("aes_gcm").to_wire(&[])), [Some(256), Some(128)]);
    assert_eq!(bits(esp("aes_gcm").to_wire(SPI, None)), [Some(128), Some(256)]);
    assert_eq!(bits(esp("3des-sha1").to_wire(SPI, None)), [None]);
    assert_eq!(bits(esp("chacha20_poly1305").to_wire(SPI, None)), [None]);
    let chosen = esp("aes_gcm").choose(&esp_offer(&[(ENCR, 20, 256), (SN, 0, 0)]), None);
    assert_eq!(chosen.expect("the second length matches").suite.encr_bits, 256);
}

// Adversarial A7: what may be wrong with a proposal for an IKE SA.

#[test]
fn an_ike_proposal_without_key_exchange_is_refused() {
    let offer = ike_offer(&[&[(ENCR, 20, 256), (PRF, 7, 0)]]);
    assert_eq!(why(IkeProposals::default_v2().choose(&offer)), Some(KE));
    let offer = ike_offer(&[&[(ENCR, 20, 256), (PRF, 7, 0), (KE, 0, 0)]]);
    assert_eq!(why(IkeProposals::default_v2().choose(&offer)), Some(KE));
}

#[test]
fn an_ike_proposal_without_prf_is_refused() {
    let offer = ike_offer(&[&[(ENCR, 20, 256), (KE, 31, 0)]]);
    assert_eq!(why(IkeProposals::default_v2().choose(&offer)), Some(PRF));
}

#[test]
fn an_ike_proposal_without_integrity_is_refused_unless_it_is_an_aead() {
    let offer = ike_offer(&[&[(ENCR, 12, 256), (PRF, 5, 0), (KE, 14, 0)]]);
    assert_eq!(why(IkeProposals::default_v2().choose(&offer)), Some(INTEG));
    let offer = ike_offer(&[&[(ENCR, 12, 256), (PRF, 5, 0), (INTEG, 0, 0), (KE, 14, 0)]]);
    assert_eq!(why(IkeProposals::default_v2().choose(&offer)), Some(INTEG));
    assert!(IkeProposals::default_v2().choose(&ike_offer(&[GCM])).is_ok());
}

#[test]
fn an_aead_with_integrity_is_refused_and_with_none_accepted() {
    let with = |integ: &[u16]| {
        let mut list = GCM.to_vec();
        list.extend(integ.iter().map(|id| (INTEG, *id, 0)));
        IkeProposals::default_v2().choose(&ike_offer(&[&list]))
    };
    assert_eq!(why(with(&[12])), Some(INTEG));
    let mixed = with(&[0, 12]).expect_err("NONE beside others is refused");
    assert_eq!(mixed.closest, None);
    assert!(mixed.remote.ends_with("[integrity NONE beside others]"), "{}", mixed.remote);
    let none = with(&[0]).expect("NONE is what an AEAD has");
    assert_eq!(none.suite.integ, IntegId::NONE);
    assert_eq!(describe_chosen(&none.reply), "1:IKE=AES_GCM_16_256-HMAC_SHA2_512-NONE-DH31");
}

#[test]
fn a_key_length_that_is_missing_zero_or_odd_is_refused() {
    for bits in [0, 1, 127, 129, 512, u16::MAX] {
        let offer = ike_offer(&[&[(ENCR, 20, bits), (PRF, 7, 0), (KE, 31, 0)]]);
        assert_eq!(why(IkeProposals::default_v2().choose(&offer)), Some(ENCR), "{bits}");
    }
    let mut zero = ike_offer(&[GCM]);
    zero.proposals[0].transforms[0].key_length = Some(0);
    assert_eq!(why(IkeProposals::default_v2().choose(&zero)), Some(ENCR));
    // RFC 7296, 3.3.5: not with a fixed length.
    let fixed = ike_offer(&[&[(ENCR, 28, 256), (PRF, 7, 0), (KE, 31, 0)]]);
    assert_eq!(why(IkeProposals::default_v2().choose(&fixed)), Some(ENCR));
    // Nor with anything but a cipher.
    let prf = ike_offer(&[&[(ENCR, 20, 256), (PRF, 7, 256), (KE, 31, 0)]]);
    assert_eq!(why(IkeProposals::default_v2().choose(&prf)), Some(PRF));
}

#[test]
fn sequence_numbers_in_an_ike_proposal_are_refused() {
    let offer = ike_offer(&[&[GCM, &[(SN, 0, 0)]].concat()]);
    assert_eq!(why(IkeProposals::default_v2().choose(&offer)), Some(SN));
}

#[test]
fn unknown_types_cost_a_proposal_and_unknown_attributes_a_transform() {
    for unknown in [0, 13, 240, 255] {
        let bad = [GCM, &[(TransformType(unknown), 1, 0)]].concat();
        let refused = IkeProposals::default_v2().choose(&ike_offer(&[&bad])).expect_err("unknown");
        assert!(refused.remote.ends_with("[unknown transform type]"), "{}", refused.remote);
        let chosen =
            IkeProposals::default_v2().choose(&ike_offer(&[&bad, CBC])).expect("the other");
        assert_eq!(chosen.reply.number, 2);
    }
    let mut offer = ike_offer(&[&[&[(ENCR, 20, 256)], GCM].concat()]);
    offer.proposals[0].transforms[0].unknown_attributes.push((0x8001, vec![0, 1]));
    assert!(IkeProposals::default_v2().choose(&offer).is_ok(), "the second AES_GCM is good");
    offer.proposals[0].transforms[1].unknown_attributes.push((0x8001, vec![0, 1]));
    assert_eq!(why(IkeProposals::default_v2().choose(&offer)), Some(ENCR));
}

#[test]
fn additional_key_exchanges_that_we_do_not_want_are_refused_unless_optional() {
    let addke = TransformType::ADDKE1;
    let offer = ike_offer(&[&[GCM, &[(addke, 36, 0)]].concat()]);
    assert_eq!(why(IkeProposals::default_v2().choose(&offer)), Some(addke));
    let offer = ike_offer(&[&[GCM, &[(addke, 36, 0), (addke, 0, 0)]].concat()]);
    let chosen = IkeProposals::default_v2().choose(&offer).expect("NONE is among the choices");
    assert_eq!(chosen.reply.transforms.last(), Some(&transform(addke, 0, None)));
}

#[test]
fn a_key_exchange_method_is_used_once() {
    let ours = IkeProposals(vec![Algorithms {
        encr: vec![(EncrId::AES_GCM_16, 256)],
        prf: vec![PrfId::HMAC_SHA2_512],
        ke: vec![KeId::X25519],
        addke: vec![(TransformType::ADDKE1, vec![KeId::X25519, KeId::ECP_256])],
        ..Algorithms::default()
    }]);
    let chosen = ours.choose(&ours.to_wire(&[])).expect("equal");
    assert_eq!(describe_chosen(&chosen.reply), "1:IKE=AES_GCM_16_256-HMAC_SHA2_512-DH31-DH19");
}

#[test]
fn proposal_numbers_must_count_from_one_unless_there_is_one_proposal() {
    let numbered = |numbers: &[u8]| {
        let proposals = numbers.iter().map(|n| proposal(*n, ProtocolId::IKE, GCM)).collect();
        IkeProposals::default_v2()
            .choose(&SaPayload { proposals })
            .map(|chosen| chosen.reply.number)
    };
    assert_eq!(numbered(&[1]), Ok(1));
    assert_eq!(numbered(&[0]), Ok(0), "macOS");
    assert_eq!(numbered(&[3]), Ok(3));
    assert_eq!(numbered(&[3, 2]), Ok(2));
    let refused = numbered(&[0, 1]).expect_err("neither is in order");
    assert!(refused.remote.ends_with("[proposal number out of order]"), "{}", refused.remote);
    assert!(numbered(&[2, 1]).is_err());
    assert_eq!(numbered(&[1, 1]), Ok(1));
}

#[test]
fn the_largest_offers_are_judged() {
    // 255 proposals, and as many transforms as fit a datagram in one.
    let many = ike_offer(&vec![&[(ENCR, 12, 128), (PRF, 1, 0), (KE, 2, 0)][..]; 255]);
    let refused = IkeProposals::default_v2().choose(&many).expect_err("none matches");
    assert_eq!(refused.closest, Some(PRF));
    assert!(refused.remote.len() < 5000, "{}", refused.remote.len());
    let mut long: Vec<_> = (0..8000).map(|n| (ENCR, n + 100, 0)).collect();
    long.extend_from_slice(CBC);
    assert!(IkeProposals::default_v2().choose(&ike_offer(&[&long])).is_ok());
}

#[test]
fn an_empty_offer_is_refused() {
    let none = IkeProposals::default_v2().choose(&SaPayload { proposals: vec![] });
    assert_eq!(why(none), None);
    assert_eq!(why(IkeProposals::default_v2().choose(&ike_offer(&[&[]]))), Some(ENCR));
    assert_eq!(why(IkeProposals(vec![]).choose(&ike_offer(&[GCM]))), None);
}

#[test]
fn a_prf_of_the_cipher_aes_is_taken_only_when_configured() {
    let offer = ike_offer(&[&[(ENCR, 20, 256), (PRF, 4, 0), (KE, 31, 0)]]);
    assert_eq!(why(IkeProposals::default_v2().choose(&offer)), Some(PRF));
    assert!(ike_list("aes_gcm256-aes_xcbc-dh31").choose(&offer).is_ok());
}

#[test]
fn a_refusal_says_what_both_offered_and_where_the_nearest_differ() {
    let refused =
        ike_list("aes_gcm256-sha2_512-dh19").choose(&ike_offer(&[CBC, GCM])).expect_err("KE");
    assert_eq!(
        refused.to_string(),
        "no local proposal matches remote proposals \
         1:IKE:ENCR=AES_CBC_256;PRF=HMAC_SHA2_256;INTEG=HMAC_SHA2_256_128;KE=MODP2048 \
         2:IKE:ENCR=AES_GCM_16_256;PRF=HMAC_SHA2_512;KE=DH31; the closest differs in KE; \
         local proposals 1:IKE:ENCR=AES_GCM_16_256;PRF=HMAC_SHA2_512;KE=DH19"
    );
}

#[test]
fn unknown_numbers_are_described_as_numbers() {
    let offer = esp_offer(&[(ENCR, 999, 64), (TransformType(77), 3, 0), (SN, 1, 0), (SN, 9, 0)]);
    assert_eq!(describe_offer(&offer), "1:ESP:ENCR=999_64;TYPE77=3;ESN=YES;ESN=9");
}

// Adversarial D4: what may be wrong with a proposal for a Child SA.

#[test]
fn an_esp_cipher_without_key_or_only_for_integrity_is_refused_by_default() {
    let ours = ChildProposals::default_v2(ProtocolId::ESP);
    for list in [
        &[(ENCR, 21, 0), (SN, 0, 0)][..], // GMAC without a key length
        &[(ENCR, 21, 256), (SN, 0, 0)],   // GMAC
        &[(ENCR, 11, 0), (INTEG, 12, 0), (SN, 0, 0)], // NULL
        &[(ENCR, 11, 0), (SN, 0, 0)],     // nothing at all
        &[(ENCR, 11, 0), (INTEG, 0, 0), (SN, 0, 0)],
        &[(ENCR, 12, 256), (SN, 0, 0)], // encryption alone
        &[(ENCR, 12, 256), (INTEG, 0, 0), (SN, 0, 0)],
        &[(INTEG, 12, 0), (SN, 0, 0)], // AH's kind
        &[],
    ] {
        assert!(ours.choose(&esp_offer(list), None).is_err(), "{list:?}");
    }
    // Where the administrator wants it, NULL needs integrity all the same.
    let null = esp("null-sha2_256");
    assert!(null.choose(&esp_offer(&[(ENCR, 11, 0), (INTEG, 12, 0), (SN, 0, 0)]), None).is_ok());
    assert!(null.choose(&esp_offer(&[(ENCR, 11, 0), (SN, 0, 0)]), None).is_err());
}

#[test]
fn nothing_without_integrity_is_chosen_even_if_it_is_configured() {
    let algorithms = Algorithms {
        encr: vec![(EncrId::NULL, 0)],
        integ: vec![IntegId::NONE],
        ..Algorithms::default()
    };
    let ours = ChildProposals { protocol: ProtocolId::ESP, proposals: vec![algorithms] };
    let refused = ours.choose(&ours.to_wire(SPI, None), None).expect_err("no integrity");
    assert_eq!(refused.closest, Some(INTEG));
}

#[test]
fn missing_sequence_numbers_mean_32_bits() {
    let ours = ChildProposals::default_v2(ProtocolId::ESP);
    let chosen = ours.choose(&esp_offer(&[(ENCR, 20, 256)]), None).expect("as deployed peers do");
    assert!(!chosen.suite.esn);
    assert_eq!(describe_chosen(&chosen.reply), "1:ESP=AES_GCM_16_256");
    let only_64 = ours.with_sn(&[SnId::SEQUENTIAL_64]);
    let refused = only_64.choose(&esp_offer(&[(ENCR, 20, 256)]), None).expect_err("esn=yes");
    assert_eq!(refused.closest, Some(SN));
    let chosen = only_64.choose(&esp_offer(&[(ENCR, 20, 256), (SN, 0, 0), (SN, 1, 0)]), None);
    assert!(chosen.expect("64 bits are offered").suite.esn);
}

#[test]
fn key_exchange_is_ignored_in_ike_auth_and_compared_in_create_child_sa() {
    let ours = esp("aes_gcm256");
    let with = |kes: &[u16]| {
        let mut list = vec![(ENCR, 20, 256), (SN, 0, 0)];
        list.extend(kes.iter().map(|id| (KE, *id, 0)));
        esp_offer(&list)
    };
    let chosen = ours.choose(&with(&[14]), None).expect("ignored");
    assert_eq!(chosen.suite.ke, KeId::NONE);
    assert!(chosen.reply.transforms.iter().all(|t| t.transform_type != KE));
    let pfs: Option<&[KeId]> = Some(&[KeId::X25519]);
    assert_eq!(ours.choose(&with(&[31]), pfs).expect("the same").suite.ke, KeId::X25519);
    assert_eq!(ours.choose(&with(&[14]), pfs).expect_err("another").closest, Some(KE));
    assert_eq!(ours.choose(&with(&[]), pfs).expect_err("none").closest, Some(KE));
    let optional: Option<&[KeId]> = Some(&[KeId::X25519, KeId::NONE]);
    assert_eq!(ours.choose(&with(&[]), optional).expect("left away").suite.ke, KeId::NONE);
    assert_eq!(ours.choose(&with(&[0]), optional).expect("NONE").suite.ke, KeId::NONE);
    assert_eq!(ours.choose(&with(&[31]), optional).expect("wanted").suite.ke, KeId::X25519);
    // Not wanted (pfs=no), but offered as optional.
    assert!(ours.choose(&with(&[14]), Some(&[])).is_err());
    assert!(ours.choose(&with(&[14, 0]), Some(&[])).is_ok());
    // esp= names a method itself.
    let named = esp("aes_gcm256;modp2048");
    assert_eq!(named.first_ke(), Some(KeId::MODP2048));
    assert_eq!(named.choose(&with(&[14]), pfs).expect("esp= wins").suite.ke, KeId::MODP2048);
    assert!(
        named.to_wire(SPI, None).proposals[0].transforms.iter().all(|t| t.transform_type != KE)
    );
}

#[test]
fn other_protocols_and_bad_spis_are_passed_over() {
    let ours = ChildProposals::default_v2(ProtocolId::ESP);
    let good = proposal(2, ProtocolId::ESP, &[(ENCR, 20, 256), (SN, 0, 0)]);
    for (protocol, spi, remark) in [
        (ProtocolId::AH, &[1, 2, 3, 4][..], "other protocol"),
        (ProtocolId::IKE, &[], "other protocol"),
        (ProtocolId(4), &[1, 2], "other protocol"),
        (ProtocolId::ESP, &[], "wrong SPI size"),
        (ProtocolId::ESP, &[1, 2, 3], "wrong SPI size"),
        (ProtocolId::ESP, &[1, 2, 3, 4, 5, 6, 7, 8], "wrong SPI size"),
        (ProtocolId::ESP, &[0, 0, 0, 0], "SPI is zero"),
    ] {
        let bad = Proposal { number: 1, protocol, spi: spi.to_vec(), ..good.clone() };
        let alone = SaPayload { proposals: vec![bad.clone()] };
        let refused = ours.choose(&alone, None).expect_err("alone");
        assert!(refused.remote.ends_with(&format!("[{remark}]")), "{}", refused.remote);
        let both = SaPayload { proposals: vec![bad, good.clone()] };
        assert_eq!(ours.choose(&both, None).expect("the second").reply.number, 2);
    }
    let mut rekey = ike_offer(&[GCM]);
    rekey.proposals[0].spi = vec![1; 8];
    assert_eq!(IkeProposals::default_v2().choose(&rekey).expect("rekey").remote_spi, [1; 8]);
}

// The initiator's side.

#[test]
fn an_answer_must_be_one_of_ours_unchanged() {
    let ours = IkeProposals::default_v2();
    let answer =
        |number, list: &[_]| SaPayload { proposals: vec![proposal(number, ProtocolId::IKE, list)] };
    assert!(ours.check_choice(&answer(1, GCM)).is_ok());
    let refused: &[(&str, SaPayload)] = &[
        ("no proposal", SaPayload { proposals: vec![] }),
        ("two proposals", ike_offer(&[GCM, GCM])),
        ("the number of another one", answer(4, GCM)),
        ("number 0", answer(0, GCM)),
        ("a number that we did not use", answer(6, GCM)),
        ("what we did not offer", answer(1, &[(ENCR, 20, 256), (PRF, 2, 0), (KE, 31, 0)])),
        ("a weaker group", answer(1, &[(ENCR, 20, 256), (PRF, 7, 0), (KE, 2, 0)])),
        ("another length", answer(1, &[(ENCR, 20, 192), (PRF, 7, 0), (KE, 31, 0)])),
        ("no length", answer(1, &[(ENCR, 20, 0), (PRF, 7, 0), (KE, 31, 0)])),
        ("two of a type", answer(1, &[(ENCR, 20, 256), (PRF, 7, 0), (PRF, 5, 0), (KE, 31, 0)])),
        ("a type missing", answer(1, &[(ENCR, 20, 256), (KE, 31, 0)])),
        ("a type too many", answer(1, &[GCM, &[(SN, 0, 0)]].concat())),
        ("an unknown type", answer(1, &[GCM, &[(TransformType(99), 0, 0)]].concat())),
        ("another protocol", esp_offer(GCM)),
    ];
    for (what, answer) in refused {
        assert!(ours.check_choice(answer).is_err(), "{what}");
    }
    let mut attribute = answer(1, GCM);
    attribute.proposals[0].transforms[0].unknown_attributes.push((0x8001, vec![0, 0]));
    assert!(ours.check_choice(&attribute).is_err());
    let sole = ike_list("aes_gcm256-sha2_512-dh31");
    assert!(sole.check_choice(&answer(0, GCM)).is_ok(), "there was nothing else to choose");
}

#[test]
fn an_answer_for_a_child_sa_has_no_key_exchange_in_ike_auth() {
    let ours = esp("aes_gcm256");
    let good = esp_offer(&[(ENCR, 20, 256), (SN, 1, 0)]);
    assert!(ours.check_choice(&good, None).expect("as offered").suite.esn);
    let ke = esp_offer(&[(ENCR, 20, 256), (KE, 31, 0), (SN, 1, 0)]);
    assert!(ours.check_choice(&ke, None).is_err());
    assert!(ours.check_choice(&ke, Some(&[KeId::X25519])).is_ok());
    assert!(ours.check_choice(&good, Some(&[KeId::X25519])).is_err(), "PFS was dropped");
}

mod properties {
    use super::*;
    use proptest::prelude::*;

    fn any_offer() -> impl Strategy<Value = SaPayload> {
        let types = prop_oneof![Just(1), Just(2), Just(3), Just(4), Just(5), any::<u8>()];
        let ids = prop_oneof![0..40_u16, any::<u16>()];
        let bits =
            prop_oneof![Just(None), Just(Some(128)), Just(Some(256)), any::<u16>().prop_map(Some)];
        let transforms = prop::collection::vec((types, ids, bits), 0..12);
        let spi = prop::collection::vec(any::<u8>(), 0..9);
        let proposal =
            (any::<u8>(), 0..5_u8, spi, transforms).prop_map(|(number, protocol, spi, list)| {
                let list =
                    list.into_iter().map(|(t, id, bits)| transform(TransformType(t), id, bits));
                Proposal { number, protocol: ProtocolId(protocol), spi, transforms: list.collect() }
            });
        prop::collection::vec(proposal, 0..4).prop_map(|proposals| SaPayload { proposals })
    }

    proptest! {
        #[test]
        fn no_offer_panics_and_what_is_chosen_was_offered_by_both(offer in any_offer()) {
            let ours = IkeProposals::default_v2();
            let _ = ours.check_choice(&offer);
            if let Ok(chosen) = ours.choose(&offer) {
                let theirs = offer.proposals.iter().find(|p| p.number == chosen.reply.number).expect("theirs");
                for t in &chosen.reply.transforms {
                    prop_assert!(theirs.transforms.contains(t));
                }
            }
            let esp = ChildProposals::default_v2(ProtocolId::ESP);
            let _ = (esp.choose(&offer, None), esp.choose(&offer, Some(&[KeId::NONE])), esp.check_choice(&offer, None));
            let _ = describe_offer(&offer);
        }
    }
}
