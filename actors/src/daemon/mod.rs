//! The daemon around the tree: command line, lock file, fork, signals, the end.

mod background;
mod lock;
mod state;

use crate::jobs::Jobs;
use crate::kernel::Sources;
use crate::listener::Thresholds;
use crate::log::{Format, Log, Target};
use crate::root::{self, Parts, Tree};
use crate::sockets::{Ports, Sockets};
use crate::supervisor::Settings;
use crate::watch;
use crate::whack::ControlSocket;
use background::Readiness;
use lock::{Lock, LockError};
use pluto_crypto::SystemEntropy;
use pluto_kernel::esp::{DeviceChoice, EmbeddedOptions};
use pluto_kernel::{BackendOptions, Protostack, XfrmOptions};
use pluto_messages::{Command, Hangup, Reporter, Shutdown};
use pluto_updown::{DnsSetup, dns};
use pluto_whack::pluto_options::{
    DdosMode, KernelChoice, PlutoCommand, PlutoCommandLine, PlutoOptions,
};
use std::path::PathBuf;
use std::process::ExitCode;
use std::rc::Rc;

/// Exit statuses (reference: output-formats, 2).
mod status {
    pub(super) const FAIL: u8 = 1;
    pub(super) const SOCKET: u8 = 2;
    pub(super) const FORK: u8 = 3;
    pub(super) const KERNEL: u8 = 5;
    pub(super) const LOCK: u8 = 10;
}

/// Why the daemon did not start: exit status and sentence.
struct Failure(u8, String);

/// Runs `pluto` with the arguments behind its name.
#[must_use]
pub fn main(arguments: impl IntoIterator<Item = String>) -> ExitCode {
    let mut read = pluto_whack::program::read_options_file;
    let line = match PlutoCommandLine::parse(arguments, &mut read) {
        Ok(line) => line,
        Err(complaint) => {
            eprint!("{}", complaint.message("pluto"));
            return ExitCode::from(complaint.status);
        }
    };
    match line.command {
        PlutoCommand::Print(text) => {
            println!("{}", text.trim_end());
            ExitCode::SUCCESS
        }
        PlutoCommand::Selftest => selftest(),
        PlutoCommand::Run(options) => match start(&options, &line.warnings) {
            Ok(code) => code,
            Err(Failure(status, why)) => {
                eprintln!("pluto: {why}");
                ExitCode::from(status)
            }
        },
    }
}

fn selftest() -> ExitCode {
    match pluto_crypto::selftest() {
        Ok(()) => {
            println!("all algorithms give the known answers");
            ExitCode::SUCCESS
        }
        Err(why) => {
            eprintln!("pluto: selftest: {why}");
            ExitCode::from(status::FAIL)
        }
    }
}

fn start(options: &PlutoOptions, warnings: &[String]) -> Result<ExitCode, Failure> {
    if !options.stderrlog {
        // Whoever starts a daemon that logs elsewhere sees what it makes of its options, too.
        warnings.iter().for_each(|warning| eprintln!("pluto: {warning}"));
    }
    run(options, warnings)
}

fn log_target(options: &PlutoOptions) -> Target {
    match &options.logfile {
        _ if options.stderrlog => Target::Stderr { format: Format::Text, time: false },
        Some(path) => Target::File {
            path: path.clone(),
            append: options.log_append,
            format: Format::Text,
            time: options.log_time,
        },
        None => Target::Syslog,
    }
}

/// Whether `--impair` can be done.
fn check_impairments(options: &PlutoOptions) -> Result<(), Failure> {
    let tried = crate::impair::Impair::default();
    let wrong = |why| Failure(status::FAIL, format!("--impair: {why}"));
    options.impair.iter().try_for_each(|text| tried.add(text)).map_err(wrong)
}

