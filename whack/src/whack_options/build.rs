//! From what was said to requests.

use super::table::{Command, NameRule};
use super::{Said, WhackRun};
use crate::options::Complaint;
use crate::request::PROTOCOL_VERSION;
use crate::{CONTROL_SOCKET, DEFAULT_RUNDIR, Request};
use pluto_connections::SerialNo;
use std::path::PathBuf;

impl Said {
    pub(super) fn into_run(mut self) -> Result<WhackRun, Complaint> {
        if self.command.is_none() && self.redirect_to.is_some() && !self.describes() {
            self.command = Some((Command::Redirect, "redirect-to"));
        }
        self.check()?;
        let mut requests = Vec::new();
        let name = self.name.clone();
        if let Some(change) = self.debug {
            requests.push(Request::Debug {
                add: change.add,
                remove: change.remove,
                name: name.clone(),
            });
        }
        if let Some(impair) = self.impair.take() {
            let super::Impair { add, remove, clear } = impair;
            requests.push(Request::Impair { add, remove, clear });
        }
        match self.command {
            Some((command, _)) => self.requests(command, &mut requests)?,
            None if requests.is_empty() => {
                return Err(self.wrong("no action specified; try --help for hints"));
            }
            None => {}
        }
        let rundir = self.rundir.take().unwrap_or_else(|| PathBuf::from(DEFAULT_RUNDIR));
        Ok(WhackRun {
            requests,
            socket: self.socket.take().unwrap_or_else(|| rundir.join(CONTROL_SOCKET)),
            protocol_version: if self.magic == 0 { PROTOCOL_VERSION } else { self.magic },
            json: self.json,
            username: self.username.take(),
            password: self.password.take(),
            label: self.label,
            warnings: self.warnings,
        })
    }

    /// Refuses what does not go together.
    fn check(&mut self) -> Result<(), Complaint> {
        let command = self.command.map(|(command, _)| command);
        let adds = command == Some(Command::Add);
        if !adds && self.describes() {
            return Err(self.wrong("connection description option, but no --to"));
        }
        if adds && !self.right.0.contains_key("host") {
            return Err(self.wrong("connection missing --host after --to"));
        }
        let rule = match command {
            Some(command) => command.name_rule(),
            None if self.debug.is_some() => NameRule::Optional,
            None => NameRule::Forbidden,
        };
        match (rule, &self.name) {
            (NameRule::Mandatory, None) => {
                return Err(self.wrong("missing --name <connection_name>"));
            }
            (NameRule::Forbidden, Some(_)) if command.is_some() || self.impair.is_some() => {
                return Err(self.wrong("no reason for --name"));
            }
            _ => {}
        }
        let only = |given: bool, option: &str, with: &[Command]| {
            if given && !command.is_some_and(|command| with.contains(&command)) {
                return Err(self.wrong(format_args!("no reason for --{option}")));
            }
            Ok(())
        };
        only(self.remote_host.is_some(), "remote-host", &[Command::Initiate])?;
        only(self.password.is_some(), "xauthpass", &[Command::Initiate, Command::OppoHere])?;
        only(
            self.username.is_some(),
            "username",
            &[Command::Add, Command::Initiate, Command::OppoHere],
        )?;
        only(self.leave_state, "leave-state", &[Command::Shutdown])?;
        only(self.add_key, "addkey", &[Command::KeyId])?;
        only(self.public_key.is_some(), "pubkeyrsa", &[Command::KeyId])?;
        only(self.redirect_to.is_some(), "redirect-to", &[Command::Add, Command::Redirect])?;
        for (given, option) in [
            (self.oppo.protocol.is_some(), "oppoproto"),
            (self.oppo.source_port.is_some(), "opposport"),
            (self.oppo.destination_port.is_some(), "oppodport"),
            (self.oppo.label.is_some(), "oppolabel"),
            (self.oppo.reqid.is_some(), "opporeqid"),
        ] {
            only(given, option, &[Command::OppoHere])?;
        }
        let family = self.family.filter(|_| command != Some(Command::OppoHere));
        if let Some(family) = family {
            self.warnings.push(format!(
                "warning: option --tunnel{family} has no effect without --oppohere and --oppothere"
            ));
        }
        if self.json && !matches!(command, Some(Command::Listing(_))) {
            return Err(self.wrong("no reason for --json"));
        }
        Ok(())
    }

    fn argument(&self, of: Command) -> Option<String> {
        let same = std::mem::discriminant(&of);
        self.arguments
            .iter()
            .find(|(command, _)| std::mem::discriminant(command) == same)
            .map(|(_, argument)| argument.clone())
    }

