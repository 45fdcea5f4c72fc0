//! The `ipsec` command: which program does what was asked. The work is whack's, pluto's
//! and the init system's.

use crate::options::Complaint;

/// Exit status of a command that is not known.
const UNKNOWN: u8 = 2;

/// What `ipsec` is to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum IpsecAction {
    /// Do what `whack` does with these arguments.
    Whack(Vec<String>),
    /// Become the daemon, with these arguments.
    Pluto(Vec<String>),
    /// Say `Redirecting to: …` and become the init system's command.
    Redirect(Vec<String>),
    /// Print this on standard output and exit with 0.
    Print(String),
}

/// Commands that whack does: name, whack's options, whether a connection's name follows,
/// and what help says.
const WHACK: &[(&str, &[&str], Operand, &str)] = &[
    ("up", &["--initiate"], Operand::Name, "bring a connection up"),
    ("initiate", &["--initiate"], Operand::Name, "the same"),
    ("down", &["--terminate"], Operand::Name, "take a connection down"),
    ("terminate", &["--terminate"], Operand::Name, "the same"),
    ("route", &["--route"], Operand::Name, "bring it up when there is traffic"),
    ("ondemand", &["--route"], Operand::Name, "the same"),
    ("unroute", &["--unroute"], Operand::Name, "no longer"),
    ("delete", &["--delete"], Operand::Name, "remove a connection"),
    ("suspend", &["--suspend"], Operand::Name, "take it down, to be resumed"),
    ("rekey-ike", &["--rekey-ike"], Operand::Name, "rekey its IKE SA"),
    ("rekey-child", &["--rekey-child"], Operand::Name, "rekey its Child SA"),
    ("delete-ike", &["--delete-ike"], Operand::Name, "delete its IKE SA"),
    ("delete-child", &["--delete-child"], Operand::Name, "delete its Child SA"),
    ("down-ike", &["--down-ike"], Operand::Name, "take its IKE SA down"),
    ("down-child", &["--down-child"], Operand::Name, "take its Child SA down"),
    ("redirect", &[], Operand::MaybeName, "redirect peers (--redirect-to LIST)"),
    ("status", &["--status"], Operand::None, "everything"),
    ("briefstatus", &["--briefstatus"], Operand::None, "counts of SAs"),
    ("globalstatus", &["--globalstatus"], Operand::None, "all counters"),
    ("trafficstatus", &["--trafficstatus"], Operand::MaybeName, "traffic of Child SAs"),
    ("traffic", &["--trafficstatus"], Operand::MaybeName, "the same"),
    ("showstates", &["--showstates"], Operand::MaybeName, "IKE and Child SAs"),
    ("statestatus", &["--showstates"], Operand::MaybeName, "the same"),
    ("shuntstatus", &["--shuntstatus"], Operand::None, "shunts"),
    ("addresspoolstatus", &["--addresspoolstatus"], Operand::None, "address pools"),
    ("connectionstatus", &["--connectionstatus"], Operand::MaybeName, "connections"),
    (
        "briefconnectionstatus",
        &["--briefconnectionstatus"],
        Operand::MaybeName,
        "connections, a line each",
    ),
    ("fipsstatus", &["--fipsstatus"], Operand::None, "FIPS mode"),
    ("fips", &["--fipsstatus"], Operand::None, "the same"),
    ("processstatus", &["--processstatus"], Operand::None, "child processes"),
    ("listall", &["--listall"], Operand::None, "keys and certificates"),
    ("listcerts", &["--listcerts"], Operand::None, "certificates"),
    ("listcacerts", &["--listcacerts"], Operand::None, "CA certificates"),
    ("listcrls", &["--listcrls"], Operand::None, "revocation lists"),
    ("listpubkeys", &["--listpubkeys"], Operand::None, "public keys"),
    ("checkpubkeys", &["--checkpubkeys"], Operand::None, "public keys that expire"),
    ("listpsks", &["--listpsks"], Operand::None, "whose pre-shared keys there are"),
    ("listen", &["--listen"], Operand::None, "look at interfaces, load secrets, listen"),
    ("ready", &["--listen"], Operand::None, "the same"),
    ("rereadgroups", &["--listen"], Operand::None, "the same"),
    ("unlisten", &["--unlisten"], Operand::None, "no new IKE SAs"),
    ("rereadsecrets", &["--rereadsecrets"], Operand::None, "load secrets"),
    ("secrets", &["--rereadsecrets"], Operand::None, "the same"),
    ("rereadcerts", &["--rereadcerts"], Operand::None, "load certificates"),
    ("rereadall", &["--rereadall"], Operand::None, "load secrets, certificates, CRLs"),
    ("fetchcrls", &["--fetchcrls"], Operand::None, "fetch revocation lists"),
    ("crls", &["--fetchcrls"], Operand::None, "the same"),
    ("purgeocsp", &["--purgeocsp"], Operand::None, "empty the OCSP cache"),
];

