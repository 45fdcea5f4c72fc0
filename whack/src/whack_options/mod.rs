//! The command line of `whack`: from words to requests.
//!
//! A connection's options become the keywords of ipsec.conf with their raw values, which
//! the daemon judges with one table, whoever told them.

mod build;
mod table;

use crate::Request;
use crate::debug::{self, DebugChange, DebugSet};
use crate::options::getopt::{self, Complaint, Found, Opt, ReadFile, Reader, Word};
use crate::options::value;
use crate::reply::codes;
use crate::request::Password;
use pluto_connections::{ConnectionSpec, EndSpec};
use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;
use table::{Command, Key};

/// What `whack` was told to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum WhackCommand {
    /// Send requests.
    Run(Box<WhackRun>),
    /// Print this on standard output and exit.
    Print {
        /// What.
        text: String,
        /// With this status.
        status: u8,
    },
}

/// Requests and how to send them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WhackRun {
    /// In this order, each on a connection of its own.
    pub requests: Vec<Request>,
    /// The control socket.
    pub socket: PathBuf,
    /// Version of the protocol to claim (`--magic`).
    pub protocol_version: u32,
    /// Listings as JSON.
    pub json: bool,
    /// Answer to a prompt for a user name.
    pub username: Option<String>,
    /// Answer to a prompt for a password.
    pub password: Option<Password>,
    /// Text for whack's own complaints, with a blank at the end; empty without `--label`.
    pub label: String,
    /// Warnings for standard error, whole lines.
    pub warnings: Vec<String>,
}

impl WhackCommand {
    /// Reads `arguments` (without the program's name); `read_file` reads the files of
    /// `--optionsfrom`.
    ///
    /// # Errors
    /// What to print on standard error, and the exit status: 1 for options that are wrong
    /// by themselves, 33 for those that do not go together.
    pub fn parse<'f>(
        arguments: impl IntoIterator<Item = String>,
        read_file: &'f mut ReadFile<'f>,
    ) -> Result<Self, Complaint> {
        let table: Vec<Opt<Key>> =
            table::PARTS.iter().flat_map(|(_, part)| part.iter().copied()).collect();
        let mut reader = Reader::new(&table, arguments, read_file);
        let (mut said, mut operand) = (Said::default(), None);
        while let Some(word) = reader.next_word()? {
            match word {
                Word::Option(found) => {
                    if let Some(print) = said.option(&found)? {
                        return Ok(print);
                    }
                }
                // As getopt does, look at all options before complaining of other words.
                Word::Operand(word, origin) => {
                    operand.get_or_insert((word, origin));
                }
            }
        }
        if let Some((word, origin)) = operand {
            return Err(said.wrong(format_args!("{origin}unexpected argument \"{word}\"")));
        }
        said.warnings.splice(0..0, reader.warnings().iter().cloned());
        said.into_run().map(|run| Self::Run(Box::new(run)))
    }
}

