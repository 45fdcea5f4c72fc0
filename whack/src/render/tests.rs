use super::*;
use crate::report::*;

fn render(what: Listing, items: &[Item]) -> String {
    let (mut text, mut out) = (Text::new(what, false), String::new());
    for item in items {
        text.item(item, &mut out);
    }
    text.finish(&mut out);
    // The daemon makes parts on their own, cut anywhere.
    for most in [1, 2, 1_000] {
        let (mut text, mut parts) = (Text::new(what, false), String::new());
        for some in items.chunks(most) {
            if what != Listing::ListPsks && what != Listing::ListAll {
                let blocks = Block::of(what, some.iter().cloned());
                blocks.iter().for_each(|block| text.block(block, &mut parts));
            } else {
                some.iter().for_each(|item| text.item(item, &mut parts));
            }
        }
        text.finish(&mut parts);
        assert_eq!(parts, out);
    }
    out
}

fn deadline(event: &'static str, in_s: u64) -> DeadlineFacts {
    DeadlineFacts { event: event.into(), in_s }
}

fn west_east() -> ConnectionFacts {
    ConnectionFacts {
        serial: 1,
        name: "C".into(),
        log_name: "\"C\"".into(),
        oriented: true,
        local: EndFacts {
            host: "192.1.2.45".into(),
            id: "@west".into(),
            id_kind: "FQDN".into(),
            selectors: vec!["192.0.1.0/24".into()],
            auth: "secret".into(),
            updown: Some("ipsec _updown".into()),
            ..EndFacts::default()
        },
        remote: EndFacts {
            host: "192.1.2.23".into(),
            id: "@east".into(),
            id_kind: "FQDN".into(),
            selectors: vec!["192.0.2.0/24".into()],
            auth: "secret".into(),
            ..EndFacts::default()
        },
        interface: Some("eth1".into()),
        priority: [24, 24, 0],
        policy: "IKEv2+PSK+ENCRYPT+TUNNEL+PFS+IKE_FRAG_ALLOW+ESN_NO+ESN_YES"
            .split('+')
            .map(Word::from)
            .collect(),
        auth_hashes: ["SHA2_256", "SHA2_384", "SHA2_512"].map(str::to_owned).into(),
        reqid: 16389,
        ..ConnectionFacts::default()
    }
}

fn child() -> ChildSaFacts {
    ChildSaFacts {
        serial: 2,
        connection: "\"east-west\"".into(),
        ike_sa: Some(1),
        ike_version: 2,
        state_words: "established Child SA".into(),
        established: true,
        deadlines: vec![deadline("REKEY", 1), deadline("REPLACE", 2)],
        newest: true,
        eroute_owner: true,
        protocol: "ESP".into(),
        mode: "tunnel".into(),
        local: "192.1.2.45".into(),
        remote: "192.1.2.23".into(),
        remote_port: 500,
        inbound_spi: 0x1234_abcd,
        outbound_spi: 0x0000_1fff,
        local_ts: vec!["192.0.1.0/24".into()],
        remote_ts: vec!["192.0.2.0/24".into()],
        reqid: 16389,
        add_time: 1_234_567_890,
        in_bytes: 84,
        out_bytes: 84,
        max_bytes: 1 << 63,
        remote_id: Some("@east".into()),
        ..ChildSaFacts::default()
    }
}

