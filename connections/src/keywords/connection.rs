//! The keywords of a connection as a whole.

use super::{Complaint, Draft, Effect, Keyword, Read, Scope, Syntax, values};
use crate::end::Family;
use crate::settings::{AuthbyWord, Auto, ConnectionType, Esn, Shunt};
use crate::{Authby, Encapsulation, Fragmentation, Pfs};
use pluto_wire::numbers::ProtocolId;
use std::time::Duration;

const fn conn(
    name: &'static str,
    aliases: &'static [&'static str],
    default: &'static str,
    summary: &'static str,
    set: fn(&mut Draft, &str) -> Read,
) -> Keyword {
    let effect = Effect::Connection(set);
    Keyword { name, aliases, scope: Scope::Connection, default, summary, effect }
}

const fn later(
    name: &'static str,
    aliases: &'static [&'static str],
    default: &'static str,
    summary: &'static str,
    syntax: Syntax,
    harmless: &'static [&'static str],
) -> Keyword {
    let effect = Effect::Later(syntax, harmless);
    Keyword { name, aliases, scope: Scope::Connection, default, summary, effect }
}

const fn obsolete(name: &'static str) -> Keyword {
    let (aliases, default, summary) = (&[] as &[_], "", "nothing any more");
    let effect = Effect::Obsolete;
    Keyword { name, aliases, scope: Scope::Connection, default, summary, effect }
}

/// A keyword whose value one function reads into one field.
macro_rules! set {
    ($field:ident, $read:expr) => {
        |d: &mut Draft, v: &str| -> Read {
            let read: fn(&str) -> Result<_, String> = $read;
            d.settings.$field = read(v)?;
            Ok(())
        }
    };
}

const YES_NO: Syntax = Syntax::YesNo;
const TEXT: Syntax = Syntax::Text;

