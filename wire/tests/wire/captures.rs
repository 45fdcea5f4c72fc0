//! Messages that others made: captures, and a fuzzer's corpus. They are read where they
//! are; without them these tests say that they are skipped.

use crate::bytes::{check_chain, check_datagram, hex};
use pluto_wire::numbers::PayloadType;
use pluto_wire::v2::{self, Message};
use pluto_wire::{Header, Version};
use std::collections::BTreeMap;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// A folder of the test data, or none, which is said.
fn testdata(folder: &str) -> Option<PathBuf> {
    let root = std::env::var_os("PLUTO_TESTDATA").map_or_else(
        || Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/testdata"),
        PathBuf::from,
    );
    let path = root.join(folder);
    if !path.is_dir() {
        skipped(&format!("there is no {folder} in the test data (see PLUTO_TESTDATA)"));
        return None;
    }
    Some(path)
}

/// Says so where the test harness does not swallow it.
fn skipped(why: &str) {
    let _ = writeln!(std::io::stderr(), "skipped: {why}");
}

/// All files below a folder, in order.
fn files(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() { found.extend(files(&path)) } else { found.push(path) }
    }
    found.sort();
    found
}

/// Refuses, or accepts and encodes to as many octets that mean the same.
fn survive(bytes: &[u8]) -> Option<Message> {
    check_datagram(bytes).map(|(message, _)| message)
}

#[test]
fn captured_messages_are_read_as_their_senders_meant_them() {
    let Some(folder) = testdata("fuzz/ike-messages") else { return };
    let mut described = BTreeMap::new();
    for path in files(&folder).iter().filter(|path| path.extension().is_some_and(|e| e == "bin")) {
        let bytes = std::fs::read(path).unwrap();
        let Some((message, again)) = check_datagram(&bytes) else { continue };
        if message.header.version != Version::V2 {
            continue;
        }
        let name = path.file_stem().unwrap().to_string_lossy().into_owned();
        // Well-meant messages leave reserved fields at zero; only an old one has critical
        // bits in known payloads, which are not written again.
        let differences = bytes.iter().zip(&again).filter(|(before, after)| before != after);
        assert!(differences.clone().all(|both| both == (&0x80, &0)), "{name}");
        assert!(differences.count() <= if name.starts_with("tcpdump-ikev2pI2") { 2 } else { 0 });
        described.insert(name, v2::describe(&message.payloads));
    }
    println!("{} IKEv2 messages", described.len());
    for (name, payloads) in [
        ("draft-chacha20poly1305-informational-01", "SK"),
        ("ike-scan-ikev2-01", "SA,KE,Ni"),
        ("ike-scan-v2-notify-response-01", "N(NO_PROPOSAL_CHOSEN)"),
        ("ike-scan-v2-sainit-response-01", "SA,KE,Ni"),
        ("rub-ikev2-keys-auth-01", "SA,KE,Ni"),
        ("suricata-verify-ikev2-weak-dh-IKEv2_SA_INIT_2-8-weak-01", "Ni,KE,SA"),
        ("tcpdump-ikev2pI2-01", "SA,KE,Ni,V"),
        ("tcpdump-ikev2pI2-02", "SK"),
    ] {
        assert_eq!(described.get(name).map(String::as_str), Some(payloads), "{name}");
    }
    for name in ["tcpdump-ikev2-id-short-01", "tcpdump-ikev2pI2-segfault-01"] {
        assert_eq!(described.get(name), None, "{name} is malformed on purpose");
    }
}

#[test]
fn vendor_packets_are_survived() {
    let Some(folder) = testdata("fuzz/ike-scan-packets") else { return };
    let files = files(&folder);
    let accepted = files.iter().filter_map(|path| survive(&std::fs::read(path).unwrap())).count();
    println!("{accepted} of {} packets are messages", files.len());
    assert!(accepted > 0);
}

#[test]
fn a_fuzzers_corpus_is_survived() {
    let Some(folder) = testdata("fuzz/openiked") else { return };
    let path = folder.join("openiked-fuzzing-corpus.tar.gz");
    let unzipped = Command::new("gzip").arg("-dc").arg(&path).stderr(Stdio::inherit()).output();
    let Ok(unzipped) = unzipped else {
        skipped(&format!("no gzip to read {} with", path.display()));
        return;
    };
    let (mut messages, mut accepted, mut chains) = (0, 0, 0);
    for bytes in members(&unzipped.stdout) {
        messages += 1;
        accepted += usize::from(survive(bytes).is_some());
        let Ok(header) = Header::peek(bytes) else { continue };
        // Most lie about their length: with a true one they get further.
        let mut bytes = bytes.to_vec();
        let length = u32::try_from(bytes.len()).unwrap();
        bytes[24..28].copy_from_slice(&length.to_be_bytes());
        accepted += usize::from(survive(&bytes).is_some());
        // And what they have behind the header may as well be the inside of an SK.
        for first in std::iter::once(header.next_payload).chain((33..=54).map(PayloadType)) {
            chains += usize::from(check_chain(first, &bytes[28..]).is_some());
        }
    }
    println!("{messages} files: {accepted} are messages, {chains} chains");
    assert!(messages > 10_000 && accepted > 100 && chains > 100);
}

