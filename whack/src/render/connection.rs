//! A connection's block in `--connectionstatus`.

use super::amount::{count, exact};
use super::{or, yes_no};
use crate::report::{ConnectionFacts, EndFacts, IptfsFacts};
use std::borrow::Cow;
use std::fmt::{Result, Write};

/// The kind of the identity of an end where anybody is welcome.
const NO_ID: &str = "NONE";

pub(super) fn connection(c: &ConnectionFacts, out: &mut String) -> Result {
    topology(c, out)?;
    let mut lines = String::with_capacity(4_096);
    hosts(c, &mut lines)?;
    authentication(c, &mut lines)?;
    lifetimes(c, &mut lines)?;
    policy(c, &mut lines)?;
    identities(c, &mut lines)?;
    state(c, &mut lines)?;
    algorithms(c, &mut lines)?;
    // About so many lines, whose heads are all the same.
    let head = [c.log_name.as_str(), ":   "].concat();
    out.reserve(lines.len().saturating_add(head.len().saturating_mul(32)));
    let mut rest = lines.as_str();
    while let Some(end) = memchr::memchr(b'\n', rest.as_bytes()) {
        let (line, after) = rest.split_at(end.saturating_add(1));
        out.push_str(&head);
        out.push_str(line);
        rest = after;
    }
    Ok(())
}

/// A line per pair of selectors of the same family:
/// `"C": 192.0.1.0/24===192.1.2.45[@west]...192.1.2.23[@east]===192.0.2.0/24; …`.
fn topology(c: &ConnectionFacts, out: &mut String) -> Result {
    let (local, remote) = (clients(&c.local), clients(&c.remote));
    let mut any = false;
    for ours in &local {
        for theirs in &remote {
            let same = |a: &str, b: &str| a.contains(':') == b.contains(':');
            if let (Some(a), Some(b)) = (ours, theirs)
                && !same(a, b)
            {
                continue;
            }
            any = true;
            let v6 = ours.or(*theirs).map(|selector| selector.contains(':'));
            pair(c, *ours, *theirs, v6, out)?;
        }
    }
    if any { Ok(()) } else { pair(c, None, None, None, out) }
}

fn clients(end: &EndFacts) -> Vec<Option<&str>> {
    if end.selectors.is_empty() || !end.subnet_configured {
        vec![None]
    } else {
        end.selectors.iter().map(|selector| Some(selector.as_str())).collect()
    }
}

fn pair(
    c: &ConnectionFacts,
    ours: Option<&str>,
    theirs: Option<&str>,
    v6: Option<bool>,
    out: &mut String,
) -> Result {
    write!(out, "{}: ", c.log_name)?;
    let pool = |end: &EndFacts| {
        (!end.addresspool.is_empty()).then(|| format!("{{{}}}", end.addresspool.join(",")))
    };
    if let Some(client) = ours.map(str::to_owned).or_else(|| pool(&c.local)) {
        write!(out, "{client}===")?;
    }
    write!(out, "{}", host(&c.local))?;
    if let Some(nexthop) = &c.local.nexthop {
        write!(out, "---{nexthop}")?;
    }
    out.push_str("...");
    if let Some(nexthop) = &c.remote.nexthop {
        write!(out, "{nexthop}---")?;
    }
    write!(out, "{}", host(&c.remote))?;
    if let Some(client) = theirs.map(str::to_owned).or_else(|| pool(&c.remote)) {
        write!(out, "==={client}")?;
    }
    let source = |end: &EndFacts| -> String {
        let family = |ip: &&String| v6.is_none_or(|v6| ip.contains(':') == v6);
        or(end.sourceip.iter().find(family), "unset").to_owned()
    };
    writeln!(out, "; {}; my_ip={}; their_ip={};", c.routing, source(&c.local), source(&c.remote))
}

/// `192.1.2.45[@west,MS+XS]`; an identity that is the address is not repeated.
fn host(end: &EndFacts) -> Cow<'_, str> {
    let mut roles = Vec::new();
    for (role, letter) in [(&end.modecfg, 'M'), (&end.xauth, 'X')] {
        match &**role {
            "server" => roles.push(format!("{letter}S")),
            "client" => roles.push(format!("{letter}C")),
            _ => {}
        }
    }
    let mut inside = Vec::new();
    if end.id != end.host && end.id_kind != NO_ID {
        inside.push(end.id.to_string());
    }
    if !roles.is_empty() {
        inside.push(roles.join("+"));
    }
    if inside.is_empty() {
        return Cow::Borrowed(&end.host);
    }
    format!("{}[{}]", end.host, inside.join(",")).into()
}

