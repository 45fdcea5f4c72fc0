//! A backend that installs nothing.

use crate::error::refused;
use crate::interfaces::Host;
use crate::ledger::child_sas;
use crate::policy::bare_policies;
use crate::{
    Capabilities, Counters, InstalledSa, InterfaceAddress, Kernel, KernelError, Ledger, PolicySpec,
    RouteAnswer, RouteChange, SaMove, SaPairSpec, SpiRequest,
};
use pluto_crypto::{Entropy, SystemEntropy};
use std::fmt;
use std::net::IpAddr;

/// Negotiates only, as pluto without KLIPS did: nothing is installed, nothing is counted.
///
/// Addresses and routes of the host are read as the real backends read them, since IKE
/// itself is real.
pub struct NoneKernel {
    entropy: Box<dyn Entropy + Send>,
    /// Opened when it is asked for something.
    host: Option<Host>,
    ledger: Ledger,
    capabilities: Capabilities,
}

impl fmt::Debug for NoneKernel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("NoneKernel").field("ledger", &self.ledger).finish_non_exhaustive()
    }
}

impl Default for NoneKernel {
    fn default() -> Self {
        Self::new(Box::new(SystemEntropy))
    }
}

impl NoneKernel {
    /// SPIs come from `entropy`.
    #[must_use]
    pub fn new(entropy: Box<dyn Entropy + Send>) -> Self {
        // Whatever is negotiated is as good as any other: nothing carries traffic.
        let capabilities = Capabilities {
            esp: true,
            esp_missing: None,
            ah: true,
            sa_direction: false,
            migrate: false,
            raw_esp: true,
        };
        Self { entropy, host: None, ledger: Ledger::default(), capabilities }
    }

    fn host(&mut self) -> Result<&mut Host, KernelError> {
        let host = match self.host.take() {
            Some(host) => host,
            None => Host::open()?,
        };
        Ok(self.host.insert(host))
    }
}

impl Kernel for NoneKernel {
    fn name(&self) -> &'static str {
        "none"
    }

    fn capabilities(&self) -> &Capabilities {
        &self.capabilities
    }

    fn allocate_spi(&mut self, request: &SpiRequest) -> Result<u32, KernelError> {
        // RFC 4303, 2.1: 1 to 255 are reserved; below 0x1000 is left alone for old kernels.
        let mut octets = [0; 4];
        for _ in 0..64 {
            self.entropy.fill(&mut octets);
            let spi = u32::from_be_bytes(octets);
            if spi >= 0x1000 && self.ledger.child_of(request.local, spi).is_none() {
                let sa = InstalledSa {
                    protocol: request.protocol,
                    source: request.remote,
                    destination: request.local,
                    spi,
                    inbound: true,
                    larval: true,
                    mark: None,
                };
                self.ledger.add_sa(request.child, sa);
                return Ok(spi);
            }
        }
        Err(refused("allocate an SPI", libc::ENOENT))
    }

    fn install(&mut self, spec: &SaPairSpec) -> Result<(), KernelError> {
        self.install_inbound(spec)?;
        self.install_outbound(spec)
    }

    fn install_inbound(&mut self, spec: &SaPairSpec) -> Result<(), KernelError> {
        self.ledger.add_sa(spec.child, child_sas(spec).0);
        self.ledger.claim_child(spec, false);
        Ok(())
    }

    fn install_outbound(&mut self, spec: &SaPairSpec) -> Result<(), KernelError> {
        self.ledger.add_sa(spec.child, child_sas(spec).1);
        self.ledger.begin_sending(spec);
        Ok(())
    }

    fn stop_sending(&mut self, child: u64) -> Result<(), KernelError> {
        self.ledger.stop_sending(child, true);
        Ok(())
    }

    fn move_sa(&mut self, to: &SaMove) -> Result<(), KernelError> {
        self.ledger.move_child(to);
        Ok(())
    }

    fn remove(&mut self, child: u64) -> Result<(), KernelError> {
        self.ledger.stop_sending(child, false);
        self.ledger.take_child(child);
        Ok(())
    }

    fn set_policies(&mut self, connection: u64, spec: &PolicySpec) -> Result<(), KernelError> {
        self.ledger.replace_claims(connection, &bare_policies(spec));
        Ok(())
    }

    fn remove_policies(&mut self, connection: u64) -> Result<(), KernelError> {
        for key in self.ledger.policies_of(connection) {
            self.ledger.release(connection, key);
        }
        Ok(())
    }

    fn forget_wishes(&mut self, connection: u64) {
        self.ledger.forget_wishes(connection);
    }

    fn counters(&mut self, child: u64) -> Result<Counters, KernelError> {
        if self.ledger.children.contains_key(&child) {
            return Ok(Counters::default());
        }
        Err(refused(format!("read counters of #{child}"), libc::ESRCH))
    }

    fn ledger(&self) -> &Ledger {
        &self.ledger
    }

    fn adopt(&mut self, ledger: Ledger) {
        self.ledger = ledger;
    }

    fn route(&mut self, _change: &RouteChange) -> Result<(), KernelError> {
        Ok(())
    }

    fn route_to(&mut self, destination: IpAddr) -> Result<RouteAnswer, KernelError> {
        self.host()?.route_to(destination)
    }

    fn addresses(&mut self) -> Result<Vec<InterfaceAddress>, KernelError> {
        self.host()?.addresses(&Ledger::default())
    }

    fn flush(&mut self) {
        self.ledger = Ledger::default();
    }
}
