//! ipsec.secrets.

mod index;
mod records;

use crate::address::parse_address;
use crate::data::parse_data;
use crate::{Id, IdError};
use index::{Index, Selectors};
use pluto_crypto::Secret;
use records::{Record, Token, records};
use rustc_hash::{FxHashMap, FxHashSet};
use std::fmt;
use std::path::{Path, PathBuf};
use zeroize::Zeroizing;

/// How deep files may include each other.
const MAX_DEPTH: usize = 10;

/// How many files one load may read.
const MAX_FILES: usize = 10_000;

/// Octets below which a quoted pre-shared key is called weak.
const WEAK: usize = 8;

/// What a secret is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum SecretKind {
    /// Pre-shared key.
    Psk,
    /// Password of an XAUTH user.
    Xauth,
    /// Post-quantum pre-shared key (RFC 8784).
    Ppk,
}

impl fmt::Display for SecretKind {
    /// The keyword of ipsec.secrets.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Psk => "PSK",
            Self::Xauth => "XAUTH",
            Self::Ppk => "PPKS",
        })
    }
}

/// A complaint about one line; the rest of the file counts all the same.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SecretsError {
    /// The file.
    pub file: PathBuf,
    /// The line, from 1; 0 when it is about the whole file.
    pub line: usize,
    /// What is wrong.
    pub why: String,
}

impl fmt::Display for SecretsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let file = self.file.display();
        match self.line {
            0 => write!(f, "\"{file}\": {}", self.why),
            line => write!(f, "\"{file}\" line {line}: {}", self.why),
        }
    }
}

impl std::error::Error for SecretsError {}

/// One record.
#[derive(Debug, Clone)]
struct Entry {
    kind: SecretKind,
    line: usize,
    /// The identities as listings show them.
    shown: String,
    secret: Secret,
}

/// All secrets of a file and of those it includes. Their octets are zeroed when it is
/// dropped, and not shown by `Debug`.
#[derive(Debug, Clone, Default)]
pub struct Secrets {
    entries: Vec<Entry>,
    psk: Index,
    xauth: Index,
    ppk: Index,
    ppk_ids: FxHashMap<Vec<u8>, usize>,
}

impl Secrets {
    /// Reads a file (or glob pattern) and what it includes. `read` opens files and expands
    /// patterns, so that this is testable and the caller decides where it may block. A file
    /// is read once, however often it is included.
    ///
    /// Returns what could be read, the files read in order, and all complaints, warnings
    /// among them; none of these holds a secret.
    pub fn load(
        path: &Path,
        read: &mut dyn SecretFiles,
    ) -> (Self, Vec<PathBuf>, Vec<SecretsError>) {
        let mut loader = Loader {
            secrets: Self::default(),
            read,
            files: Vec::new(),
            seen: FxHashSet::default(),
            open: Vec::new(),
            complaints: Vec::new(),
        };
        loader.pattern(path, (path, 0));
        (loader.secrets, loader.files, loader.complaints)
    }

    /// The best secret for the pair of identities (reference: ipsec-secrets, 5): one for
    /// both is better than one for ours with a wildcard, than one for ours alone, than one
    /// for the peer's with a wildcard, than a wildcard, than one without index; of equals
    /// the first. `asymmetric`: the peer authenticates in another way, so that a record
    /// which names us among others will do. Where the peer's identity is not known yet it
    /// is [`Id::Any`].
    ///
    /// For XAUTH `local` is the user, as [`Id::Fqdn`], and must be named.
    #[must_use]
    pub fn find(
        &self,
        kind: SecretKind,
        local: &Id,
        remote: &Id,
        asymmetric: bool,
    ) -> Option<&Secret> {
        let number = match kind {
            SecretKind::Psk => self.psk.best(local, remote, asymmetric),
            SecretKind::Ppk => self.ppk.best(local, remote, asymmetric),
            SecretKind::Xauth => self.xauth.exact(local),
        };
        self.entries.get(number?).map(|entry| &entry.secret)
    }

    /// The post-quantum key with exactly this PPK_ID; the first one of equals.
    #[must_use]
    pub fn find_ppk(&self, ppk_id: &[u8]) -> Option<&Secret> {
        let number = self.ppk_ids.get(ppk_id)?;
        self.entries.get(*number).map(|entry| &entry.secret)
    }