/// All of them.
#[rustfmt::skip]
pub(super) static TABLE: &[Keyword] = &[
    // What it is.
    conn("auto", &[], "ignore", "when it is loaded: ignore, add, ondemand, start or keep", set!(auto, auto)),
    conn("type", &[], "tunnel", "tunnel, transport, passthrough or drop", set!(kind, kind)),
    conn("connalias", &[], "none", "other names", |d, v| {
        d.aliases = values::list(v).map(Into::into).collect();
        Ok(())
    }),
    conn("hostaddrfamily", &[], "from the addresses", "family of the ends' addresses: ipv4 or ipv6",
        set!(family, family)),
    conn("keyexchange", &[], "ikev2", "version of IKE: ikev2; ikev1 is refused", |_, v| {
        unless(values::choice(v, &[(&["ikev2"], true), (&["ike"], true), (&["ikev1"], false)])?)
    }),
    conn("ikev2", &[], "yes", "old way to choose the version of IKE", |d, v| {
        d.warnings.push(format!("ikev2={v} is deprecated; use keyexchange=ikev2 or ikev1"));
        unless(values::choice(v, &[
            (&["yes", "insist", "propose", "always"], true),
            (&["no", "never", "permit"], false),
        ])?)
    }),
    // Who may.
    conn("authby", &[], "rsasig,ecdsa", "how both ends authenticate: secret, null or never; signatures are refused", authby),
    later("require-id-on-certificate", &["allow-cert-without-san-id"], "yes",
        "the peer's certificate must name its id", YES_NO, &["yes"]),
    later("dns-match-id", &["dns-match-id,"], "no", "the peer's id must resolve to its address",
        YES_NO, &["no"]),
    later("pam-authorize", &[], "no", "ask PAM about the peer's id", YES_NO, &["no"]),
    // No certificate is ever sent yet, so the question which has no bad answer.
    conn("sendca", &[], "all", "which CA certificates are sent: none, issuer or all; none is yet", set!(send_ca, |v| {
        values::choice(v, &[(&["none"], "none"), (&["issuer"], "issuer"), (&["all"], "all")])
    })),
    later("ppk", &[], "no", "post-quantum pre-shared key (RFC 8784)",
        Syntax::Words(&["yes", "propose", "permit", "insist", "always", "no", "never"]),
        &["no", "never"]),
    later("ppk-ids", &[], "any", "which post-quantum keys", TEXT, &["any"]),
    later("send-supported-auth-methods", &[], "no", "announce ways to authenticate (RFC 9593)",
        YES_NO, &["no"]),
    // Algorithms.
    conn("ike", &["ikealg"], "see algorithms", "proposals of the IKE SA", |d, v| {
        d.ike = Some(v.into());
        Ok(())
    }),
    conn("esp", &["phase2alg"], "see algorithms", "proposals of ESP", |d, v| {
        d.esp = Some(v.into());
        Ok(())
    }),
    conn("ah", &[], "none", "proposals of AH", |d, v| {
        d.ah = Some(v.into());
        Ok(())
    }),
    conn("phase2", &[], "esp", "esp or ah", |d, v| {
        let words: &[(&[&str], _)] = &[(&["esp"], ProtocolId::ESP), (&["ah"], ProtocolId::AH)];
        d.settings.phase2 = Some(values::choice(v, words)?);
        Ok(())
    }),
    conn("pfs", &[], "yes", "a key exchange for each Child SA; if not said, the peer may do without",
        set!(pfs, |v| Ok(if values::yes_no(v)? { Pfs::Required } else { Pfs::No }))),
    conn("esn", &[], "either", "extended sequence numbers: yes, no or either", set!(esn, esn)),
    conn("pfs-rekey-workaround", &[], "no", "a peer that rekeys chooses the key exchange, or none",
        set!(pfs_rekey_workaround, values::yes_no)),
    conn("ms-dh-downgrade", &[], "no", "a peer may rekey with a weaker key exchange, or none",
        set!(ms_dh_downgrade, values::yes_no)),
    later("compress", &[], "no", "IPCOMP", YES_NO, &["no"]),
    later("sha2-truncbug", &["sha2_truncbug"], "no", "SHA2-256 cut to 96 bits (IKEv1)",
        YES_NO, &["no"]),
    later("intermediate", &[], "no", "IKE_INTERMEDIATE (RFC 9242)", YES_NO, &["no"]),
    // Traffic.
    conn("narrowing", &["allow-narrowing"], "no", "the peer may ask for less; with addresspool= yes",
        set!(narrowing, values::yes_no)),
    conn("overlapip", &[], "no", "several peers may have the same subnet",
        set!(overlap_ip, values::yes_no)),
    conn("failureshunt", &[], "none", "traffic after a failed negotiation: none, passthrough or drop",
        set!(failure_shunt, failure_shunt)),
    conn("negotiationshunt", &[], "drop", "traffic during negotiation: drop or passthrough",
        set!(negotiation_shunt, negotiation_shunt)),
    later("sec-label", &["policy-label", "policylabel"], "none", "SELinux label", TEXT, &[]),
    // Lifetimes.
    conn("ikelifetime", &[], "8h", "life of an IKE SA in seconds, to 24h; 0 is 24h", |d, v| {
        d.settings.ike_life = lifetime(d, "ikelifetime", v)?;
        Ok(())
    }),
    conn("ipsec-lifetime", &["ipseclifetime", "salifetime", "lifetime", "keylife"], "8h",
        "life of a Child SA in seconds, to 24h; 0 is 24h", |d, v| {
        d.settings.child_life = lifetime(d, "ipsec-lifetime", v)?;
        Ok(())
    }),
    conn("ipsec-max-bytes", &[], "2^63", "octets that a Child SA may carry (KiB to EiB); 0: no limit",
        set!(max_bytes, |v| limit(v, true))),
    conn("ipsec-max-packets", &[], "2^63", "packets that a Child SA may carry (Ki to Ei); 0: no limit",
        set!(max_packets, |v| limit(v, false))),
    conn("rekeymargin", &["rekeywindow"], "9m", "how early a replacement begins, in seconds; at most what a life allows",
        set!(rekey_margin, seconds)),
    conn("rekeyfuzz", &[], "100%", "percent by which the margin grows at random, at most", set!(rekey_fuzz, values::percent)),
    conn("rekey", &[], "yes", "replace SAs before they end; the peer may in any case", set!(rekey, values::yes_no)),
    conn("reauth", &[], "no", "replace the IKE SA by one that authenticates anew", set!(reauth, values::yes_no)),
    conn("replay-window", &[], "128", "packets that may come late, 0 to 4096; 0: replays are not noticed",
        set!(replay_window, |v| values::number32(v, 0, MAX_REPLAY_WINDOW))),
    conn("retransmit-timeout", &[], "30s", "when a request is given up",
        set!(retransmit_timeout, |v| positive(v, Duration::from_secs(1)).map(Some))),
    conn("retransmit-interval", &[], "500ms", "first delay of retransmission, in milliseconds; doubles each time",
        set!(retransmit_interval, |v| positive(v, Duration::from_millis(1)))),
    conn("dpddelay", &[], "0", "silence after which the peer is probed, in seconds; 0: never", set!(dpd_delay, seconds)),
    conn("dpdtimeout", &["ikev1-dpdtimeout"], "0", "silence that ends an IKEv1 SA, in seconds; no effect with IKEv2",
        set!(dpd_timeout, seconds)),
    later("session-resumption", &[], "no", "resume with a ticket (RFC 5723)", YES_NO, &["no"]),
    later("reject-simultaneous-ike-auth", &[], "no", "settle crossing IKE_AUTH exchanges",
        YES_NO, &["no"]),
    // The network between.
    conn("fragmentation", &["ike-frag", "ike_frag"], "yes", "IKE fragmentation (RFC 7383): yes, no, or force: the smallest from the start",
        set!(fragmentation, fragmentation)),
    conn("encapsulation", &["encaps", "forceencaps"], "auto", "ESP in UDP: auto (where there is a NAT), yes or no",
        set!(encapsulation, encapsulation)),
    conn("nat-keepalive", &["nat_keepalive"], "yes", "send keepalives where we are behind a NAT",
        set!(nat_keepalive, values::yes_no)),
    conn("mobike", &[], "no", "addresses may change (RFC 4555); needs type=tunnel", |d, v| {
        // nat: only while there is one.
        unless(!v.eq_ignore_ascii_case("nat"))?;
        d.settings.mobike = values::yes_no(v)?;
        Ok(())
    }),
    conn("initial-contact", &["initial_contact", "initialcontact"], "no", "send INITIAL_CONTACT",
        set!(initial_contact, values::yes_no)),
    conn("fake-strongswan", &[], "no", "send strongSwan's vendor id",
        set!(fake_strongswan, values::yes_no)),
    conn("send-vendorid", &[], "no", "send our vendor id", set!(send_vendor_id, values::yes_no)),
    later("nat-ikev1-method", &[], "both", "NAT traversal of IKEv1",
        Syntax::Words(&["both", "rfc", "drafts", "none"]), &["both", "rfc", "drafts", "none"]),
    later("enable-tcp", &[], "no", "IKE and ESP over TCP (RFC 9329)",
        Syntax::Words(&["yes", "no", "fallback"]), &["no"]),
    later("tcp-remoteport", &[], "4500", "the peer's TCP port", Syntax::Number(1, 65_535), &["4500"]),
    later("send-redirect", &[], "auto", "redirect peers (RFC 5685)",
        Syntax::Words(&["yes", "no", "auto"]), &["no", "auto"]),
    later("redirect-to", &[], "none", "where to", TEXT, &[]),
    later("accept-redirect", &[], "no", "follow redirects", YES_NO, &["no"]),
    later("accept-redirect-to", &[], "%any", "only to there", TEXT, &["%any"]),
    // The kernel.
    conn("metric", &[], "0", "metric of routes, 1 to 2^32 - 1", set!(metric, |v| values::number32(v, 1, u32::MAX))),
    conn("mtu", &[], "0", "MTU of routes in octets, to 65535; 0: the interface's", set!(mtu, mtu)),
    conn("priority", &[], "auto", "priority of policies, to 2^32 - 1; 0: by their selectors",
        set!(priority, |v| values::number32(v, 0, u32::MAX))),
    conn("reqid", &[], "generated", "number that groups SAs and policies, 1 to 16383",
        set!(reqid, |v| values::number32(v, 1, 16_383))),
    conn("mark", &["conn-mark"], "none", "firewall mark of both directions, VALUE or VALUE/MASK", |d, v| {
        d.settings.mark = Some(mark(v)?);
        Ok(())
    }),
    conn("mark-in", &["conn-mark-in"], "none", "firewall mark inbound; overrides mark=", |d, v| {
        d.settings.mark_in = Some(mark(v)?);
        Ok(())
    }),
    conn("mark-out", &["conn-mark-out"], "none", "firewall mark outbound; overrides mark=", |d, v| {
        d.settings.mark_out = Some(mark(v)?);
        Ok(())
    }),
    conn("tfc", &[], "0", "pad ESP to so many octets, to 65535; 0: not", set!(tfc, |v| values::number32(v, 0, 65_535))),
    conn("send-esp-tfc-padding-not-supported", &["send-no-esp-tfc"], "no",
        "tell the peer not to pad", set!(send_no_tfc, values::yes_no)),
    conn("decap-dscp", &[], "no", "copy DSCP out of the tunnel", set!(decap_dscp, values::yes_no)),
    conn("encap-dscp", &[], "yes", "copy DSCP into the tunnel", set!(encap_dscp, values::yes_no)),
    conn("nopmtudisc", &[], "no", "no path MTU discovery", set!(nopmtudisc, values::yes_no)),
    later("ipsec-interface", &[], "no", "an interface of its own", TEXT, &["no"]),
    later("vti-interface", &["vti-iface"], "none", "a VTI of its own", TEXT, &[]),
    later("vti-routing", &[], "no", "routes into the VTI", YES_NO, &["no"]),
    later("vti-shared", &[], "no", "share the VTI", YES_NO, &["no"]),
    later("nic-offload", &[], "no", "ESP in the network card",
        Syntax::Words(&["no", "yes", "crypto", "packet"]), &["no"]),
    later("nflog-group", &["nflog"], "none", "log traffic", Syntax::Number(1, 65_535), &[]),
    later("clones", &[], "no", "an SA for each CPU (RFC 9611)", TEXT, &["no"]),
    later("iptfs", &[], "no", "aggregation and fragmentation (RFC 9347)", YES_NO, &["no"]),
    later("iptfs-fragmentation", &[], "yes", "IP-TFS: fragment", YES_NO, &["yes"]),
    later("iptfs-packet-size", &[], "0", "IP-TFS: size of packets", Syntax::Size, &["0"]),
    later("iptfs-max-queue-size", &[], "0", "IP-TFS: size of the queue", Syntax::Size, &["0"]),
    later("iptfs-init-delay", &[], "0", "IP-TFS: delay before sending", Syntax::Duration, &["0"]),
    later("iptfs-drop-time", &[], "0", "IP-TFS: how long to wait for a late packet",
        Syntax::Duration, &["0"]),
    later("iptfs-reorder-window", &[], "0", "IP-TFS: packets out of order",
        Syntax::Number(0, 65_535), &["0"]),
    // Remote access and IKEv1.
    later("aggressive", &["aggrmode"], "no", "Aggressive Mode (IKEv1)", YES_NO, &["no"]),
    later("ikepad", &[], "auto", "pad IKE messages (IKEv1)",
        Syntax::Words(&["yes", "no", "auto"]), &["auto"]),
    later("xauthby", &[], "file", "who checks XAUTH passwords (IKEv1)",
        Syntax::Words(&["file", "pam", "alwaysok"]), &["file"]),
    later("xauthfail", &[], "hard", "what a failed XAUTH means (IKEv1)",
        Syntax::Words(&["hard", "soft"]), &["hard"]),
    // With IKEv2 the client asks, always.
    conn("modecfgpull", &[], "no", "ask for the address (IKEv1); no effect with IKEv2", |_, v| {
        values::yes_no(v)?;
        Ok(())
    }),
    conn("modecfgdns", &[], "none", "addresses of DNS servers for the peer", set!(config_dns, values::addresses)),
    conn("modecfgdomains", &[], "none", "domains for the peer that these servers resolve, to 64", set!(config_domains, domains)),
    conn("modecfgbanner", &[], "none", "greeting for the peer, to 512 octets", set!(config_banner, banner)),
    conn("ignore-peer-dns", &[], "no", "do not use the peer's DNS servers",
        set!(ignore_peer_dns, values::yes_no)),
    conn("share-lease", &[], "yes", "a peer's address is kept for its identity",
        set!(share_lease, values::yes_no)),
    later("remote-peer-type", &["remote_peer_type"], "ietf", "the peer is a Cisco (IKEv1)",
        Syntax::Words(&["ietf", "cisco"]), &["ietf"]),
    later("cisco-unity", &["cisco_unity"], "no", "Cisco's extensions (IKEv1)", YES_NO, &["no"]),
    later("cisco-split", &[], "no", "Cisco's split tunnels (IKEv1)", YES_NO, &["no"]),
    later("nm-configured", &["nm_configured"], "no", "NetworkManager made it", YES_NO, &["no"]),
    conn("debug", &[], "none", "debug classes of this connection", debug),
    obsolete("dpdaction"),
    obsolete("clientaddrfamily"),
    obsolete("keyingtries"),
];

