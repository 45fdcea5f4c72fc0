//! The command line of `pluto`.
//!
//! Options apply in their order, the last one wins. What belongs to a feature that is not
//! there yet is refused by name.

mod table;

use crate::debug::{DebugChange, DebugSet};
use crate::options::getopt::{self, Complaint, Found, ReadFile, Reader, Word};
use crate::options::value;
use crate::report::SetupFacts;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;
use table::Key;

/// What `pluto` was told. [`PlutoOptions::default`] gives the documented defaults.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PlutoOptions {
    /// `--nofork`: stay in the foreground and print `Pluto initialized`.
    pub nofork: bool,
    /// `--stderrlog`: log to standard error.
    pub stderrlog: bool,
    /// `--logfile`: log to this file. With neither: syslog, authpriv.
    pub logfile: Option<PathBuf>,
    /// Whether lines of the log file have a time; `--log-no-time` says no.
    pub log_time: bool,
    /// Whether the log file is appended to; `--log-no-append` says no.
    pub log_append: bool,
    /// `--logip`: whether peers' addresses are logged. Default yes.
    pub logip: bool,
    /// `--interface`, repeatable: only these network interfaces. Default all.
    pub interfaces: Vec<String>,
    /// `--listen`: only this address. Default all.
    pub listen: Option<IpAddr>,
    /// `--listen-udp`: whether to open UDP sockets. Default yes.
    pub listen_udp: bool,
    /// `--ikeport`. Default 500.
    pub ikeport: u16,
    /// `--natikeport`. Default 4500.
    pub natikeport: u16,
    /// `--rundir` (or `--ctlbase`): control socket and pid file. Default `/run/pluto`.
    pub rundir: PathBuf,
    /// `--statedir`: what outlives a reboot, the leases of address pools. Default
    /// `/var/lib/ipsec` beside the default `rundir`, `rundir` beside another one.
    pub statedir: Option<PathBuf>,
    /// `--ctlsocket`: the control socket elsewhere. Default `pluto.ctl` in `rundir`.
    pub ctlsocket: Option<PathBuf>,
    /// `--secretsfile`: a file or a glob(3) pattern. Default `/etc/ipsec.secrets`.
    pub secretsfile: String,
    /// `--ipsecdir`. Default `/etc/ipsec.d`.
    pub ipsecdir: PathBuf,
    /// `--dumpdir`: working directory, for core dumps. Default `rundir`.
    pub dumpdir: Option<PathBuf>,
    /// `--nhelpers`: threads for slow cryptography, 0 computes in place; none: one per CPU
    /// less one, and one per CPU when there are fewer than four.
    pub nhelpers: Option<usize>,
    /// `--keep-alive`: interval of NAT keepalives. Default 20 s.
    pub keep_alive: Duration,
    /// `--uniqueids`: whether a peer's new IKE SA replaces its old one. Default yes.
    pub uniqueids: bool,
    /// `--virtual-private`: networks allowed behind a NAT, `%v4:10.0.0.0/8`, `%v4:!…`.
    pub virtual_private: Vec<String>,
    /// `--ddos-mode`. Default auto.
    pub ddos_mode: DdosMode,
    /// `--ddos-ike-threshold`: half-open IKE SAs from which cookies are asked. Default 25000.
    pub ddos_ike_threshold: usize,
    /// `--max-halfopen-ike`: half-open IKE SAs from which new ones are dropped. Default 50000.
    pub max_halfopen_ike: usize,
    /// `--expire-shunt-interval`: how often bare shunts are looked at. Default 20 s.
    pub expire_shunt_interval: Duration,
    /// `--ike-socket-bufsize` in octets; 0 is the system's default.
    pub ike_socket_bufsize: u64,
    /// `--ike-socket-errqueue`: whether ICMP errors are read. Default yes.
    pub ike_socket_errqueue: bool,
    /// `--use-xfrm`, `--use-embedded`, `--use-none`, `--protostack`. Default auto.
    pub kernel: KernelChoice,
    /// `--tun-fd`: a TUN device that was opened by whoever started us. Default: make one.
    pub tun_fd: Option<i32>,
    /// `--esp-workers`: pairs of threads of the embedded data plane; 0 is by processors.
    pub esp_workers: usize,
    /// `--updown-timeout`: when a script is killed. Default 30 s.
    pub updown_timeout: Duration,
    /// `--dns-resolver`: what updown tells of DNS servers that a peer gives us. Default file.
    pub dns_resolver: DnsResolver,
    /// `--ikev1-drop` (default) or `--ikev1-reject`: what becomes of IKEv1 packets.
    pub ikev1_policy: Ikev1Policy,
    /// `--vendorid`: text of our Vendor ID; none for the built-in one.
    pub vendorid: Option<String>,
    /// `--debug`, `--debug-all`, `--debug-none`, `--no-debug`.
    pub debug: DebugSet,
    /// `--impair`, in order.
    pub impair: Vec<String>,
}

