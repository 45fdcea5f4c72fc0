//! Proposals as text for logs and listings, in libreswan's forms.

use super::wire::is_aead;
use super::{Algorithms, parse};
use pluto_crypto::{ChildSuite, IkeSuite};
use pluto_wire::numbers::{EncrId, IntegId, KeId, PrfId, ProtocolId, SnId, TransformType};
use pluto_wire::v2::{Proposal, SaPayload, Transform};
use std::fmt::{self, Write as _};

/// Characters after which the description of a peer's offer ends: one payload may hold
/// thousands of transforms.
const MAX_TEXT: usize = 4096;

/// `{cipher=AES_GCM_16_256 integ=n/a prf=HMAC_SHA2_512 ke=DH19}`.
#[must_use]
pub fn describe_ike(suite: &IkeSuite) -> String {
    let mut text = String::from("{cipher=");
    // Writing to a String does not fail.
    let _ = write_encr(&mut text, suite.encr, suite.encr_bits);
    text.push_str(" integ=");
    if suite.integ == IntegId::NONE {
        text.push_str("n/a");
    } else {
        let _ = write!(text, "{}", suite.integ);
    }
    let _ = write!(text, " prf={} ke={}}}", suite.prf, suite.ke);
    text
}

/// `AES_GCM_16_256-HMAC_SHA2_512-DH19`: cipher, PRF and key exchange, as listings have it.
#[must_use]
pub fn list_ike(suite: &IkeSuite) -> String {
    let mut text = String::new();
    let _ = write_encr(&mut text, suite.encr, suite.encr_bits);
    let _ = write!(text, "-{}-{}", suite.prf, suite.ke);
    text
}

/// `AES_GCM_16_256` or `AES_CBC_128-HMAC_SHA2_256_128`, with `-DH19` behind it where the
/// Child SA had a key exchange of its own; AH shows as NULL with its integrity.
#[must_use]
pub fn describe_child(suite: &ChildSuite) -> String {
    let mut text = String::new();
    let _ = write_encr(&mut text, suite.encr, suite.encr_bits);
    if suite.integ != IntegId::NONE {
        let _ = write!(text, "-{}", suite.integ);
    }
    if suite.ke != KeId::NONE {
        let _ = write!(text, "-{}", suite.ke);
    }
    text
}

/// A fixed key length is not shown, as it is not sent.
fn write_encr(out: &mut impl fmt::Write, id: EncrId, bits: u16) -> fmt::Result {
    match id.name() {
        Some(name) => out.write_str(name)?,
        None => write!(out, "{}", id.0)?,
    }
    if bits == 0 { Ok(()) } else { write!(out, "_{bits}") }
}

fn write_id(out: &mut impl fmt::Write, transform: &Transform) -> fmt::Result {
    let id = transform.id;
    let name = match transform.transform_type {
        TransformType::ENCR => {
            return write_encr(out, EncrId(id), transform.key_length.unwrap_or(0));
        }
        TransformType::PRF => PrfId(id).name(),
        TransformType::INTEG => IntegId(id).name(),
        TransformType::SN => match SnId(id) {
            SnId::SEQUENTIAL_32 => Some("NO"),
            SnId::SEQUENTIAL_64 => Some("YES"),
            other => other.name(),
        },
        TransformType(4 | 6..=12) => KeId(id).name(),
        _ => None,
    };
    match name {
        Some(name) => out.write_str(name)?,
        None => write!(out, "{id}")?,
    }
    match transform.key_length {
        Some(bits) => write!(out, "_{bits}"),
        None => Ok(()),
    }
}

fn write_type(out: &mut impl fmt::Write, transform_type: TransformType) -> fmt::Result {
    match transform_type {
        TransformType::SN => out.write_str("ESN"),
        other => match other.name() {
            Some(name) => out.write_str(name),
            None => write!(out, "TYPE{}", other.0),
        },
    }
}

/// `1:IKE:ENCR=AES_GCM_16_256;PRF=HMAC_SHA2_512;KE=DH19 2:IKE:…`, shortened where it would
/// be longer than four thousand characters.
#[must_use]
pub fn describe_offer(offer: &SaPayload) -> String {
    describe_offer_with(offer, |_, _| None)
}