#[test]
fn a_connection_has_libreswans_block() {
    assert_eq!(
        render(
            Listing::ConnectionStatus,
            &[west_east().into(), TotalsFacts { loaded: 1, ..TotalsFacts::default() }.into()]
        ),
        r#"Connection list:
 
"C": 192.0.1.0/24===192.1.2.45[@west]...192.1.2.23[@east]===192.0.2.0/24; unrouted; my_ip=unset; their_ip=unset;
"C":   host: oriented; local: 192.1.2.45; remote: 192.1.2.23;
"C":   my_updown=ipsec _updown; my_updown-config=noasync,noexec;
"C":   xauth us:none, xauth them:none, my_username=[any]; their_username=[any]
"C":   our auth:secret, their auth:secret, our autheap:none, their autheap:none, send-supported-auth-methods:no;
"C":   modecfg info: us:none, them:none, modecfg policy:push, dns:unset, domains:unset, cat:unset;
"C":   cisco-split: no; cisco-unity: no; cisco-peer: no; nm-configured: no;
"C":   sec_label:unset;
"C":   ike_life: 28800s; ipsec_life: 28800s; ipsec_max_bytes: 2^63B; ipsec_max_packets: 2^63; replay_window: 128; rekey_margin: 540s; rekey_fuzz: 100%; clones: no (unset);
"C":   iptfs: no; fragmentation: yes; packet-size: 0; max-queue-size: 0; drop-time: 0; init-delay: 0; reorder-window: 0;
"C":   retransmit-interval: 500ms; retransmit-timeout: 30s; iketcp:no; iketcp-port:4500;
"C":   initial-contact:no; fake-strongswan:no; send-vendorid:no; send-no-esp-tfc:no;
"C":   policy: IKEv2+PSK+ENCRYPT+TUNNEL+PFS+IKE_FRAG_ALLOW+ESN_NO+ESN_YES;
"C":   v2-auth-hash-policy: SHA2_256+SHA2_384+SHA2_512;
"C":   conn_prio: 24,24,0; interface: eth1; metric: 0; mtu: unset; sa_prio:auto; sa_tfc:none;
"C":   nflog-group: unset; mark: unset; vti-iface:unset; vti-routing:no; vti-shared:no; nic-offload:no;
"C":   our idtype: FQDN; our id=@west; their idtype: FQDN; their id=@east
"C":   sendca: all; our sendcert: always; their sendcert: always;
"C":   liveness: passive; dpddelay:0s; retransmit-timeout:30s
"C":   nat-traversal: encapsulation:auto; keepalive:20s
"C":   routing: unrouted;
"C":   reqid: 16389;
"C":   conn serial: $1;
 
Total IPsec connections: loaded 1, routed 0, active 0
"#
    );
}

#[test]
fn an_established_connection_names_its_sas_and_algorithms() {
    let facts = ConnectionFacts {
        template: Some(4),
        aliases: vec!["x".into(), "y".into()],
        routing: "routed-tunnel".into(),
        owner: Some(2),
        established_ike_sa: Some(1),
        established_child_sa: Some(2),
        ike_algorithm_newest: Some("AES_GCM_16_256-HMAC_SHA2_512-DH19".into()),
        esp_algorithm_newest: Some("AES_GCM_16_256".into()),
        ..west_east()
    };
    let text = render(Listing::ConnectionStatus, &[facts.into()]);
    for line in [
        r#""C":   host: oriented; local: 192.1.2.45; remote: 192.1.2.23; established IKE SA: #1;"#,
        r#""C":   routing: routed-tunnel; owner: Child SA #2; established IKE SA: #1; established Child SA: #2;"#,
        r#""C":   conn serial: $1, instantiated from: $4;"#,
        r#""C":   aliases: x y"#,
        r#""C":   IKEv2 algorithm newest: AES_GCM_16_256-HMAC_SHA2_512-DH19"#,
        r#""C":   ESP algorithm newest: AES_GCM_16_256; pfsgroup=<Phase1>"#,
    ] {
        assert!(text.lines().any(|found| found == line), "{line}\nis missing in\n{text}");
    }
}