/// When cookies are asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DdosMode {
    /// From the threshold on.
    Auto,
    /// Always.
    Busy,
    /// Never.
    Unlimited,
}

impl DdosMode {
    /// Its name in options and listings.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Auto => "auto",
            Self::Busy => "busy",
            Self::Unlimited => "unlimited",
        }
    }

    /// The mode of this name, in any case.
    #[must_use]
    pub fn by_name(name: &str) -> Option<Self> {
        [Self::Auto, Self::Busy, Self::Unlimited]
            .into_iter()
            .find(|mode| mode.name().eq_ignore_ascii_case(name))
    }
}

/// The kernel backend.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KernelChoice {
    /// XFRM where the kernel has ESP, the embedded data plane elsewhere.
    Auto,
    /// Linux XFRM over netlink.
    Xfrm,
    /// The embedded data plane.
    Embedded,
    /// Negotiates and installs nothing.
    None,
}

impl KernelChoice {
    /// Its name in listings.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Auto => "auto",
            Self::Xfrm => "xfrm",
            Self::Embedded => "embedded",
            Self::None => "none",
        }
    }
}

/// What is told of DNS servers that a peer gives us.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DnsResolver {
    /// /etc/resolv.conf.
    File,
    /// systemd-resolved, by resolvectl.
    Systemd,
    /// A local unbound, by unbound-control.
    Unbound,
}

impl DnsResolver {
    /// Its name in options and listings.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::File => "file",
            Self::Systemd => "systemd",
            Self::Unbound => "unbound",
        }
    }

    /// The resolver of this name, in any case.
    #[must_use]
    pub fn by_name(name: &str) -> Option<Self> {
        [Self::File, Self::Systemd, Self::Unbound]
            .into_iter()
            .find(|resolver| resolver.name().eq_ignore_ascii_case(name))
    }
}

/// What becomes of IKEv1 packets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ikev1Policy {
    /// Nothing is answered.
    Drop,
    /// A notify is answered.
    Reject,
}

impl Default for PlutoOptions {
    fn default() -> Self {
        Self {
            nofork: false,
            stderrlog: false,
            logfile: None,
            log_time: true,
            log_append: true,
            logip: true,
            interfaces: Vec::new(),
            listen: None,
            listen_udp: true,
            ikeport: 500,
            natikeport: 4500,
            rundir: crate::DEFAULT_RUNDIR.into(),
            statedir: None,
            ctlsocket: None,
            secretsfile: "/etc/ipsec.secrets".into(),
            ipsecdir: "/etc/ipsec.d".into(),
            dumpdir: None,
            nhelpers: None,
            keep_alive: Duration::from_secs(20),
            uniqueids: true,
            virtual_private: Vec::new(),
            ddos_mode: DdosMode::Auto,
            ddos_ike_threshold: 25_000,
            max_halfopen_ike: 50_000,
            expire_shunt_interval: Duration::from_secs(20),
            ike_socket_bufsize: 0,
            ike_socket_errqueue: true,
            kernel: KernelChoice::Auto,
            tun_fd: None,
            esp_workers: 0,
            updown_timeout: Duration::from_secs(30),
            dns_resolver: DnsResolver::File,
            ikev1_policy: Ikev1Policy::Drop,
            vendorid: None,
            debug: DebugSet::NONE,
            impair: Vec::new(),
        }
    }
}

