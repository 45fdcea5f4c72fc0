//! The environment of a script: exactly what is listed, nothing of ours leaks into it.

use crate::dns::{DnsSetup, RESTORE};
use crate::{Facts, Verb};
use std::collections::BTreeSet;

/// Octets of one value that a script gets. Values come from peers too (identities, DNS
/// lists, banners); Linux itself takes 128 KiB a variable.
pub const LONGEST_VALUE: usize = 16 * 1024;
/// Octets of the whole environment, with names and `=`.
pub const LARGEST_ENVIRONMENT: usize = 64 * 1024;

/// What a script is given besides the facts.
#[derive(Debug, Clone, Copy)]
pub struct Surroundings<'a> {
    /// PATH: the daemon's own.
    pub path: &'a str,
    /// Whether scripts are to trace what they do (UPDOWN_DEBUG, `plutodebug=updown`).
    pub debug: bool,
    /// What they are told of this host's DNS.
    pub dns: &'a DnsSetup,
    /// Whether the stock script is to do no more than to tell the resolver of DNS servers
    /// (UPDOWN_PART).
    pub only_dns: bool,
}

impl Surroundings<'_> {
    /// PATH, `verb`, and all that does not depend on the tunnel.
    fn variables(&self, verb: String) -> Vec<(&'static str, String)> {
        let mut all = vec![
            ("PATH", self.path.to_string()),
            ("PLUTO_VERB", verb),
            ("PLUTO_DNS_RESOLVER", self.dns.resolver.clone()),
            ("PLUTO_RUNDIR", self.dns.rundir.display().to_string()),
        ];
        all.extend(self.debug.then(|| ("UPDOWN_DEBUG", "yes".to_string())));
        all.extend(self.only_dns.then(|| ("UPDOWN_PART", "dns".to_string())));
        all
    }

    /// The environment of the stock script for [`RESTORE`].
    #[must_use]
    pub fn for_restoring(&self) -> Vec<(String, String)> {
        let all = self.variables(RESTORE.to_string()).into_iter();
        all.map(|(name, value)| (name.to_string(), one_line(&value))).collect()
    }
}

/// The environment for a verb: what surrounds it, then what the facts list, each name once.
/// Control characters of values become `?`, so that a value is one line.
///
/// # Errors
/// A value or all of it is too long: a sentence that names the variable. A value that was
/// cut would be wrong without anybody's noticing.
pub fn environment(
    facts: &Facts,
    verb: Verb,
    around: Surroundings<'_>,
) -> Result<Vec<(String, String)>, String> {
    let own = around.variables(verb.with_suffix(facts));
    let mut taken = BTreeSet::new();
    let most = own.len().saturating_add(facts.environment.len());
    let mut all: Vec<(String, String)> = Vec::with_capacity(most);
    let mut size = 0_usize;
    let given = facts.environment.iter().map(|(name, value)| (name.as_str(), value.clone()));
    for (name, value) in own.into_iter().chain(given) {
        if !is_name(name) || !taken.insert(name.to_string()) {
            continue;
        }
        if value.len() > LONGEST_VALUE {
            return Err(format!("{name} is longer than {LONGEST_VALUE} octets"));
        }
        size = size.saturating_add(name.len()).saturating_add(value.len()).saturating_add(2);
        if size > LARGEST_ENVIRONMENT {
            return Err(format!(
                "the environment is larger than {LARGEST_ENVIRONMENT} octets (at {name})"
            ));
        }
        all.push((name.to_string(), one_line(&value)));
    }
    Ok(all)
}

/// `text` with `?` in place of control characters.
pub(crate) fn one_line(text: &str) -> String {
    let odd = |c: char| c.is_control() || matches!(c, '\u{2028}' | '\u{2029}');
    text.chars().map(|c| if odd(c) { '?' } else { c }).collect()
}

fn is_name(name: &str) -> bool {
    let mut bytes = name.bytes();
    bytes.next().is_some_and(|b| b.is_ascii_alphabetic() || b == b'_')
        && bytes.all(|b| b.is_ascii_alphanumeric() || b == b'_')
}

#[cfg(test)]
mod tests {
    use super::{LARGEST_ENVIRONMENT, LONGEST_VALUE, Surroundings, environment};
    use crate::dns::DnsSetup;
    use crate::{Facts, Verb};
    use std::sync::LazyLock;