#[test]
fn the_first_line_shows_topology_and_source_addresses() {
    let first = |facts: ConnectionFacts| -> Vec<String> {
        render(Listing::ConnectionStatus, &[facts.into()])
            .lines()
            .filter(|line| line.contains("_ip="))
            .map(str::to_owned)
            .collect()
    };
    let mut c = west_east();
    c.local.selectors = vec!["1.0.0.0/24".into(), "1::/64".into()];
    c.remote.selectors = vec!["2.0.0.0/24".into(), "2::/64".into()];
    c.local.sourceip = vec!["1::1".into(), "1.0.0.1".into()];
    assert_eq!(
        first(c),
        [
            "\"C\": 1.0.0.0/24===192.1.2.45[@west]...192.1.2.23[@east]===2.0.0.0/24; unrouted; my_ip=1.0.0.1; their_ip=unset;",
            "\"C\": 1::/64===192.1.2.45[@west]...192.1.2.23[@east]===2::/64; unrouted; my_ip=1::1; their_ip=unset;",
        ]
    );
    let mut c = west_east();
    c.log_name = "\"C\"[2] 192.1.3.33".into();
    c.local.selectors.clear();
    c.local.id = "192.1.2.45".into();
    c.local.nexthop = Some("192.1.2.254".into());
    c.remote.selectors = vec!["192.1.3.33/32".into()];
    c.remote.subnet_configured = false;
    c.remote.host = "%any".into();
    c.remote.id_kind = "NONE".into();
    c.remote.addresspool = vec!["192.0.2.100-192.0.2.110".into()];
    assert_eq!(
        first(c),
        [
            "\"C\"[2] 192.1.3.33: 192.1.2.45---192.1.2.254...%any==={192.0.2.100-192.0.2.110}; unrouted; my_ip=unset; their_ip=unset;"
        ]
    );
}

#[test]
fn an_unoriented_connection_has_left_and_right() {
    let mut c = west_east();
    c.oriented = false;
    c.local.nexthop = Some("2001:db8:1:3::254".into());
    c.remote.host = "%any".into();
    let text = render(Listing::ConnectionStatus, &[c.into()]);
    let line =
        "\"C\":   host: unoriented; left: 192.1.2.45; leftnexthop: 2001:db8:1:3::254; right: %any;";
    assert!(text.lines().any(|found| found == line), "{text}");
}

#[test]
fn anybody_and_no_script_have_their_words() {
    let mut c = west_east();
    c.remote.id_kind = "NONE".into();
    for (updown, shown) in [(None, "%native"), (Some(""), "%disabled"), (Some("/x"), "/x")] {
        c.local.updown = updown.map(str::to_owned);
        let text = render(Listing::ConnectionStatus, &[c.clone().into()]);
        assert!(text.contains(&format!("   my_updown={shown}; my_updown-config=")), "{text}");
        assert!(text.contains("; their idtype: %none; their id=(none)\n"), "{text}");
    }
}

