//! A connection's keywords taken together: what they contradict, and what follows from
//! them. Instances share the configuration of their template.

use crate::end::{End, Family, Host};
use crate::keywords::{Draft, Scope, keyword};
use crate::proposal::{ChildProposals, IkeProposals};
use crate::settings::{AuthbyWord, ConnectionType, Esn, Settings};
use crate::{Authby, ConnectionSpec, Lifetimes, Retransmit, Selector, Side, SpecError};
use pluto_wire::numbers::{ProtocolId, SnId};
use std::sync::{Arc, OnceLock};

/// What decides the Child SA's proposals: equal keys, equal proposals.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct ChildKey {
    pub(crate) protocol: ProtocolId,
    pub(crate) pfs: bool,
    pub(crate) esn: Esn,
    /// `esp=` or `ah=`; none for the default.
    pub(crate) text: Option<Arc<str>>,
}

/// A connection as configured; never changes.
#[derive(Debug, Clone)]
pub(crate) struct Config {
    pub(crate) name: Arc<str>,
    pub(crate) aliases: Box<[Arc<str>]>,
    /// Left and right.
    pub(crate) ends: [End; 2],
    pub(crate) settings: Arc<Settings>,
    /// `ike=`; none for the default.
    pub(crate) ike_text: Option<Arc<str>>,
    pub(crate) ike: Arc<IkeProposals>,
    pub(crate) child_key: ChildKey,
    pub(crate) child: Arc<ChildProposals>,
    /// What is odd but no error, for the log.
    pub(crate) warnings: Box<[String]>,
}

/// The sides with their names.
pub(crate) const SIDES: [Side; 2] = [Side::Left, Side::Right];

impl Config {
    /// Reads and judges a connection's keywords.
    pub(crate) fn parse(spec: &ConnectionSpec) -> Result<Self, SpecError> {
        check_name(&spec.name)?;
        let mut draft = crate::keywords::read(spec)?;
        for (side, end, told) in
            [(Side::Left, &draft.left, &spec.left), (Side::Right, &draft.right, &spec.right)]
        {
            if end.host == Host::Missing {
                let why = format!("{}= is missing: an address, a name or %any", side.name());
                return Err(SpecError::conflict("", "", why));
            }
            check_end(side, end, told)?;
        }
        check_families(&draft, spec)?;
        check_pair(&draft, spec)?;
        check_auth(&draft, spec)?;
        check_traffic(&draft, spec)?;
        crate::configuration::check(&draft, spec)?;
        check_narrowing(&draft, spec)?;
        check_rekey_pfs(&draft, spec)?;
        settle(&mut draft, spec)?;
        Self::finish(draft, spec)
    }

    fn finish(draft: Draft, spec: &ConnectionSpec) -> Result<Self, SpecError> {
        let settings = draft.settings;
        let protocol = settings.phase2.unwrap_or(ProtocolId::ESP);
        // RFC 4303, 3.3.3: without anti-replay there are no extended sequence numbers.
        let esn = if settings.replay_window == 0 { Esn::No } else { settings.esn };
        let text = if protocol == ProtocolId::AH { draft.ah } else { draft.esp };
        let child_key = ChildKey { protocol, pfs: settings.pfs.is_proposed(), esn, text };
        let ike = ike_proposals(draft.ike.as_deref())?;
        let child = child_proposals(&child_key)?;
        Ok(Self {
            name: spec.name.as_str().into(),
            aliases: draft.aliases.into(),
            ends: [draft.left, draft.right],
            settings: Arc::new(settings),
            ike_text: draft.ike,
            ike,
            child_key,
            child,
            warnings: draft.warnings.into(),
        })
    }

    pub(crate) fn end(&self, side: Side) -> &End {
        let [left, right] = &self.ends;
        match side {
            Side::Left => left,
            Side::Right => right,
        }
    }