/// What the kernel's anti-replay bitmap can hold.
const MAX_REPLAY_WINDOW: u32 = 4_096;

/// The longest life of an SA.
const MAX_LIFE: Duration = Duration::from_secs(86_400);

fn unless(supported: bool) -> Read {
    if supported { Ok(()) } else { Err(Complaint::Unsupported) }
}

/// What one configuration payload has room for, with much to spare.
const MAX_DOMAINS: usize = 64;

fn domains(text: &str) -> Result<Box<[Box<str>]>, String> {
    let all: Box<[Box<str>]> = values::list(text).map(Into::into).collect();
    if let Some(bad) = all.iter().find(|domain| !crate::end::is_dns_name(domain)) {
        return Err(format!("\"{bad}\" is not a domain"));
    }
    match all.len() {
        0 => Err("must be a domain, or a list of them".to_owned()),
        1..=MAX_DOMAINS => Ok(all),
        _ => Err(format!("has more than {MAX_DOMAINS} domains")),
    }
}

fn banner(text: &str) -> Result<Option<Box<str>>, String> {
    if text.len() > crate::MAX_BANNER {
        return Err(format!("is longer than {} octets", crate::MAX_BANNER));
    }
    Ok((!text.is_empty()).then(|| text.into()))
}

fn auto(text: &str) -> Result<Auto, String> {
    values::choice(
        text,
        &[
            (&["ignore"], Auto::Ignore),
            (&["add"], Auto::Add),
            (&["ondemand", "route"], Auto::Ondemand),
            (&["start", "up"], Auto::Start),
            (&["keep"], Auto::Keep),
        ],
    )
}