#[test]
fn states_have_their_deadlines_and_counters() {
    let ike = IkeSaFacts {
        serial: 1,
        connection: "\"east-west\"".into(),
        state_words: "established IKE SA".into(),
        remote_port: 500,
        deadlines: vec![deadline("REKEY", 1), deadline("REPLACE", 2)],
        newest: true,
        ..IkeSaFacts::default()
    };
    let half = IkeSaFacts {
        serial: 3,
        connection: "\"road\"[1] 192.1.3.33".into(),
        state_words: "sent IKE_SA_INIT request".into(),
        remote_port: 4500,
        tcp: true,
        mobike: true,
        last_live_s: Some(4),
        busy: true,
        ..IkeSaFacts::default()
    };
    let pending = PendingFacts { ike_sa: 3, connection: "\"b\"".into(), replacing: Some(2) };
    let transport = ChildSaFacts {
        serial: 4,
        mode: "transport".into(),
        in_bytes: 3000,
        max_bytes: 2048,
        ..child()
    };
    let larval = ChildSaFacts {
        serial: 5,
        established: false,
        state_words: "larval Child SA".into(),
        ..ChildSaFacts { connection: "\"c\"".into(), remote_port: 500, ..ChildSaFacts::default() }
    };
    assert_eq!(
        render(
            Listing::ShowStates,
            &[
                ike.into(),
                child().into(),
                half.into(),
                transport.into(),
                larval.into(),
                pending.into()
            ]
        ),
        "#1: \"east-west\":500 established IKE SA; REKEY in 1s; REPLACE in 2s; newest; idle;\n\
         #2: \"east-west\":500 established Child SA; REKEY in 1s; REPLACE in 2s; newest; eroute owner; IKE SA #1; idle;\n\
         #2: \"east-west\" esp.1fff@192.1.2.23 esp.1234abcd@192.1.2.45 tun.0@192.1.2.23 tun.0@192.1.2.45 Traffic: ESPin=84B ESPout=84B ESPmax=2^63B \n\
         #3: \"road\"[1] 192.1.3.33:4500(tcp) sent IKE_SA_INIT request; lastlive=4s; MOBIKE; crypto_calculating;\n\
         #4: \"east-west\":500 established Child SA; REKEY in 1s; REPLACE in 2s; newest; eroute owner; IKE SA #1; idle;\n\
         #4: \"east-west\" esp.1fff@192.1.2.23 esp.1234abcd@192.1.2.45 Traffic: ESPin=2KB ESPout=84B ESPmax=2KiB \n\
         #5: \"c\":500 larval Child SA; idle;\n\
         #3: pending Child SA for \"b\" replacing #2\n"
    );
}

#[test]
fn traffic_is_a_line_a_child_sa() {
    let leased = ChildSaFacts {
        connection: "\"north-any-east\"[1] 192.1.3.33".into(),
        remote_id: Some("@north".into()),
        lease: vec!["192.0.2.101/32".into()],
        ..child()
    };
    let user = ChildSaFacts { username: Some("use3".into()), ..leased.clone() };
    let larval = ChildSaFacts { established: false, ..child() };
    assert_eq!(
        render(
            Listing::TrafficStatus,
            &[child().into(), leased.into(), user.into(), larval.into()]
        ),
        "#2: \"east-west\", type=ESP, add_time=1234567890, inBytes=84, outBytes=84, maxBytes=2^63B, id='@east'\n\
         #2: \"north-any-east\"[1] 192.1.3.33, type=ESP, add_time=1234567890, inBytes=84, outBytes=84, maxBytes=2^63B, id='@north', lease=192.0.2.101/32\n\
         #2: \"north-any-east\"[1] 192.1.3.33, username=use3, type=ESP, add_time=1234567890, inBytes=84, outBytes=84, maxBytes=2^63B, lease=192.0.2.101/32\n"
    );
}

#[test]
fn brief_listings_are_brief() {
    let totals = TotalsFacts { loaded: 3, routed: 2, active: 1 };
    assert_eq!(
        render(Listing::BriefConnectionStatus, &[west_east().into(), totals.into()]),
        "# Total IPsec connections: loaded 3, active 1\n"
    );
    let mut out = String::new();
    sa::brief_connection(&child(), &mut out).unwrap();
    assert_eq!(
        out,
        "192.0.1.0/24 <==> 192.0.2.0/24\tfrom 192.1.2.45 to 192.1.2.23 (84B/84B)\t\"east-west\", reqid=16389\n"
    );
    let brief = BriefFacts { accepting: true, ..BriefFacts::default() };
    assert_eq!(
        render(Listing::BriefStatus, &[brief.into()]),
        "State Information: DDoS cookies not required, Accepting new IKE connections\n\
         IKE SAs: total(0), half-open(0), open(0), authenticated(0), anonymous(0)\n\
         IPsec SAs: total(0), authenticated(0), anonymous(0)\n"
    );
    let busy = BriefFacts { cookies_required: true, ike_half_open: 7, ..BriefFacts::default() };
    let text = render(Listing::BriefStatus, &[busy.into()]);
    assert!(text.contains("DDoS cookies REQUIRED, NOT ACCEPTING new"), "{text}");
}