    /// The lines of `--listpsks`: (line number, kind, ids as text): the first two
    /// identities, `more` where there are others, `(none) (none)` where there is none.
    /// Post-quantum keys are not listed.
    #[must_use]
    pub fn list(&self) -> Vec<(usize, SecretKind, String)> {
        let listed = self.entries.iter().filter(|entry| entry.kind != SecretKind::Ppk);
        listed.map(|entry| (entry.line, entry.kind, entry.shown.clone())).collect()
    }

    /// How many secrets there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    fn add(&mut self, kind: SecretKind, line: usize, selectors: &Selectors, secret: Secret) {
        let number = self.entries.len();
        let index = match kind {
            SecretKind::Psk => &mut self.psk,
            SecretKind::Xauth => &mut self.xauth,
            SecretKind::Ppk => &mut self.ppk,
        };
        index.add(number, selectors);
        self.entries.push(Entry { kind, line, shown: show(selectors), secret });
    }
}

/// Identities as listings show them.
fn show(selectors: &Selectors) -> String {
    if selectors.written == 0 {
        return "(none) (none)".to_owned();
    }
    let anys = usize::from(selectors.any4).saturating_add(usize::from(selectors.any6));
    let ids = selectors.ids.iter().map(ToString::to_string);
    let mut ids = ids.chain(std::iter::repeat_n(Id::Any.to_string(), anys));
    let mut shown: Vec<String> = ids.by_ref().take(2).collect();
    if ids.next().is_some() {
        shown.push("more".to_owned());
    }
    shown.join(" ")
}

/// How [`Secrets::load`] gets at files.
pub trait SecretFiles {
    /// The files that a shell pattern means, sorted; itself when it has no magic.
    fn expand(&mut self, pattern: &Path) -> Vec<PathBuf>;
    /// The text of a file.
    ///
    /// # Errors
    /// The operating system's text.
    fn read(&mut self, file: &Path) -> Result<Vec<u8>, String>;
}

struct Loader<'a> {
    secrets: Secrets,
    read: &'a mut dyn SecretFiles,
    files: Vec<PathBuf>,
    seen: FxHashSet<PathBuf>,
    /// The files that include the one being read, and itself.
    open: Vec<PathBuf>,
    complaints: Vec<SecretsError>,
}

/// A file and a line in it.
type Place<'a> = (&'a Path, usize);

