//! whack's side of the control socket: sends a request, prints what comes back, and makes
//! an exit status of it. Blocking, over anything that reads and writes.

use crate::document::{Document, Message};
use crate::frame::{self, Lines};
use crate::render::{self, Text};
use crate::reply::{ExitStatus, Reply, codes};
use crate::request::{Password, Request};
use crate::whack_options::WhackRun;
use std::fmt::Display;
use std::io::{self, ErrorKind, Read, Write};
use std::os::unix::net::UnixStream;

/// Octets that are read at a time, of a long answer.
const MOST_READ: usize = 64 << 10;
/// How much text is gathered before it is printed while more is coming.
const PRINT_AT: usize = 64 << 10;

/// Why there is no answer; whack then exits with 33.
#[derive(Debug)]
pub enum ClientError {
    /// The daemon cannot be reached.
    Connect {
        /// The control socket.
        socket: String,
        /// What the system says.
        error: io::Error,
    },
    /// The socket failed while it was used.
    Socket(io::Error),
    /// The daemon went away before its answer was complete.
    Closed,
    /// The daemon's answer is not understood.
    Answer(frame::FrameError),
    /// The daemon asks what the command line does not answer.
    Prompt(String),
    /// Standard output failed.
    Output(io::Error),
}

impl ClientError {
    /// What to print on standard error, line feed included; `label` is `--label`'s.
    #[must_use]
    pub fn message(&self, program: &str, label: &str) -> String {
        let own = |what: &dyn Display| format!("whack error: {label}{what}\n");
        match self {
            Self::Connect { socket, error } if error.kind() == ErrorKind::NotFound => format!(
                "{program}: ERROR: {label}Pluto is not running (no \"{socket}\"): {}\n",
                with_errno(error)
            ),
            Self::Connect { socket, error } if error.kind() == ErrorKind::PermissionDenied => {
                format!(
                    "{program}: ERROR: {label}no right to communicate with pluto (access(\"{socket}\"))\n"
                )
            }
            Self::Connect { socket, error } => format!(
                "{program}: ERROR: {label}connect(pluto_ctl) failed (\"{socket}\"): {}\n",
                with_errno(error)
            ),
            Self::Socket(error) => own(&format_args!("control socket: {}", with_errno(error))),
            Self::Closed => own(&"Pluto has gone before its answer was complete"),
            Self::Answer(error) => own(&format_args!("Pluto's answer: {error}")),
            Self::Prompt(prompt) => own(&format_args!(
                "Pluto asks \"{prompt}\": answer with --username and --xauthpass"
            )),
            Self::Output(error) => own(&format_args!("standard output: {}", with_errno(error))),
        }
    }
}

/// `No such file or directory (errno 2)`.
fn with_errno(error: &io::Error) -> String {
    let text = error.to_string();
    match error.raw_os_error() {
        Some(errno) => {
            let suffix = format!(" (os error {errno})");
            format!("{} (errno {errno})", text.strip_suffix(&suffix).unwrap_or(&text))
        }
        None => text,
    }
}

/// Carries out all requests; the exit status is the first that is not 0.
///
/// # Errors
/// See [`ClientError`]; what was answered before is printed.
pub fn run(run: &WhackRun, out: &mut dyn Write) -> Result<u8, ClientError> {
    let mut status = 0;
    for request in &run.requests {
        let mut stream = UnixStream::connect(&run.socket).map_err(|error| {
            let socket = run.socket.display().to_string();
            ClientError::Connect { socket, error }
        })?;
        let one = exchange(run, request, &mut stream, out)?;
        if status == 0 {
            status = one;
        }
    }
    Ok(status)
}

/// Carries out one request on a connection.
///
/// # Errors
/// See [`ClientError`]; what was answered before is printed.
pub fn exchange(
    run: &WhackRun,
    request: &Request,
    stream: &mut (impl Read + Write),
    out: &mut dyn Write,
) -> Result<u8, ClientError> {
    let line = frame::encode_request_as(request, run.protocol_version);
    // A daemon that refuses a request may close before it has read all of it; its reasons
    // are worth more than the failure to write.
    let sent = stream.write_all(&line);
    let mut answer = Answer::new(run, request, out);
    let result = answer.receive(stream);
    match (result, sent) {
        (Err(ClientError::Closed | ClientError::Socket(_)), Err(error)) => {
            Err(ClientError::Socket(error))
        }
        (result, _) => result,
    }
}

/// The daemon's answer as it is being printed.
struct Answer<'a> {
    run: &'a WhackRun,
    request: &'a Request,
    out: &'a mut dyn Write,
    text: Text,
    document: Option<Document>,
    /// The daemon has made the text.
    made: bool,
    buffer: String,
    status: ExitStatus,
}

