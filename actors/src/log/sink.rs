//! Where lines go: standard error, a file, syslog; as text or as JSON.

use slog::{Drain, Logger, Record};
use slog_async::AsyncGuard;
use std::fmt;
use std::fs::File;
use std::io::{self, Write};
use std::os::unix::net::UnixDatagram;
use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};

/// How a line is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Format {
    /// As libreswan does.
    #[default]
    Text,
    /// One JSON object a line.
    Json,
}

/// Where lines go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Target {
    /// Standard error.
    Stderr {
        /// Text or JSON.
        format: Format,
        /// With a time in front.
        time: bool,
    },
    /// A file.
    File {
        /// Which.
        path: PathBuf,
        /// Keep what is in it.
        append: bool,
        /// Text or JSON.
        format: Format,
        /// With a time in front.
        time: bool,
    },
    /// syslog, facility authpriv, as `pluto`.
    Syslog,
}

/// A target that cannot be opened.
#[derive(Debug)]
pub struct SinkError {
    what: String,
    source: io::Error,
}

impl fmt::Display for SinkError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "cannot open {} for logging: {}", self.what, self.source)
    }
}

impl std::error::Error for SinkError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(&self.source)
    }
}

/// Lines that may wait for a sink that is slow; more are counted and reported.
const WAITING: usize = 65_536;

impl Target {
    /// Tries whether it can be opened, without keeping it.
    ///
    /// # Errors
    /// It cannot.
    pub fn check(&self) -> Result<(), SinkError> {
        if let Self::File { path, .. } = self {
            let opened = File::options().create(true).append(true).open(path);
            opened
                .map_err(|source| SinkError { what: format!("\"{}\"", path.display()), source })?;
        }
        Ok(())
    }
}

pub(super) fn logger(target: &Target) -> Result<(Logger, AsyncGuard), SinkError> {
    let fail = |what: String| move |source| SinkError { what, source };
    match target {
        Target::Stderr { format, time } => Ok(writer(io::stderr(), *format, *time)),
        Target::File { path, append, format, time } => {
            let mut options = File::options();
            options.create(true).write(true).append(*append).truncate(!*append);
            let file = options.open(path).map_err(fail(format!("\"{}\"", path.display())))?;
            Ok(writer(io::BufWriter::with_capacity(0, file), *format, *time))
        }
        Target::Syslog => {
            let socket = UnixDatagram::unbound().map_err(fail("a socket".into()))?;
            // A log daemon that is not running yet is no reason not to start.
            let _ = socket.connect("/dev/log");
            let _ = socket.set_nonblocking(true);
            Ok(detached(Syslog { socket: Mutex::new(socket) }))
        }
    }
}

fn writer<W: Write + Send + 'static>(to: W, format: Format, time: bool) -> (Logger, AsyncGuard) {
    match format {
        Format::Text => detached(Text { to: Mutex::new(to), time }),
        Format::Json => detached(Mutex::new(slog_json::Json::default(to)).map(slog::Fuse)),
    }
}

/// Writes on a thread of its own, so that a sink that blocks holds up nobody.
fn detached<D: Drain<Err: fmt::Debug, Ok = ()> + Send + 'static>(drain: D) -> (Logger, AsyncGuard) {
    let (drain, guard) = slog_async::Async::new(drain.ignore_res())
        .chan_size(WAITING)
        .overflow_strategy(slog_async::OverflowStrategy::DropAndReport)
        .thread_name("log".to_string())
        .build_with_guard();
    (Logger::root(drain.fuse(), slog::o!()), guard)
}

struct Text<W> {
    to: Mutex<W>,
    time: bool,
}

impl<W: Write> Drain for Text<W> {
    type Ok = ();
    type Err = io::Error;

    fn log(&self, record: &Record<'_>, _: &slog::OwnedKVList) -> io::Result<()> {
        let mut line = String::new();
        if self.time {
            line.push_str(&timestamp());
            line.push_str(": ");
        }
        line.push_str(&record.msg().to_string());
        line.push('\n');
        let mut to = self.to.lock().unwrap_or_else(PoisonError::into_inner);
        to.write_all(line.as_bytes())?;
        to.flush()
    }
}

/// `Nov 22 14:35:00.123456`, local time.
fn timestamp() -> String {
    let now = crate::clock::wall_clock();
    crate::platform::local_time(now.as_secs()).map_or_else(
        || format!("{}.{:06}", now.as_secs(), now.subsec_micros()),
        |text| format!("{text}.{:06}", now.subsec_micros()),
    )
}

struct Syslog {
    socket: Mutex<UnixDatagram>,
}

/// authpriv (10) in the upper bits.
const AUTHPRIV: u8 = 10 << 3;

impl Drain for Syslog {
    type Ok = ();
    type Err = io::Error;

    fn log(&self, record: &Record<'_>, _: &slog::OwnedKVList) -> io::Result<()> {
        let severity = match record.level() {
            slog::Level::Critical | slog::Level::Error => 3,
            slog::Level::Warning => 4,
            slog::Level::Info => 5,
            slog::Level::Debug | slog::Level::Trace => 7,
        };
        let line =
            format!("<{}>pluto[{}]: {}", AUTHPRIV | severity, std::process::id(), record.msg());
        let socket = self.socket.lock().unwrap_or_else(PoisonError::into_inner);
        if socket.send(line.as_bytes()).is_err() {
            // The log daemon was restarted: connect again, once a line.
            socket.connect("/dev/log")?;
            socket.send(line.as_bytes())?;
        }
        Ok(())
    }
}
