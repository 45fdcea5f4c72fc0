//! `ike=`, `esp=` and `ah=` as text, with libreswan's complaints word for word: scripts
//! and people know them.
//!
//! ```text
//! list      := proposal *("," proposal)
//! proposal  := part *("-" part) *(";" extra)
//! IKE       : encrypt[-prf[-integ]][-ke]   (encrypt-integ-prf with a warning)
//! ESP       : encrypt[-integ][-ke]
//! AH        : integ[-ke]
//! part      := alg *("+" alg)              ("+" in IKEv2 only)
//! extra     := ke-algs | TYPE "=" alg *("+" alg)
//! alg       := NAME | NAME KEYLEN | NAME "_" KEYLEN | NAME "-" KEYLEN
//! ```

use super::names::{allowed, find, key_bits, type_name};
use super::wire::is_aead;
use super::{Algorithms, ProposalError, defaults};
use pluto_wire::numbers::{EncrId, IntegId, KeId, PrfId, ProtocolId, SnId, TransformType};

pub(super) use super::names::sn_name;

/// A version of IKE.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs, reason = "the names say it")]
pub enum IkeVersion {
    V1,
    V2,
}

/// By which rules a proposal text is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rules {
    /// IKEv1 has other defaults, fewer algorithms, and one of each kind in a proposal.
    pub version: IkeVersion,
    /// `pfs=`: without it, the key exchange methods in `esp=` and `ah=` are left away.
    pub pfs: bool,
    /// Whether only algorithms that FIPS approves of may be used.
    pub fips: bool,
    /// Whether algorithms that are known but not implemented here are refused.
    pub implemented_only: bool,
}

impl Default for Rules {
    /// IKEv2 with PFS, all algorithms that are implemented.
    fn default() -> Self {
        Self { version: IkeVersion::V2, pfs: true, fips: false, implemented_only: true }
    }
}

/// The integrity algorithm that goes with a PRF.
pub(super) fn integ_of_prf(prf: PrfId) -> Option<IntegId> {
    Some(match prf {
        PrfId::HMAC_MD5 => IntegId::HMAC_MD5_96,
        PrfId::HMAC_SHA1 => IntegId::HMAC_SHA1_96,
        PrfId::HMAC_SHA2_256 => IntegId::HMAC_SHA2_256_128,
        PrfId::HMAC_SHA2_384 => IntegId::HMAC_SHA2_384_192,
        PrfId::HMAC_SHA2_512 => IntegId::HMAC_SHA2_512_256,
        PrfId::AES_XCBC => IntegId::AES_XCBC_96,
        PrfId::AES_CMAC => IntegId::AES_CMAC_96,
        _ => return None,
    })
}

/// The default list by some rules.
pub(super) fn default_list(protocol: ProtocolId, rules: &Rules) -> Vec<Algorithms> {
    let mut list = match (protocol, rules.version) {
        (ProtocolId::IKE, IkeVersion::V2) => defaults::ike_v2(),
        (ProtocolId::IKE, IkeVersion::V1) => defaults::ike_v1(),
        (ProtocolId::AH, IkeVersion::V2) => defaults::ah_v2(),
        (ProtocolId::AH, IkeVersion::V1) => defaults::ah_v1(),
        (_, IkeVersion::V2) => defaults::esp_v2(),
        (_, IkeVersion::V1) => defaults::esp_v1(),
    };
    if rules.fips {
        // libreswan leaves curve 25519 in the IKEv2 list, beside methods that are approved.
        let v1 = rules.version == IkeVersion::V1;
        list.retain(|proposal| {
            let encr = proposal.encr.iter().all(|(id, _)| *id != EncrId::CHACHA20_POLY1305);
            encr && !(v1
                && proposal.ke.iter().any(|ke| matches!(*ke, KeId::X25519 | KeId::MODP1536)))
        });
    }
    list
}

/// Reads a list of proposals; returns it with libreswan's notes and warnings.
pub(super) fn parse(
    protocol: ProtocolId,
    text: &str,
    rules: &Rules,
) -> Result<(Vec<Algorithms>, Vec<String>), ProposalError> {
    let mut parser = Parser { protocol, rules, notes: Vec::new(), proposals: Vec::new() };
    let text = text.trim();
    if text.is_empty() {
        return parser.fail("proposal is empty");
    }
    for proposal in text.split(',') {
        parser.proposal(proposal.trim())?;
    }
    parser.check_key_exchange()?;
    Ok((parser.proposals, parser.notes))
}

struct Parser<'a> {
    protocol: ProtocolId,
    rules: &'a Rules,
    notes: Vec<String>,
    proposals: Vec<Algorithms>,
}