fn kind(text: &str) -> Result<ConnectionType, String> {
    values::choice(
        text,
        &[
            (&["tunnel"], ConnectionType::Tunnel),
            (&["transport"], ConnectionType::Transport),
            (&["passthrough", "pass"], ConnectionType::Passthrough),
            (&["drop", "reject"], ConnectionType::Drop),
        ],
    )
}

fn family(text: &str) -> Result<Option<Family>, String> {
    let words: &[(&[&str], _)] = &[(&["ipv4"], Family::Ipv4), (&["ipv6"], Family::Ipv6)];
    values::choice(text, words).map(Some)
}

/// `authby=`: a list; pre-shared keys and NULL authentication exist, signatures do not yet.
fn authby(draft: &mut Draft, text: &str) -> Read {
    let words: &[(&[&str], Option<AuthbyWord>)] = &[
        (&["secret", "psk"], Some(AuthbyWord::Both(Authby::Psk))),
        (&["null"], Some(AuthbyWord::Both(Authby::Null))),
        (&["never"], Some(AuthbyWord::Never)),
        (&["rsasig", "rsa"], None),
        (&["rsa-sha1"], None),
        (&["rsa-sha2", "rsa-sha2_256", "rsa-sha2_384", "rsa-sha2_512"], None),
        (&["ecdsa", "ecdsa-sha1"], None),
        (&["ecdsa-sha2", "ecdsa-sha2_256", "ecdsa-sha2_384", "ecdsa-sha2_512"], None),
        (&["eddsa"], None),
    ];
    let mut sum = AuthbyWord::Unset;
    for word in values::list(text) {
        let word = values::choice(word, words).map_err(|why| format!("\"{word}\" {why}"))?;
        let word = word.ok_or(Complaint::Unsupported)?;
        if sum != AuthbyWord::Unset && sum != word {
            let why = "secret, null and never exclude each other";
            return Err(Complaint::Invalid(why.to_owned()));
        }
        sum = word;
    }
    if sum == AuthbyWord::Unset {
        return Err(Complaint::Invalid("must be secret, null or never".to_owned()));
    }
    draft.settings.authby = sum;
    Ok(())
}

