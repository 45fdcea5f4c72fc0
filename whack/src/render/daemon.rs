//! The daemon's part of `--status`.

use super::{SEPARATOR, or, yes_no};
use crate::report::{DaemonFacts, SetupFacts};
use std::fmt::{Result, Write};

pub(super) fn daemon(daemon: &DaemonFacts, out: &mut String) -> Result {
    writeln!(out, "using kernel interface: {}", daemon.kernel.interface)?;
    if !daemon.kernel.capabilities.is_empty() {
        writeln!(out, "kernel: {}", daemon.kernel.capabilities)?;
    }
    if !daemon.kernel.dropped.is_empty() {
        let each = daemon.kernel.dropped.iter().map(|(reason, count)| format!("{reason} {count}"));
        writeln!(out, "packets dropped: {}", each.collect::<Vec<_>>().join("; "))?;
    }
    out.push_str(SEPARATOR);
    if !daemon.listening {
        writeln!(out, "not listening for IKE messages")?;
    }
    for interface in &daemon.interfaces {
        let address = if interface.address.contains(':') {
            format!("[{}]", interface.address)
        } else {
            interface.address.clone()
        };
        let nat = if interface.nat { " (NAT)" } else { "" };
        let (name, protocol, port) = (&interface.name, &interface.protocol, interface.port);
        writeln!(out, "interface {name} {address}:{protocol}/{port}{nat}")?;
    }
    out.push_str(SEPARATOR);
    writeln!(out, "fips mode={};", daemon.fips.mode)?;
    writeln!(out, "SElinux={}", daemon.selinux)?;
    writeln!(out, "seccomp={}", daemon.seccomp)?;
    out.push_str(SEPARATOR);
    out.push_str("config setup options:\n \n");
    setup(daemon, &daemon.setup, out)?;
    out.push_str(SEPARATOR);
    let DaemonFacts { keep_alive_s, nat_ikeport, .. } = daemon;
    writeln!(out, "nat-traversal: keep-alive={keep_alive_s}, nat-ikeport={nat_ikeport}")?;
    if !(daemon.virtual_private_allowed.is_empty() && daemon.virtual_private_excluded.is_empty()) {
        writeln!(out, "virtual-private (%priv):")?;
        for (what, networks) in [
            ("allowed", &daemon.virtual_private_allowed),
            ("excluded", &daemon.virtual_private_excluded),
        ] {
            if !networks.is_empty() {
                writeln!(out, "- {what} subnets: {}", networks.join(", "))?;
            }
        }
    }
    algorithms(daemon, out)?;
    out.push_str(SEPARATOR);
    // Nothing counts these; the line is for those who look for it.
    writeln!(
        out,
        "stats db_ops: {{curr_cnt, total_cnt, maxsz}} :context={{0,0,0}} trans={{0,0,0}} attrs={{0,0,0}} "
    )
}