impl<'a> Answer<'a> {
    fn new(run: &'a WhackRun, request: &'a Request, out: &'a mut dyn Write) -> Self {
        let (text, document) = match request {
            Request::Listing { what, name, .. } => (
                Text::new(*what, name.is_some()),
                run.json.then(|| Document::new(*what, name.clone())),
            ),
            _ => (Text::new(crate::Listing::BriefStatus, false), None),
        };
        let (buffer, status) = (String::new(), ExitStatus::default());
        Self { run, request, out, text, document, made: false, buffer, status }
    }

    fn receive(&mut self, stream: &mut (impl Read + Write)) -> Result<u8, ClientError> {
        let mut lines = Lines::new(frame::MAX_REPLY);
        // Most answers are a few lines; a long listing soon has more room.
        let mut chunk = vec![0; 4 << 10];
        loop {
            let length = match stream.read(&mut chunk) {
                Ok(length) => length,
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                Err(error) if error.kind() == ErrorKind::ConnectionReset => 0,
                Err(error) => return Err(ClientError::Socket(error)),
            };
            if length == 0 {
                return self.closed();
            }
            lines.push(chunk.get(..length).unwrap_or_default());
            while let Some(line) = lines.next_line().map_err(ClientError::Answer)? {
                if self.is_text(line)? {
                    continue;
                }
                let reply = frame::decode_reply(line).map_err(ClientError::Answer)?;
                if let Some(status) = self.reply(reply, stream)? {
                    return Ok(status);
                }
            }
            self.print()?;
            if length == chunk.len() && length < MOST_READ {
                chunk = vec![0; MOST_READ];
            }
        }
    }

    /// The daemon closed the connection: the end of a shutdown and of a trace, otherwise
    /// too early.
    fn closed(&mut self) -> Result<u8, ClientError> {
        self.print()?;
        match self.request {
            Request::Shutdown { .. } | Request::Trace { .. } => Ok(self.status.value()),
            _ => Err(ClientError::Closed),
        }
    }

    fn reply(&mut self, reply: Reply, stream: &mut impl Write) -> Result<Option<u8>, ClientError> {
        self.status.see(reply.code());
        match reply {
            Reply::Line { code, text } => match &mut self.document {
                Some(document) => document.messages.push(Message { code, text }),
                None => self.buffer.push_str(&render::line(&text)),
            },
            Reply::Item { item } => match &mut self.document {
                Some(document) => document.add(*item),
                None => self.text.item(&item, &mut self.buffer),
            },
            Reply::Text { text } => self.text(&text)?,
            Reply::Prompt { code, text } => {
                self.print()?;
                let answer = match code {
                    codes::USERPROMPT => self.run.username.clone().map(Password),
                    _ => self.run.password.clone(),
                };
                let Some(text) = answer else { return Err(ClientError::Prompt(text)) };
                let line = frame::encode_request(&Request::Answer { text });
                stream.write_all(&line).map_err(ClientError::Socket)?;
            }
            Reply::End { .. } => return self.end().map(Some),
        }
        if self.buffer.len() >= PRINT_AT {
            self.print()?;
        }
        Ok(None)
    }

    /// The same without a copy of its own, where the line is one; false: it is another reply.
    fn is_text(&mut self, line: &[u8]) -> Result<bool, ClientError> {
        let before = self.buffer.len();
        if !frame::append_text(line, &mut self.buffer) {
            return Ok(false);
        }
        if self.document.is_some() {
            self.buffer.truncate(before);
            return Ok(true);
        }
        self.made = true;
        render::sanitize_from(&mut self.buffer, before);
        if self.buffer.len() >= PRINT_AT {
            self.print()?;
        }
        Ok(true)
    }

    /// A piece of a listing that the daemon has made.
    fn text(&mut self, text: &str) -> Result<(), ClientError> {
        if self.document.is_none() {
            self.made = true;
            render::sanitize(text, &mut self.buffer);
        }
        if self.buffer.len() >= PRINT_AT { self.print() } else { Ok(()) }
    }

    fn end(&mut self) -> Result<u8, ClientError> {
        if let Some(document) = &self.document {
            let json = serde_json::to_string(document)
                .map_err(|error| ClientError::Output(io::Error::other(error)))?;
            self.buffer.push_str(&json);
            self.buffer.push('\n');
        } else if !self.made {
            self.text.finish(&mut self.buffer);
        }
        self.print()?;
        // A listing succeeds whatever it says, as libreswan's scripts expect.
        match self.request {
            Request::Listing { .. } => Ok(0),
            _ => Ok(self.status.value()),
        }
    }

    fn print(&mut self) -> Result<(), ClientError> {
        let printed = self.out.write_all(self.buffer.as_bytes()).and_then(|()| self.out.flush());
        self.buffer.clear();
        printed.map_err(ClientError::Output)
    }
}

#[cfg(test)]
#[path = "client_tests.rs"]
mod tests;