/// What the command line asks `pluto` to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PlutoCommand {
    /// Be the daemon.
    Run(Box<PlutoOptions>),
    /// Run the known-answer tests of the cryptography, then exit.
    Selftest,
    /// Print this on standard output and exit with 0 (`--help`, `--version`).
    Print(String),
}

/// A command line that was understood.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PlutoCommandLine {
    /// What to do.
    pub command: PlutoCommand,
    /// Warnings for standard error and the log, whole lines.
    pub warnings: Vec<String>,
}

impl PlutoCommandLine {
    /// Reads `arguments` (without the program's name); `read_file` reads the files of
    /// `--optionsfrom`.
    ///
    /// # Errors
    /// What to print on standard error, and the exit status.
    pub fn parse<'f>(
        arguments: impl IntoIterator<Item = String>,
        read_file: &'f mut ReadFile<'f>,
    ) -> Result<Self, Complaint> {
        let mut reader = Reader::new(table::TABLE, arguments, read_file);
        let mut options = PlutoOptions::default();
        let mut warnings = Vec::new();
        let mut command = None;
        while let Some(word) = reader.next_word()? {
            let found = match word {
                Word::Option(found) => found,
                Word::Operand(word, origin) => {
                    return Err(Complaint::error(format!(
                        "{origin}unexpected argument \"{word}\""
                    )));
                }
            };
            match found.opt.key {
                Key::Help => command = Some(PlutoCommand::Print(help())),
                Key::Version => command = Some(PlutoCommand::Print(version())),
                Key::Selftest => command = Some(PlutoCommand::Selftest),
                Key::NoEffect => warnings.push(format!(
                    "warning: {}option --{} has no effect: {}",
                    found.origin, found.opt.name, found.opt.help
                )),
                _ => options.apply(&found).map_err(|why| found.invalid(why))?,
            }
        }
        warnings.splice(0..0, reader.warnings().iter().cloned());
        let command = command.unwrap_or_else(|| PlutoCommand::Run(Box::new(options)));
        Ok(Self { command, warnings })
    }
}

impl PlutoOptions {
    /// Where the control socket is.
    #[must_use]
    pub fn control_socket(&self) -> PathBuf {
        self.ctlsocket.clone().unwrap_or_else(|| self.rundir.join(crate::CONTROL_SOCKET))
    }

    /// Where what outlives a reboot is. A daemon with a `rundir` of its own keeps that there,
    /// too, unless told otherwise: several daemons share nothing by accident.
    #[must_use]
    pub fn state_dir(&self) -> PathBuf {
        match &self.statedir {
            Some(dir) => dir.clone(),
            None if self.rundir.as_path() == Path::new(crate::DEFAULT_RUNDIR) => {
                crate::DEFAULT_STATEDIR.into()
            }
            None => self.rundir.clone(),
        }
    }

    /// Where the lock file with the process id is.
    #[must_use]
    pub fn pid_file(&self) -> PathBuf {
        self.rundir.join("pluto.pid")
    }