fn esn(text: &str) -> Result<Esn, String> {
    values::choice(text, &[(&["yes"], Esn::Yes), (&["no"], Esn::No), (&["either"], Esn::Either)])
}

fn fragmentation(text: &str) -> Result<Fragmentation, String> {
    values::choice(
        text,
        &[
            (&["yes", "true", "on", "y", "1"], Fragmentation::Yes),
            (&["no", "never", "false", "off", "n", "0"], Fragmentation::No),
            (&["force", "insist"], Fragmentation::Force),
        ],
    )
}

fn encapsulation(text: &str) -> Result<Encapsulation, String> {
    values::choice(
        text,
        &[
            (&["yes", "true", "on", "y", "1"], Encapsulation::Yes),
            (&["no", "false", "off", "n", "0"], Encapsulation::No),
            (&["auto"], Encapsulation::Auto),
        ],
    )
}

fn failure_shunt(text: &str) -> Result<Shunt, String> {
    values::choice(
        text,
        &[
            (&["none"], Shunt::None),
            (&["passthrough", "pass"], Shunt::Pass),
            (&["drop", "hold", "reject"], Shunt::Drop),
        ],
    )
}

fn negotiation_shunt(text: &str) -> Result<Shunt, String> {
    values::choice(
        text,
        &[(&["drop", "hold"], Shunt::Drop), (&["passthrough", "pass"], Shunt::Pass)],
    )
}

