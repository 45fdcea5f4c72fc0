//! Long options as GNU `getopt_long` reads them: unique prefixes, `--option=value`,
//! `--option value`, optional values with `=` only, `--` as the end of options; and, from
//! FreeS/WAN, `--optionsfrom FILE`.

use std::collections::VecDeque;
use std::fmt;

/// How deep files named by `--optionsfrom` may name further ones.
const MAX_NESTING: usize = 10;

/// How many words all files together may have.
const MAX_WORDS: usize = 100_000;

/// Exit status of a wrong command line.
pub const USAGE: u8 = 1;

/// An option of a table; `K` says what it does.
#[derive(Debug, Clone, Copy)]
pub struct Opt<K: 'static> {
    /// Its name, without `--`.
    pub name: &'static str,
    /// Whether it takes a value.
    pub takes: Takes,
    /// Whether it is what it seems.
    pub class: Class,
    /// What it does.
    pub key: K,
    /// What `--help` says of it.
    pub help: &'static str,
}

/// Whether an option takes a value, and how usage calls it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Takes {
    /// None.
    Nothing,
    /// One, as `--option=value` or as the next word.
    Value(&'static str),
    /// One or none, as `--option=value` only.
    Optional(&'static str),
}

/// What became of an option's name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Class {
    /// It stands.
    Plain,
    /// Another name of an option; help does not show it.
    Alias,
    /// It works with a warning.
    Replaced {
        /// What it is called now.
        by: &'static str,
        /// Since which version of libreswan.
        version: &'static str,
    },
    /// It does nothing, with a warning.
    Ignored {
        /// Since which version of libreswan.
        version: &'static str,
    },
    /// It is refused.
    Removed {
        /// Since which version of libreswan.
        version: &'static str,
    },
    /// It belongs to a feature that is not there yet: refused by name.
    Unsupported,
}

impl<K> Opt<K> {
    /// An option that stands.
    pub const fn new(name: &'static str, takes: Takes, key: K, help: &'static str) -> Self {
        Self { name, takes, class: Class::Plain, key, help }
    }

    /// Another name.
    pub const fn alias(name: &'static str, takes: Takes, key: K) -> Self {
        Self { name, takes, class: Class::Alias, key, help: "" }
    }

    /// An old name that works with a warning.
    pub const fn replaced(
        name: &'static str,
        takes: Takes,
        key: K,
        by: &'static str,
        version: &'static str,
    ) -> Self {
        Self { name, takes, class: Class::Replaced { by, version }, key, help: "" }
    }

    /// An option that does nothing any more, with a warning.
    pub const fn ignored(name: &'static str, takes: Takes, key: K, version: &'static str) -> Self {
        Self { name, takes, class: Class::Ignored { version }, key, help: "" }
    }

    /// An option that is refused.
    pub const fn removed(name: &'static str, takes: Takes, key: K, version: &'static str) -> Self {
        Self { name, takes, class: Class::Removed { version }, key, help: "" }
    }

    /// An option of a feature that is not there yet.
    pub const fn unsupported(name: &'static str, takes: Takes, key: K, help: &'static str) -> Self {
        Self { name, takes, class: Class::Unsupported, key, help }
    }
}

/// Where a word of the command line was written.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Origin {
    /// The file of `--optionsfrom` and the line; none for the command line itself.
    file: Option<(std::rc::Rc<str>, usize)>,
    /// How many files deep.
    depth: usize,
}

/// `options.txt:3: `, or nothing.
impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.file {
            Some((file, line)) => write!(f, "{file}:{line}: "),
            None => Ok(()),
        }
    }
}

/// An option as it was found.
#[derive(Debug, Clone)]
pub struct Found<'t, K: 'static> {
    /// The option, by whatever name.
    pub opt: &'t Opt<K>,
    /// Its value.
    pub value: Option<String>,
    /// Where it was written.
    pub origin: Origin,
}

impl<K> Found<'_, K> {
    /// A complaint about this option and its value.
    #[must_use]
    pub fn invalid(&self, why: impl fmt::Display) -> Complaint {
        let (origin, name) = (&self.origin, self.opt.name);
        Complaint::error(match &self.value {
            Some(value) => format!("{origin}option --{name} '{value}' invalid, {why}"),
            None => format!("{origin}option --{name} invalid, {why}"),
        })
    }

    /// Its value; empty when it has none.
    #[must_use]
    pub fn text(&self) -> &str {
        self.value.as_deref().unwrap_or_default()
    }
}

/// What is wrong with a command line: what to print on stderr, and the exit status.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Complaint {
    /// Whole lines joined by line feeds, `ERROR: ` and the like included.
    pub text: String,
    /// The exit status.
    pub status: u8,
    /// Whether a pointer to `--help` belongs below it.
    pub see_help: bool,
    /// Whether the text says itself whose it is (`whack error: …`).
    pub own: bool,
}