fn hosts(c: &ConnectionFacts, out: &mut String) -> Result {
    let (ours, theirs) = if c.oriented { ("local", "remote") } else { ("left", "right") };
    write!(out, "host: {}oriented; ", if c.oriented { "" } else { "un" })?;
    write!(out, "{ours}: {};", c.local.host)?;
    if let Some(nexthop) = &c.local.nexthop {
        let side = if c.oriented { "" } else { ours };
        write!(out, " {side}nexthop: {nexthop};")?;
    }
    write!(out, " {theirs}: {};", c.remote.host)?;
    if let (false, Some(nexthop)) = (c.oriented, &c.remote.nexthop) {
        write!(out, " {theirs}nexthop: {nexthop};")?;
    }
    if let Some(serial) = c.established_ike_sa {
        write!(out, " established IKE SA: #{serial};")?;
    } else if let Some(serial) = c.negotiating_ike_sa {
        write!(out, " negotiating IKE SA: #{serial};")?;
    }
    out.push('\n');
    let certs: Vec<_> = [("mycert", &c.local.cert), ("peercert", &c.remote.cert)]
        .into_iter()
        .filter_map(|(what, cert)| cert.as_ref().map(|cert| format!("{what}={cert};")))
        .collect();
    if !certs.is_empty() {
        writeln!(out, "{}", certs.join(" "))?;
    }
    let updown = match c.local.updown.as_deref() {
        None => "%native",
        Some("") => "%disabled",
        Some(command) => command,
    };
    writeln!(out, "my_updown={updown}; my_updown-config={};", c.local.updown_config)
}

fn authentication(c: &ConnectionFacts, out: &mut String) -> Result {
    let (us, them) = (&c.local, &c.remote);
    write!(out, "xauth us:{}, xauth them:{}, ", us.xauth, them.xauth)?;
    if let Some(by) = &c.xauthby {
        write!(out, "xauthby:{by};xauthfail:{}; ", or(c.xauthfail.as_ref(), "hard"))?;
    }
    writeln!(
        out,
        "my_username={}; their_username={}",
        or(us.username.as_ref(), "[any]"),
        or(them.username.as_ref(), "[any]")
    )?;
    writeln!(
        out,
        "our auth:{}, their auth:{}, our autheap:{}, their autheap:{}, send-supported-auth-methods:{};",
        us.auth,
        them.auth,
        us.autheap,
        them.autheap,
        yes_no(c.send_supported_auth_methods)
    )?;
    let list = |items: &[String]| {
        if items.is_empty() { "unset".to_owned() } else { items.join(", ") }
    };
    writeln!(
        out,
        "modecfg info: us:{}, them:{}, modecfg policy:{}, dns:{}, domains:{}, cat:{};",
        us.modecfg,
        them.modecfg,
        c.modecfg_policy,
        list(&c.modecfgdns),
        list(&c.modecfgdomains),
        if c.cat { "set" } else { "unset" }
    )?;
    writeln!(
        out,
        "cisco-split: {}; cisco-unity: {}; cisco-peer: {}; nm-configured: {};",
        yes_no(c.cisco_split),
        yes_no(c.cisco_unity),
        yes_no(c.cisco_peer),
        yes_no(c.nm_configured)
    )?;
    if let Some(banner) = &c.modecfgbanner {
        writeln!(out, "banner:{banner};")?;
    }
    writeln!(out, "sec_label:{};", or(c.sec_label.as_ref(), "unset"))?;
    if us.ca.is_some() || them.ca.is_some() {
        let (ours, theirs) = (or(us.ca.as_ref(), "%any"), or(them.ca.as_ref(), "%any"));
        writeln!(out, "CAs: '{ours}'...'{theirs}'")?;
    }
    Ok(())
}

fn lifetimes(c: &ConnectionFacts, out: &mut String) -> Result {
    writeln!(
        out,
        "ike_life: {}s; ipsec_life: {}s; ipsec_max_bytes: {}; ipsec_max_packets: {}; \
         replay_window: {}; rekey_margin: {}s; rekey_fuzz: {}%; clones: no (unset);",
        c.ike_life_s,
        c.ipsec_life_s,
        exact(c.ipsec_max_bytes),
        count(c.ipsec_max_packets),
        c.replay_window,
        c.rekey_margin_s,
        c.rekey_fuzz_percent
    )?;
    let IptfsFacts { enabled, fragmentation, packet_size, max_queue_size, .. } = c.iptfs;
    let micros = |time: u64| if time == 0 { "0".to_owned() } else { format!("{time}us") };
    writeln!(
        out,
        "iptfs: {}; fragmentation: {}; packet-size: {packet_size}; max-queue-size: {max_queue_size}; \
         drop-time: {}; init-delay: {}; reorder-window: {};",
        yes_no(enabled),
        yes_no(fragmentation),
        micros(c.iptfs.drop_time_us),
        micros(c.iptfs.init_delay_us),
        c.iptfs.reorder_window
    )?;
    writeln!(
        out,
        "retransmit-interval: {}ms; retransmit-timeout: {}s; iketcp:{}; iketcp-port:{};",
        c.retransmit_interval_ms, c.retransmit_timeout_s, c.iketcp, c.iketcp_port
    )?;
    writeln!(
        out,
        "initial-contact:{}; fake-strongswan:{}; send-vendorid:{}; send-no-esp-tfc:{};",
        yes_no(c.initial_contact),
        yes_no(c.fake_strongswan),
        yes_no(c.send_vendorid),
        yes_no(c.send_no_esp_tfc)
    )
}