    /// How an end authenticates; none when nothing is negotiated.
    pub(crate) fn auth(&self, side: Side) -> Option<Authby> {
        self.end(side).auth.or(match self.settings.authby {
            AuthbyWord::Both(auth) => Some(auth),
            AuthbyWord::Unset | AuthbyWord::Never => None,
        })
    }

    /// Whether peers of any address may come.
    pub(crate) fn is_template(&self) -> bool {
        self.ends.iter().any(|e| matches!(e.host, Host::Any(_)))
    }

    /// Of the hosts' addresses; IPv4 when nothing tells.
    pub(crate) fn family(&self) -> Family {
        let hosts = self.ends.iter().find_map(|e| e.host.family());
        hosts.or(self.settings.family).unwrap_or(Family::Ipv4)
    }

    pub(crate) fn ike_lifetimes(&self) -> Lifetimes {
        let s = &*self.settings;
        let (margin, fuzz_percent) = margin_within(s.ike_life, s);
        Lifetimes {
            life: s.ike_life,
            margin,
            fuzz_percent,
            max_bytes: u64::MAX,
            max_packets: u64::MAX,
            rekey: s.rekey,
        }
    }

    pub(crate) fn child_lifetimes(&self) -> Lifetimes {
        let s = &*self.settings;
        let (margin, fuzz_percent) = margin_within(s.child_life, s);
        let limit = |n| if n >= crate::settings::NO_LIMIT { u64::MAX } else { n };
        Lifetimes {
            life: s.child_life,
            margin,
            fuzz_percent,
            max_bytes: limit(s.max_bytes),
            max_packets: limit(s.max_packets),
            rekey: s.rekey,
        }
    }

    pub(crate) fn retransmit(&self) -> Retransmit {
        Retransmit {
            interval: self.settings.retransmit_interval,
            timeout: self.settings.retransmit_timeout(),
            configured: self.settings.retransmit_timeout.is_some(),
        }
    }
}

/// The margin and its fuzz; a margin that leaves nothing of a short life becomes a quarter
/// of it, which may double.
fn margin_within(life: std::time::Duration, s: &Settings) -> (std::time::Duration, u32) {
    let grown = s.rekey_margin.as_millis().saturating_mul(u128::from(s.rekey_fuzz) + 100) / 100;
    if grown < life.as_millis() {
        (s.rekey_margin, s.rekey_fuzz)
    } else {
        (life / 4, s.rekey_fuzz.min(100))
    }
}

fn ike_proposals(text: Option<&str>) -> Result<Arc<IkeProposals>, SpecError> {
    static DEFAULT: OnceLock<Arc<IkeProposals>> = OnceLock::new();
    match text {
        None => Ok(Arc::clone(DEFAULT.get_or_init(|| Arc::new(IkeProposals::default_v2())))),
        Some(text) => IkeProposals::parse(text)
            .map(Arc::new)
            .map_err(|e| SpecError::invalid("ike", text, e.to_string())),
    }
}

fn child_proposals(key: &ChildKey) -> Result<Arc<ChildProposals>, SpecError> {
    static DEFAULT: OnceLock<Arc<ChildProposals>> = OnceLock::new();
    let build = |text: Option<&str>| {
        let keyword = if key.protocol == ProtocolId::AH { "ah" } else { "esp" };
        let mut all = match text {
            None => ChildProposals::default_v2(key.protocol),
            Some(text) => ChildProposals::parse(key.protocol, text, key.pfs)
                .map_err(|e| SpecError::invalid(keyword, text, e.to_string()))?,
        };
        // sn= within a proposal is said of that proposal and stays.
        let said = text.is_some_and(|t| t.to_ascii_lowercase().contains("sn="));
        if !said {
            for one in &mut all.proposals {
                one.sn = sequence_numbers(key.esn);
            }
        }
        Ok(Arc::new(all))
    };
    if key.text.is_none() && key.protocol == ProtocolId::ESP && key.esn == Esn::Either {
        if let Some(default) = DEFAULT.get() {
            return Ok(Arc::clone(default));
        }
        let built = build(None)?;
        return Ok(Arc::clone(DEFAULT.get_or_init(|| built)));
    }
    build(key.text.as_deref())
}

