//! Scripts, with the real /bin/sh.

use super::{Outcome, Ran, Script, run};
use crate::{LONGEST_LINE, MOST_LINES};
use nix::errno::Errno;
use nix::sys::signal::kill;
use nix::unistd::Pid;
use std::time::Duration;
use tokio::time::Instant;

const LIMIT: Duration = Duration::from_millis(100);
const LONG: Duration = Duration::from_secs(20);

fn script(command: &str, limit: Duration) -> Script {
    let environment = vec![
        ("PATH".to_string(), "/usr/bin:/bin".to_string()),
        ("PLUTO_VERB".to_string(), "up-client".to_string()),
    ];
    Script { command: command.into(), environment, limit }
}

async fn sh(command: &str) -> Ran {
    run(script(command, LONG)).await
}

fn is_alive(pid: &str) -> bool {
    let pid = Pid::from_raw(pid.parse().expect("a process id"));
    if kill(pid, None) == Err(Errno::ESRCH) {
        return false;
    }
    // Killed and not yet reaped counts as dead.
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    !stat.is_empty() && !stat.contains(") Z ")
}

#[tokio::test]
async fn output_of_both_kinds_comes_in_order() {
    let ran = sh("echo one; echo two >&2; printf three").await;
    assert_eq!(ran, Ran { outcome: Outcome::Success, output: vec_of(&["one", "two", "three"]) });
}

fn vec_of(lines: &[&str]) -> Vec<String> {
    lines.iter().map(ToString::to_string).collect()
}

#[tokio::test]
async fn exit_status_and_signal_are_told() {
    assert_eq!(sh("exit 3").await.outcome, Outcome::Exited(3));
    assert_eq!(sh("kill -TERM $$").await.outcome, Outcome::Signalled(15));
    let missing = sh("no-such-program-anywhere --up").await;
    assert_eq!(missing.outcome, Outcome::Exited(127));
    assert!(missing.output.concat().contains("no-such-program-anywhere"), "{missing:?}");
    let unrunnable = sh("echo \0").await;
    assert!(matches!(unrunnable.outcome, Outcome::NotRun(_)), "{unrunnable:?}");
}

#[tokio::test]
async fn the_script_sees_its_own_environment_and_nothing_else() {
    let ours =
        std::fs::File::open(concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml")).expect("a file");
    let ran = sh("env; pwd; cat; ls -l /proc/self/fd | grep -c updown/Cargo.toml").await;
    drop(ours);
    let (variables, rest): (Vec<&String>, Vec<&String>) =
        ran.output.iter().partition(|line| line.contains('='));
    for variable in &variables {
        let name = variable.split('=').next().unwrap_or_default();
        // The shell itself sets the others.
        assert!(["PATH", "PLUTO_VERB", "PWD", "OLDPWD", "SHLVL", "_"].contains(&name), "{name}");
    }
    assert!(variables.iter().any(|line| *line == "PLUTO_VERB=up-client"));
    // The directory; nothing from standard input; no file of ours.
    assert_eq!(rest, ["/", "0"]);
}

#[tokio::test]
async fn a_script_that_hangs_is_killed_with_all_it_started() {
    let ran = run(script("sleep 1000 & echo $$ $!; sleep 1000", LIMIT)).await;
    assert_eq!(ran.outcome, Outcome::TimedOut(LIMIT));
    let pids = ran.output.concat();
    for pid in pids.split(' ') {
        for _ in 0..100 {
            if !is_alive(pid) {
                break;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        assert!(!is_alive(pid), "process {pid} has survived");
    }
}

#[tokio::test]
async fn a_script_that_is_no_longer_wanted_is_killed() {
    let started = std::env::temp_dir().join(format!("updown-dropped-{}", std::process::id()));
    let command = format!("echo $$ >{0}.new; mv {0}.new {0}; sleep 1000", started.display());
    let running = run(script(&command, LONG));
    tokio::pin!(running);
    let pid = loop {
        tokio::select! {
            ran = &mut running => panic!("it has ended: {ran:?}"),
            () = tokio::time::sleep(Duration::from_millis(5)) => {}
        }
        if let Ok(pid) = std::fs::read_to_string(&started) {
            break pid.trim().to_string();
        }
    };
    std::fs::remove_file(&started).expect("the file to be there");
    assert!(is_alive(&pid));
    running.set(run(script("true", LONG)));
    for _ in 0..100 {
        if !is_alive(&pid) {
            break;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    assert!(!is_alive(&pid), "process {pid} has survived");
}

#[tokio::test]
async fn a_daemon_left_behind_holds_nobody_up_and_lives() {
    let begin = Instant::now();
    let ran = sh("sleep 1000 & echo $!; exit 7").await;
    assert!(begin.elapsed() < LONG / 2, "it took {:?}", begin.elapsed());
    assert_eq!(ran.outcome, Outcome::Exited(7));
    let pid = ran.output.concat();
    assert!(is_alive(&pid), "the daemon is no business of ours");
    kill(Pid::from_raw(pid.parse().expect("a process id")), nix::sys::signal::Signal::SIGKILL)
        .expect("to be killed");
}

#[tokio::test]
async fn ten_thousand_lines_are_read_and_counted() {
    let ran = sh("i=0; while [ $i -lt 10000 ]; do echo line $i; i=$((i+1)); done").await;
    assert_eq!(ran.outcome, Outcome::Success);
    assert_eq!(ran.output.len(), MOST_LINES + 1);
    assert_eq!(ran.output.first().map(String::as_str), Some("line 0"));
    assert_eq!(ran.output.last().map(String::as_str), Some("... and 9000 more lines"));
}

#[tokio::test]
async fn output_without_end_costs_bounded_memory_and_ends_with_the_limit() {
    let ran = run(script("yes | tr -d '\\n'", LIMIT)).await;
    assert_eq!(ran.outcome, Outcome::TimedOut(LIMIT));
    assert!(ran.output.len() <= MOST_LINES + 1);
    assert!(ran.output.iter().all(|line| line.len() <= LONGEST_LINE));
}

#[tokio::test]
async fn scripts_run_beside_each_other() {
    let begin = Instant::now();
    let mut running = Vec::new();
    for _ in 0..8 {
        running.push(tokio::spawn(run(script("sleep 0.2", LONG))));
    }
    for script in running {
        assert_eq!(script.await.expect("no panic").outcome, Outcome::Success);
    }
    assert!(begin.elapsed() < Duration::from_millis(1_400), "it took {:?}", begin.elapsed());
}