impl Complaint {
    /// A wrong value: `ERROR: …`, status 1.
    #[must_use]
    pub fn error(text: impl fmt::Display) -> Self {
        Self { text: format!("ERROR: {text}"), status: USAGE, see_help: false, own: false }
    }

    /// What to print on standard error, line feed included.
    #[must_use]
    pub fn message(&self, program: &str) -> String {
        let prefix = if self.own { String::new() } else { format!("{program}: ") };
        let hint = if self.see_help {
            format!("For usage information: {program} --help\n")
        } else {
            String::new()
        };
        format!("{prefix}{}\n{hint}", self.text)
    }

    /// What `getopt_long` itself complains of.
    fn getopt(text: impl Into<String>) -> Self {
        Self { text: text.into(), status: USAGE, see_help: true, own: false }
    }
}

/// Reads a file for `--optionsfrom`.
pub type ReadFile<'f> = dyn FnMut(&str) -> std::io::Result<String> + 'f;

/// Reads a command line by a table.
pub struct Reader<'t, 'f, K: 'static> {
    table: &'t [Opt<K>],
    words: VecDeque<(String, Origin)>,
    read_file: &'f mut ReadFile<'f>,
    words_from_files: usize,
    only_operands: bool,
    warnings: Vec<String>,
}

impl<K> fmt::Debug for Reader<'_, '_, K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reader").field("words", &self.words).finish_non_exhaustive()
    }
}

/// A word of the command line.
#[derive(Debug)]
pub enum Word<'t, K: 'static> {
    /// An option.
    Option(Found<'t, K>),
    /// Something else.
    Operand(String, Origin),
}

/// The name of the option that reads options from a file, in every table.
pub const OPTIONSFROM: &str = "optionsfrom";

impl<'t, 'f, K: Copy + PartialEq> Reader<'t, 'f, K> {
    /// Reads `arguments` (without the program's name).
    pub fn new(
        table: &'t [Opt<K>],
        arguments: impl IntoIterator<Item = String>,
        read_file: &'f mut ReadFile<'f>,
    ) -> Self {
        Self {
            table,
            words: arguments.into_iter().map(|word| (word, Origin::default())).collect(),
            read_file,
            words_from_files: 0,
            only_operands: false,
            warnings: Vec::new(),
        }
    }

    /// Warnings so far, whole lines.
    #[must_use]
    pub fn warnings(&self) -> &[String] {
        &self.warnings
    }

    /// The next option or operand; none at the end. Options that are ignored have become
    /// warnings, those that are refused complaints.
    ///
    /// # Errors
    /// The word that is no option, or not as it was used.
    pub fn next_word(&mut self) -> Result<Option<Word<'t, K>>, Complaint> {
        loop {
            let Some((word, origin)) = self.words.pop_front() else { return Ok(None) };
            if self.only_operands {
                return Ok(Some(Word::Operand(word, origin)));
            }
            let Some(long) = word.strip_prefix("--") else {
                if word.len() > 1 && word.starts_with('-') {
                    let letter = word.chars().nth(1).unwrap_or('-');
                    return Err(Complaint::getopt(format!("{origin}invalid option -- '{letter}'")));
                }
                return Ok(Some(Word::Operand(word, origin)));
            };
            if long.is_empty() {
                self.only_operands = true;
                continue;
            }
            let found = self.option(long, origin)?;
            if found.opt.name == OPTIONSFROM {
                self.read_options(&found)?;
            } else if let Some(found) = self.by_class(found)? {
                return Ok(Some(Word::Option(found)));
            }
        }
    }

