//! The programs themselves: command line, files, standard streams, exit status.

use crate::client::{self, ClientError};
use crate::ipsec::{self, IpsecAction};
use crate::options::Complaint;
use crate::reply::codes;
use crate::whack_options::WhackCommand;
use std::io::{self, ErrorKind, Read, Write};
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Command, ExitCode};

/// Largest file that `--optionsfrom` reads, in octets.
const MAX_OPTIONS_FILE: u64 = 1 << 20;

/// The command line without the program's name; what is not UTF-8 is replaced, and then
/// refused as a value or a name that does not exist.
pub fn arguments() -> Vec<String> {
    std::env::args_os().skip(1).map(|word| word.to_string_lossy().into_owned()).collect()
}

/// Reads a file for `--optionsfrom`.
///
/// # Errors
/// It cannot be read, is not UTF-8, or is larger than 1 MiB.
pub fn read_options_file(path: &str) -> io::Result<String> {
    let mut text = String::new();
    let file = std::fs::File::open(path)?;
    file.take(MAX_OPTIONS_FILE + 1).read_to_string(&mut text)?;
    if text.len() as u64 > MAX_OPTIONS_FILE {
        return Err(io::Error::new(ErrorKind::FileTooLarge, "larger than 1 MiB"));
    }
    Ok(text)
}

/// `whack`, called `program` in complaints.
#[must_use]
pub fn whack(program: &str, arguments: Vec<String>) -> ExitCode {
    let run = match WhackCommand::parse(arguments, &mut read_options_file) {
        Ok(WhackCommand::Run(run)) => run,
        Ok(WhackCommand::Print { text, status }) => return print(&text, status),
        Err(complaint) => return complain(program, &complaint),
    };
    for warning in &run.warnings {
        say(&format!("{program}: {warning}\n"));
    }
    match client::run(&run, &mut io::stdout().lock()) {
        Ok(status) => ExitCode::from(status),
        // Whoever closed standard output has seen enough.
        Err(ClientError::Output(error)) if error.kind() == ErrorKind::BrokenPipe => {
            ExitCode::SUCCESS
        }
        Err(error) => {
            say(&error.message(program, &run.label));
            ExitCode::from(u8::try_from(codes::WHACK_PROBLEM).unwrap_or(u8::MAX))
        }
    }
}

/// `ipsec`.
#[must_use]
pub fn ipsec(arguments: Vec<String>) -> ExitCode {
    let rundir = std::env::var("IPSEC_RUNDIR").ok().filter(|rundir| !rundir.is_empty());
    match ipsec::parse(arguments, rundir) {
        Ok(IpsecAction::Whack(arguments)) => whack("ipsec whack", arguments),
        Ok(IpsecAction::Pluto(arguments)) => become_program(pluto(), &arguments),
        Ok(IpsecAction::Redirect(words)) => {
            let status = print(&format!("Redirecting to: {}\n", words.join(" ")), 0);
            match words.split_first() {
                Some((program, arguments)) => become_program(program.into(), arguments),
                None => status,
            }
        }
        Ok(IpsecAction::Print(text)) => print(&text, 0),
        Err(complaint) => complain("ipsec", &complaint),
    }
}

/// The daemon: beside this program, or where libreswan keeps it, or on the path.
fn pluto() -> PathBuf {
    let beside = std::env::current_exe().ok().and_then(|program| {
        let pluto = program.parent()?.join("pluto");
        pluto.exists().then_some(pluto)
    });
    let installed = || {
        ["/usr/libexec/ipsec/pluto", "/usr/local/libexec/ipsec/pluto"]
            .into_iter()
            .map(PathBuf::from)
            .find(|pluto| pluto.exists())
    };
    beside.or_else(installed).unwrap_or_else(|| "pluto".into())
}

fn become_program(program: PathBuf, arguments: &[String]) -> ExitCode {
    let error = Command::new(&program).args(arguments).exec();
    say(&format!("ipsec: ERROR: cannot run {}: {error}\n", program.display()));
    ExitCode::from(126)
}

fn print(text: &str, status: u8) -> ExitCode {
    let mut out = io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => ExitCode::FAILURE,
        _ => ExitCode::from(status),
    }
}

fn complain(program: &str, complaint: &Complaint) -> ExitCode {
    say(&complaint.message(program));
    ExitCode::from(complaint.status)
}

/// Writes to standard error; a closed one is nobody's loss (`eprint!` would panic).
fn say(text: &str) {
    let _ = io::stderr().lock().write_all(text.as_bytes());
}