type Parsed<T> = Result<T, ProposalError>;

fn fail<T>(why: &str) -> Parsed<T> {
    Err(ProposalError(why.to_owned()))
}

impl Parser<'_> {
    fn v1(&self) -> bool {
        self.rules.version == IkeVersion::V1
    }

    fn ike(&self) -> bool {
        self.protocol == ProtocolId::IKE
    }

    /// A complaint that begins with the protocol.
    fn fail<T>(&self, why: &str) -> Parsed<T> {
        fail(&format!("{} {why}", self.protocol))
    }

    fn proposal(&mut self, text: &str) -> Parsed<()> {
        if self.v1() && text.contains('+') {
            return fail(
                "'+' invalid, IKEv1 proposals do not support multiple transforms of the same type",
            );
        }
        let mut algorithms = Algorithms::default();
        let mut sections = text.split(';');
        let first = sections.next().unwrap_or_default();
        if first.contains('=') {
            self.extra(first, &mut algorithms)?;
        } else {
            self.main(first, &mut algorithms)?;
        }
        for section in sections {
            self.extra(section.trim(), &mut algorithms)?;
        }
        self.complete(algorithms)
    }

    /// The part before the first semicolon.
    fn main(&mut self, text: &str, algorithms: &mut Algorithms) -> Parsed<()> {
        let mut parts = split_parts(text, self.protocol != ProtocolId::AH).into_iter().peekable();
        let first = parts.next().unwrap_or_default();
        if self.protocol == ProtocolId::AH {
            self.list(TransformType::INTEG, first, algorithms)?;
        } else {
            self.list(TransformType::ENCR, first, algorithms)?;
            if self.ike() {
                self.prf_and_integ(&mut parts, algorithms)?;
            } else if let Some(integ) = parts.next_if(|part| {
                // What can only be a key exchange is one: AEADs need no integrity.
                self.known(TransformType::INTEG, part) || !self.known(TransformType::KE, part)
            }) {
                self.list(TransformType::INTEG, integ, algorithms)?;
            }
        }
        if let Some(ke) = parts.next() {
            self.list(TransformType::KE, ke, algorithms)?;
        }
        match parts.next() {
            Some(extra) => self.unexpected('-', extra),
            None => Ok(()),
        }
    }

    /// `-prf`, `-prf-integ`, `-integ` or `-integ-prf`.
    fn prf_and_integ<'t>(
        &mut self,
        parts: &mut std::iter::Peekable<impl Iterator<Item = &'t str>>,
        algorithms: &mut Algorithms,
    ) -> Parsed<()> {
        let Some(second) = parts.next() else { return Ok(()) };
        let integ_only = |parser: &Self, part: &str| {
            !parser.v1()
                && !parser.known(TransformType::PRF, part)
                && parser.known(TransformType::INTEG, part)
        };
        if !integ_only(self, second) {
            self.list(TransformType::PRF, second, algorithms)?;
            let third = parts
                .next_if(|part| integ_only(self, part) && !self.known(TransformType::KE, part));
            return match third {
                Some(integ) => self.list(TransformType::INTEG, integ, algorithms),
                None => Ok(()),
            };
        }
        self.list(TransformType::INTEG, second, algorithms)?;
        let Some(prf) = parts.next() else { return Ok(()) };
        if algorithms.integ != [IntegId::NONE] {
            self.notes.push(
                "WARNING: IKE proposal has integ specified before prf; use encrypt-prf-integ-ke order"
                    .to_owned(),
            );
        }
        self.list(TransformType::PRF, prf, algorithms)
    }

    /// Whether all names of a part are of this type.
    fn known(&self, transform_type: TransformType, part: &str) -> bool {
        part.split('+').all(|name| find(transform_type, name.trim()).is_some())
    }

    fn unexpected<T>(&self, separator: char, text: &str) -> Parsed<T> {
        self.fail(&format!(
            "proposal contains unexpected '{separator}{}', expecting ';<transform>=...'",
            text.escape_debug()
        ))
    }

    /// A part behind a semicolon.
    fn extra(&mut self, text: &str, algorithms: &mut Algorithms) -> Parsed<()> {
        let (name, value) =
            text.split_once('=').map_or(("ke", text), |(name, value)| (name.trim(), value.trim()));
        let bare = !text.contains('=');
        if bare && !algorithms.ke.is_empty() {
            return self.unexpected(';', text);
        }
        let transform_type = match name.to_ascii_lowercase().as_str() {
            "encrypt" if self.protocol != ProtocolId::AH => TransformType::ENCR,
            "prf" if self.ike() => TransformType::PRF,
            "integ" => TransformType::INTEG,
            "ke" => TransformType::KE,
            "sn" if !self.ike() => TransformType::SN,
            addke => match self.addke(addke) {
                Some(transform_type) => transform_type,
                None => return fail(&format!("transform '{}' invalid", name.escape_debug())),
            },
        };
        if self.v1() && self.ike() && transform_type == TransformType::INTEG {
            return self.fail("proposal contains unexpected explicit integ=");
        }
        if self.v1() && !algorithms.is_empty(transform_type) {
            return fail(
                "IKEv1 does not support multiple transforms of the same type ('=' invalid)",
            );
        }
        let keep = transform_type == TransformType::ENCR;
        let mut parts = split_parts(value, keep).into_iter();
        self.list(transform_type, parts.next().unwrap_or_default(), algorithms)?;
        match parts.next() {
            Some(extra) => self.unexpected('-', extra),
            None => Ok(()),
        }
    }

    /// `addke1` to `addke7` (RFC 9370), which need an exchange that is not there yet.
    fn addke(&self, name: &str) -> Option<TransformType> {
        let number: u8 = name.strip_prefix("addke")?.parse().ok()?;
        let usable = !self.v1() && self.ike() && !self.rules.implemented_only;
        (usable && (1..=7).contains(&number)).then(|| TransformType(number.saturating_add(5)))
    }

    /// Names between `+`.
    fn list(
        &mut self,
        transform_type: TransformType,
        text: &str,
        algorithms: &mut Algorithms,
    ) -> Parsed<()> {
        for name in text.split('+') {
            let name = name.trim();
            if name.is_empty() {
                return self.fail(&match transform_type {
                    TransformType::ENCR => "encryption algorithm is empty".to_owned(),
                    other => format!("{} is empty", type_name(other)),
                });
            }
            let shown = if transform_type == TransformType::ENCR {
                let (id, bits) = self.encr(name)?;
                let known = algorithms.encr.iter().any(|old| swallows(*old, (id, bits)));
                let bits_shown = if bits == 0 { String::new() } else { format!("_{bits}") };
                if !known {
                    algorithms.encr.push((id, bits));
                }
                known.then(|| format!("{id}{bits_shown}"))
            } else {
                let id = self.algorithm(transform_type, name, name)?;
                algorithms.add(transform_type, id)
            };
            if let Some(duplicate) = shown {
                self.notes.push(format!(
                    "discarding duplicate {} {} {duplicate}",
                    self.protocol,
                    type_name(transform_type)
                ));
            }
        }
        Ok(())
    }

    /// An algorithm by name; `text` is what the complaint quotes.
    fn algorithm(&self, transform_type: TransformType, name: &str, text: &str) -> Parsed<u16> {
        let complain = |why: &str| {
            let kind = type_name(transform_type);
            self.fail(&format!("{kind} '{}' {why}", text.escape_debug()))
        };
        match find(transform_type, name) {
            None => complain("is not recognized"),
            Some(entry) => match allowed(entry, transform_type, self.protocol, self.rules) {
                Ok(id) => Ok(id),
                Err(why) => complain(why),
            },
        }
    }

    /// A cipher, perhaps with the bits of its key behind the name.
    fn encr(&self, text: &str) -> Parsed<(EncrId, u16)> {
        if find(TransformType::ENCR, text).is_some() {
            return Ok((EncrId(self.algorithm(TransformType::ENCR, text, text)?), 0));
        }
        let name = text.trim_end_matches(|c: char| c.is_ascii_digit());
        let digits = text.get(name.len()..).unwrap_or_default();
        let name = name.strip_suffix(['_', '-']).filter(|_| !digits.is_empty()).unwrap_or(name);
        let id = EncrId(self.algorithm(TransformType::ENCR, name, text)?);
        let Ok(bits) = digits.parse::<u32>() else {
            return self.fail(&format!(
                "encryption algorithm '{}' key length WAY too big",
                text.escape_debug()
            ));
        };
        let valid = key_bits(id);
        if bits == 0 {
            return self.fail("encryption key length is zero");
        }
        if valid.is_empty() {
            return self.fail(&format!("encryption algorithm {id} does not allow a key lengths"));
        }
        match valid.iter().find(|length| u32::from(**length) == bits) {
            // The only length is not sent, so it is none here.
            Some(_) if valid.len() == 1 => Ok((id, 0)),
            Some(length) => Ok((id, *length)),
            None => {
                let lengths: Vec<String> = valid.iter().map(ToString::to_string).collect();
                self.fail(&format!(
                    "encryption algorithm {id} with key length {bits} invalid; valid key lengths: {}",
                    lengths.join(", ")
                ))
            }
        }
    }

    /// Fills in what the text leaves to defaults, and keeps the proposal; IKEv1 makes one
    /// of each combination.
    fn complete(&mut self, mut algorithms: Algorithms) -> Parsed<()> {
        if self.protocol != ProtocolId::AH && algorithms.encr.is_empty() {
            return self.fail("proposal missing encrypt transform");
        }
        if self.protocol == ProtocolId::AH && algorithms.integ.is_empty() && self.v1() {
            return self.fail("proposal missing integ transform");
        }
        if self.ike() {
            if algorithms.prf.is_empty() {
                let defaults = if self.v1() { defaults::PRFS_V1 } else { defaults::PRFS_V2 };
                algorithms.prf = defaults.to_vec();
            }
            if algorithms.ke.is_empty() {
                algorithms.ke = self.default_kes();
            }
            if algorithms.ke.contains(&KeId::NONE) {
                return self.fail("Key Exchange algorithm 'NONE' not permitted");
            }
        }
        self.complete_integ(&mut algorithms)?;
        if !self.v1() {
            self.keep(algorithms);
            return Ok(());
        }
        for flat in flatten(&algorithms, self.ike()) {
            self.keep(flat);
        }
        Ok(())
    }

    fn default_kes(&self) -> Vec<KeId> {
        if !self.v1() {
            return defaults::KES_V2.to_vec();
        }
        let approved =
            |ke: &KeId| !self.rules.fips || !matches!(*ke, KeId::X25519 | KeId::MODP1536);
        defaults::KES_V1.iter().copied().filter(approved).collect()
    }

    fn complete_integ(&self, algorithms: &mut Algorithms) -> Parsed<()> {
        let aead = algorithms.encr.iter().find(|(id, _)| is_aead(*id)).map(|(id, _)| *id);
        let plain = algorithms.encr.iter().find(|(id, _)| !is_aead(*id)).map(|(id, _)| *id);
        if aead.is_some() && plain.is_some() {
            let protocol = self.protocol;
            return fail(&format!(
                "AEAD and non-AEAD {protocol} encryption algorithm cannot be combined"
            ));
        }
        if algorithms.integ.is_empty() {
            algorithms.integ = if aead.is_some() {
                vec![IntegId::NONE]
            } else if self.ike() {
                algorithms.prf.iter().filter_map(|prf| integ_of_prf(*prf)).collect()
            } else if self.v1() {
                defaults::INTEGS_V1.to_vec()
            } else {
                defaults::INTEGS_V2.to_vec()
            };
        }
        let none = algorithms.integ.contains(&IntegId::NONE);
        let protocol = self.protocol;
        match (aead, plain) {
            (Some(id), _) if algorithms.integ != [IntegId::NONE] => fail(&format!(
                "AEAD {protocol} encryption algorithm {id} must have 'NONE' as the integrity algorithm"
            )),
            (None, Some(id)) if none => fail(&format!(
                "non-AEAD {protocol} encryption algorithm {id} cannot have 'NONE' as the integrity algorithm"
            )),
            (None, None) if none => self.fail("cannot have 'none' as the integrity algorithm"),
            _ => Ok(()),
        }
    }

    /// Keeps a proposal unless an earlier one includes it.
    fn keep(&mut self, mut algorithms: Algorithms) {
        if !self.ike() && !self.rules.pfs {
            for ke in algorithms.ke.drain(..) {
                let redundant = if ke == KeId::NONE { "redundant " } else { "" };
                self.notes.push(format!(
                    "ignoring {redundant}{} Key Exchange algorithm '{ke}' as PFS policy is disabled",
                    self.protocol
                ));
            }
        }
        algorithms.addke.sort_by_key(|(transform_type, _)| transform_type.0);
        if !self.proposals.iter().any(|old| includes(old, &algorithms)) {
            self.proposals.push(algorithms);
        }
    }

    /// With PFS, what ESP and AH propose must agree on one method, because the first KE
    /// payload cannot be corrected in CREATE_CHILD_SA.
    fn check_key_exchange(&self) -> Parsed<()> {
        if self.ike() {
            return Ok(());
        }
        let without = self.proposals.iter().filter(|proposal| proposal.ke.is_empty()).count();
        let protocol = self.protocol;
        if without != 0 && without != self.proposals.len() {
            return fail(&format!(
                "either all or no {protocol} proposals should specify Key Exchange"
            ));
        }
        let mut methods = self.proposals.iter().flat_map(|proposal| &proposal.ke);
        let mut methods = methods.by_ref().filter(|ke| **ke != KeId::NONE);
        let Some(first) = methods.next() else { return Ok(()) };
        let Some(other) = methods.find(|ke| *ke != first) else { return Ok(()) };
        let (version, why) = match self.rules.version {
            IkeVersion::V2 => ("IKEv2", "requires unimplemented CREATE_CHILD_SA INVALID_KE"),
            IkeVersion::V1 => ("IKEv1", "is not allowed in quick mode"),
        };
        fail(&format!(
            "more than one {version} {protocol} Key Exchange algorithm ({first}, {other}) {why}"
        ))
    }
}