/// What has been said so far.
#[derive(Debug, Default)]
struct Said {
    label: String,
    name: Option<String>,
    socket: Option<PathBuf>,
    rundir: Option<PathBuf>,
    asynchronous: bool,
    json: bool,
    magic: u32,
    /// Options that were given, with the end they belong to (0 left, 1 right, 2 neither).
    given: Vec<(&'static str, Key, usize)>,
    command: Option<(Command, &'static str)>,
    /// Values of commands that take one, by command.
    arguments: Vec<(Command, String)>,
    left: EndSpec,
    right: EndSpec,
    to: bool,
    options: BTreeMap<String, String>,
    authby: Vec<&'static str>,
    esn: Option<String>,
    no_esn: bool,
    family: Option<&'static str>,
    username: Option<String>,
    password: Option<Password>,
    remote_host: Option<String>,
    redirect_to: Option<String>,
    leave_state: bool,
    add_key: bool,
    public_key: Option<String>,
    oppo: Oppo,
    debug: Option<DebugChange>,
    impair: Option<Impair>,
    warnings: Vec<String>,
}

#[derive(Debug, Default)]
struct Oppo {
    protocol: Option<u8>,
    source_port: Option<u16>,
    destination_port: Option<u16>,
    label: Option<String>,
    reqid: Option<u32>,
}

#[derive(Debug, Default)]
struct Impair {
    add: Vec<String>,
    remove: Vec<String>,
    clear: bool,
}

impl Said {
    /// A complaint of whack's own: `whack error: [label] ["name" ]text`, status 33.
    fn wrong(&self, what: impl fmt::Display) -> Complaint {
        let name = self.name.as_ref().map(|name| format!("\"{name}\" ")).unwrap_or_default();
        Complaint {
            text: format!("whack error: {}{name}{what}", self.label),
            status: u8::try_from(codes::WHACK_PROBLEM).unwrap_or(u8::MAX),
            see_help: false,
            own: true,
        }
    }

    fn option(&mut self, found: &Found<'_, Key>) -> Result<Option<WhackCommand>, Complaint> {
        self.not_twice(found)?;
        let text = || found.text().to_owned();
        // A switch without a value is a yes.
        let yes = || found.value.clone().unwrap_or_else(|| "yes".to_owned());
        match found.opt.key {
            Key::Help => return Ok(Some(WhackCommand::Print { text: usage(), status: 0 })),
            Key::Version => {
                let text = format!("whack {}\n", crate::VERSION);
                return Ok(Some(WhackCommand::Print { text, status: 0 }));
            }
            Key::Label => self.label = format!("{} ", found.text()),
            Key::Rundir => self.rundir = Some(text().into()),
            Key::Ctlsocket => self.socket = Some(text().into()),
            Key::Name => self.name = Some(text()),
            Key::Asynchronous => {
                self.asynchronous = value::yn(&yes()).map_err(|why| found.invalid(why))?;
            }
            Key::Json => self.json = true,
            Key::Magic => self.magic = self.number(found, u64::from(u32::MAX))?,
            Key::To => self.to(found)?,
            Key::End(keyword) => self.end(keyword, yes(), found)?,
            Key::EndSet(keyword, value) => self.end(keyword, value.to_owned(), found)?,
            Key::Username => {
                self.end("username", text(), found)?;
                self.username = Some(text());
            }
            Key::Conn(keyword) => self.keyword(keyword, yes(), found)?,
            Key::ConnSet(keyword, value) => self.keyword(keyword, value.to_owned(), found)?,
            Key::Authby(word) => self.authby.push(word),
            Key::Esn => self.esn = Some(yes()),
            Key::NoEsn => self.no_esn = true,
            Key::TunnelIpv4 => self.family("ipv4", found)?,
            Key::TunnelIpv6 => self.family("ipv6", found)?,
            Key::Command(command) => self.command(command, found)?,
            Key::RedirectTo => self.redirect_to = Some(text()),
            Key::RemoteHost => self.remote_host = Some(text()),
            Key::Xauthpass => self.password = Some(Password(text())),
            Key::LeaveState => self.leave_state = true,
            Key::KeepKeys => self.add_key = true,
            Key::PubkeyRsa => self.public_key = Some(text()),
            Key::OppoProto => self.oppo.protocol = Some(self.number(found, 255)?),
            Key::OppoSport => self.oppo.source_port = Some(self.number(found, 65_535)?),
            Key::OppoDport => self.oppo.destination_port = Some(self.number(found, 65_535)?),
            Key::OppoLabel => self.oppo.label = Some(text()),
            Key::OppoReqid => self.oppo.reqid = Some(self.number(found, u64::from(u32::MAX))?),
            Key::Debug | Key::NoDebug => return self.debug(found),
            Key::DebugAll => {
                let add = DebugSet::by_name("all").unwrap_or_default();
                self.change_debug(DebugChange { add, remove: DebugSet::NONE });
            }
            Key::DebugNone => {
                self.change_debug(DebugChange { add: DebugSet::NONE, remove: DebugSet::EVERYTHING })
            }
            Key::Impair if found.text().eq_ignore_ascii_case("none") => {
                *self.impair.get_or_insert_default() = Impair { clear: true, ..Impair::default() };
            }
            Key::Impair => self.impair.get_or_insert_default().add.push(text()),
            Key::NoImpair => self.impair.get_or_insert_default().remove.push(text()),
            Key::Utc | Key::Optionsfrom | Key::Unsupported => {}
        }
        Ok(None)
    }

    /// Refuses an option that was given before, for the same end.
    fn not_twice(&mut self, found: &Found<'_, Key>) -> Result<(), Complaint> {
        let end = match found.opt.key {
            Key::Debug | Key::NoDebug | Key::Impair | Key::NoImpair | Key::Utc => return Ok(()),
            Key::DebugAll | Key::DebugNone | Key::Authby(_) => return Ok(()),
            Key::End(_) | Key::EndSet(..) | Key::Username => usize::from(self.to),
            _ => 2,
        };
        let key = found.opt.key;
        if self.given.iter().any(|&(_, given, of)| given == key && of == end) {
            return Err(self
                .wrong(format_args!("{}duplicated flag \"--{}\"", found.origin, found.opt.name)));
        }
        self.given.push((found.opt.name, key, end));
        Ok(())
    }

    fn to(&mut self, found: &Found<'_, Key>) -> Result<(), Complaint> {
        self.command(Command::Add, found)?;
        if !self.left.0.contains_key("host") {
            return Err(self.wrong("connection missing --host before --to"));
        }
        self.to = true;
        Ok(())
    }

    fn end(
        &mut self,
        keyword: &str,
        value: String,
        found: &Found<'_, Key>,
    ) -> Result<(), Complaint> {
        let end = if self.to { &mut self.right } else { &mut self.left };
        if end.0.insert(keyword.to_owned(), value).is_some() {
            return Err(self.conflict(keyword, found, usize::from(self.to)));
        }
        Ok(())
    }

    fn keyword(
        &mut self,
        keyword: &str,
        value: String,
        found: &Found<'_, Key>,
    ) -> Result<(), Complaint> {
        if self.options.insert(keyword.to_owned(), value).is_some() {
            return Err(self.conflict(keyword, found, 2));
        }
        Ok(())
    }

    /// A complaint about two options that set the same keyword.
    fn conflict(&self, keyword: &str, found: &Found<'_, Key>, end: usize) -> Complaint {
        let same = |key: &Key| match key {
            Key::End(word) | Key::EndSet(word, _) | Key::Conn(word) | Key::ConnSet(word, _) => {
                *word == keyword
            }
            _ => false,
        };
        let other = self.given.iter().find(|(_, key, of)| *of == end && same(key));
        let other = other.map_or(keyword, |(name, ..)| name);
        self.wrong(format_args!(
            "{}option \"--{}\" conflicts with option \"--{other}\"",
            found.origin, found.opt.name
        ))
    }

    fn family(&mut self, family: &'static str, found: &Found<'_, Key>) -> Result<(), Complaint> {
        if self.family.is_some() {
            return Err(
                self.wrong("option \"--tunnelipv4\" conflicts with option \"--tunnelipv6\"")
            );
        }
        if self.given.iter().any(|(name, ..)| name.starts_with("oppo")) {
            return Err(self.wrong(format_args!(
                "option \"--{}\" must precede --oppohere and --oppothere",
                found.opt.name
            )));
        }
        self.family = Some(family);
        Ok(())
    }

    fn command(&mut self, command: Command, found: &Found<'_, Key>) -> Result<(), Complaint> {
        let name = found.opt.name;
        match self.command {
            Some((earlier, before)) if earlier.group() != command.group() => {
                return Err(self.wrong(format_args!(
                    "conflicing command options '--{before}' and '--{name}'"
                )));
            }
            Some(_) => {}
            None => self.command = Some((command.group(), name)),
        }
        let argument = match command {
            Command::DdosMode(mode) if !mode.is_empty() => mode.to_owned(),
            Command::DdosMode(_) | Command::GlobalRedirect => {
                let words: &[&str] = match command {
                    Command::DdosMode(_) => &["busy", "unlimited", "auto"],
                    _ => &["yes", "no", "auto"],
                };
                value::one_of(found.text(), words).map_err(|why| found.invalid(why))?.to_owned()
            }
            Command::IkeSocketErrqueue => {
                value::yn(found.text()).map_err(|why| found.invalid(why))?;
                found.text().to_owned()
            }
            Command::IkeSocketBufsize => crate::pluto_options::bufsize(found.text())
                .map_err(|why| found.invalid(why))?
                .to_string(),
            Command::DeleteState => {
                let serial: u64 = self.number(found, u64::MAX)?;
                serial.to_string()
            }
            _ => found.text().to_owned(),
        };
        self.arguments.push((command, argument));
        Ok(())
    }

    fn debug(&mut self, found: &Found<'_, Key>) -> Result<Option<WhackCommand>, Complaint> {
        if ["help", "list"].contains(&found.text()) {
            return Ok(Some(WhackCommand::Print { text: debug::help(), status: 1 }));
        }
        let change = DebugChange::parse(found.text())
            .map_err(|word| found.invalid(format_args!("unknown debug class \"{word}\"")))?;
        self.change_debug(if found.opt.key == Key::NoDebug { change.negated() } else { change });
        Ok(None)
    }

    fn change_debug(&mut self, change: DebugChange) {
        self.debug = Some(self.debug.unwrap_or_default().then(change));
    }

    fn number<T: TryFrom<u64>>(&self, found: &Found<'_, Key>, most: u64) -> Result<T, Complaint> {
        // A state's number may be written as logs show it.
        let digits = found.text().strip_prefix('#').unwrap_or(found.text());
        value::number(digits, 0..=most)
            .and_then(|number| T::try_from(number).map_err(|_| "is too large".to_owned()))
            .map_err(|why| found.invalid(why))
    }

    /// Whether something of a connection's description was said.
    fn describes(&self) -> bool {
        let username_alone = self.left.0.len() == 1 && self.left.0.contains_key("username");
        let ends = !(self.left.0.is_empty() || username_alone) || !self.right.0.is_empty();
        ends || !self.options.is_empty()
            || !self.authby.is_empty()
            || self.esn.is_some()
            || self.no_esn
    }

    fn spec(&mut self, name: String) -> ConnectionSpec {
        let mut options = std::mem::take(&mut self.options);
        if !self.authby.is_empty() {
            options.insert("authby".to_owned(), self.authby.join(","));
        }
        match (self.esn.take(), self.no_esn) {
            (Some(_), true) => options.insert("esn".to_owned(), "either".to_owned()),
            (Some(esn), false) => options.insert("esn".to_owned(), esn),
            (None, true) => options.insert("esn".to_owned(), "no".to_owned()),
            (None, false) => None,
        };
        if let Some(to) = self.redirect_to.take() {
            options.insert("redirect-to".to_owned(), to);
        }
        ConnectionSpec {
            name,
            left: std::mem::take(&mut self.left),
            right: std::mem::take(&mut self.right),
            options,
            source: "whack".to_owned(),
        }
    }
}

fn usage() -> String {
    let mut text = "Usage: whack [options]\n\nTells pluto what to do.\n".to_owned();
    for (heading, part) in table::PARTS {
        text.push_str(&format!("\nOptions of {heading}:\n{}", getopt::usage(part)));
    }
    text
}

#[cfg(test)]
mod tests;
