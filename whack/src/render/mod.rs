//! libreswan's text of every listing, made of nothing but facts.
//!
//! Items are rendered one by one as they arrive. Sections come in the order of
//! [`Section`]; their headings appear even when they are empty, and a line holding one
//! blank stands between them.

mod amount;
mod connection;
mod daemon;
mod lists;
mod sa;
mod tree;

pub use amount::{exact, rounded, utc};

use crate::request::Listing;
use crate::{Item, report};
use std::fmt::Write;

/// The line between sections.
const SEPARATOR: &str = " \n";

/// Parts of a listing's text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Section {
    Daemon,
    Fips,
    Connections,
    Totals,
    Brief,
    States,
    Shunts,
    AddressPools,
    Processes,
    Counters,
    PublicKeys,
    Psks,
    Certificates,
    CaCertificates,
    Crls,
    Events,
    Tree,
}

impl Section {
    /// What stands above it.
    fn heading(self) -> Option<&'static str> {
        match self {
            Self::Connections => Some("Connection list:\n \n"),
            Self::Shunts => Some("Bare Shunt list:\n \n"),
            Self::Processes => Some("  PID  Process\n"),
            Self::PublicKeys => Some("List of Public Keys:\n \n"),
            Self::Certificates => Some("List of X.509 End Certificates:\n \n"),
            Self::CaCertificates => Some("List of X.509 CA Certificates:\n \n"),
            Self::Crls => Some("List of CRLs:\n \n"),
            Self::Events => Some("List of events:\n \n"),
            Self::Tree => Some("Supervision tree:\n \n"),
            _ => None,
        }
    }

    fn of(item: &Item) -> Self {
        match item {
            Item::Daemon(_) => Self::Daemon,
            Item::Fips(_) => Self::Fips,
            Item::Connection(_) => Self::Connections,
            Item::Totals(_) => Self::Totals,
            Item::Brief(_) => Self::Brief,
            Item::IkeSa(_) | Item::ChildSa(_) | Item::Pending(_) => Self::States,
            Item::Shunt(_) => Self::Shunts,
            Item::AddressPool(_) => Self::AddressPools,
            Item::Process(_) => Self::Processes,
            Item::Counter(_) => Self::Counters,
            Item::PublicKey(_) => Self::PublicKeys,
            Item::Psk(_) => Self::Psks,
            Item::Certificate(_) => Self::Certificates,
            Item::CaCertificate(_) => Self::CaCertificates,
            Item::Crl(_) => Self::Crls,
            Item::Event(_) => Self::Events,
            Item::Actor(_) => Self::Tree,
        }
    }
}

/// The sections whose headings a listing shows even when they are empty.
fn expected(what: Listing, named: bool) -> &'static [Section] {
    use Section as S;
    match what {
        Listing::Status => &[S::Connections, S::Shunts, S::Tree],
        // A name asks for one connection: just its block.
        Listing::ConnectionStatus if !named => &[S::Connections],
        Listing::ShuntStatus => &[S::Shunts],
        Listing::ProcessStatus => &[S::Processes],
        Listing::ListPubkeys | Listing::CheckPubkeys => &[S::PublicKeys],
        Listing::ListCerts => &[S::Certificates],
        Listing::ListCaCerts => &[S::CaCertificates],
        Listing::ListCrls => &[S::Crls],
        Listing::ListEvents => &[S::Events],
        Listing::ListAll => &[S::PublicKeys, S::Certificates, S::CaCertificates, S::Crls],
        _ => &[],
    }
}

/// Lines of items that follow each other in one section, without its heading: a part of a
/// listing that can be made before the parts in front of it.
#[derive(Debug)]
pub struct Block {
    section: Section,
    lines: String,
}

impl Block {
    /// What these items of a listing say, in their order.
    #[must_use]
    pub fn of(what: Listing, items: impl IntoIterator<Item = Item>) -> Vec<Self> {
        let mut text = Text::new(what, false);
        let mut blocks: Vec<Self> = Vec::new();
        for item in items {
            let section = Section::of(&item);
            let mut lines = match blocks.pop() {
                Some(last) if last.section == section => last.lines,
                Some(last) => {
                    blocks.push(last);
                    String::new()
                }
                None => String::new(),
            };
            // Writing to a String cannot fail.
            let _ = text.lines(&item, &mut lines);
            if !lines.is_empty() {
                blocks.push(Self { section, lines });
            }
        }
        for block in &mut blocks {
            if !is_harmless(&block.lines) {
                let mut lines = String::with_capacity(block.lines.len());
                sanitize(&block.lines, &mut lines);
                block.lines = lines;
            }
        }
        blocks
    }
}

/// Renders a listing's items.
#[derive(Debug)]
pub struct Text {
    what: Listing,
    expected: &'static [Section],
    /// The section that is being written.
    section: Option<Section>,
    /// The secrets file whose heading has been written.
    psk_file: Option<String>,
}

impl Text {
    /// A listing; `named` when it was asked for with a name.
    #[must_use]
    pub fn new(what: Listing, named: bool) -> Self {
        Self { what, expected: expected(what, named), section: None, psk_file: None }
    }

    /// Writes an item's lines.
    pub fn item(&mut self, item: &Item, out: &mut String) {
        let mut lines = String::new();
        // Writing to a String cannot fail.
        let _ = self.lines(item, &mut lines);
        if lines.is_empty() {
            return;
        }
        self.enter(Section::of(item), out);
        sanitize(&lines, out);
    }