    /// What listings show of them.
    #[must_use]
    pub fn facts(&self) -> SetupFacts {
        let path = |path: &PathBuf| path.display().to_string();
        SetupFacts {
            secretsfile: self.secretsfile.clone(),
            ipsecdir: path(&self.ipsecdir),
            nssdir: String::new(),
            dumpdir: path(self.dumpdir.as_ref().unwrap_or(&self.rundir)),
            dnssec_enable: false,
            nhelpers: self.nhelpers.map_or(-1, |n| i32::try_from(n).unwrap_or(i32::MAX)),
            uniqueids: self.uniqueids,
            logfile: if self.stderrlog {
                Some("<stderr>".to_owned())
            } else {
                self.logfile.as_ref().map(path)
            },
            logappend: self.log_append && !self.stderrlog,
            logip: self.logip,
            audit_log: false,
            ddos_ike_threshold: u32::try_from(self.ddos_ike_threshold).unwrap_or(u32::MAX),
            max_halfopen_ike: u32::try_from(self.max_halfopen_ike).unwrap_or(u32::MAX),
            ddos_mode: self.ddos_mode.name().to_owned(),
            ikev1_policy: match self.ikev1_policy {
                Ikev1Policy::Drop => "drop".to_owned(),
                Ikev1Policy::Reject => "reject".to_owned(),
            },
            ike_socket_bufsize: self.ike_socket_bufsize,
            ike_socket_errqueue: self.ike_socket_errqueue,
            listen: self.listen.map(|address| address.to_string()),
            debug: self.debug.to_string(),
            dns_resolver: self.dns_resolver.name().to_owned(),
            ..SetupFacts::default()
        }
    }

    fn apply(&mut self, found: &Found<'_, Key>) -> Result<(), String> {
        let text = found.text();
        let yes = || found.value.as_deref().map_or(Ok(true), value::yn);
        match found.opt.key {
            Key::Nofork => self.nofork = true,
            Key::Stderrlog => self.stderrlog = true,
            Key::Logfile => self.logfile = Some(text.into()),
            Key::LogNoTime => self.log_time = false,
            Key::LogNoAppend => self.log_append = false,
            Key::Logip => self.logip = yes()?,
            Key::LogNoIp => self.logip = false,
            Key::Interface => self.interfaces.push(text.to_owned()),
            Key::Listen => {
                let wrong = |_| "should be one numeric address".to_owned();
                self.listen = Some(text.parse().map_err(wrong)?);
            }
            Key::ListenUdp => self.listen_udp = yes()?,
            Key::NoListenUdp => self.listen_udp = false,
            Key::Ikeport => self.ikeport = port(text)?,
            Key::Natikeport => self.natikeport = port(text)?,
            Key::Rundir => self.rundir = text.into(),
            Key::Statedir => self.statedir = Some(text.into()),
            Key::Ctlsocket => self.ctlsocket = Some(text.into()),
            Key::Secretsfile => self.secretsfile = text.to_owned(),
            Key::Ipsecdir => self.ipsecdir = text.into(),
            Key::Dumpdir => self.dumpdir = Some(text.into()),
            Key::Nhelpers => {
                self.nhelpers = match text {
                    "-1" => None,
                    _ => usize::try_from(value::number(text, 0..=1024)?).ok(),
                }
            }
            Key::KeepAlive => self.keep_alive = value::duration_within(text, 1..=86_400)?,
            Key::Uniqueids => self.uniqueids = yes()?,
            Key::VirtualPrivate => {
                self.virtual_private = text
                    .split([',', ' '])
                    .filter(|net| !net.is_empty())
                    .map(str::to_owned)
                    .collect();
            }
            Key::UpdownTimeout => self.updown_timeout = value::duration_within(text, 1..=3600)?,
            Key::DnsResolver => {
                self.dns_resolver = DnsResolver::by_name(text)
                    .ok_or("should be one of file, systemd, unbound".to_owned())?;
            }
            Key::ExpireShuntInterval => {
                self.expire_shunt_interval = value::duration_within(text, 1..=1000)?;
            }
            Key::Vendorid => self.vendorid = Some(text.to_owned()),
            Key::Off => {
                if yes()? {
                    return Err(format!("{}, is not supported yet", found.opt.help));
                }
            }
            Key::OffWord => {
                if !["no", "disabled"].contains(&text.to_ascii_lowercase().as_str()) {
                    return Err(format!("{}, is not supported yet", found.opt.help));
                }
            }
            _ => self.apply_limits(found)?,
        }
        Ok(())
    }