/// Commands that are not there yet, and why.
const LATER: &[(&str, &str)] = &[
    ("add", "reading ipsec.conf"),
    ("replace", "reading ipsec.conf"),
    ("addconn", "reading ipsec.conf"),
    ("checkconfig", "reading ipsec.conf"),
    ("readwriteconf", "reading ipsec.conf"),
    ("algparse", "checking proposals without a daemon"),
    ("initnss", "an NSS database"),
    ("checknss", "an NSS database"),
    ("import", "certificates"),
    ("certutil", "an NSS database"),
    ("crlutil", "an NSS database"),
    ("pk12util", "an NSS database"),
    ("modutil", "an NSS database"),
    ("vfychain", "an NSS database"),
    ("newhostkey", "raw keys"),
    ("rsasigkey", "raw keys"),
    ("ecdsasigkey", "raw keys"),
    ("eddsasigkey", "raw keys"),
    ("showhostkey", "raw keys"),
    ("showroute", "looking routes up without a daemon"),
    ("letsencrypt", "certificates"),
    ("checknflog", "NFLOG"),
    ("nflog", "NFLOG"),
    ("stopnflog", "NFLOG"),
    ("unbound", "DNSSEC validation"),
];

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Operand {
    None,
    Name,
    MaybeName,
}

/// Reads `arguments` (without the program's name); `rundir` is `$IPSEC_RUNDIR`.
///
/// # Errors
/// What to print on standard error, and the exit status.
pub fn parse(
    arguments: impl IntoIterator<Item = String>,
    rundir: Option<String>,
) -> Result<IpsecAction, Complaint> {
    let mut arguments = arguments.into_iter();
    let mut global = Vec::new();
    let mut command = loop {
        let Some(word) = arguments.next() else {
            return Ok(IpsecAction::Print(help()));
        };
        match word.split_once('=').map_or(word.as_str(), |(name, _)| name) {
            "--rundir" | "--ctlsocket" | "--remote-host" => {
                let separate = !word.contains('=');
                global.push(word.clone());
                if separate {
                    let value = arguments.next();
                    global.push(value.ok_or_else(|| wrong(format_args!("{word} needs a value")))?);
                }
            }
            "--async" | "--asynchronous" | "--bg" | "--utc" | "--json" => global.push(word),
            _ => break word,
        }
    };
    if let Some(rundir) = rundir.filter(|_| !global.iter().any(|word| word.starts_with("--rundir")))
    {
        global.splice(0..0, [format!("--rundir={rundir}")]);
    }
    if command == "auto" {
        command = arguments.next().ok_or_else(|| wrong("auto needs a command"))?;
    }
    let name = command.strip_prefix("--").unwrap_or(&command).to_owned();
    let rest: Vec<String> = arguments.collect();
    match name.as_str() {
        "help" => return Ok(IpsecAction::Print(help())),
        "version" | "versioncode" => {
            return Ok(IpsecAction::Print(format!("pluto {}\n", crate::VERSION)));
        }
        "directory" => return Ok(IpsecAction::Print("/usr/libexec/ipsec\n".to_owned())),
        "whack" => {
            global.extend(rest);
            return Ok(IpsecAction::Whack(global));
        }
        "pluto" => return Ok(IpsecAction::Pluto(rest)),
        "start" | "stop" | "restart" if rest.is_empty() => {
            let words = ["systemctl", &name, "ipsec.service"];
            return Ok(IpsecAction::Redirect(words.map(str::to_owned).into()));
        }
        "start" => return Err(later(&name, "reading ipsec.conf")),
        _ => {}
    }
    if let Some((_, why)) = LATER.iter().find(|(later, _)| *later == name) {
        return Err(later(&name, why));
    }
    let Some((_, options, operand, _)) = WHACK.iter().find(|(whack, ..)| *whack == name) else {
        return Err(Complaint {
            text: format!("unknown command \"{name}\" (\"ipsec --help\" lists commands)"),
            status: UNKNOWN,
            see_help: false,
            own: false,
        });
    };
    whack(&name, options, *operand, (global, rest))
}