    static DNS: LazyLock<DnsSetup> = LazyLock::new(DnsSetup::default);
    static AROUND: LazyLock<Surroundings<'_>> = LazyLock::new(|| Surroundings {
        path: "/usr/sbin:/usr/bin",
        debug: false,
        dns: &DNS,
        only_dns: false,
    });
    const USUAL_DNS: &str = "PLUTO_DNS_RESOLVER=file\nPLUTO_RUNDIR=/run/pluto\n";

    fn facts(environment: &[(&str, &str)]) -> Facts {
        let environment =
            environment.iter().map(|(name, value)| (name.to_string(), value.to_string()));
        Facts { environment: environment.collect(), ..Facts::default() }
    }

    fn text(facts: &Facts, verb: Verb, around: Surroundings<'_>) -> String {
        let all = environment(facts, verb, around).expect("an environment");
        let lines = all.iter().map(|(name, value)| format!("{name}={value}\n"));
        let text = lines.collect::<String>();
        assert!(text.contains(USUAL_DNS), "{text}");
        text.replace(USUAL_DNS, "")
    }

    #[test]
    fn a_tunnel_between_networks() {
        let facts = facts(&[
            ("PLUTO_CONNECTION", "west"),
            ("PLUTO_ME", "192.0.2.1"),
            ("PLUTO_MY_CLIENT", "10.1.0.0/24"),
            ("PLUTO_PEER_CA", ""),
        ]);
        assert_eq!(
            text(&facts, Verb::Up, *AROUND),
            "PATH=/usr/sbin:/usr/bin\nPLUTO_VERB=up-client\nPLUTO_CONNECTION=west\n\
             PLUTO_ME=192.0.2.1\nPLUTO_MY_CLIENT=10.1.0.0/24\nPLUTO_PEER_CA=\n"
        );
    }

    #[test]
    fn a_tunnel_between_hosts() {
        let host = Facts { host: true, ..facts(&[("PLUTO_ME", "192.0.2.1")]) };
        let expected = "PATH=/usr/sbin:/usr/bin\nPLUTO_VERB=route-host\nPLUTO_ME=192.0.2.1\n";
        assert_eq!(text(&host, Verb::Route, *AROUND), expected);
    }

    #[test]
    fn a_tunnel_of_ipv6_with_tracing() {
        let v6 = Facts { v6: true, ..facts(&[("PLUTO_ME", "2001:db8::1")]) };
        let around = Surroundings { debug: true, ..*AROUND };
        assert_eq!(
            text(&v6, Verb::Unroute, around),
            "PATH=/usr/sbin:/usr/bin\nPLUTO_VERB=unroute-client-v6\nUPDOWN_DEBUG=yes\n\
             PLUTO_ME=2001:db8::1\n"
        );
    }

    #[test]
    fn the_stock_script_can_be_asked_for_dns_alone() {
        let around = Surroundings { only_dns: true, ..*AROUND };
        let expected = "PATH=/usr/sbin:/usr/bin\nPLUTO_VERB=up-client\nUPDOWN_PART=dns\n";
        assert_eq!(text(&facts(&[]), Verb::Up, around), expected);
        let restoring = around.for_restoring();
        assert_eq!(restoring[1], ("PLUTO_VERB".to_string(), "dns-restore".to_string()));
    }

    #[test]
    fn values_are_one_line_and_names_are_names() {
        let hostile = facts(&[
            ("PLUTO_PEER_ID", "CN=a\nPATH=/tmp\r\0\u{85}\u{2028}b\x7f"),
            ("PLUTO_PEER_ID", "again"),
            ("PATH", "/tmp"),
            ("PLUTO_VERB", "up"),
            ("PLUTO_RUNDIR", "/tmp"),
            ("A=B", "x"),
            ("", "x"),
            ("1A", "x"),
            ("PLUTO_MY_ID", "O=Bäckerei, CN='$(reboot)'"),
        ]);
        assert_eq!(
            text(&hostile, Verb::Down, *AROUND),
            "PATH=/usr/sbin:/usr/bin\nPLUTO_VERB=down-client\n\
             PLUTO_PEER_ID=CN=a?PATH=/tmp????b?\nPLUTO_MY_ID=O=Bäckerei, CN='$(reboot)'\n"
        );
    }

    #[test]
    fn long_lists_fit_and_endless_ones_are_refused_by_name() {
        let long = "192.0.2.1 ".repeat(1_000);
        assert!(environment(&facts(&[("PLUTO_PEER_DNS_INFO", &long)]), Verb::Up, *AROUND).is_ok());
        let endless = "x".repeat(LONGEST_VALUE + 1);
        let refused = environment(&facts(&[("PLUTO_PEER_BANNER", &endless)]), Verb::Up, *AROUND);
        assert!(refused.expect_err("too long").contains("PLUTO_PEER_BANNER"));
        let many: Vec<(String, String)> = (0..=LARGEST_ENVIRONMENT / LONGEST_VALUE)
            .map(|n| (format!("V{n}"), "x".repeat(LONGEST_VALUE)))
            .collect();
        let large = Facts { environment: many, ..Facts::default() };
        assert!(environment(&large, Verb::Up, *AROUND).is_err());
    }
}
