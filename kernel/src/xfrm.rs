//! The kernel's own IPsec, asked over netlink.

pub(crate) mod acquire;
mod algorithm;
pub(crate) mod attr;
pub(crate) mod expire;
mod migrate;
pub(crate) mod policy;
mod probe;
mod sa;
mod spi;

use crate::error::refused;
use crate::interfaces::Host;
use crate::ledger::{Found, Undo, child_sas};
use crate::netlink::{Netlink, Refusal};
use crate::policy::bare_policies;
use crate::types::Halves;
use crate::{
    Capabilities, Counters, InstalledSa, InterfaceAddress, Kernel, KernelError, KernelEvent,
    Ledger, PolicyChange, PolicySpec, RouteAnswer, RouteChange, SaMove, SaPairSpec, SpiRequest,
};
use attr::{XFRM_MSG_NEWSA, XFRM_MSG_UPDSA};
use migrate::Way;
use rustc_hash::FxHashMap;
use std::net::IpAddr;

/// Changes of policies that go out in one datagram: each is up to five requests of some
/// 300 octets, and a socket takes 200 KiB.
const CHANGES_AT_ONCE: usize = 64;

/// How to set the kernel up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct XfrmOptions {
    /// Seconds that a reservation and an unanswered ACQUIRE last
    /// (`net.core.xfrm_acq_expires`, `expire-lifetime=`).
    pub acquire_seconds: u32,
    /// Find policies by the peer's address whatever our side is, so that thousands of
    /// road warriors do not slow each other down.
    pub hash_by_remote: bool,
}

impl Default for XfrmOptions {
    fn default() -> Self {
        Self { acquire_seconds: 30, hash_by_remote: true }
    }
}

/// XFRM.
#[derive(Debug)]
pub struct XfrmKernel {
    netlink: Netlink,
    host: Host,
    ledger: Ledger,
    capabilities: Capabilities,
    notes: Vec<String>,
}

impl XfrmKernel {
    /// Opens netlink, sets the kernel up and tries what it can do. A kernel without ESP is
    /// no error: [`Capabilities::esp_missing`] says it.
    ///
    /// # Errors
    /// No netlink for XFRM or routes, or no permission.
    pub fn open(options: &XfrmOptions) -> Result<Self, KernelError> {
        let mut netlink = Netlink::open(libc::NETLINK_XFRM).map_err(|mut error| {
            if error.errno == libc::EPROTONOSUPPORT {
                error.why = "this kernel has no XFRM (CONFIG_XFRM_USER)".to_owned();
            }
            error
        })?;
        let host = Host::open()?;
        let mut notes = Vec::new();
        let path = "/proc/sys/net/core/xfrm_acq_expires";
        if let Err(error) = std::fs::write(path, format!("{}\n", options.acquire_seconds)) {
            notes.push(format!("cannot set {path}: {error}"));
        }
        if options.hash_by_remote {
            policy::hash_by_remote(netlink.requests());
            if let Err(error) = netlink.transact_one(|| "set the policy hash".to_owned()) {
                notes.push(error.to_string());
            }
        }
        let capabilities = probe::capabilities(&mut netlink)?;
        Ok(Self { netlink, host, ledger: Ledger::default(), capabilities, notes })
    }

    /// What could not be set up and does no harm, in sentences for the log.
    #[must_use]
    pub fn notes(&self) -> &[String] {
        &self.notes
    }

    /// Ports of our sockets: changes that these cause are no news to us
    /// (see [`crate::Events`]).
    #[must_use]
    pub fn ports(&self) -> Vec<u32> {
        vec![self.netlink.port(), self.host.port()]
    }

    /// Removes all SAs and policies, whoever made them, and source addresses that bear our
    /// signs: at start they are a predecessor's that was killed.
    ///
    /// # Errors
    /// See [`KernelError`].
    pub fn reset(&mut self) -> Result<(), KernelError> {
        let requests = self.netlink.requests();
        policy::flush(requests);
        sa::flush(requests);
        let refusals = self.netlink.transact()?;
        self.ledger = Ledger::default();
        // ESRCH: there were none.
        match refusals.into_iter().find(|refusal| refusal.errno != libc::ESRCH) {
            Some(refusal) => Err(refusal.of("flush SAs and policies")),
            None => {
                self.host.remove_stale_routes()?;
                self.host.remove_stale(&mut self.ledger)
            }
        }
    }