#[test]
fn the_smaller_listings_have_their_shapes() {
    let shunt = ShuntFacts {
        source: "192.1.3.209/32".into(),
        destination: "192.1.2.23/32".into(),
        protocol: 0,
        action: "pass".into(),
        reason: "oe-failing".into(),
        template: Some(2),
    };
    let lease = |address: &str, serial, id: Option<&str>, connection: Option<&str>| LeaseFacts {
        address: address.into(),
        connection_serial: serial,
        remote_id: id.map(str::to_owned),
        connection: connection.map(str::to_owned),
    };
    let pool = AddressPoolFacts {
        range: "192.0.2.100-192.0.2.110".into(),
        size: 11,
        leases: 2,
        in_use: 1,
        free: 1,
        reusable: 0,
        lease: vec![
            lease("192.0.2.100/32", 3, Some("@north"), Some("\"north-any-east\"[1] 192.1.3.33")),
            lease("192.0.2.101/32", 0, None, None),
        ],
    };
    let psk = |line, ids: &[&str]| PskFacts {
        file: "/etc/ipsec.secrets".into(),
        line,
        secret: "PSK".into(),
        ids: ids.iter().map(|&id| id.to_owned()).collect(),
    };
    for (what, items, expected) in [
        (
            Listing::ShuntStatus,
            vec![shunt.into()],
            "Bare Shunt list:\n \n192.1.3.209/32 -0-> 192.1.2.23/32 => %pass    oe-failing $2\n",
        ),
        (Listing::ShuntStatus, vec![], "Bare Shunt list:\n \n"),
        (
            Listing::AddressPoolStatus,
            vec![pool.into()],
            "address pool 192.0.2.100-192.0.2.110: 11 addresses, 2 leases, 1 in-use, 1 free (0 reusable)\n\
             \x20   192.0.2.100/32 assigned to $3 @north\n\
             \x20                  \"north-any-east\"[1] 192.1.3.33\n\
             \x20   192.0.2.101/32 free $0\n\
             \x20                  connection $0 does not exist\n",
        ),
        (
            Listing::FipsStatus,
            vec![FipsFacts { mode: "disabled".into() }.into()],
            "FIPS mode disabled\n",
        ),
        (
            Listing::ProcessStatus,
            vec![ProcessFacts { pid: 1234, program: "PROGRAM-NAME".into() }.into()],
            "  PID  Process\n 1234  PROGRAM-NAME\n",
        ),
        (
            Listing::GlobalStatus,
            vec![CounterFacts { name: "total.ike.mangled".into(), value: 3 }.into()],
            "total.ike.mangled=3\n",
        ),
        (
            Listing::ListPsks,
            vec![psk(1, &["@west", "@east"]).into(), psk(12, &[]).into()],
            "List of Pre-shared secrets (from /etc/ipsec.secrets)\n \n    1: PSK @west @east\n   12: PSK %any\n",
        ),
        (Listing::TrafficStatus, vec![], ""),
    ] {
        assert_eq!(render(what, &items), expected, "{what:?}");
    }
}