fn setup(daemon: &DaemonFacts, s: &SetupFacts, out: &mut String) -> Result {
    const UNSET: &str = "<unset>";
    let nssdir = if s.nssdir.is_empty() { UNSET } else { &s.nssdir };
    writeln!(
        out,
        "configdir={}, configfile={}, secrets={}, ipsecdir={}",
        s.configdir, s.configfile, s.secretsfile, s.ipsecdir
    )?;
    writeln!(
        out,
        "nssdir={nssdir}, dumpdir={}, statsbin={}",
        s.dumpdir,
        or(s.statsbin.as_ref(), "unset")
    )?;
    writeln!(
        out,
        "dnssec-enable={}, dnssec-rootkey-file={}, dnssec-anchors={}",
        yes_no(s.dnssec_enable),
        or(s.dnssec_rootkey_file.as_ref(), UNSET),
        or(s.dnssec_anchors.as_ref(), UNSET)
    )?;
    writeln!(out, "sbindir={}, libexecdir={}", s.sbindir, s.libexecdir)?;
    writeln!(out, "pluto_version={}, pluto_vendorid={}", daemon.version, daemon.vendor_id)?;
    writeln!(
        out,
        "nhelpers={}, uniqueids={}, shuntlifetime={}s, expire-lifetime={}s",
        s.nhelpers,
        yes_no(s.uniqueids),
        s.shuntlifetime_s,
        s.expire_lifetime_s
    )?;
    writeln!(
        out,
        "logfile='{}', logappend={}, logip={}, audit-log={}",
        or(s.logfile.as_ref(), "<syslog>"),
        yes_no(s.logappend),
        yes_no(s.logip),
        yes_no(s.audit_log)
    )?;
    writeln!(
        out,
        "ddos-cookies-threshold={}, ddos-max-halfopen={}, ddos-mode={}, ikev1-policy={}",
        s.ddos_ike_threshold, s.max_halfopen_ike, s.ddos_mode, s.ikev1_policy
    )?;
    writeln!(
        out,
        "ikebuf={}, msg_errqueue={}, crl-strict={}, crlcheckinterval={}, listen={}, nflog-all={}, dns-resolver={},",
        s.ike_socket_bufsize,
        yes_no(s.ike_socket_errqueue),
        yes_no(s.crl_strict),
        s.crlcheckinterval_s,
        or(s.listen.as_ref(), "<any>"),
        s.nflog_all,
        s.dns_resolver
    )?;
    writeln!(
        out,
        "ocsp-enable={}, ocsp-strict={}, ocsp-timeout={}",
        yes_no(s.ocsp_enable),
        yes_no(s.ocsp_strict),
        s.ocsp_timeout_s
    )?;
    writeln!(
        out,
        "ocsp-uri={}, ocsp-trust-name={}",
        or(s.ocsp_uri.as_ref(), UNSET),
        or(s.ocsp_trustname.as_ref(), UNSET)
    )?;
    writeln!(
        out,
        "ocsp-cache-size={}, ocsp-cache-min-age={}, ocsp-cache-max-age={}, ocsp-method={}",
        s.ocsp_cache_size, s.ocsp_cache_min_age_s, s.ocsp_cache_max_age_s, s.ocsp_method
    )?;
    writeln!(
        out,
        "global-redirect={}, global-redirect-to={}",
        s.global_redirect,
        or(s.global_redirect_to.as_ref(), UNSET)
    )?;
    writeln!(out, "debug: {}", s.debug)
}

fn algorithms(daemon: &DaemonFacts, out: &mut String) -> Result {
    out.push_str(SEPARATOR);
    out.push_str("Kernel algorithms supported:\n \n");
    for a in &daemon.esp_encrypt {
        writeln!(
            out,
            "algorithm ESP encrypt: name={}, keysizemin={}, keysizemax={}",
            a.name, a.key_bits_min, a.key_bits_max
        )?;
    }
    for a in &daemon.esp_auth {
        writeln!(out, "algorithm AH/ESP auth: name={}, key-length={}", a.name, a.key_bits)?;
    }
    out.push_str(SEPARATOR);
    out.push_str("IKE algorithms supported:\n \n");
    for a in &daemon.ike_encrypt {
        writeln!(
            out,
            "algorithm IKE encrypt: v1id={}, v1name={}, v2id={}, v2name={}, blocksize={}, keydeflen={}",
            a.v1_id, a.v1_name, a.v2_id, a.v2_name, a.block_octets, a.key_bits
        )?;
    }
    for a in &daemon.ike_prf {
        writeln!(out, "algorithm IKE PRF: name={}, hashlen={}", a.name, a.output_octets)?;
    }
    for a in &daemon.ike_ke {
        write!(out, "algorithm IKE Key Exchange Method (DH): name={}, ", a.name)?;
        if a.bits > 0 {
            writeln!(out, "bits={}", a.bits)?;
        } else {
            let (initiator, responder) = (a.initiator_octets, a.responder_octets);
            writeln!(out, "initiator-bytes={initiator}, responder-bytes={responder}")?;
        }
    }
    Ok(())
}