fn seconds(text: &str) -> Result<Duration, String> {
    values::duration(text, Duration::from_secs(1))
}

fn positive(text: &str, bare: Duration) -> Result<Duration, String> {
    let value = values::duration(text, bare)?;
    if value.is_zero() { Err("must be more than 0".to_owned()) } else { Ok(value) }
}

/// A lifetime, cut to what is allowed; 0 means the longest.
fn lifetime(draft: &mut Draft, name: &str, text: &str) -> Result<Duration, String> {
    let value = seconds(text)?;
    if value.is_zero() || value > MAX_LIFE {
        draft.warnings.push(format!("{name}={text} reduced to the maximum of 24h"));
        return Ok(MAX_LIFE);
    }
    Ok(value)
}

/// A limit of octets or packets; 0 is none.
fn limit(text: &str, octets: bool) -> Result<u64, String> {
    let most = crate::settings::NO_LIMIT;
    match values::size(text, octets)? {
        0 => Ok(most),
        value => Ok(value.min(most)),
    }
}

fn mtu(text: &str) -> Result<u32, String> {
    let value = values::size(text, false)?;
    u32::try_from(value)
        .ok()
        .filter(|v| *v <= 65_535)
        .ok_or_else(|| "must be up to 65535".to_owned())
}

fn mark(text: &str) -> Result<(u32, u32), Complaint> {
    // A mark of its own for each instance.
    let value = text.split('/').next();
    if matches!(value, Some("-1" | "%unique")) {
        return Err(Complaint::Unsupported);
    }
    Ok(values::mark(text)?)
}

/// The debug classes that exist, each also with `no-` in front.
const DEBUG_CLASSES: &[&str] = &[
    "none",
    "base",
    "cpu-usage",
    "refcnt",
    "all",
    "tmi",
    "crypt",
    "private",
    "updown",
    "whackwatch",
    "add-prefix",
    "add-state",
    "routing",
];

fn debug(draft: &mut Draft, text: &str) -> Read {
    for word in text.split(|c: char| c == ',' || c == '+' || c.is_whitespace()) {
        let bare = word.strip_prefix("no-").unwrap_or(word);
        if !word.is_empty() && !DEBUG_CLASSES.contains(&bare) {
            let why =
                format!("\"{word}\" is no debug class; there are {}", DEBUG_CLASSES.join(", "));
            return Err(Complaint::Invalid(why));
        }
    }
    draft.settings.debug = Some(text.into());
    Ok(())
}