    /// Carries changes of policies out; the first refusal is told, the rest is done.
    fn change_policies(&mut self, changes: &[PolicyChange]) -> Result<(), KernelError> {
        let mut first = Ok(());
        for part in changes.chunks(CHANGES_AT_ONCE) {
            let requests = self.netlink.requests();
            for change in part {
                policy::change(requests, change);
            }
            let refusals = self.netlink.transact()?;
            if let Some(refusal) = refusals.into_iter().find(not_missing)
                && first.is_ok()
            {
                first = Err(refusal.of("change IPsec policies"));
            }
        }
        first
    }

    /// Removes SAs; what is not there is no error.
    fn remove_sas(&mut self, sas: &[InstalledSa]) -> Result<(), KernelError> {
        self.change_and_remove(&[], sas)
    }

    /// Changes policies, and then removes the SAs that they do not name any more.
    fn change_and_remove(
        &mut self,
        changes: &[PolicyChange],
        sas: &[InstalledSa],
    ) -> Result<(), KernelError> {
        let (first, last) = changes.split_at(changes.len().saturating_sub(CHANGES_AT_ONCE));
        let changed = self.change_policies(first);
        let requests = self.netlink.requests();
        for change in last {
            policy::change(requests, change);
        }
        for sa in sas {
            sa::remove(requests, sa);
        }
        match self.netlink.transact()?.into_iter().find(not_missing) {
            Some(refusal) => Err(refusal.of("remove SAs")),
            None => changed,
        }
    }

    /// Goes back to what a connection had before.
    fn undo_policies(&mut self, connection: u64, undo: Vec<Undo>) {
        let back: Vec<_> =
            undo.into_iter().rev().map(|undo| self.ledger.undo(connection, undo)).collect();
        // The kernel may not know some of them: the error that led here matters more.
        let _ = self.change_policies(&back);
    }

    /// Sends SAs and the first policies in one datagram, the further policies after it; gives
    /// the refusals by SA, and the first of a policy.
    fn try_install(
        &mut self,
        spec: &SaPairSpec,
        sas: &[InstalledSa],
        changes: &[PolicyChange],
    ) -> Result<(), Failed> {
        let directions = self.capabilities.sa_direction;
        let (first, rest) = changes.split_at(changes.len().min(CHANGES_AT_ONCE));
        let requests = self.netlink.requests();
        for sa in sas {
            // The inbound SA takes the place of its reservation.
            let kind = if sa.inbound { XFRM_MSG_UPDSA } else { XFRM_MSG_NEWSA };
            sa::install(requests, kind, spec, sa, directions);
        }
        for change in first {
            policy::change(requests, change);
        }
        let mut refusals = self.netlink.transact().map_err(Failed::all)?;
        let (mut outbound_made, mut error) = (true, None);
        for (number, sa) in sas.iter().enumerate() {
            let at = refusals.iter().position(|refusal| refusal.request == number);
            let Some(refusal) = at.map(|at| refusals.swap_remove(at)) else { continue };
            if let Err(refused) = self.try_again(spec, sa, refusal) {
                outbound_made &= sa.inbound;
                error = error.or(Some(refused));
            }
        }
        let policies = match refusals.into_iter().find(not_missing) {
            Some(refusal) => Err(refusal.of("install IPsec policies")),
            None => self.change_policies(rest),
        };
        match error.or(policies.err()) {
            Some(error) => Err(Failed { error, outbound_made }),
            None => Ok(()),
        }
    }