    fn requests(&mut self, command: Command, out: &mut Vec<Request>) -> Result<(), Complaint> {
        let name = self.name.clone().unwrap_or_default();
        let argument = |of| self.argument(of).unwrap_or_default();
        out.push(match command {
            Command::Add => Request::Add { connection: self.spec(name), replace: false },
            Command::Route => Request::Route { name },
            Command::Unroute => Request::Unroute { name },
            Command::Initiate => Request::Initiate {
                name,
                remote_host: self.remote_host.take(),
                username: self.username.clone(),
                password: self.password.clone(),
                asynchronous: self.asynchronous,
            },
            Command::Down => Request::Down { name },
            Command::Suspend => Request::Suspend { name },
            Command::RekeyIke => Request::RekeyIke { name, asynchronous: self.asynchronous },
            Command::RekeyChild => Request::RekeyChild { name, asynchronous: self.asynchronous },
            Command::DeleteIke => Request::DeleteIke { name },
            Command::DeleteChild => Request::DeleteChild { name },
            Command::DownIke => Request::DownIke { name },
            Command::DownChild => Request::DownChild { name },
            Command::Delete => Request::Delete { name },
            Command::DeleteId => Request::DeleteId { name },
            Command::DeleteUser => Request::DeleteUser { name },
            Command::DeleteState => {
                Request::DeleteState { serial: SerialNo(argument(command).parse().unwrap_or(0)) }
            }
            Command::Crash => Request::Crash { address: argument(command) },
            Command::Trace => Request::Trace { name: argument(command) },
            Command::OppoHere | Command::OppoThere => self.oppo()?,
            Command::KeyId => Request::KeyId {
                id: argument(command),
                add: self.add_key,
                public_key: self.public_key.take(),
            },
            Command::Listen | Command::IkeSocketBufsize | Command::IkeSocketErrqueue => {
                self.listen(out);
                return Ok(());
            }
            Command::Unlisten => Request::Unlisten,
            Command::Redirect => Request::Redirect {
                name: self.name.clone(),
                to: self.redirect_to.take().unwrap_or_default(),
            },
            Command::GlobalRedirect | Command::GlobalRedirectTo => Request::GlobalRedirect {
                mode: self.argument(Command::GlobalRedirect),
                to: self.argument(Command::GlobalRedirectTo),
            },
            Command::DdosMode(_) => Request::DdosMode { mode: argument(command) },
            Command::Ddns => Request::Ddns,
            Command::RereadSecrets => Request::RereadSecrets,
            Command::RereadCerts => Request::RereadCerts,
            Command::FetchCrls => Request::FetchCrls,
            Command::RereadAll => Request::RereadAll,
            Command::PurgeOcsp => Request::PurgeOcsp,
            Command::ClearStats => Request::ClearStats,
            Command::Listing(what) => {
                Request::Listing { what, name: self.name.clone(), text: !self.json }
            }
            Command::Shutdown => Request::Shutdown { leave_state: self.leave_state },
        });
        Ok(())
    }

    /// `--listen`, which the sockets' options imply.
    fn listen(&self, out: &mut Vec<Request>) {
        if let Some(octets) = self.argument(Command::IkeSocketBufsize) {
            out.push(Request::IkeSocketBufsize { bytes: octets.parse().unwrap_or(0) });
        }
        if let Some(on) = self.argument(Command::IkeSocketErrqueue) {
            let on = crate::options::value::yn(&on).unwrap_or(true);
            out.push(Request::IkeSocketErrqueue { on });
        }
        if self.argument(Command::Listen).is_some() {
            out.push(Request::Listen);
        }
    }

    fn oppo(&self) -> Result<Request, Complaint> {
        let (Some(here), Some(there)) =
            (self.argument(Command::OppoHere), self.argument(Command::OppoThere))
        else {
            return Err(self.wrong("--oppohere and --oppothere must be used together"));
        };
        for (option, address) in [("oppohere", &here), ("oppothere", &there)] {
            let v6 = address.contains(':');
            if self.family.is_some_and(|family| (family == "ipv6") != v6) {
                return Err(self.wrong(format_args!(
                    "option --{option} '{address}' is not {}",
                    self.family.unwrap_or_default()
                )));
            }
        }
        Ok(Request::Oppo {
            here,
            there,
            protocol: self.oppo.protocol,
            source_port: self.oppo.source_port,
            destination_port: self.oppo.destination_port,
            label: self.oppo.label.clone(),
            reqid: self.oppo.reqid,
            asynchronous: self.asynchronous,
        })
    }
}