fn sequence_numbers(esn: Esn) -> Vec<SnId> {
    match esn {
        Esn::Yes => vec![SnId::SEQUENTIAL_64],
        Esn::No => vec![SnId::SEQUENTIAL_32],
        Esn::Either => vec![SnId::SEQUENTIAL_64, SnId::SEQUENTIAL_32],
    }
}

/// A name is shown in quotes and typed on command lines.
fn check_name(name: &str) -> Result<(), SpecError> {
    let printable =
        |c: char| c.is_ascii_graphic() && c != '"' || !c.is_ascii() && c.is_alphanumeric();
    if name.is_empty() {
        Err(SpecError::conflict("", "", "the connection has no name"))
    } else if name.len() > 255 {
        Err(SpecError::conflict("", "", "the connection's name is longer than 255 octets"))
    } else if !name.chars().all(printable) {
        let why = format!("the connection's name {name:?} has a blank, quote or control character");
        Err(SpecError::conflict("", "", why))
    } else {
        Ok(())
    }
}

pub(crate) fn told(spec: &crate::EndSpec, name: &str) -> String {
    spec.0.get(name).cloned().unwrap_or_default()
}

pub(crate) fn option(spec: &ConnectionSpec, name: &str) -> String {
    spec.options.get(name).cloned().unwrap_or_default()
}

fn check_end(side: Side, end: &End, spec: &crate::EndSpec) -> Result<(), SpecError> {
    let side = side.name();
    let restricted = |s: &Selector| s.protocol != 0 || (s.start_port, s.end_port) != (0, u16::MAX);
    if end.proto_port.is_some() {
        let value = told(spec, "protoport");
        if end.subnets.len() > 1 {
            let why =
                format!("{side}subnet= has several selectors: write /PROTOCOL/PORT behind each");
            return Err(SpecError::conflict(&format!("{side}protoport"), &value, why));
        }
        if end.subnets.iter().any(restricted) {
            let why = format!("{side}subnet= has a protocol of its own");
            return Err(SpecError::conflict(&format!("{side}protoport"), &value, why));
        }
    }
    for source in &end.source_ips {
        let inside = |s: &Selector| s.addresses.start() <= *source && *source <= s.addresses.end();
        let same = |s: &Selector| s.addresses.start().is_ipv4() == source.is_ipv4();
        if !end.subnets.is_empty() && !end.subnets.iter().any(|s| same(s) && inside(s)) {
            let why = format!("{source} is not within {side}subnet={}", told(spec, "subnet"));
            let value = told(spec, "sourceip");
            return Err(SpecError::conflict(&format!("{side}sourceip"), &value, why));
        }
    }
    Ok(())
}

fn check_families(draft: &Draft, spec: &ConnectionSpec) -> Result<(), SpecError> {
    let (left, right) = (draft.left.host.family(), draft.right.host.family());
    if let (Some(l), Some(r)) = (left, right)
        && l != r
    {
        let (lv, rv) = (told(&spec.left, "host"), told(&spec.right, "host"));
        let why = format!("address family of left={lv} conflicts with right={rv}");
        return Err(SpecError::conflict("", "", why));
    }
    if let (Some(want), Some(is)) = (draft.settings.family, left.or(right))
        && want != is
    {
        let why = format!("the ends' addresses are {}", is.name());
        return Err(SpecError::conflict("hostaddrfamily", want.name(), why));
    }
    // What is given and asked for has families of its own.
    if crate::configuration::is_used(draft) {
        return Ok(());
    }
    let host = left.or(right).or(draft.settings.family).map(Family::any_address);
    let pick = |end: &End| match &end.host {
        Host::Address(address) => Some(*address),
        _ => host,
    };
    // Pairs of one family must exist; host-to-host traffic of unknown family may.
    let (l, r) =
        (draft.left.selectors(pick(&draft.left)), draft.right.selectors(pick(&draft.right)));
    if !l.is_empty() && !r.is_empty() && crate::selector_pairs(&l, &r).next().is_none() {
        let shown = |side: &str, end: &crate::EndSpec| match end.0.get("subnet") {
            Some(subnet) => format!("{side}subnet={subnet}"),
            None => format!("{side}={}", told(end, "host")),
        };
        let (left, right) = (shown("left", &spec.left), shown("right", &spec.right));
        let why = format!("address family of {left} conflicts with {right}");
        return Err(SpecError::conflict("", "", why));
    }
    Ok(())
}