    /// An SA was refused: because its reservation has run out, or because a stale one of
    /// the same name, that is nobody's, is in its way?
    fn try_again(
        &mut self,
        spec: &SaPairSpec,
        sa: &InstalledSa,
        refusal: Refusal,
    ) -> Result<(), KernelError> {
        let stale = refusal.errno == libc::EEXIST
            && !sa.inbound
            && self.ledger.child_of(sa.destination, sa.spi) == Some(spec.child);
        let expired = refusal.errno == libc::ESRCH && sa.inbound;
        let what = || {
            let way = if sa.inbound { "inbound" } else { "outbound" };
            format!("install {way} {} SA {:#010x}", sa.protocol, sa.spi)
        };
        if !stale && !expired {
            return Err(refusal.of(what()));
        }
        if stale {
            self.remove_sas(std::slice::from_ref(sa))?;
        }
        let requests = self.netlink.requests();
        sa::install(requests, XFRM_MSG_NEWSA, spec, sa, self.capabilities.sa_direction);
        self.netlink.transact_one(what)
    }

    /// Installs the inbound SA, or both, with the policies.
    fn install_halves(&mut self, spec: &SaPairSpec, halves: Halves) -> Result<(), KernelError> {
        let (inbound, outbound) = child_sas(spec);
        let both = [inbound, outbound];
        let sas = if halves == Halves::Both { &both[..] } else { std::slice::from_ref(&inbound) };
        if self.ledger.is_installed(spec.child) {
            return Err(refused(format!("install #{} twice", spec.child), libc::EEXIST));
        }
        let reserved = self.ledger.children.get(&spec.child).map(|owned| owned.sas.clone());
        let reserved = reserved.unwrap_or_default();
        if let Err(error) = self.check(spec, halves) {
            let _ = self.remove_sas(&reserved);
            self.ledger.take_child(spec.child);
            return Err(error);
        }
        for sa in sas {
            self.ledger.add_sa(spec.child, *sa);
        }
        let (changes, undo) = self.ledger.claim_child(spec, halves == Halves::Both);
        let Err(failed) = self.try_install(spec, sas, &changes) else { return Ok(()) };
        self.undo_policies(spec.connection, undo);
        // What was reserved goes too; the outbound SA is ours only if we have made it.
        let mut made = reserved;
        made.push(inbound);
        made.extend((halves == Halves::Both && failed.outbound_made).then_some(outbound));
        let _ = self.remove_sas(&made);
        self.ledger.take_child(spec.child);
        Err(failed.error)
    }

    /// Lets the kernel change the source of the inbound SA, where it can: else it goes before
    /// it comes again, and packets of that moment are lost.
    fn migrate_inbound(
        &mut self,
        moved: &[(InstalledSa, InstalledSa)],
        found: &[Vec<u8>],
        changes: &[PolicyChange],
        to: &SaMove,
    ) -> Option<InstalledSa> {
        let mut all = moved.iter().zip(found);
        let ((old, new), _) = all.find(|((old, new), sa)| migrate::can(old, new, sa, to))?;
        let change = changes.first().filter(|_| self.capabilities.migrate)?;
        if !migrate::inbound(self.netlink.requests(), change, (old, new), to) {
            return None;
        }
        // Whether it did, and with this SA, is seen by what is there now.
        let _ = self.netlink.transact();
        let mut is_there = false;
        sa::ask(self.netlink.requests(), new);
        let asked = self.netlink.ask(|_, message| {
            is_there = migrate::source(message.payload) == Some(new.source);
        });
        (asked.is_ok() && is_there).then_some(*new)
    }

    /// Whether the specification makes sense, before anything is asked.
    fn check(&self, spec: &SaPairSpec, halves: Halves) -> Result<(), KernelError> {
        let no = |errno, why: String| {
            let what = format!("install {} SAs of #{}", spec.protocol, spec.child);
            Err(KernelError { what, errno, why })
        };
        if let Some(missing) = &self.capabilities.esp_missing
            && spec.protocol == pluto_wire::numbers::ProtocolId::ESP
        {
            return no(libc::EPROTONOSUPPORT, missing.clone());
        }
        if spec.replay_window > sa::LARGEST_WINDOW {
            let why = format!("a replay window of {} exceeds 4096 packets", spec.replay_window);
            return no(libc::EINVAL, why);
        }
        if spec.local.is_ipv4() != spec.remote.is_ipv4() {
            return no(libc::EINVAL, "the ends are of different address families".to_owned());
        }
        let (inbound, outbound) = child_sas(spec);
        let sas = match halves {
            Halves::Both => vec![inbound, outbound],
            Halves::Inbound => vec![inbound],
            Halves::Outbound => vec![outbound],
        };
        for sa in sas {
            let owner = self.ledger.child_of(sa.destination, sa.spi);
            if let Some(other) = owner.filter(|owner| *owner != spec.child) {
                return no(libc::EEXIST, format!("#{other} has an SA with the SPI {:#x}", sa.spi));
            }
        }
        algorithm::check(spec.protocol, &spec.keys_in)?;
        algorithm::check(spec.protocol, &spec.keys_out)
    }
}

