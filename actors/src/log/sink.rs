//! Where lines go: standard error, a file, syslog; as text or as JSON.

use super::queue::{self, Guard, Queue, Sink};
use slog::{Drain, Logger, OwnedKVList, Record};
use std::fmt;
use std::fs::File;
use std::io::{self, Write};
use std::os::unix::net::UnixDatagram;
use std::path::PathBuf;

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

/// Octets of lines that are gathered, while more are there, before they are written.
const BATCH: usize = 64 << 10;

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

pub(super) fn logger(target: &Target) -> Result<(Logger, Guard), SinkError> {
    let fail = |what: String| move |source| SinkError { what, source };
    let started = match target {
        Target::Stderr { format, time } => writer(io::stderr(), *format, *time),
        Target::File { path, append, format, time } => {
            let mut options = File::options();
            options.create(true).write(true).append(*append).truncate(!*append);
            let file = options.open(path).map_err(fail(format!("\"{}\"", path.display())))?;
            writer(file, *format, *time)
        }
        Target::Syslog => {
            let socket = UnixDatagram::unbound().map_err(fail("a socket".into()))?;
            // A log daemon that is not running yet is no reason not to start.
            let _ = socket.connect("/dev/log");
            let _ = socket.set_nonblocking(true);
            queue::start(Syslog { socket })
        }
    };
    let (queue, guard) = started.map_err(fail("a thread".into()))?;
    Ok((Logger::root(queue, slog::o!()), guard))
}

fn writer<W: Write + Send + 'static>(
    to: W,
    format: Format,
    time: bool,
) -> io::Result<(Queue, Guard)> {
    match format {
        Format::Text => queue::start(Text { to, time, lines: Vec::new() }),
        Format::Json => queue::start(Json { to, lines: Vec::new() }),
    }
}

struct Text<W> {
    to: W,
    time: bool,
    lines: Vec<u8>,
}

impl<W: Write + Send + 'static> Sink for Text<W> {
    fn write(&mut self, record: &Record<'_>, _: &OwnedKVList) -> io::Result<()> {
        if self.time {
            write!(self.lines, "{}: ", timestamp())?;
        }
        writeln!(self.lines, "{}", record.msg())?;
        if self.lines.len() < BATCH { Ok(()) } else { self.flush() }
    }

    fn flush(&mut self) -> io::Result<()> {
        write_out(&mut self.lines, &mut self.to)
    }
}

/// What a sink that fails does not take is lost: it must not grow without a bound.
fn write_out(lines: &mut Vec<u8>, to: &mut impl Write) -> io::Result<()> {
    let written = to.write_all(lines).and_then(|()| to.flush());
    lines.clear();
    written
}

struct Json<W> {
    to: W,
    lines: Vec<u8>,
}

impl<W: Write + Send + 'static> Sink for Json<W> {
    fn write(&mut self, record: &Record<'_>, values: &OwnedKVList) -> io::Result<()> {
        slog_json::Json::default(&mut self.lines).log(record, values)?;
        if self.lines.len() < BATCH { Ok(()) } else { self.flush() }
    }

    fn flush(&mut self) -> io::Result<()> {
        write_out(&mut self.lines, &mut self.to)
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
    socket: UnixDatagram,
}

/// authpriv (10) in the upper bits.
const AUTHPRIV: u8 = 10 << 3;

impl Sink for Syslog {
    fn write(&mut self, record: &Record<'_>, _: &OwnedKVList) -> io::Result<()> {
        let severity = match record.level() {
            slog::Level::Critical | slog::Level::Error => 3,
            slog::Level::Warning => 4,
            slog::Level::Info => 5,
            slog::Level::Debug | slog::Level::Trace => 7,
        };
        let line =
            format!("<{}>pluto[{}]: {}", AUTHPRIV | severity, std::process::id(), record.msg());
        if self.socket.send(line.as_bytes()).is_err() {
            // The log daemon was restarted: connect again, once a line.
            self.socket.connect("/dev/log")?;
            self.socket.send(line.as_bytes())?;
        }
        Ok(())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
