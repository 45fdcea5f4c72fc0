//! Totals: what Child SAs have carried, and setting all to zero.

use super::Supervisor;
use crate::kernel::judge;
use crate::log::Subject;
use pluto_messages::{ClearCounters, DescribeKernel, ReadCounters, Reporter};
use pluto_states::{ChildUp, Level};
use std::rc::Rc;
use std::sync::Arc;

impl Supervisor {
    /// `--clearstats`. Whoever waits is told when the data plane has said what it had dropped,
    /// so that what he lists next is zero, too.
    pub(super) fn clear_totals(&mut self, reporter: &Reporter) {
        self.shell.tally.borrow_mut().clear(self.panics);
        if let Some(listener) = &self.listener {
            listener.addr.do_send(ClearCounters);
        }
        let kernel = self.shell.kernel.send(DescribeKernel);
        let (shell, reporter) = (Rc::clone(&self.shell), reporter.clone());
        actix_rt::spawn(async move {
            // One that does not answer is not listed either.
            if let Ok(Ok(kernel)) = kernel.await {
                shell.tally.borrow_mut().clear_dropped(kernel.dropped);
            }
            let text = "counters are set to zero";
            shell.log.info(text);
            reporter.say(pluto_whack::codes::LOG, text);
        });
    }

    /// A Child SA goes: what it has carried is said, and added up. To be asked before its SAs
    /// are removed.
    pub(super) fn settle_accounts(&self, up: Arc<ChildUp>) {
        let shell = Rc::clone(&self.shell);
        let counters = shell.kernel.send(ReadCounters(up.child.0));
        actix_rt::spawn(async move {
            // An SA that the kernel has removed, at its hard limit, is not there any more.
            let Ok(counters) = judge(counters.await) else { return };
            let subject = Subject {
                name: Some(&up.policy.log_name),
                connection: Some(up.policy.connection),
                serial: Some(up.child),
            };
            let text = format_args!(
                "{} traffic information: in={}B out={}B",
                up.protocol, counters.bytes_in, counters.bytes_out
            );
            shell.log.line(Level::Info, &subject, text);
            shell.tally.borrow_mut().carried(up.protocol, &counters);
        });
    }
}