impl Loader<'_> {
    fn complain(&mut self, (file, line): Place<'_>, why: impl Into<String>) {
        self.complaints.push(SecretsError { file: file.to_owned(), line, why: why.into() });
    }

    fn pattern(&mut self, pattern: &Path, from: Place<'_>) {
        let files = self.read.expand(pattern);
        if files.is_empty() {
            let why = format!("no secrets filename matched \"{}\"", pattern.display());
            self.complain(from, why);
        }
        for file in files {
            // Without "./" and "//", so that a file has one name.
            self.file(file.components().collect(), from);
        }
    }

    fn file(&mut self, file: PathBuf, from: Place<'_>) {
        let shown = file.display();
        if self.open.contains(&file) {
            let why = format!("preshared secrets file \"{shown}\" includes itself; ignored");
            return self.complain(from, why);
        }
        if self.open.len() >= MAX_DEPTH {
            let why = format!("preshared secrets file \"{shown}\" nested too deeply");
            return self.complain(from, why);
        }
        if self.files.len() >= MAX_FILES {
            return self
                .complain(from, format!("\"{shown}\" ignored: more than {MAX_FILES} files"));
        }
        if !self.seen.insert(file.clone()) {
            return;
        }
        let text = match self.read.read(&file) {
            Ok(text) => Zeroizing::new(text),
            Err(why) => {
                let why = format!("could not read \"{shown}\": {why}");
                return self.complain(from, why);
            }
        };
        self.files.push(file.clone());
        self.open.push(file.clone());
        let (records, complaints) = records(&text);
        for (line, why) in complaints {
            self.complain((&file, line), why);
        }
        for record in &records {
            let place = (file.as_path(), record.line);
            if let Err(why) = self.record(record, place) {
                self.complain(place, why);
            }
        }
        self.open.pop();
    }

    fn record(&mut self, record: &Record<'_>, place: Place<'_>) -> Result<(), String> {
        let mut tokens = record.tokens.iter();
        if record.tokens.first().is_some_and(|token| token.is("include")) {
            tokens.next();
            let pattern = tokens.next().ok_or("include without a file name")?;
            if tokens.next().is_some() {
                return Err("unexpected text behind the file name of include".to_owned());
            }
            let pattern = PathBuf::from(String::from_utf8_lossy(pattern.text).into_owned());
            let directory = place.0.parent().unwrap_or(Path::new(""));
            self.pattern(&directory.join(pattern), place);
            return Ok(());
        }
        let before: Vec<&Token<'_>> = tokens.by_ref().take_while(|token| !token.is(":")).collect();
        if before.len() == record.tokens.len() {
            return Err("record without ':' behind its identities".to_owned());
        }
        let kind = tokens.next().ok_or("unexpected end of record: no keyword behind ':'")?;
        let selectors = self.selectors(&before, place);
        self.secret(kind, tokens.as_slice(), &selectors, place)
    }

    fn secret(
        &mut self,
        kind: &Token<'_>,
        values: &[Token<'_>],
        selectors: &Selectors,
        place: Place<'_>,
    ) -> Result<(), String> {
        let (kind, ppk_id, values) = if kind.is("PSK") {
            (SecretKind::Psk, None, values)
        } else if kind.is("XAUTH") {
            (SecretKind::Xauth, None, values)
        } else if kind.is("PPKS") {
            match values.split_first() {
                Some((id, values)) if id.quoted => (SecretKind::Ppk, Some(id.text), values),
                _ => return Err("PPKS must be followed by a PPK_ID in quotes".to_owned()),
            }
        } else {
            return Err(format!("WARNING: ignored unrecognized keyword: {}", kind.shown()));
        };
        let value = match values {
            [] => return Err(format!("unexpected end of record: {kind} without a value")),
            [value] => value,
            _ => return Err(format!("unexpected text behind the value of {kind}")),
        };
        let secret = if value.quoted {
            Secret::from_slice(value.text)
        } else {
            let octets = parse_data(value.text);
            let octets = octets.map_err(|why| format!("{kind} data malformed: {why}"))?;
            Secret::from_slice(&Zeroizing::new(octets))
        };
        if secret.is_empty() {
            return Err(format!("the {kind} is empty"));
        }
        if selectors.written > 0 && selectors.ids.is_empty() && !selectors.any4 && !selectors.any6 {
            return Err(format!("{kind} ignored: none of its identities can be used"));
        }
        if kind == SecretKind::Psk && value.quoted && secret.len() < WEAK {
            self.complain(place, "WARNING: using a weak secret (PSK)");
        }
        if let Some(ppk_id) = ppk_id {
            let number = self.secrets.entries.len();
            self.secrets.ppk_ids.entry(ppk_id.to_vec()).or_insert(number);
        }
        self.secrets.add(kind, place.1, selectors, secret);
        Ok(())
    }

    fn selectors(&mut self, tokens: &[&Token<'_>], place: Place<'_>) -> Selectors {
        let mut selectors = Selectors { written: tokens.len(), ..Selectors::default() };
        for token in tokens {
            let text = match std::str::from_utf8(token.text) {
                Ok(text) => text,
                Err(_) => {
                    self.complain(place, format!("index \"{}\" is not UTF-8", token.shown()));
                    continue;
                }
            };
            match Id::parse(text) {
                Ok(Id::Any) => {
                    let six = text.eq_ignore_ascii_case("%any6")
                        || parse_address(text).is_some_and(|address| address.is_ipv6());
                    selectors.any4 |= !six;
                    selectors.any6 |= six;
                }
                Ok(id) => {
                    if Id::is_bare_name(text) {
                        let why = format!(
                            "WARNING: index \"{text}\" is taken as the name @{text}; host names are \
                             not looked up here, write the address where that is the identity"
                        );
                        self.complain(place, why);
                    }
                    selectors.ids.push(id);
                }
                Err(IdError(why)) => self.complain(place, format!("index ignored: {why}")),
            }
        }
        selectors
    }
}

#[cfg(test)]
#[path = "secrets_tests.rs"]
mod tests;