/// Everything that can fail early is tried before the fork, so that whoever started the
/// daemon sees it fail.
fn run(options: &PlutoOptions, warnings: &[String]) -> Result<ExitCode, Failure> {
    check_impairments(options)?;
    std::fs::create_dir_all(&options.rundir).map_err(|e| {
        Failure(status::FAIL, format!("cannot make \"{}\": {e}", options.rundir.display()))
    })?;
    let lock = Lock::take(&options.pid_file()).map_err(|error| match error {
        LockError::Taken(_) => Failure(status::LOCK, error.to_string()),
        LockError::Io(_) => Failure(status::FAIL, error.to_string()),
    })?;
    let path = options.control_socket();
    let control = ControlSocket::open(&path).map_err(|e| {
        Failure(status::SOCKET, format!("cannot open control socket \"{}\": {e}", path.display()))
    })?;
    // Under the lock: nobody else writes there while it moves.
    let (leases, state_warnings) = state::leases(options);
    let target = log_target(options);
    target.check().map_err(|e| Failure(status::FAIL, e.to_string()))?;
    let backend = pluto_kernel::choose(stack(options), backend_options(options)?)
        .map_err(|e| Failure(status::KERNEL, format!("kernel: {e}")))?;

    let readiness = if options.nofork {
        Readiness::Foreground
    } else {
        match background::fork().map_err(|e| Failure(status::FORK, format!("fork: {e}")))? {
            background::Forked::Parent(code) => {
                // Lock and socket are the child's now.
                std::mem::forget(lock);
                std::mem::forget(control);
                return Ok(code);
            }
            background::Forked::Child(readiness) => readiness,
        }
    };
    lock.write_pid().map_err(|e| Failure(status::FAIL, e.to_string()))?;
    let log = Log::open(&target).map_err(|e| Failure(status::FAIL, e.to_string()))?;
    log.set_classes(options.debug);
    log.info(&format!(
        "Starting Pluto (Version {}) pid:{}",
        pluto_whack::VERSION,
        std::process::id()
    ));
    for line in warnings.iter().chain(&backend.notes) {
        log.info(line);
    }
    state_warnings.iter().for_each(|line| log.warn(line));
    if let Some(stale) = lock.stale() {
        log.info(&format!("took over the lock file of process {stale}, which is gone"));
    }
    watch::install_hook();
    let code = serve(options, leases, backend, control, log.clone(), readiness)?;
    log.close();
    drop(lock);
    Ok(code)
}

fn stack(options: &PlutoOptions) -> Protostack {
    match options.kernel {
        KernelChoice::Auto => Protostack::Auto,
        KernelChoice::Xfrm => Protostack::Xfrm,
        KernelChoice::Embedded => Protostack::Embedded,
        KernelChoice::None => Protostack::None,
    }
}

fn backend_options(options: &PlutoOptions) -> Result<BackendOptions, Failure> {
    let mut embedded =
        EmbeddedOptions { workers: options.esp_workers, ..EmbeddedOptions::default() };
    if let Some(number) = options.tun_fd {
        let given = crate::platform::given_descriptor(number)
            .map_err(|e| Failure(status::FAIL, format!("--tun-fd {number}: {e}")))?;
        embedded.device = DeviceChoice::Given(given);
    }
    Ok(BackendOptions { embedded, ..BackendOptions::default() })
}

/// Cores of the kernel service: at first what was opened at start; after a panic a new one
/// with the old one's ledger, so that what is installed is known and can be removed.
fn kernel_cores(
    first: Box<dyn pluto_kernel::Kernel>,
    stack: Protostack,
    esp: Option<pluto_kernel::esp::EspSockets>,
    log: Log,
) -> crate::service::Factory<crate::kernel::Backend> {
    let mut first = Some(first);
    Box::new(move |old| {
        let old = match (old, first.take()) {
            (Some(old), _) => old,
            (None, Some(first)) => return first,
            // Nothing is left of the old one, not even a ledger.
            (None, None) => Box::<pluto_kernel::NoneKernel>::default(),
        };
        let ledger = old.ledger().clone();
        let again = pluto_kernel::reopen(stack, &XfrmOptions::default(), esp.as_ref(), ledger);
        again.unwrap_or_else(|error| {
            // Its sockets may be out of step; what it knows is worth more than nothing.
            log.error(&format!("kernel: cannot be opened again: {error}"));
            old
        })
    })
}

fn thresholds(options: &PlutoOptions) -> Thresholds {
    let cookies = match options.ddos_mode {
        DdosMode::Auto => options.ddos_ike_threshold,
        DdosMode::Busy => 0,
        DdosMode::Unlimited => usize::MAX,
    };
    Thresholds { cookies, most_half_open: options.max_halfopen_ike }
}

fn dns_setup(options: &PlutoOptions) -> DnsSetup {
    let rundir = options.rundir.clone();
    let left_behind = dns::left_behind(&rundir, dns::RESOLV_CONF.as_ref());
    DnsSetup { resolver: options.dns_resolver.name().into(), rundir, left_behind }
}