fn policy(c: &ConnectionFacts, out: &mut String) -> Result {
    let words = |words: &[String]| {
        if words.is_empty() { "none".to_owned() } else { words.join("+") }
    };
    let policy = if c.policy.is_empty() { "none".to_owned() } else { c.policy.join("+") };
    let number = |number: Option<u32>, otherwise: &str| {
        number.map_or_else(|| otherwise.to_owned(), |number| number.to_string())
    };
    writeln!(out, "policy: {policy};")?;
    if c.ike_version == 2 {
        writeln!(out, "v2-auth-hash-policy: {};", words(&c.auth_hashes))?;
    }
    let [ours, theirs, rank] = c.priority;
    writeln!(
        out,
        "conn_prio: {ours},{theirs},{rank}; interface: {}; metric: {}; mtu: {}; sa_prio:{}; sa_tfc:{};",
        or(c.interface.as_ref(), ""),
        c.metric,
        number(c.mtu, "unset"),
        number(c.sa_priority, "auto"),
        number(c.tfc, "none")
    )?;
    writeln!(
        out,
        "nflog-group: {}; mark: {}; vti-iface:{}; vti-routing:{}; vti-shared:{}; nic-offload:{};",
        number(c.nflog_group, "unset"),
        or(c.mark.as_ref(), "unset"),
        or(c.vti_interface.as_ref(), "unset"),
        yes_no(c.vti_routing),
        yes_no(c.vti_shared),
        c.nic_offload
    )
}

fn identities(c: &ConnectionFacts, out: &mut String) -> Result {
    let id = |end: &EndFacts, whose: &str| match &*end.id_kind {
        NO_ID => format!("{whose} idtype: %none; {whose} id=(none)"),
        kind => format!("{whose} idtype: {kind}; {whose} id={}", end.id),
    };
    writeln!(out, "{}; {}", id(&c.local, "our"), id(&c.remote, "their"))?;
    writeln!(
        out,
        "sendca: {}; our sendcert: {}; their sendcert: {};",
        c.sendca, c.local.sendcert, c.remote.sendcert
    )
}

fn state(c: &ConnectionFacts, out: &mut String) -> Result {
    if c.ike_version == 1 {
        let active = c.dpd_delay_s > 0 && c.dpd_timeout_s > 0;
        let word = if active { "active" } else { "passive" };
        writeln!(out, "dpd: {word}; delay:{}s; timeout:{}s", c.dpd_delay_s, c.dpd_timeout_s)?;
    } else {
        let word = if c.dpd_delay_s > 0 { "active" } else { "passive" };
        let (delay, timeout) = (c.dpd_delay_s, c.retransmit_timeout_s);
        writeln!(out, "liveness: {word}; dpddelay:{delay}s; retransmit-timeout:{timeout}s")?;
    }
    let keepalive = c.keepalive_s.map_or_else(|| "no".to_owned(), |seconds| format!("{seconds}s"));
    write!(out, "nat-traversal: encapsulation:{}; keepalive:{keepalive}", c.encapsulation)?;
    if c.ike_version == 1 {
        write!(out, "; ikev1-method:{}", c.nat_ikev1_method)?;
    }
    write!(out, "\nrouting: {};", c.routing)?;
    for (what, serial) in [
        ("owner: Child SA", c.owner),
        ("established IKE SA:", c.established_ike_sa),
        ("established Child SA:", c.established_child_sa),
    ] {
        if let Some(serial) = serial {
            write!(out, " {what} #{serial};")?;
        }
    }
    out.push('\n');
    if c.revival_attempts > 0 || c.last_failure.is_some() {
        write!(out, "revival: attempts: {};", c.revival_attempts)?;
        if let Some(why) = &c.last_failure {
            write!(out, " last failure: {};", why.replace('\n', " "))?;
        }
        out.push('\n');
    }
    writeln!(out, "reqid: {};", c.reqid)?;
    write!(out, "conn serial: ${}", c.serial)?;
    if let Some(template) = c.template {
        write!(out, ", instantiated from: ${template}")?;
    }
    out.push_str(";\n");
    if !c.aliases.is_empty() {
        writeln!(out, "aliases: {}", c.aliases.join(" "))?;
    }
    if let Some(debug) = &c.debug {
        writeln!(out, "debug: {debug}")?;
    }
    Ok(())
}

fn algorithms(c: &ConnectionFacts, out: &mut String) -> Result {
    if let Some(proposals) = &c.ike_algorithms {
        writeln!(out, "IKE algorithms: {proposals}")?;
    }
    if let Some(newest) = &c.ike_algorithm_newest {
        writeln!(out, "IKEv{} algorithm newest: {newest}", c.ike_version)?;
    }
    if let Some(proposals) = &c.esp_algorithms {
        writeln!(out, "{} algorithms: {proposals}", c.ipsec_protocol)?;
    }
    if let Some(newest) = &c.esp_algorithm_newest {
        let group = if c.pfs { "<Phase1>" } else { "<N/A>" };
        writeln!(out, "{} algorithm newest: {newest}; pfsgroup={group}", c.ipsec_protocol)?;
    }
    Ok(())
}
