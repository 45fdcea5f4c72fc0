//! DNS servers that peers have given us. The stock script tells resolvers of them, for native
//! verbs, too: it happens where this host is somebody's client, once a tunnel, and resolvers
//! are told by programs anyway.

use crate::{Facts, Verb};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// The stock script, for `/bin/sh -c`: it is part of the daemon, so that it is there wherever
/// the daemon is, and the one that belongs to it.
pub const SCRIPT: &str = include_str!("../../packaging/_updown");
/// With what lines begin that the script has added to resolv.conf.
pub const MARK: &str = "# pluto-dns ";
/// Where `dns-resolver=file` has its servers.
pub const RESOLV_CONF: &str = "/etc/resolv.conf";
/// PLUTO_VERB for [`left_behind`].
pub const RESTORE: &str = "dns-restore";

/// What scripts are told of this host's DNS.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DnsSetup {
    /// PLUTO_DNS_RESOLVER: `file`, `systemd` or `unbound`. Default file.
    pub resolver: String,
    /// PLUTO_RUNDIR: where scripts keep what they have told. Default `/run/pluto`.
    pub rundir: PathBuf,
    /// Whether a daemon before this one has left servers ([`left_behind`]). Default no.
    pub left_behind: bool,
}

impl Default for DnsSetup {
    fn default() -> Self {
        Self { resolver: "file".into(), rundir: "/run/pluto".into(), left_behind: false }
    }
}

/// Whether a daemon with this run directory that was killed, or left its tunnels standing, has
/// left DNS servers. Reads files: for the daemon's start.
#[must_use]
pub fn left_behind(rundir: &Path, resolv_conf: &Path) -> bool {
    let ours = format!("{MARK}{}/dns/", rundir.display());
    rundir.join("dns").is_dir()
        || std::fs::read(resolv_conf)
            .is_ok_and(|octets| String::from_utf8_lossy(&octets).contains(&ours))
}

/// Whose DNS servers native verbs have told of, with the facts then: whatever they are by the
/// time the tunnel goes, the same goes with it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Told(BTreeMap<u64, Box<Facts>>);

impl Told {
    /// What the script has to do for a native verb, and with which facts; none: nothing.
    #[must_use]
    pub fn after(&mut self, verb: Verb, facts: &Facts) -> Option<(Verb, Box<Facts>)> {
        match verb {
            Verb::Up if facts.has_dns() => {
                let mut facts = Box::new(facts.clone());
                // It has arrived, and this is what the down after it is run with.
                facts.set_moving(false);
                self.0.insert(facts.connection, facts.clone());
                Some((Verb::Up, facts))
            }
            // A tunnel that only moves keeps them. One that lost its actor may only unroute.
            Verb::Up | Verb::Down | Verb::Unroute if !facts.moving => {
                self.0.remove(&facts.connection).map(|told| (Verb::Down, told))
            }
            Verb::Up | Verb::Down | Verb::Unroute | Verb::Prepare | Verb::Route => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{MARK, RESTORE, SCRIPT, Told, left_behind};
    use crate::{Facts, Verb};

    fn facts(servers: &str) -> Facts {
        let environment = [("PLUTO_PEER_DNS_INFO", servers), ("PLUTO_MOBIKE_EVENT", "")];
        let environment = environment.map(|(name, value)| (name.to_string(), value.to_string()));
        Facts { connection: 1, environment: environment.to_vec(), ..Facts::default() }
    }

    #[test]
    fn servers_come_with_up_and_go_with_down_whatever_is_known_by_then() {
        let (given, nothing, mut told) = (facts("10.2.0.53"), facts(""), Told::default());
        for verb in [Verb::Prepare, Verb::Route, Verb::Up, Verb::Down, Verb::Unroute] {
            assert_eq!(told.after(verb, &nothing), None, "{verb}");
        }
        assert_eq!(told.after(Verb::Route, &given), None);
        assert_eq!(told.after(Verb::Down, &given), None, "it was never up");
        let boxed = Box::new(given.clone());
        assert_eq!(told.after(Verb::Up, &given), Some((Verb::Up, boxed.clone())));
        assert_eq!(told.after(Verb::Down, &nothing), Some((Verb::Down, boxed.clone())));
        assert_eq!(told.after(Verb::Unroute, &given), None, "they have gone");
        let _ = told.after(Verb::Up, &given);
        assert_eq!(told.after(Verb::Unroute, &nothing), Some((Verb::Down, boxed.clone())));
        let _ = told.after(Verb::Up, &given);
        assert_eq!(told.after(Verb::Up, &nothing), Some((Verb::Down, boxed)), "none any more");
        assert_eq!(told, Told::default());
    }

    #[test]
    fn a_tunnel_that_moves_keeps_its_servers() {
        let (given, mut told) = (facts("10.2.0.53"), Told::default());
        let mut moving = given.clone();
        moving.moving();
        let _ = told.after(Verb::Up, &given);
        assert_eq!(told.after(Verb::Down, &moving), None);
        assert_eq!(told.after(Verb::Unroute, &moving), None);
        // The interface may be another one.
        let arrived = Box::new(given.clone());
        assert_eq!(told.after(Verb::Up, &moving), Some((Verb::Up, arrived.clone())));
        assert_eq!(told.after(Verb::Down, &given), Some((Verb::Down, arrived)));
    }

    #[test]
    fn what_a_daemon_has_left_is_found_by_its_run_directory() {
        let scratch = std::env::temp_dir().join(format!("pluto-dns-{}", std::process::id()));
        let (rundir, conf) = (scratch.join("run"), scratch.join("resolv.conf"));
        std::fs::create_dir_all(&rundir).expect("a directory");
        assert!(!left_behind(&rundir, &conf), "there is no file");
        let entry = |rundir: &std::path::Path| {
            format!("{MARK}{}/dns/west.16389 nameserver 10.2.0.53\n", rundir.display())
        };
        std::fs::write(&conf, entry("/elsewhere".as_ref())).expect("a file");
        assert!(!left_behind(&rundir, &conf), "another daemon's");
        std::fs::write(&conf, entry(&rundir)).expect("a file");
        assert!(left_behind(&rundir, &conf));
        std::fs::remove_file(&conf).expect("it was there");
        std::fs::create_dir_all(rundir.join("dns")).expect("a directory");
        assert!(left_behind(&rundir, &conf));
        std::fs::remove_dir_all(&scratch).expect("it was there");
    }

    #[test]
    fn script_and_daemon_mean_the_same() {
        assert!(SCRIPT.contains(&format!("mark='{}'", MARK.trim_end())));
        assert!(SCRIPT.contains(&format!("\n  {RESTORE}) ")));
        // Linux takes 128 KiB an argument.
        assert!(SCRIPT.len() < 64 * 1024);
    }
}