/// OpenIKED's parser test builds its messages from these.
#[test]
fn another_parsers_sample_payloads_are_read() {
    let Some(folder) = testdata("fuzz/openiked") else { return };
    let text = std::fs::read_to_string(folder.join("payloads.json")).unwrap();
    let samples: serde_json::Value = serde_json::from_str(&text).unwrap();
    let sample = |name: &str| hex(samples["payloads"][name].as_str().unwrap());
    for (name, first, payloads) in [
        ("sa_pld", PayloadType::SA, "SA"),
        ("saxform_pld", PayloadType::SA, "SA"),
        ("ke_pld", PayloadType::KE, "KE"),
        ("nonce_pld", PayloadType::NONCE, "Ni"),
        ("id_pld", PayloadType::IDI, "IDi"),
        ("certreq_pld", PayloadType::CERTREQ, "CERTREQ"),
        ("auth_pld", PayloadType::AUTH, "AUTH"),
        ("vendor_pld", PayloadType::VENDOR_ID, "V"),
        ("ts_pld", PayloadType::TSI, "TSi"),
        ("cp_pld", PayloadType::CP, "CP,CP,CP,CP,CP"),
        ("eap_pld", PayloadType::EAP, "EAP,EAP,EAP,EAP"),
    ] {
        let chain = check_chain(first, &sample(name)).unwrap_or_else(|| panic!("{name}"));
        assert_eq!(v2::describe(&chain), payloads, "{name}");
    }
    // It deletes an IKE SA by its SPI, against RFC 7296, 3.11.
    let refused = v2::decode_chain(PayloadType::DELETE, &sample("delete_pld")).unwrap_err();
    assert_eq!((refused.payload, refused.field), ("D", "SPI size"));
    let message = survive(&sample("valid_packet")).expect("a valid packet");
    let expected = "SA,KE,Ni,N(NAT_DETECTION_SOURCE_IP),N(NAT_DETECTION_DESTINATION_IP)";
    assert_eq!(v2::describe(&message.payloads), expected);
}

/// The regular files of a tar archive.
fn members(mut tar: &[u8]) -> Vec<&[u8]> {
    let mut members = Vec::new();
    while let Some((head, rest)) = tar.split_at_checked(512) {
        let size = std::str::from_utf8(&head[124..136]).unwrap();
        let size = size.trim_matches(|c: char| c == '\0' || c == ' ');
        let size = if size.is_empty() { 0 } else { usize::from_str_radix(size, 8).unwrap() };
        let regular = matches!(head[156], b'0' | 0) && head[0] != 0;
        members.extend(regular.then(|| &rest[..size]));
        tar = rest.get(size.next_multiple_of(512)..).unwrap_or_default();
    }
    members
}

#[test]
fn captured_packets_are_survived() {
    let Some(folder) = testdata("pcaps") else { return };
    let (mut packets, mut messages) = (0, 0);
    let mut v2_messages = 0;
    for path in files(&folder) {
        if !path.extension().is_some_and(|e| e == "pcap" || e == "pcapng") {
            continue;
        }
        for (link, packet) in frames(&std::fs::read(&path).unwrap()) {
            packets += 1;
            // Nothing in a frame is safe from being taken for a message.
            for start in 0..packet.len().min(80) {
                survive(&packet[start..]);
            }
            let Some(message) = udp_payload(link, packet).and_then(survive) else { continue };
            messages += 1;
            v2_messages += usize::from(message.header.version == Version::V2);
        }
    }
    println!("{packets} packets: {messages} messages are accepted, {v2_messages} of IKEv2");
    assert!(v2_messages >= 3, "{v2_messages}");
}

/// The frames of a capture (little-endian pcap or pcapng, as all of ours are), each with
/// its link type.
fn frames(capture: &[u8]) -> Vec<(u32, &[u8])> {
    let word = |at: usize| {
        let octets = capture.get(at..at + 4)?;
        Some(u32::from_le_bytes(octets.try_into().ok()?))
    };
    let size = |at: usize| word(at).and_then(|size| usize::try_from(size).ok());
    let mut frames = Vec::new();
    if word(0) == Some(0xa1b2_c3d4) {
        let link = word(20).unwrap_or_default();
        let mut at = 24;
        while let Some(length) = size(at + 8) {
            let Some(frame) = capture.get(at + 16..at + 16 + length) else { break };
            frames.push((link, frame));
            at += 16 + length;
        }
        return frames;
    }
    assert_eq!(word(0), Some(0x0a0d_0d0a), "neither pcap nor pcapng");
    let (mut at, mut link) = (0, 0);
    while let (Some(kind), Some(length)) = (word(at), size(at + 4)) {
        match kind {
            1 => link = word(at + 8).unwrap_or_default() & 0xffff,
            6 => frames.extend(
                size(at + 20)
                    .and_then(|captured| capture.get(at + 28..at + 28 + captured))
                    .map(|frame| (link, frame)),
            ),
            _ => {}
        }
        at += length.max(12);
    }
    frames
}

/// What a frame carries over UDP between IKE ports, without the non-ESP marker.
fn udp_payload(link: u32, frame: &[u8]) -> Option<&[u8]> {
    let packet = match link {
        0 => frame.get(4..)?,
        1 => frame.get(14..)?,
        _ => frame,
    };
    let udp = match packet.first()? >> 4 {
        4 if packet.get(9) == Some(&17) => packet.get(usize::from(packet[0] & 0x0f) * 4..)?,
        6 if packet.get(6) == Some(&17) => packet.get(40..)?,
        _ => return None,
    };
    let payload = udp.get(8..)?;
    Some(payload.strip_prefix(&pluto_wire::NON_ESP_MARKER).unwrap_or(payload))
}
