//! The holder of secrets: nothing else sees a pre-shared key.

use crate::faults::{Faults, Place};
use crate::jobs::{Jobs, Priority};
use crate::log::Log;
use crate::service::Service;
use actix::{Actor, ActorFutureExt, AsyncContext, Context, Handler, Recipient, WrapFuture};
use pluto_connections::{SecretFiles, SecretKind, Secrets};
use pluto_crypto::{Secret, psk_auth};
use pluto_messages::{ComputePskAuth, Escalated, Fault, ListSecrets, Reporter, RereadSecrets};
use pluto_states::PskQuestion;
use std::path::{Path, PathBuf};

/// Files of the operating system.
#[derive(Debug, Default)]
pub struct OsFiles;

/// Octets that a file of secrets may have.
const MOST: u64 = 16 << 20;

impl SecretFiles for OsFiles {
    fn expand(&mut self, pattern: &Path) -> Vec<PathBuf> {
        match glob::glob(&pattern.to_string_lossy()) {
            Ok(paths) => paths.filter_map(Result::ok).collect(),
            Err(_) => vec![pattern.to_path_buf()],
        }
    }

    fn read(&mut self, file: &Path) -> Result<Vec<u8>, String> {
        let meta = std::fs::metadata(file).map_err(|e| e.to_string())?;
        if !meta.is_file() {
            return Err("not a regular file".to_string());
        }
        if meta.len() > MOST {
            return Err(format!("larger than {MOST} octets"));
        }
        std::fs::read(file).map_err(|e| e.to_string())
    }
}

/// The actor.
#[derive(Debug)]
pub struct SecretsActor {
    service: Service<Secrets>,
    path: PathBuf,
    jobs: Jobs,
    log: Log,
    fixed: bool,
    faults: Faults,
}

impl SecretsActor {
    /// For a file or pattern; `given` (tests) instead of reading it.
    #[must_use]
    pub fn new(
        path: PathBuf,
        given: Option<Secrets>,
        jobs: Jobs,
        log: Log,
        escalate: Option<Recipient<Escalated>>,
    ) -> Self {
        let fixed = given.is_some();
        let (from, told) = (path.clone(), log.clone());
        let factory =
            move |_old: Option<Secrets>| given.clone().unwrap_or_else(|| load(&from, &told, None));
        Self {
            service: Service::new("secrets", Box::new(factory), log.clone(), escalate),
            path,
            jobs,
            log,
            fixed,
            faults: Faults::default(),
        }
    }

    /// With places where tests panic.
    #[must_use]
    pub fn failing(mut self, faults: Faults) -> Self {
        self.faults = faults;
        self
    }
}

fn load(path: &Path, log: &Log, reporter: Option<&Reporter>) -> Secrets {
    let (secrets, files, complaints) = Secrets::load(path, &mut OsFiles);
    let tell = |warning: bool, text: String| {
        if warning {
            log.warn(&text);
        } else {
            log.info(&text);
        }
        if let Some(reporter) = reporter {
            reporter.say(0, text);
        }
    };
    for file in files {
        tell(false, format!("loading secrets from \"{}\"", file.display()));
    }
    for complaint in complaints {
        // The line has its own mark; a weak secret's says so once more.
        tell(true, complaint.to_string().replacen("WARNING: ", "", 1));
    }
    secrets
}

fn compute(secrets: &Secrets, question: &PskQuestion) -> Option<Vec<Secret>> {
    let key = secrets.find(
        SecretKind::Psk,
        &question.local_id,
        &question.remote_id,
        question.asymmetric,
    )?;
    question.octets.iter().map(|octets| psk_auth(question.prf, key, &[octets]).ok()).collect()
}

impl Actor for SecretsActor {
    type Context = Context<Self>;
}

impl Handler<ComputePskAuth> for SecretsActor {
    type Result = Result<Option<Vec<Secret>>, Fault>;

    fn handle(&mut self, msg: ComputePskAuth, _: &mut Self::Context) -> Self::Result {
        let faults = &self.faults;
        self.service.call(|secrets| {
            faults.at(Place::Secrets);
            compute(secrets, &msg.0)
        })
    }
}

impl Handler<RereadSecrets> for SecretsActor {
    type Result = ();

    fn handle(&mut self, msg: RereadSecrets, ctx: &mut Self::Context) {
        if self.fixed {
            return;
        }
        self.log.info("forgetting secrets");
        let (path, log) = (self.path.clone(), self.log.clone());
        // Old secrets serve until the new ones have been read.
        let read = self.jobs.run(Priority::High, move || load(&path, &log, Some(&msg.0)));
        ctx.spawn(read.into_actor(self).map(|read, actor, _| match read {
            Ok(new) => {
                let _ = actor.service.call(|secrets| *secrets = new);
            }
            Err(lost) => actor.log.error(&format!("secrets are not read: {lost}")),
        }));
    }
}

impl Handler<ListSecrets> for SecretsActor {
    type Result = Vec<(usize, String, String)>;

    fn handle(&mut self, _: ListSecrets, _: &mut Self::Context) -> Self::Result {
        let list = self.service.call(|secrets| secrets.list()).unwrap_or_default();
        list.into_iter()
            .map(|(line, kind, ids)| {
                let kind = match kind {
                    SecretKind::Psk => "PSK",
                    SecretKind::Xauth => "XAUTH",
                    SecretKind::Ppk => "PPKS",
                };
                (line, kind.to_string(), ids)
            })
            .collect()
    }
}