fn check_pair(draft: &Draft, spec: &ConnectionSpec) -> Result<(), SpecError> {
    let any = |end: &End| matches!(end.host, Host::Any(_));
    if any(&draft.left) && any(&draft.right) {
        let why = "left and right are both %any: one end must be this host";
        return Err(SpecError::conflict("", "", why));
    }
    if draft.left.port_wildcard() && draft.right.port_wildcard() {
        let value = told(&spec.right, "protoport");
        let why = "both ends have a port of %any";
        return Err(SpecError::conflict("rightprotoport", &value, why));
    }
    let same_port = draft.left.ike_port == draft.right.ike_port;
    if let (Host::Address(left), Host::Address(right)) = (&draft.left.host, &draft.right.host)
        && left == right
        && same_port
    {
        let value = told(&spec.right, "host");
        return Err(SpecError::conflict("right", &value, "left has the same address"));
    }
    Ok(())
}

fn check_auth(draft: &Draft, spec: &ConnectionSpec) -> Result<(), SpecError> {
    let shunt = draft.settings.never_negotiates();
    let value = option(spec, "authby");
    if draft.settings.authby == AuthbyWord::Never && !shunt {
        let why = "needs type=passthrough or type=drop";
        return Err(SpecError::conflict("authby", &value, why));
    }
    match (draft.left.auth, draft.right.auth) {
        (Some(_), None) => {
            let value = told(&spec.left, "auth");
            Err(SpecError::conflict("leftauth", &value, "needs rightauth= too"))
        }
        (None, Some(_)) => {
            let value = told(&spec.right, "auth");
            Err(SpecError::conflict("rightauth", &value, "needs leftauth= too"))
        }
        (Some(l), Some(r)) if l != r => {
            let value = told(&spec.left, "auth");
            let why = format!("cannot be mixed with rightauth={}", told(&spec.right, "auth"));
            Err(SpecError::conflict("leftauth", &value, why))
        }
        (None, None) if draft.settings.authby == AuthbyWord::Unset && !shunt => {
            let why = "authby=rsasig,ecdsa (the default) is not supported yet: \
                       say authby=secret or authby=null";
            Err(SpecError::conflict("", "", why))
        }
        _ => Ok(()),
    }
}

fn check_traffic(draft: &Draft, spec: &ConnectionSpec) -> Result<(), SpecError> {
    let s = &draft.settings;
    if let (Some(_), Some(ah)) = (&draft.esp, &draft.ah) {
        return Err(SpecError::conflict("ah", ah, "esp= is given too; use one of the two"));
    }
    let contrary = match s.phase2 {
        Some(ProtocolId::ESP) => draft.ah.as_ref().map(|v| ("ah", v, "phase2=esp")),
        Some(_) => draft.esp.as_ref().map(|v| ("esp", v, "phase2=ah")),
        None => None,
    };
    if let Some((keyword, value, other)) = contrary {
        return Err(SpecError::conflict(keyword, value, format!("{other} is given")));
    }
    let ah = s.phase2 == Some(ProtocolId::AH) || draft.ah.is_some();
    if s.tfc != 0 && (ah || s.kind == ConnectionType::Transport) {
        let why = "needs ESP in tunnel mode";
        return Err(SpecError::conflict("tfc", &option(spec, "tfc"), why));
    }
    if s.kind == ConnectionType::Transport {
        if s.mobike {
            // RFC 4555, 1.2: only the outer addresses of tunnels move.
            let why = "needs type=tunnel";
            return Err(SpecError::conflict("mobike", &option(spec, "mobike"), why));
        }
        for (side, end, told_end) in
            [("left", &draft.left, &spec.left), ("right", &draft.right, &spec.right)]
        {
            let host = |s: &Selector| s.addresses.start() == s.addresses.end();
            if !end.subnets.iter().all(host) {
                let why = "transport mode protects the hosts themselves; use type=tunnel";
                let value = told(told_end, "subnet");
                return Err(SpecError::conflict(&format!("{side}subnet"), &value, why));
            }
        }
    }
    Ok(())
}

