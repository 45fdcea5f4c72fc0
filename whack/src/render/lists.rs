//! The smaller listings.

use super::amount::utc;
use crate::report::{
    AddressPoolFacts, BriefFacts, CertificateFacts, CrlFacts, PskFacts, PublicKeyFacts, ShuntFacts,
};
use std::fmt::{Result, Write};

pub(super) fn brief(brief: &BriefFacts, out: &mut String) -> Result {
    let cookies = if brief.cookies_required { "REQUIRED" } else { "not required" };
    let accepting = if brief.accepting { "Accepting" } else { "NOT ACCEPTING" };
    writeln!(out, "State Information: DDoS cookies {cookies}, {accepting} new IKE connections")?;
    let BriefFacts { ike_total, ike_half_open, ike_open, ike_authenticated, ike_anonymous, .. } =
        brief;
    writeln!(
        out,
        "IKE SAs: total({ike_total}), half-open({ike_half_open}), open({ike_open}), \
         authenticated({ike_authenticated}), anonymous({ike_anonymous})"
    )?;
    let BriefFacts { child_total, child_authenticated, child_anonymous, .. } = brief;
    writeln!(
        out,
        "IPsec SAs: total({child_total}), authenticated({child_authenticated}), \
         anonymous({child_anonymous})"
    )
}

pub(super) fn shunt(shunt: &ShuntFacts, out: &mut String) -> Result {
    let ShuntFacts { source, destination, protocol, action, reason, template } = shunt;
    write!(out, "{source} -{protocol}-> {destination} => %{action}    {reason}")?;
    if let Some(template) = template {
        write!(out, " ${template}")?;
    }
    out.write_char('\n')
}

pub(super) fn address_pool(pool: &AddressPoolFacts, out: &mut String) -> Result {
    let AddressPoolFacts { range, size, leases, in_use, free, reusable, lease } = pool;
    writeln!(
        out,
        "address pool {range}: {size} addresses, {leases} leases, {in_use} in-use, \
         {free} free ({reusable} reusable)"
    )?;
    for lease in lease {
        let verb = if lease.connection_serial == 0 { "free" } else { "assigned to" };
        write!(out, "    {} {verb} ${}", lease.address, lease.connection_serial)?;
        match &lease.remote_id {
            Some(id) => writeln!(out, " {id}")?,
            None => out.write_char('\n')?,
        }
        let indent = 5 + lease.address.len();
        match &lease.connection {
            Some(connection) => writeln!(out, "{:indent$}{connection}", "")?,
            None => writeln!(
                out,
                "{:indent$}connection ${} does not exist",
                "", lease.connection_serial
            )?,
        }
    }
    Ok(())
}

pub(super) fn public_key(key: &PublicKeyFacts, out: &mut String) -> Result {
    let private = if key.private_key { "has private key" } else { "no private key" };
    let until = key.until.map_or_else(|| "--- -- --:--:-- ----".to_owned(), utc);
    writeln!(
        out,
        "{}, {} {} Key {} ({private}), until {until} {}",
        utc(key.loaded),
        key.bits,
        key.algorithm,
        key.key_id,
        key.validity
    )?;
    writeln!(out, "       {} '{}'", key.id_kind, key.id)?;
    match &key.issuer {
        Some(issuer) => writeln!(out, "       Issuer '{issuer}'"),
        None => Ok(()),
    }
}

pub(super) fn psk(psk: &PskFacts, out: &mut String) -> Result {
    let ids = if psk.ids.is_empty() { "%any".to_owned() } else { psk.ids.join(" ") };
    writeln!(out, "{:5}: {} {ids}", psk.line, psk.secret)
}

pub(super) fn certificate(certificate: &CertificateFacts, kind: &str, out: &mut String) -> Result {
    let CertificateFacts { name, serial_number, subject, issuer, key, .. } = certificate;
    writeln!(out, "{kind} certificate \"{name}\" - SN: 0x{serial_number}")?;
    writeln!(out, "  subject: {subject}\n  issuer: {issuer}")?;
    writeln!(out, "  not before: {}", utc(certificate.not_before))?;
    writeln!(out, "  not after: {}", utc(certificate.not_after))?;
    let private = if certificate.private_key { ": has private key" } else { "" };
    writeln!(out, "  {key}{private}")
}

pub(super) fn crl(crl: &CrlFacts, out: &mut String) -> Result {
    writeln!(out, "issuer: {}\nrevoked certs: {}", crl.issuer, crl.revoked)?;
    let next = crl.next_update.map_or_else(|| "never".to_owned(), utc);
    writeln!(out, "updates: this {}\n         next {next}", utc(crl.this_update))
}