#[test]
fn keys_and_certificates_are_listed() {
    let key = PublicKeyFacts {
        loaded: 1_234_567_890,
        bits: 2192,
        algorithm: "RSA".into(),
        key_id: "AwXXX".into(),
        private_key: true,
        until: None,
        validity: "ok (expires never)".into(),
        id_kind: "FQDN".into(),
        id: "@east".into(),
        issuer: None,
    };
    let ca = CertificateFacts {
        name: "mainca".into(),
        root: true,
        serial_number: "00".into(),
        subject: "CN=CA".into(),
        issuer: "CN=CA".into(),
        not_before: 0,
        not_after: 86_400,
        key: "3072 bit RSA".into(),
        private_key: false,
    };
    assert_eq!(
        render(Listing::ListAll, &[key.into(), Item::CaCertificate(ca)]),
        "List of Public Keys:\n \n\
         Feb 13 23:31:30 UTC 2009, 2192 RSA Key AwXXX (has private key), until --- -- --:--:-- ---- ok (expires never)\n\
         \x20      FQDN '@east'\n \n\
         List of X.509 End Certificates:\n \n \n\
         List of X.509 CA Certificates:\n \n\
         Root CA certificate \"mainca\" - SN: 0x00\n\
         \x20 subject: CN=CA\n\
         \x20 issuer: CN=CA\n\
         \x20 not before: Jan 01 00:00:00 UTC 1970\n\
         \x20 not after: Jan 02 00:00:00 UTC 1970\n\
         \x20 3072 bit RSA\n \n\
         List of CRLs:\n \n"
    );
}

fn daemon() -> DaemonFacts {
    DaemonFacts {
        version: "0.1".into(),
        vendor_id: "OE".into(),
        listening: true,
        kernel: KernelFacts {
            interface: "xfrm".into(),
            esp: false,
            capabilities: "this kernel has no ESP".into(),
            dropped: [("in: replayed".into(), 2), ("out: no policy".into(), 7)].into(),
        },
        interfaces: vec![
            InterfaceFacts {
                name: "eth0".into(),
                address: "192.1.2.45".into(),
                port: 500,
                protocol: "UDP".into(),
                nat: false,
            },
            InterfaceFacts {
                name: "eth0".into(),
                address: "2001:db8::1".into(),
                port: 4500,
                protocol: "UDP".into(),
                nat: true,
            },
        ],
        fips: FipsFacts { mode: "disabled".into() },
        selinux: "disabled".into(),
        seccomp: "unsupported".into(),
        keep_alive_s: 20,
        nat_ikeport: 4500,
        virtual_private_allowed: vec!["10.0.0.0/8".into()],
        esp_encrypt: vec![EncryptAlgorithm {
            name: "AES_GCM_16".into(),
            key_bits_min: 128,
            key_bits_max: 256,
        }],
        esp_auth: vec![AuthAlgorithm { name: "HMAC_SHA1_96".into(), key_bits: 160 }],
        ike_encrypt: vec![IkeEncryptAlgorithm {
            v1_id: 7,
            v1_name: "OAKLEY_AES_CBC".into(),
            v2_id: 12,
            v2_name: "AES_CBC".into(),
            block_octets: 16,
            key_bits: 128,
        }],
        ike_prf: vec![PrfAlgorithm { name: "HMAC_SHA1".into(), output_octets: 20 }],
        ike_ke: vec![
            KeyExchangeAlgorithm {
                name: "MODP2048".into(),
                bits: 2048,
                ..KeyExchangeAlgorithm::default()
            },
            KeyExchangeAlgorithm {
                name: "ML_KEM_768".into(),
                bits: 0,
                initiator_octets: 1184,
                responder_octets: 1088,
            },
        ],
        ..DaemonFacts::default()
    }
}

#[test]
fn status_has_its_sections_in_order() {
    let actor = |actor, serial, name: &str, state: &'static str| {
        Item::from(ActorFacts {
            actor,
            serial,
            name: name.into(),
            state: state.into(),
            age_s: 12,
            restarts: 1,
            ..ActorFacts::default()
        })
    };
    let text = render(
        Listing::Status,
        &[
            daemon().into(),
            TotalsFacts::default().into(),
            BriefFacts { accepting: true, ..BriefFacts::default() }.into(),
            actor(ActorKind::Root, None, "root", "running"),
            actor(ActorKind::Service, None, "kernel", "running"),
            actor(ActorKind::IkeSa, Some(1), "\"west\"", "established IKE SA"),
            actor(ActorKind::Connection, Some(2), "\"west\"", "routed-tunnel"),
        ],
    );
    assert_eq!(text, STATUS);
}

