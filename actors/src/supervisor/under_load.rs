//! Orders about load and about faults that are injected on purpose.

use super::Supervisor;
use pluto_messages::{AskForCookies, Reporter};
use pluto_whack::codes;
use pluto_whack::pluto_options::DdosMode;

impl Supervisor {
    /// `--ddos-busy`, `--ddos-auto`, `--ddos-unlimited`.
    pub(super) fn ddos_mode(&mut self, mode: &str, reporter: &Reporter) {
        let Some(mode) = DdosMode::by_name(mode) else {
            let text = format!("DDoS mode '{mode}' is not one of auto, busy, unlimited");
            return reporter.say(codes::BADWHACKMESSAGE, text);
        };
        let threshold = self.settings.setup.ddos_ike_threshold;
        let cookies = match mode {
            DdosMode::Auto => usize::try_from(threshold).unwrap_or(usize::MAX),
            DdosMode::Busy => 0,
            DdosMode::Unlimited => usize::MAX,
        };
        let before = std::mem::replace(&mut self.settings.setup.ddos_mode, mode.name().into());
        // A listener that is started again has it too.
        self.settings.thresholds.cookies = cookies;
        if let Some(listener) = &self.listener {
            listener.addr.do_send(AskForCookies(cookies));
        }
        let text = format!("DDoS mode changed from {before} to {}", mode.name());
        self.shell.log.info(&text);
        reporter.say(codes::LOG, text);
    }

    /// `--impair`.
    pub(super) fn impair(
        &self,
        add: &[String],
        remove: &[String],
        clear: bool,
        reporter: &Reporter,
    ) {
        let impair = &self.shell.impair;
        if clear {
            impair.clear();
        }
        for name in remove {
            if let Err(why) = impair.remove(name) {
                reporter.say(codes::BADWHACKMESSAGE, why);
            }
        }
        for text in add {
            match text.as_str() {
                "list" | "help" => {
                    impair.listed().into_iter().for_each(|line| reporter.say(codes::LOG, line));
                }
                "none" => impair.clear(),
                text => {
                    if let Err(why) = impair.add(text) {
                        reporter.say(codes::BADWHACKMESSAGE, why);
                    }
                }
            }
        }
        if impair.is_on() {
            self.shell.log.warn("IKE messages are impaired on purpose (--impair)");
        }
    }
}