    fn apply_limits(&mut self, found: &Found<'_, Key>) -> Result<(), String> {
        let text = found.text();
        let count = || {
            let number = value::number(text, 0..=1 << 30)?;
            usize::try_from(number).map_err(|error| error.to_string())
        };
        match found.opt.key {
            Key::DdosMode => {
                self.ddos_mode = DdosMode::by_name(text)
                    .ok_or("should be one of auto, busy, unlimited".to_owned())?;
            }
            Key::ForceBusy => self.ddos_mode = DdosMode::Busy,
            Key::ForceUnlimited => self.ddos_mode = DdosMode::Unlimited,
            Key::DdosIkeThreshold => self.ddos_ike_threshold = count()?,
            Key::MaxHalfopenIke => self.max_halfopen_ike = count()?,
            Key::IkeSocketBufsize => self.ike_socket_bufsize = bufsize(text)?,
            Key::IkeSocketErrqueue => self.ike_socket_errqueue = value::yn(text)?,
            Key::IkeSocketNoErrqueue => self.ike_socket_errqueue = false,
            Key::UseXfrm => self.kernel = KernelChoice::Xfrm,
            Key::UseEmbedded => self.kernel = KernelChoice::Embedded,
            Key::TunFd => self.tun_fd = i32::try_from(value::number(text, 3..=65_535)?).ok(),
            Key::EspWorkers => {
                self.esp_workers = usize::try_from(value::number(text, 0..=64)?).unwrap_or(0);
            }
            Key::UseNone => self.kernel = KernelChoice::None,
            Key::Protostack => {
                self.kernel = match text.to_ascii_lowercase().as_str() {
                    "auto" => KernelChoice::Auto,
                    "xfrm" | "netkey" => KernelChoice::Xfrm,
                    "embedded" => KernelChoice::Embedded,
                    "none" => KernelChoice::None,
                    "pfkeyv2" => return Err("not supported yet".to_owned()),
                    _ => return Err("should be one of auto, xfrm, embedded, none".to_owned()),
                }
            }
            Key::Ikev1Drop => self.ikev1_policy = Ikev1Policy::Drop,
            Key::Ikev1Reject => self.ikev1_policy = Ikev1Policy::Reject,
            Key::Debug => self.debug = self.debug.changed(debug(text)?),
            Key::NoDebug => self.debug = self.debug.changed(debug(text)?.negated()),
            Key::DebugAll => self.debug = self.debug.changed(debug("all")?),
            Key::DebugNone => self.debug = DebugSet::NONE,
            Key::Impair => self.impair.push(text.to_owned()),
            _ => return Err("it is not carried out".to_owned()),
        }
        Ok(())
    }
}

/// `--ike-socket-bufsize`: 0, or 1500 to 65535, or as many KiB.
pub(crate) fn bufsize(text: &str) -> Result<u64, String> {
    let octets = value::octets(text)?;
    let scaled = text.ends_with(|c: char| c.is_ascii_alphabetic());
    let limit = if scaled { 65_535 << 10 } else { 65_535 };
    if octets == 0 || (1500..=limit).contains(&octets) {
        Ok(octets)
    } else {
        Err("should be 0 or from 1500 to 65535".to_owned())
    }
}

fn port(text: &str) -> Result<u16, String> {
    let number = value::number(text, 1..=65_535)?;
    u16::try_from(number).map_err(|error| error.to_string())
}

fn debug(list: &str) -> Result<DebugChange, String> {
    DebugChange::parse(list).map_err(|word| format!("unknown debug class \"{word}\""))
}

fn help() -> String {
    format!(
        "Usage: pluto [options]\n\nThe IKE daemon. Options apply in their order, the last one wins.\n\n{}",
        getopt::usage(table::TABLE)
    )
}

fn version() -> String {
    format!("pluto {}\n", crate::VERSION)
}

#[cfg(test)]
mod tests;