fn serve(
    options: &PlutoOptions,
    leases: PathBuf,
    backend: pluto_kernel::Backend,
    control: ControlSocket,
    log: Log,
    readiness: Readiness,
) -> Result<ExitCode, Failure> {
    let jobs = options.nhelpers.map_or_else(Jobs::for_processors, Jobs::new);
    let system = actix_rt::System::new();
    let status = system.block_on(async {
        let ports = Ports {
            ike: options.ikeport,
            nat: options.natikeport,
            only: options.listen,
            interfaces: options.interfaces.clone(),
            buffer: usize::try_from(options.ike_socket_bufsize).ok().filter(|size| *size != 0),
            kernel_decapsulates: backend.kernel.name() == "xfrm",
        };
        let (plane, told) = backend.esp.map(|esp| (esp.sockets, esp.events)).unzip();
        let in_use = if plane.is_some() { Protostack::Embedded } else { stack(options) };
        let prefer_encapsulation = plane.is_some();
        let force_encapsulation = prefer_encapsulation && !backend.kernel.capabilities().raw_esp;
        let sockets = Rc::new(Sockets::new(ports, plane.clone(), log.clone()));
        let tree = root::start(Parts {
            log: log.clone(),
            jobs,
            kernel: kernel_cores(backend.kernel, in_use, plane, log.clone()),
            events: Some(Sources { kernel: backend.events, esp: told }),
            secrets_file: options.secretsfile.clone().into(),
            secrets: None,
            resolver: Box::new(pluto_dns::HickoryResolver::system()),
            runner: Rc::new(pluto_updown::Shell),
            updown_limit: options.updown_timeout,
            dns_setup: dns_setup(options),
            transport: Rc::clone(&sockets) as Rc<dyn crate::shell::Transport>,
            sockets: Some(sockets),
            entropy: Box::new(SystemEntropy),
            settings: Settings {
                thresholds: thresholds(options),
                uniqueids: options.uniqueids,
                force_encapsulation,
                prefer_encapsulation,
                setup: options.facts(),
                ike_port: options.ikeport,
                nat_port: options.natikeport,
                keep_alive: options.keep_alive,
                leases: Some(leases),
            },
            faults: crate::faults::Faults::default(),
        });
        if !options.impair.is_empty() {
            let (add, remove) = (options.impair.clone(), Vec::new());
            let request = pluto_whack::Request::Impair { add, remove, clear: false };
            // It is there before anybody can send anything.
            tree.supervisor.do_send(Command { request, reporter: Reporter::nobody() });
        }
        supervise(tree, control, log, readiness).await
    });
    Ok(ExitCode::from(u8::try_from(status).unwrap_or(status::FAIL)))
}

/// Serves whack and signals until the tree has stopped; its exit status comes back.
async fn supervise(tree: Tree, control: ControlSocket, log: Log, readiness: Readiness) -> i32 {
    let root = tree.root.clone();
    let to_root = root.clone();
    let interrupted = move || to_root.do_send(Shutdown { leave_state: false, reporter: None });
    if let Err(error) = ctrlc::set_handler(interrupted) {
        log.warn(&format!("SIGINT is not handled: {error}"));
    }
    take_signals(root, &log);
    let whack = log.clone();
    actix_rt::spawn(async move {
        if let Err(error) = control.serve(tree.supervisor, whack.clone()).await {
            whack.error(&format!("control socket: {error}"));
        }
    });
    readiness.tell();
    let _ = sd_notify::notify(&[sd_notify::NotifyState::Ready]);
    let status = tree.stopped.await.unwrap_or(1);
    let _ = sd_notify::notify(&[sd_notify::NotifyState::Stopping]);
    // Let the last replies and lines of log out.
    tokio::task::yield_now().await;
    tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    status
}

/// Takes SIGHUP and SIGTERM over at once, before anybody is told that the daemon is ready, and
/// passes them on to root.
fn take_signals(root: actix::Addr<root::Root>, log: &Log) {
    use tokio::signal::unix::{SignalKind, signal};
    let (mut hangup, mut terminate) =
        match (signal(SignalKind::hangup()), signal(SignalKind::terminate())) {
            (Ok(hangup), Ok(terminate)) => (hangup, terminate),
            (Err(error), _) | (_, Err(error)) => {
                return log.error(&format!("signals are not handled: {error}"));
            }
        };
    actix_rt::spawn(async move {
        loop {
            tokio::select! {
                Some(()) = hangup.recv() => root.do_send(Hangup),
                Some(()) = terminate.recv() => {
                    root.do_send(Shutdown { leave_state: false, reporter: None });
                }
                else => return,
            }
        }
    });
}