const STATUS: &str = "using kernel interface: xfrm
kernel: this kernel has no ESP
packets dropped: in: replayed 2; out: no policy 7
 
interface eth0 192.1.2.45:UDP/500
interface eth0 [2001:db8::1]:UDP/4500 (NAT)
 
fips mode=disabled;
SElinux=disabled
seccomp=unsupported
 
config setup options:
 
configdir=/etc, configfile=/etc/ipsec.conf, secrets=/etc/ipsec.secrets, ipsecdir=/etc/ipsec.d
nssdir=/var/lib/ipsec/nss, dumpdir=/run/pluto, statsbin=unset
dnssec-enable=yes, dnssec-rootkey-file=<unset>, dnssec-anchors=<unset>
sbindir=/usr/sbin, libexecdir=/usr/libexec/ipsec
pluto_version=0.1, pluto_vendorid=OE
nhelpers=-1, uniqueids=yes, shuntlifetime=900s, expire-lifetime=30s
logfile='<syslog>', logappend=yes, logip=yes, audit-log=yes
ddos-cookies-threshold=25000, ddos-max-halfopen=50000, ddos-mode=auto, ikev1-policy=drop
ikebuf=0, msg_errqueue=yes, crl-strict=no, crlcheckinterval=0, listen=<any>, nflog-all=0, dns-resolver=file,
ocsp-enable=no, ocsp-strict=no, ocsp-timeout=2
ocsp-uri=<unset>, ocsp-trust-name=<unset>
ocsp-cache-size=1000, ocsp-cache-min-age=3600, ocsp-cache-max-age=86400, ocsp-method=get
global-redirect=no, global-redirect-to=<unset>
debug: none
 
nat-traversal: keep-alive=20, nat-ikeport=4500
virtual-private (%priv):
- allowed subnets: 10.0.0.0/8
 
Kernel algorithms supported:
 
algorithm ESP encrypt: name=AES_GCM_16, keysizemin=128, keysizemax=256
algorithm AH/ESP auth: name=HMAC_SHA1_96, key-length=160
 
IKE algorithms supported:
 
algorithm IKE encrypt: v1id=7, v1name=OAKLEY_AES_CBC, v2id=12, v2name=AES_CBC, blocksize=16, keydeflen=128
algorithm IKE PRF: name=HMAC_SHA1, hashlen=20
algorithm IKE Key Exchange Method (DH): name=MODP2048, bits=2048
algorithm IKE Key Exchange Method (DH): name=ML_KEM_768, initiator-bytes=1184, responder-bytes=1088
 
stats db_ops: {curr_cnt, total_cnt, maxsz} :context={0,0,0} trans={0,0,0} attrs={0,0,0} 
 
Connection list:
 
 
Total IPsec connections: loaded 0, routed 0, active 0
 
State Information: DDoS cookies not required, Accepting new IKE connections
IKE SAs: total(0), half-open(0), open(0), authenticated(0), anonymous(0)
IPsec SAs: total(0), authenticated(0), anonymous(0)
 
Bare Shunt list:
 
 
Supervision tree:
 
root: running; age 12s; restarts 1; panics survived 0;
  service kernel: running; age 12s; restarts 1; panics survived 0;
    ike-sa \"west\" #1: established IKE SA; age 12s; restarts 1; panics survived 0;
    connection \"west\" $2: routed-tunnel; age 12s; restarts 1; panics survived 0;
";

#[test]
fn a_peer_cannot_write_to_the_terminal() {
    let hostile = ChildSaFacts {
        remote_id: Some("@\u{1b}[2Jx\u{9b}y".into()),
        established: true,
        ..ChildSaFacts::default()
    };
    let text = render(Listing::TrafficStatus, &[hostile.into()]);
    assert!(text.contains("id='@?[2Jx?y'"), "{text}");
    assert_eq!(line("a\nb\tc\r"), "a?b\tc?\n");
}