impl Algorithms {
    fn is_empty(&self, transform_type: TransformType) -> bool {
        match transform_type {
            TransformType::ENCR => self.encr.is_empty(),
            TransformType::PRF => self.prf.is_empty(),
            TransformType::INTEG => self.integ.is_empty(),
            TransformType::KE => self.ke.is_empty(),
            TransformType::SN => self.sn.is_empty(),
            addke => self.addke.iter().all(|(known, _)| *known != addke),
        }
    }

    /// Adds an algorithm of a type other than ENCR; its name when it was there already.
    fn add(&mut self, transform_type: TransformType, id: u16) -> Option<String> {
        fn add<T: PartialEq + ToString>(list: &mut Vec<T>, item: T) -> Option<String> {
            if list.contains(&item) {
                return Some(item.to_string());
            }
            list.push(item);
            None
        }
        match transform_type {
            TransformType::PRF => add(&mut self.prf, PrfId(id)),
            TransformType::INTEG => add(&mut self.integ, IntegId(id)),
            TransformType::KE => add(&mut self.ke, KeId(id)),
            TransformType::SN => add(&mut self.sn, SnId(id)).map(|_| sn_name(SnId(id)).to_owned()),
            addke => match self.addke.iter_mut().find(|(known, _)| *known == addke) {
                Some((_, methods)) => add(methods, KeId(id)),
                None => {
                    self.addke.push((addke, vec![KeId(id)]));
                    None
                }
            },
        }
    }
}

