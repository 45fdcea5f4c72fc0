//! A kernel backend that panics when a test wants it to.

use pluto_actors::kernel::Backend;
use pluto_actors::service::Factory;
use pluto_kernel::fake::{FakeKernel, FakeTables};
use pluto_kernel::{
    Capabilities, Counters, InterfaceAddress, Kernel, KernelError, KernelEvent, Ledger, PolicySpec,
    RouteAnswer, RouteChange, SaMove, SaPairSpec, SpiRequest,
};
use std::cell::{Cell, RefCell};
use std::net::IpAddr;
use std::rc::Rc;

/// A panic in a call of the kernel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mishap {
    /// In this call (from 1, counting those that ask for something), before it does anything.
    Before(usize),
    /// In this call, when everything is done and written down.
    After(usize),
}

/// A backend that panics; each core that is made anew goes on counting.
#[derive(Debug)]
pub struct Shaky {
    inner: FakeKernel,
    calls: Rc<Cell<usize>>,
    mishaps: Rc<RefCell<Vec<Mishap>>>,
}

/// Cores for the kernel service: a new one adopts the ledger of the one that has panicked.
pub(super) fn cores(
    first: FakeKernel,
    tables: FakeTables,
    mishaps: Vec<Mishap>,
) -> Factory<Backend> {
    let (calls, mishaps) = (Rc::default(), Rc::new(RefCell::new(mishaps)));
    let mut first = Some(first);
    Box::new(move |old: Option<Backend>| {
        let mut inner = first.take().unwrap_or_else(|| FakeKernel::over(tables.clone()));
        if let Some(old) = old {
            inner.adopt(old.ledger().clone());
        }
        Box::new(Shaky { inner, calls: Rc::clone(&calls), mishaps: Rc::clone(&mishaps) })
    })
}

impl Shaky {
    #[allow(clippy::panic, reason = "this is what it is for")]
    fn shake(&self, now: Mishap) {
        let mut mishaps = self.mishaps.borrow_mut();
        if let Some(place) = mishaps.iter().position(|mishap| *mishap == now) {
            mishaps.remove(place);
            drop(mishaps);
            panic!("injected: kernel, {now:?}");
        }
    }

    fn call<T>(&mut self, f: impl FnOnce(&mut FakeKernel) -> T) -> T {
        let number = self.calls.get().saturating_add(1);
        self.calls.set(number);
        self.shake(Mishap::Before(number));
        let answer = f(&mut self.inner);
        self.shake(Mishap::After(number));
        answer
    }
}

impl Kernel for Shaky {
    fn name(&self) -> &'static str {
        self.inner.name()
    }

    fn capabilities(&self) -> &Capabilities {
        self.inner.capabilities()
    }

    fn allocate_spi(&mut self, request: &SpiRequest) -> Result<u32, KernelError> {
        self.call(|kernel| kernel.allocate_spi(request))
    }

    fn install(&mut self, spec: &SaPairSpec) -> Result<(), KernelError> {
        self.call(|kernel| kernel.install(spec))
    }

    fn install_inbound(&mut self, spec: &SaPairSpec) -> Result<(), KernelError> {
        self.call(|kernel| kernel.install_inbound(spec))
    }

    fn install_outbound(&mut self, spec: &SaPairSpec) -> Result<(), KernelError> {
        self.call(|kernel| kernel.install_outbound(spec))
    }

    fn move_sa(&mut self, to: &SaMove) -> Result<(), KernelError> {
        self.call(|kernel| kernel.move_sa(to))
    }

    fn remove_left(&mut self, child: u64) -> Result<(), KernelError> {
        self.call(|kernel| kernel.remove_left(child))
    }

    fn stop_sending(&mut self, child: u64) -> Result<(), KernelError> {
        self.call(|kernel| kernel.stop_sending(child))
    }

    fn remove(&mut self, child: u64) -> Result<(), KernelError> {
        self.call(|kernel| kernel.remove(child))
    }

    fn set_policies(&mut self, connection: u64, spec: &PolicySpec) -> Result<(), KernelError> {
        self.call(|kernel| kernel.set_policies(connection, spec))
    }

    fn remove_policies(&mut self, connection: u64) -> Result<(), KernelError> {
        self.call(|kernel| kernel.remove_policies(connection))
    }

    fn forget_wishes(&mut self, connection: u64) {
        self.call(|kernel| kernel.forget_wishes(connection));
    }

    fn counters(&mut self, child: u64) -> Result<Counters, KernelError> {
        self.call(|kernel| kernel.counters(child))
    }

    fn missed_expiries(&mut self) -> Result<Vec<KernelEvent>, KernelError> {
        self.call(Kernel::missed_expiries)
    }

    fn ledger(&self) -> &Ledger {
        self.inner.ledger()
    }

    fn adopt(&mut self, ledger: Ledger) {
        self.inner.adopt(ledger);
    }

    fn route(&mut self, change: &RouteChange) -> Result<(), KernelError> {
        self.call(|kernel| kernel.route(change))
    }

    fn route_to(&mut self, destination: IpAddr) -> Result<RouteAnswer, KernelError> {
        self.call(|kernel| kernel.route_to(destination))
    }

    fn addresses(&mut self) -> Result<Vec<InterfaceAddress>, KernelError> {
        self.call(Kernel::addresses)
    }

    fn flush(&mut self) {
        self.call(Kernel::flush);
    }
}