    /// Writes lines that were made before.
    pub fn block(&mut self, block: &Block, out: &mut String) {
        self.enter(block.section, out);
        out.push_str(&block.lines);
    }

    /// Writes what is left to say at the end.
    pub fn finish(&mut self, out: &mut String) {
        let sections: &'static [Section] = self.expected;
        for &section in sections {
            if self.section < Some(section) {
                self.open(section, true, out);
            }
        }
    }

    fn enter(&mut self, section: Section, out: &mut String) {
        let sections: &'static [Section] = self.expected;
        for &earlier in sections.iter().filter(|&&earlier| earlier < section) {
            if self.section < Some(earlier) {
                self.open(earlier, true, out);
            }
        }
        if self.section != Some(section) {
            let heading = self.expected.contains(&section);
            self.open(section, heading, out);
        }
    }

    fn open(&mut self, section: Section, heading: bool, out: &mut String) {
        if self.section.is_some() {
            out.push_str(SEPARATOR);
        }
        if let Some(text) = section.heading().filter(|_| heading) {
            out.push_str(text);
        }
        self.section = Some(section);
    }

    fn lines(&mut self, item: &Item, out: &mut String) -> std::fmt::Result {
        match item {
            Item::Daemon(facts) => daemon::daemon(facts, out),
            Item::Fips(facts) => writeln!(out, "FIPS mode {}", facts.mode),
            // Only those with a Child SA have a line, and it is the Child SA's.
            Item::Connection(_) if self.what == Listing::BriefConnectionStatus => Ok(()),
            Item::Connection(facts) => connection::connection(facts, out),
            Item::Totals(facts) if self.what == Listing::BriefConnectionStatus => {
                let report::TotalsFacts { loaded, active, .. } = facts;
                writeln!(out, "# Total IPsec connections: loaded {loaded}, active {active}")
            }
            Item::Totals(report::TotalsFacts { loaded, routed, active }) => writeln!(
                out,
                "Total IPsec connections: loaded {loaded}, routed {routed}, active {active}"
            ),
            Item::Brief(facts) => lists::brief(facts, out),
            Item::IkeSa(facts) => sa::ike_sa(facts, out),
            Item::ChildSa(facts) => match self.what {
                Listing::TrafficStatus => sa::traffic(facts, out),
                Listing::BriefConnectionStatus => sa::brief_connection(facts, out),
                _ => sa::child_sa(facts, out),
            },
            Item::Pending(facts) => sa::pending(facts, out),
            Item::Shunt(facts) => lists::shunt(facts, out),
            Item::AddressPool(facts) => lists::address_pool(facts, out),
            Item::Process(facts) => writeln!(out, "{:5}  {}", facts.pid, facts.program),
            Item::Counter(facts) => writeln!(out, "{}={}", facts.name, facts.value),
            Item::PublicKey(facts) => lists::public_key(facts, out),
            Item::Psk(facts) => {
                if self.psk_file.as_ref() != Some(&facts.file) {
                    writeln!(out, "List of Pre-shared secrets (from {})\n ", facts.file)?;
                    self.psk_file = Some(facts.file.clone());
                }
                lists::psk(facts, out)
            }
            Item::Certificate(facts) => lists::certificate(facts, "End", out),
            Item::CaCertificate(facts) => {
                lists::certificate(facts, if facts.root { "Root CA" } else { "CA" }, out)
            }
            Item::Crl(facts) => lists::crl(facts, out),
            Item::Event(facts) => {
                writeln!(out, "event {} of {} in {}s", facts.event, facts.owner, facts.in_s)
            }
            Item::Actor(facts) => tree::actor(facts, out),
        }
    }
}

/// Copies lines, control characters replaced: identities and the like come from peers, and
/// a terminal must not obey them.
pub fn sanitize(lines: &str, out: &mut String) {
    let harmless = |c: char| !c.is_control() || c == '\n' || c == '\t';
    if is_harmless(lines) {
        out.push_str(lines);
    } else {
        out.extend(lines.chars().map(|c| if harmless(c) { c } else { '?' }));
    }
}

/// The same for what has been appended to `out` from octet `start` on.
pub fn sanitize_from(out: &mut String, start: usize) {
    let appended = out.get(start..).unwrap_or_default();
    if !is_harmless(appended) {
        let appended = appended.to_owned();
        out.truncate(start);
        sanitize(&appended, out);
    }
}

/// Whether there is nothing but ASCII without control characters; other characters are
/// looked at one by one.
fn is_harmless(lines: &str) -> bool {
    let bad = |octet: u8| (octet >= 0x7f) | ((octet < 0x20) & (octet != b'\n') & (octet != b'\t'));
    // Without an early end within a piece it is done many octets at a time.
    let clean = |piece: &[u8]| !piece.iter().fold(false, |found, octet| found | bad(*octet));
    lines.as_bytes().chunks(1_024).all(clean)
}

/// One line of text from the daemon as it is printed: control characters and line feeds
/// replaced, a line feed added.
#[must_use]
pub fn line(text: &str) -> String {
    let mut line: String =
        text.chars().map(|c| if c.is_control() && c != '\t' { '?' } else { c }).collect();
    line.push('\n');
    line
}

fn yes_no(on: bool) -> &'static str {
    if on { "yes" } else { "no" }
}

fn or<'a>(value: Option<&'a String>, otherwise: &'a str) -> &'a str {
    value.map_or(otherwise, String::as_str)
}

#[cfg(test)]
mod tests;