/// Parts between `-`; a number behind the first one is the length of its key.
fn split_parts(text: &str, keep_key_length: bool) -> Vec<&str> {
    let mut parts = Vec::new();
    let mut start = 0;
    for (at, _) in text.match_indices('-') {
        let behind = text.get(at.saturating_add(1)..).unwrap_or_default();
        let digits = behind.bytes().take_while(u8::is_ascii_digit).count();
        let ends = matches!(behind.as_bytes().get(digits), None | Some(b'-' | b'+'));
        if keep_key_length && parts.is_empty() && digits > 0 && ends {
            continue;
        }
        parts.push(text.get(start..at).unwrap_or_default());
        start = at.saturating_add(1);
    }
    parts.push(text.get(start..).unwrap_or_default());
    parts
}

/// Whether an algorithm makes another one, later in the list, superfluous: the same, or the
/// same with a length where the first leaves it open.
fn swallows(old: (EncrId, u16), new: (EncrId, u16)) -> bool {
    old.0 == new.0 && (old.1 == new.1 || old.1 == 0)
}

/// Whether a proposal is the same as an older one, or the same but for a key length that
/// the older one leaves open.
fn includes(old: &Algorithms, new: &Algorithms) -> bool {
    let encr = old.encr.len() == new.encr.len()
        && old.encr.iter().zip(&new.encr).all(|(one, two)| swallows(*one, *two));
    encr && (&old.prf, &old.integ, &old.ke, &old.sn, &old.addke)
        == (&new.prf, &new.integ, &new.ke, &new.sn, &new.addke)
}

/// One algorithm of each kind in each: IKE varies the key exchange last.
fn flatten(algorithms: &Algorithms, ike: bool) -> Vec<Algorithms> {
    let single = |prf: &[PrfId], integ: &[IntegId], ke: &[KeId]| Algorithms {
        prf: prf.to_vec(),
        integ: integ.to_vec(),
        ke: ke.to_vec(),
        ..algorithms.clone()
    };
    if !ike {
        return algorithms
            .integ
            .chunks(1)
            .map(|integ| single(&[], integ, &algorithms.ke))
            .collect();
    }
    let pairs =
        algorithms.ke.chunks(1).flat_map(|ke| algorithms.prf.iter().map(move |prf| (*prf, ke)));
    pairs.map(|(prf, ke)| single(&[prf], integ_of_prf(prf).as_slice(), ke)).collect()
}

#[cfg(test)]
#[path = "parse_tests.rs"]
mod tests;