/// The same with remarks in brackets behind the proposals that `remark` (index, proposal)
/// has one for.
pub(super) fn describe_offer_with(
    offer: &SaPayload,
    remark: impl Fn(usize, &Proposal) -> Option<&'static str>,
) -> String {
    let mut text = String::new();
    for (i, proposal) in offer.proposals.iter().enumerate() {
        if i > 0 {
            text.push(' ');
        }
        let _ = write!(text, "{}:{}", proposal.number, protocol_name(proposal.protocol));
        for (j, transform) in proposal.transforms.iter().enumerate() {
            if text.len() > MAX_TEXT {
                text.push_str(" ...");
                return text;
            }
            text.push(if j == 0 { ':' } else { ';' });
            let _ = write_type(&mut text, transform.transform_type);
            text.push('=');
            let _ = write_id(&mut text, transform);
            if !transform.unknown_attributes.is_empty() {
                text.push_str("(unknown attribute)");
            }
        }
        if let Some(remark) = remark(i, proposal) {
            let _ = write!(text, "[{remark}]");
        }
    }
    text
}

fn protocol_name(protocol: ProtocolId) -> std::borrow::Cow<'static, str> {
    match protocol.name() {
        Some(name) => name.into(),
        None => protocol.0.to_string().into(),
    }
}

/// `1:IKE=AES_GCM_16_256-HMAC_SHA2_512-DH19`: the chosen proposal as the log has it.
#[must_use]
pub fn describe_chosen(reply: &Proposal) -> String {
    let mut text = format!("{}:{}=", reply.number, protocol_name(reply.protocol));
    for (i, transform) in reply.transforms.iter().enumerate() {
        if i > 0 {
            text.push('-');
        }
        if transform.transform_type == TransformType::SN {
            text.push_str("ESN:");
        }
        let _ = write_id(&mut text, transform);
    }
    text
}

/// `ike=`, `esp=` or `ah=` as listings show it: proposals between `, `.
pub(super) fn write_list(
    f: &mut fmt::Formatter<'_>,
    protocol: ProtocolId,
    proposals: &[Algorithms],
) -> fmt::Result {
    for (i, proposal) in proposals.iter().enumerate() {
        if i > 0 {
            f.write_str(", ")?;
        }
        write_proposal(f, protocol, proposal)?;
    }
    Ok(())
}

fn write_names<T>(
    f: &mut fmt::Formatter<'_>,
    items: &[T],
    write: impl Fn(&mut fmt::Formatter<'_>, &T) -> fmt::Result,
) -> fmt::Result {
    for (i, item) in items.iter().enumerate() {
        if i > 0 {
            f.write_char('+')?;
        }
        write(f, item)?;
    }
    Ok(())
}

/// `ENC[_LEN][+..]-PRF[+..][-INTEG..]-KE[+..][;addkeN=..][;sn=..]`; integrity is left away
/// with an AEAD, and in IKE where it is what the PRFs imply.
fn write_proposal(
    f: &mut fmt::Formatter<'_>,
    protocol: ProtocolId,
    proposal: &Algorithms,
) -> fmt::Result {
    let mut separator = "";
    if !proposal.encr.is_empty() {
        write_names(f, &proposal.encr, |f, (id, bits)| write_encr(f, *id, *bits))?;
        separator = "-";
    }
    if !proposal.prf.is_empty() {
        f.write_str(separator)?;
        write_names(f, &proposal.prf, |f, id| write!(f, "{id}"))?;
        separator = "-";
    }
    let aead = proposal.encr.iter().any(|(id, _)| is_aead(*id));
    let implied = protocol == ProtocolId::IKE
        && proposal
            .prf
            .iter()
            .map(|prf| parse::integ_of_prf(*prf))
            .eq(proposal.integ.iter().map(|integ| Some(*integ)));
    // A lone NONE behind an AEAD would read as its integrity: then that is shown as well.
    let ambiguous = aead && proposal.ke == [KeId::NONE];
    if ambiguous || (!aead && !implied && !proposal.integ.is_empty()) {
        f.write_str(separator)?;
        write_names(f, &proposal.integ, |f, id| write!(f, "{id}"))?;
        separator = "-";
    }
    if !proposal.ke.is_empty() {
        f.write_str(separator)?;
        write_names(f, &proposal.ke, |f, id| write!(f, "{id}"))?;
    }
    for (addke, methods) in &proposal.addke {
        write!(f, ";addke{}=", addke.0.saturating_sub(5))?;
        write_names(f, methods, |f, id| write!(f, "{id}"))?;
    }
    if !proposal.sn.is_empty() {
        f.write_str(";sn=")?;
        write_names(f, &proposal.sn, |f, id| f.write_str(parse::sn_name(*id)))?;
    }
    Ok(())
}