/// whack's arguments: the global ones, the command's, the connection's name, the rest.
fn whack(
    command: &str,
    options: &[&str],
    operand: Operand,
    (mut words, rest): (Vec<String>, Vec<String>),
) -> Result<IpsecAction, Complaint> {
    words.extend(options.iter().map(|&option| option.to_owned()));
    let mut name = None;
    let mut rest = rest.into_iter();
    while let Some(word) = rest.next() {
        if word.starts_with("--") {
            let takes_value = ["--redirect-to", "--remote-host", "--username", "--xauthpass"]
                .contains(&word.as_str());
            words.push(word);
            words.extend(rest.next().filter(|_| takes_value));
        } else if operand != Operand::None && name.is_none() {
            name = Some(word);
        } else {
            return Err(wrong(format_args!("{command}: unexpected argument \"{word}\"")));
        }
    }
    match name {
        Some(name) => words.extend(["--name".to_owned(), name]),
        None if operand == Operand::Name => {
            return Err(wrong(format_args!("{command} needs a connection's name")));
        }
        None => {}
    }
    Ok(IpsecAction::Whack(words))
}

fn wrong(why: impl std::fmt::Display) -> Complaint {
    Complaint::error(why)
}

fn later(command: &str, why: &str) -> Complaint {
    Complaint::error(format_args!("command {command} ({why}), not supported yet"))
}