    fn option(&mut self, long: &str, origin: Origin) -> Result<Found<'t, K>, Complaint> {
        let (name, value) = match long.split_once('=') {
            Some((name, value)) => (name, Some(value.to_owned())),
            None => (long, None),
        };
        let opt = self.look_up(name, &origin)?;
        let wrong =
            |what: &str| Err(Complaint::getopt(format!("{origin}option '--{}' {what}", opt.name)));
        let value = match (opt.takes, value) {
            (Takes::Nothing, Some(_)) => return wrong("doesn't allow an argument"),
            (Takes::Value(_), None) => {
                // A value is written where its option is: a file's last option does not take
                // a word of the command line.
                let same_place = self.words.front().is_some_and(|(_, next)| {
                    next.depth == origin.depth
                        && next.file.as_ref().map(|f| &f.0) == origin.file.as_ref().map(|f| &f.0)
                });
                match self.words.pop_front() {
                    Some((value, _)) if same_place => Some(value),
                    _ => return wrong("requires an argument"),
                }
            }
            (_, value) => value,
        };
        Ok(Found { opt, value, origin })
    }

    /// The option of this name, or the one that begins so; several that do the same are one.
    fn look_up(&self, name: &str, origin: &Origin) -> Result<&'t Opt<K>, Complaint> {
        if let Some(opt) = self.table.iter().find(|opt| opt.name == name) {
            return Ok(opt);
        }
        let mut candidates = self.table.iter().filter(|opt| opt.name.starts_with(name));
        let Some(first) = candidates.next() else {
            return Err(Complaint::getopt(format!("{origin}unrecognized option '--{name}'")));
        };
        let others: Vec<_> = candidates.collect();
        if others.iter().all(|opt| opt.key == first.key && opt.takes == first.takes) {
            let plain = others.iter().find(|opt| opt.class == Class::Plain);
            return Ok(if first.class == Class::Plain { first } else { plain.unwrap_or(&first) });
        }
        let names: Vec<_> =
            std::iter::once(first).chain(others).map(|opt| format!("'--{}'", opt.name)).collect();
        Err(Complaint::getopt(format!(
            "{origin}option '--{name}' is ambiguous; possibilities: {}",
            names.join(" ")
        )))
    }

    fn by_class(&mut self, found: Found<'t, K>) -> Result<Option<Found<'t, K>>, Complaint> {
        let name = found.opt.name;
        match found.opt.class {
            Class::Plain | Class::Alias => Ok(Some(found)),
            Class::Replaced { by, version } => {
                self.warnings.push(format!(
                    "warning: {}option \"--{name}\" was replaced by \"--{by}\" in libreswan version {version}",
                    found.origin
                ));
                Ok(Some(found))
            }
            Class::Ignored { version } => {
                self.warnings.push(format!(
                    "warning: {}ignoring option \"--{name}\" that was removed in Libreswan {version}",
                    found.origin
                ));
                Ok(None)
            }
            Class::Removed { version } => Err(found
                .invalid(format_args!("option \"--{name}\" was removed in Libreswan {version}"))),
            Class::Unsupported => Err(Complaint::error(format!(
                "{}option --{name} ({}), not supported yet",
                found.origin, found.opt.help
            ))),
        }
    }

    /// Puts the words of a file before the rest: blanks separate them, `"…"` and `'…'` keep
    /// blanks, `#` at the beginning of a word begins a comment.
    fn read_options(&mut self, found: &Found<'t, K>) -> Result<(), Complaint> {
        let file = found.text();
        if found.origin.depth >= MAX_NESTING {
            return Err(found.invalid("files name files too deeply"));
        }
        let text = (self.read_file)(file)
            .map_err(|error| found.invalid(format_args!("cannot be read: {error}")))?;
        let name: std::rc::Rc<str> = file.into();
        let mut words = Vec::new();
        for (index, line) in text.lines().enumerate() {
            let origin =
                Origin { file: Some((name.clone(), index + 1)), depth: found.origin.depth + 1 };
            let line =
                split_words(line).map_err(|why| Complaint::error(format!("{origin}{why}")))?;
            words.extend(line.into_iter().map(|word| (word, origin.clone())));
        }
        self.words_from_files += words.len();
        if self.words_from_files > MAX_WORDS {
            return Err(found.invalid(format_args!("more than {MAX_WORDS} words")));
        }
        for word in words.into_iter().rev() {
            self.words.push_front(word);
        }
        Ok(())
    }
}

fn split_words(line: &str) -> Result<Vec<String>, String> {
    let mut words = Vec::new();
    let mut rest = line.trim_start();
    while !rest.is_empty() && !rest.starts_with('#') {
        let mut word = String::new();
        let mut quote = None;
        let mut end = rest.len();
        for (at, letter) in rest.char_indices() {
            match quote {
                Some(open) if letter == open => quote = None,
                Some(_) => word.push(letter),
                None if letter == '"' || letter == '\'' => quote = Some(letter),
                None if letter.is_whitespace() => {
                    end = at;
                    break;
                }
                None => word.push(letter),
            }
        }
        if let Some(open) = quote {
            return Err(format!("the quote {open} is not closed"));
        }
        words.push(word);
        rest = rest.get(end..).unwrap_or_default().trim_start();
    }
    Ok(words)
}

/// The options of a table as `--help` shows them.
#[must_use]
pub fn usage<K>(table: &[Opt<K>]) -> String {
    let mut text = String::new();
    for opt in table.iter().filter(|opt| matches!(opt.class, Class::Plain | Class::Unsupported)) {
        let form = match opt.takes {
            Takes::Nothing => format!("--{}", opt.name),
            Takes::Value(value) => format!("--{} <{value}>", opt.name),
            Takes::Optional(value) => format!("--{}[=<{value}>]", opt.name),
        };
        let later = if opt.class == Class::Unsupported { " (not supported yet)" } else { "" };
        text.push_str(&format!("    {form:<40} {}{later}\n", opt.help));
    }
    text
}

#[cfg(test)]
#[path = "getopt_tests.rs"]
mod tests;