/// Whoever gets an address asks for everything and is narrowed to that address.
fn check_narrowing(draft: &Draft, spec: &ConnectionSpec) -> Result<(), SpecError> {
    let said = |name: &&String| {
        keyword(Scope::Connection, name).is_some_and(|keyword| keyword.name == "narrowing")
    };
    let Some(said) = spec.options.keys().find(said).filter(|_| !draft.settings.narrowing) else {
        return Ok(());
    };
    for (side, end, told_end) in
        [("left", &draft.left, &spec.left), ("right", &draft.right, &spec.right)]
    {
        if !end.address_pool.is_empty() {
            let why = format!("conflicts with {side}addresspool={}", told(told_end, "addresspool"));
            return Err(SpecError::conflict(said, &option(spec, said), why));
        }
    }
    Ok(())
}

/// What is accepted of peers that rekey their own way.
fn check_rekey_pfs(draft: &Draft, spec: &ConnectionSpec) -> Result<(), SpecError> {
    if draft.settings.ms_dh_downgrade && draft.settings.pfs_rekey_workaround {
        let keyword = "pfs-rekey-workaround";
        let why = "excludes ms-dh-downgrade=yes";
        return Err(SpecError::conflict(keyword, &option(spec, keyword), why));
    }
    Ok(())
}

/// Fills in what follows from other keywords, and warns of what has no effect.
fn settle(draft: &mut Draft, spec: &ConnectionSpec) -> Result<(), SpecError> {
    let narrows = crate::configuration::is_used(draft);
    let s = &mut draft.settings;
    s.narrowing |= narrows;
    if draft.ah.is_some() {
        s.phase2 = Some(ProtocolId::AH);
    }
    for (own, keyword) in [(&mut s.mark_in, "mark-in"), (&mut s.mark_out, "mark-out")] {
        if s.mark.is_some() && own.is_some() {
            draft.warnings.push(format!("{keyword}= overrides mark={}", option(spec, "mark")));
        }
        *own = own.or(s.mark);
    }
    if !s.dpd_timeout.is_zero() {
        draft.warnings.push("dpdtimeout= is for IKEv1; retransmit-timeout= counts".to_owned());
    }
    if s.fragmentation == crate::Fragmentation::Force {
        let warning = "fragmentation=force: as yes, but with the smallest fragments from the start";
        draft.warnings.push(warning.to_owned());
    }
    if s.replay_window == 0 && s.esn == Esn::Yes {
        let why = "replay-window=0 switches extended sequence numbers off";
        return Err(SpecError::conflict("esn", "yes", why));
    }
    for (life, keyword) in [(s.ike_life, "ikelifetime"), (s.child_life, "ipsec-lifetime")] {
        if s.rekey && margin_within(life, s).0 != s.rekey_margin {
            draft.warnings.push(format!(
                "rekeymargin={}s leaves nothing of {keyword}={}s; a quarter is used",
                s.rekey_margin.as_secs(),
                life.as_secs()
            ));
        }
    }
    Ok(())
}