fn help() -> String {
    let mut text =
        "Usage: ipsec [--rundir D] [--ctlsocket F] [--asynchronous] COMMAND [ARGUMENTS]\n\n"
            .to_owned();
    let mut line = |name: &str, what: &str| text.push_str(&format!("    {name:<30} {what}\n"));
    for (name, _, operand, what) in WHACK {
        match operand {
            Operand::None => line(name, what),
            Operand::Name => line(&format!("{name} NAME"), what),
            Operand::MaybeName => line(&format!("{name} [NAME]"), what),
        }
    }
    line("start, stop, restart", "the service, by the init system");
    line("whack ARGUMENTS", "tell pluto what to do");
    line("pluto ARGUMENTS", "the daemon itself");
    line("version", "the version");
    line("help", "this");
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_man_page_has_every_command() {
        use crate::options::manual::{check, item};
        let mut text = String::new();
        for (name, options, operand, what) in WHACK {
            let value = match operand {
                Operand::None => "",
                Operand::Name => "NAME",
                Operand::MaybeName => "[NAME]",
            };
            let name = if value.is_empty() { (*name).to_owned() } else { format!("{name} ") };
            let meaning = match options {
                [] => format!("{what} (not supported yet)"),
                _ => format!("{what}; whack {}", options.join(" ")),
            };
            text.push_str(&item(&name, value, &meaning));
        }
        for (name, why) in LATER {
            text.push_str(&item(name, "", &format!("not supported yet ({why})")));
        }
        check("ipsec.8", &text);
    }

    fn words(line: &str) -> Vec<String> {
        line.split_whitespace().map(str::to_owned).collect()
    }

    #[test]
    fn commands_become_whacks_arguments() {
        for (line, expected) in [
            ("up west", "--initiate --name west"),
            ("--async up west", "--async --initiate --name west"),
            ("up west --asynchronous", "--initiate --asynchronous --name west"),
            ("--remote-host 192.0.2.1 up west", "--remote-host 192.0.2.1 --initiate --name west"),
            ("auto --down west", "--terminate --name west"),
            ("--rundir=/x status", "--rundir=/x --status"),
            ("trafficstatus", "--trafficstatus"),
            ("traffic west --json", "--trafficstatus --json --name west"),
            ("redirect --redirect-to 192.0.2.9 west", "--redirect-to 192.0.2.9 --name west"),
            ("secrets", "--rereadsecrets"),
            ("whack --name x --delete", "--name x --delete"),
            ("--ctlsocket /s whack --status", "--ctlsocket /s --status"),
        ] {
            let found = parse(words(line), None);
            assert_eq!(found, Ok(IpsecAction::Whack(words(expected))), "{line}");
        }
    }

    #[test]
    fn whack_understands_every_command() {
        use crate::whack_options::WhackCommand;
        for (command, ..) in WHACK.iter().filter(|(command, ..)| *command != "redirect") {
            let name = if WHACK.iter().any(|c| c.0 == *command && c.2 == Operand::Name) {
                " west"
            } else {
                ""
            };
            let Ok(IpsecAction::Whack(arguments)) = parse(words(&format!("{command}{name}")), None)
            else {
                panic!("{command}");
            };
            let mut no_file = |_: &str| Err(std::io::ErrorKind::NotFound.into());
            let parsed = WhackCommand::parse(arguments, &mut no_file);
            assert!(matches!(parsed, Ok(WhackCommand::Run(_))), "{command}: {parsed:?}");
        }
    }

    #[test]
    fn the_environment_gives_the_run_directory() {
        let action = |line| parse(words(line), Some("/e".to_owned()));
        assert_eq!(action("status"), Ok(IpsecAction::Whack(words("--rundir=/e --status"))));
        assert_eq!(
            action("--rundir /x status"),
            Ok(IpsecAction::Whack(words("--rundir /x --status")))
        );
    }

    #[test]
    fn other_programs_do_the_rest() {
        assert_eq!(parse(words("pluto --nofork"), None), Ok(IpsecAction::Pluto(words("--nofork"))));
        assert_eq!(
            parse(words("restart"), None),
            Ok(IpsecAction::Redirect(words("systemctl restart ipsec.service")))
        );
        for line in ["", "--help", "help", "--version", "version"] {
            assert!(matches!(parse(words(line), None), Ok(IpsecAction::Print(_))), "{line}");
        }
    }

    #[test]
    fn what_is_wrong_is_named() {
        for (line, status, expected) in [
            ("dance", 2, "unknown command \"dance\" (\"ipsec --help\" lists commands)"),
            ("add west", 1, "ERROR: command add (reading ipsec.conf), not supported yet"),
            ("start west", 1, "ERROR: command start (reading ipsec.conf), not supported yet"),
            ("up", 1, "ERROR: up needs a connection's name"),
            ("up west east", 1, "ERROR: up: unexpected argument \"east\""),
            ("status west", 1, "ERROR: status: unexpected argument \"west\""),
            ("--rundir", 1, "ERROR: --rundir needs a value"),
        ] {
            let complaint = parse(words(line), None).unwrap_err();
            assert_eq!((complaint.text.as_str(), complaint.status), (expected, status), "{line}");
        }
    }
}
