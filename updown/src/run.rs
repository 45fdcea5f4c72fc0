//! Scripts: run by `/bin/sh`, beside everything else, with a time limit.

use crate::lines::Lines;
use nix::errno::Errno;
use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;
use std::fmt;
use std::future::Future;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::process::ExitStatusExt;
use std::pin::Pin;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;
use tokio::io::AsyncReadExt;
use tokio::net::unix::pipe::Receiver;
use tokio::process::{Child, Command};
use tokio::time::{sleep, timeout};

/// What is read at once; also what a pipe holds on Linux.
const PIECE: usize = 64 * 1024;
/// Output that is read at full speed. A script that prints more gets [`BREATH`] between
/// pieces, so that it waits, and not the daemon.
const FREE_OUTPUT: usize = 1024 * 1024;
/// See [`FREE_OUTPUT`].
const BREATH: Duration = Duration::from_millis(10);
/// How long a killed process may take to go (it does not while it waits for a disk or a
/// server); then it is left to the runtime to reap.
const DYING: Duration = Duration::from_secs(1);

/// A script to run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Script {
    /// For `/bin/sh -c`.
    pub command: String,
    /// The whole environment.
    pub environment: Vec<(String, String)>,
    /// After which it is killed with all of its process group.
    pub limit: Duration,
}

/// How a script ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// With exit status 0.
    Success,
    /// With another exit status.
    Exited(i32),
    /// By a signal.
    Signalled(i32),
    /// It was killed after the time limit.
    TimedOut(Duration),
    /// It could not be run.
    NotRun(String),
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Success => f.write_str("success"),
            Self::Exited(status) => write!(f, "exited with status {status}"),
            Self::Signalled(signal) => write!(f, "killed by signal {signal}"),
            Self::TimedOut(limit) => {
                write!(f, "killed, it had not ended after {} seconds", limit.as_secs_f64())
            }
            Self::NotRun(why) => f.write_str(why),
        }
    }
}

/// A script that has ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ran {
    /// How.
    pub outcome: Outcome,
    /// What it printed on standard output and standard error, in lines of at most
    /// [`LONGEST_LINE`](crate::LONGEST_LINE) octets, at most
    /// [`MOST_LINES`](crate::MOST_LINES) of them and one that counts the others.
    pub output: Vec<String>,
}

/// A script that is running. Dropped, it kills the script.
pub type Running = Pin<Box<dyn Future<Output = Ran>>>;

/// Who runs scripts.
pub trait Runner: fmt::Debug {
    /// Starts when the future is first polled.
    fn run(&self, script: Script) -> Running;
}

/// Runs scripts for real.
#[derive(Debug, Clone, Copy, Default)]
pub struct Shell;

impl Runner for Shell {
    fn run(&self, script: Script) -> Running {
        Box::pin(run(script))
    }
}

/// Runs a script in a process group of its own, in `/`, with its environment and nothing
/// else of ours; its standard input is empty (/dev/null: a closed descriptor 0 would be
/// taken by the first file that the script opens). It has ended when its shell has: what it
/// leaves running in the background is neither waited for nor killed.
pub async fn run(script: Script) -> Ran {
    let mut lines = Lines::default();
    let outcome = match start(&script) {
        Ok(started) => started.follow(script.limit, &mut lines).await,
        Err(error) => Outcome::NotRun(format!("cannot run /bin/sh: {error}")),
    };
    Ran { outcome, output: lines.finish() }
}

struct Started {
    child: Child,
    group: Group,
    output: Receiver,
}

/// Kills the process group when it is dropped armed.
struct Group(Option<Pid>);

impl Group {
    fn kill(&mut self) {
        if let Some(group) = self.0.take() {
            // ESRCH: all of it has gone meanwhile.
            let _ = killpg(group, Signal::SIGKILL);
        }
    }

    fn release(&mut self) {
        self.0 = None;
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        self.kill();
    }
}

fn start(script: &Script) -> io::Result<Started> {
    let (output, input) = io::pipe()?;
    let mut command = Command::new("/bin/sh");
    command
        .arg("-c")
        .arg(&script.command)
        .env_clear()
        .envs(script.environment.iter().map(|(name, value)| (name, value)))
        .current_dir("/")
        .process_group(0)
        .stdin(Stdio::null())
        .stdout(input.try_clone()?)
        .stderr(input);
    let output = Receiver::from_owned_fd(OwnedFd::from(output))?;
    let child = command.spawn()?;
    let group = child.id().and_then(|id| i32::try_from(id).ok()).map(Pid::from_raw);
    // `command` is dropped here, and with it our copies of the pipe's other end.
    Ok(Started { child, group: Group(group), output })
}

impl Started {
    async fn follow(mut self, limit: Duration, lines: &mut Lines) -> Outcome {
        let ended = self.read_until_it_ends(limit, lines).await;
        let outcome = match ended {
            Some(Ok(status)) => {
                self.group.release();
                judge(status)
            }
            Some(Err(error)) => Outcome::NotRun(format!("lost sight of the script: {error}")),
            None => {
                self.group.kill();
                let _ = timeout(DYING, self.child.wait()).await;
                Outcome::TimedOut(limit)
            }
        };
        self.drain(lines);
        outcome
    }

    /// None when the limit came first.
    async fn read_until_it_ends(
        &mut self,
        limit: Duration,
        lines: &mut Lines,
    ) -> Option<io::Result<ExitStatus>> {
        let deadline = sleep(limit);
        tokio::pin!(deadline);
        let mut buffer = vec![0; PIECE];
        let (mut open, mut printed) = (true, 0_usize);
        loop {
            tokio::select! {
                biased;
                status = self.child.wait() => return Some(status),
                () = &mut deadline => return None,
                read = self.output.read(&mut buffer), if open => match read {
                    Ok(length) if length > 0 => {
                        lines.push(buffer.get(..length).unwrap_or_default());
                        printed = printed.saturating_add(length);
                        if printed > FREE_OUTPUT {
                            sleep(BREATH).await;
                        }
                    }
                    _ => open = false,
                },
            }
        }
    }

    /// Reads what is still in the pipe, without waiting for its end: a daemon that the
    /// script has left behind may hold it open for ever.
    fn drain(&self, lines: &mut Lines) {
        let mut buffer = vec![0; PIECE];
        let mut left = FREE_OUTPUT;
        while left > 0 {
            // Straight from the descriptor, which does not block: the runtime may not have
            // noticed yet that there is something to read.
            match nix::unistd::read(&self.output, &mut buffer) {
                Ok(length) if length > 0 => {
                    lines.push(buffer.get(..length).unwrap_or_default());
                    left = left.saturating_sub(length);
                }
                Err(Errno::EINTR) => {}
                _ => break,
            }
        }
    }
}

fn judge(status: ExitStatus) -> Outcome {
    match (status.code(), status.signal()) {
        (Some(0), _) => Outcome::Success,
        (Some(code), _) => Outcome::Exited(code),
        (None, Some(signal)) => Outcome::Signalled(signal),
        (None, None) => Outcome::NotRun(format!("ended in an unknown way: {status}")),
    }
}

#[cfg(test)]
#[path = "run_tests.rs"]
mod tests;