/// An installation that failed, and whether its outbound SA is there all the same.
struct Failed {
    error: KernelError,
    outbound_made: bool,
}

impl Failed {
    /// Nobody knows how far it got.
    fn all(error: KernelError) -> Self {
        Self { error, outbound_made: true }
    }
}

/// ESRCH and ENOENT: what was to be removed is not there.
fn not_missing(refusal: &Refusal) -> bool {
    refusal.errno != libc::ESRCH && refusal.errno != libc::ENOENT
}

impl Kernel for XfrmKernel {
    fn name(&self) -> &'static str {
        "xfrm"
    }

    fn capabilities(&self) -> &Capabilities {
        &self.capabilities
    }

    fn allocate_spi(&mut self, request: &SpiRequest) -> Result<u32, KernelError> {
        let mut larval = InstalledSa {
            protocol: request.protocol,
            source: request.remote,
            destination: request.local,
            spi: 0,
            inbound: true,
            larval: true,
            mark: None,
        };
        let directions = self.capabilities.sa_direction;
        spi::allocate(self.netlink.requests(), &larval, request.reqid, directions);
        let mut spi = None;
        let answer = self.netlink.ask(|_, message| spi = spi::allocated(message.payload));
        let what = || format!("allocate an SPI for {}", request.local);
        if let Some(refusal) = answer?.pop() {
            return Err(refusal.of(what()));
        }
        larval.spi = spi.ok_or_else(|| refused(what(), libc::EBADMSG))?;
        self.ledger.add_sa(request.child, larval);
        Ok(larval.spi)
    }

    fn install(&mut self, spec: &SaPairSpec) -> Result<(), KernelError> {
        self.install_halves(spec, Halves::Both)
    }

    fn install_inbound(&mut self, spec: &SaPairSpec) -> Result<(), KernelError> {
        self.install_halves(spec, Halves::Inbound)
    }

    fn install_outbound(&mut self, spec: &SaPairSpec) -> Result<(), KernelError> {
        let (_, outbound) = child_sas(spec);
        let [had_in, had_out] = [true, false].map(|half| self.ledger.has_half(spec.child, half));
        if !had_in || had_out {
            let errno = if had_in { libc::EEXIST } else { libc::ESRCH };
            return Err(refused(format!("install the outbound SA of #{}", spec.child), errno));
        }
        self.check(spec, Halves::Outbound)?;
        self.ledger.add_sa(spec.child, outbound);
        let (changes, undo) = self.ledger.begin_sending(spec);
        let Err(failed) = self.try_install(spec, &[outbound], &changes) else { return Ok(()) };
        self.undo_policies(spec.connection, undo);
        if failed.outbound_made {
            let _ = self.remove_sas(&[outbound]);
        }
        self.ledger.remove_sa(spec.child, &outbound);
        Err(failed.error)
    }

    fn stop_sending(&mut self, child: u64) -> Result<(), KernelError> {
        let changes = self.ledger.stop_sending(child, true);
        self.change_policies(&changes)
    }

    fn move_sa(&mut self, to: &SaMove) -> Result<(), KernelError> {
        let what = || format!("move the SAs of #{} to {}", to.child, to.remote);
        if to.local.is_ipv4() != to.remote.is_ipv4() || !self.ledger.is_installed(to.child) {
            return Err(refused(what(), libc::EINVAL));
        }
        let owned = self.ledger.children.get(&to.child).map(|owned| owned.sas.clone());
        let had: Vec<_> = owned.unwrap_or_default().into_iter().filter(|sa| !sa.larval).collect();
        let requests = self.netlink.requests();
        had.iter().for_each(|sa| sa::ask(requests, sa));
        let mut found = vec![Vec::new(); had.len()];
        let mut gone = false;
        let refusals = self.netlink.ask(|number, message| {
            if let Some(found) = found.get_mut(number) {
                gone |= sa::report(message.payload).is_none_or(|report| !report.has_keys);
                *found = message.payload.to_vec();
            }
        })?;
        if let Some(refusal) = refusals.into_iter().next() {
            return Err(refusal.of(what()));
        }
        if gone {
            return Err(refused(what(), libc::ESRCH));
        }
        // It may move back to where it was a moment ago.
        let left = self.ledger.take_left(to.child);
        self.remove_sas(&left)?;
        let (moved, changes) = self.ledger.move_child(to);
        let (first, rest) = changes.split_at(changes.len().min(CHANGES_AT_ONCE));
        let migrated = self.migrate_inbound(&moved, &found, &changes, to);
        let requests = self.netlink.requests();
        // What has another name can be there before its predecessor goes, so that nothing is
        // without an SA meanwhile.
        let mut later = Vec::new();
        let mut replaced = Vec::new();
        for ((old, new), state) in moved.iter().zip(&found) {
            if Some(new) == migrated.as_ref() {
                continue;
            }
            let kind = match migrate::way(old, new, state, to) {
                Way::Update => XFRM_MSG_UPDSA,
                Way::Replace => {
                    sa::remove(requests, old);
                    replaced.push((requests.len(), new, state));
                    XFRM_MSG_NEWSA
                }
                Way::Beside => {
                    // A packet for which the kernel has chosen it is lost if it goes now.
                    match old.inbound {
                        true => later.push(*old),
                        false => self.ledger.left.push((to.child, *old)),
                    }
                    XFRM_MSG_NEWSA
                }
            };
            migrate::again(requests, kind, state, new, to)
                .ok_or_else(|| refused(what(), libc::EBADMSG))?;
        }
        for change in first {
            policy::change(requests, change);
        }
        if rest.is_empty() {
            later.drain(..).for_each(|old| sa::remove(requests, &old));
        }
        let mut refusals = self.netlink.transact()?;
        for (number, new, state) in replaced {
            let met =
                |refusal: &Refusal| refusal.request == number && refusal.errno == libc::EEXIST;
            if let Some(at) = refusals.iter().position(met) {
                // A packet that met no SA meanwhile has left word that the policy wants one of
                // this SPI. It gives way to an update.
                refusals.swap_remove(at);
                migrate::again(self.netlink.requests(), XFRM_MSG_UPDSA, state, new, to)
                    .ok_or_else(|| refused(what(), libc::EBADMSG))?;
                self.netlink.transact_one(what)?;
            }
        }
        let refused = refusals.into_iter().find(not_missing);
        let changed = self.change_policies(rest);
        self.remove_sas(&later)?;
        match refused {
            Some(refusal) => Err(refusal.of(what())),
            None => changed,
        }
    }

    fn remove_left(&mut self, child: u64) -> Result<(), KernelError> {
        let left = self.ledger.take_left(child);
        let done = self.remove_sas(&left);
        if done.is_err() {
            self.ledger.left.extend(left.into_iter().map(|sa| (child, sa)));
        }
        done
    }

    fn remove(&mut self, child: u64) -> Result<(), KernelError> {
        let left = self.remove_left(child);
        let sas = self.ledger.children.get(&child).map(|owned| owned.sas.clone());
        let Some(sas) = sas else { return left };
        // What goes out goes elsewhere before the SA goes.
        let changes = self.ledger.stop_sending(child, false);
        self.change_and_remove(&changes, &sas)?;
        self.ledger.take_child(child);
        left
    }

    fn set_policies(&mut self, connection: u64, spec: &PolicySpec) -> Result<(), KernelError> {
        let replaced = self.ledger.replace_claims(connection, &bare_policies(spec));
        let (mut changes, undo): (Vec<_>, Vec<_>) = replaced.into_iter().unzip();
        changes.retain(|change| !change.is_empty());
        let done = self.change_policies(&changes);
        if done.is_err() {
            self.undo_policies(connection, undo);
        }
        done
    }

    fn remove_policies(&mut self, connection: u64) -> Result<(), KernelError> {
        let mut changes = Vec::new();
        for key in self.ledger.policies_of(connection) {
            changes.push(self.ledger.release(connection, key));
        }
        self.change_policies(&changes)
    }

    fn forget_wishes(&mut self, connection: u64) {
        self.ledger.forget_wishes(connection);
    }

    fn counters(&mut self, child: u64) -> Result<Counters, KernelError> {
        let what = || format!("read counters of #{child}");
        let owned = self.ledger.children.get(&child);
        let sas = owned.map(|owned| owned.sas.clone()).unwrap_or_default();
        if sas.is_empty() {
            return Err(refused(what(), libc::ESRCH));
        }
        let requests = self.netlink.requests();
        for sa in &sas {
            sa::ask(requests, sa);
        }
        let mut counters = Counters::default();
        let mut gone = false;
        let refusals = self.netlink.ask(|number, message| {
            let (Some(sa), Some(report)) = (sas.get(number), sa::report(message.payload)) else {
                return;
            };
            gone |= !sa.larval && !report.has_keys;
            counters.added = counters.added.max(report.added);
            if sa.inbound {
                (counters.bytes_in, counters.packets_in) = (report.bytes, report.packets);
                counters.last_in = report.used;
            } else {
                (counters.bytes_out, counters.packets_out) = (report.bytes, report.packets);
            }
        })?;
        match refusals.into_iter().next() {
            Some(refusal) => Err(refusal.of(what())),
            None if gone => Err(refused(what(), libc::ESRCH)),
            None => Ok(counters),
        }
    }

    fn missed_expiries(&mut self) -> Result<Vec<KernelEvent>, KernelError> {
        let present = std::cell::RefCell::new(FxHashMap::default());
        self.netlink.dump(
            "list SAs",
            sa::ask_all,
            |message| {
                let report = sa::report(message.payload).filter(|report| report.has_keys);
                if let (Some(name), Some(report)) = (sa::name(message.payload), report) {
                    let found = if report.worn { Found::Worn } else { Found::Well };
                    present.borrow_mut().insert(name, found);
                }
            },
            || present.borrow_mut().clear(),
        )?;
        let present = present.into_inner();
        let found = |sa: &InstalledSa| present.get(&(sa.destination, sa.spi)).copied();
        Ok(self.ledger.missed(|sa| found(sa).unwrap_or(Found::Gone)))
    }

    fn ledger(&self) -> &Ledger {
        &self.ledger
    }

    fn adopt(&mut self, ledger: Ledger) {
        self.ledger = ledger;
    }

    fn route(&mut self, change: &RouteChange) -> Result<(), KernelError> {
        self.host.route(&mut self.ledger, change)
    }

    fn route_to(&mut self, destination: IpAddr) -> Result<RouteAnswer, KernelError> {
        self.host.route_to(destination)
    }

    fn addresses(&mut self) -> Result<Vec<InterfaceAddress>, KernelError> {
        self.host.addresses(&self.ledger)
    }

    fn flush(&mut self) {
        // Nobody is left to be told of errors; what can be removed is.
        let children: Vec<u64> = self.ledger.children.keys().copied().collect();
        for child in &children {
            let _ = self.remove_left(*child);
            let owned = self.ledger.children.get(child);
            let sas = owned.map(|owned| owned.sas.clone()).unwrap_or_default();
            let _ = self.remove_sas(&sas);
        }
        let connections: Vec<u64> = self.ledger.connections.keys().copied().collect();
        for connection in connections {
            let changes = self.ledger.drop_claims(connection);
            let _ = self.change_policies(&changes);
        }
        // Not before: what would take the place of their policies need not come any more.
        for child in children {
            self.ledger.take_child(child);
        }
        self.host.remove_added(&mut self.ledger);
    }
}

#[cfg(test)]
#[path = "xfrm/tests.rs"]
mod tests;
