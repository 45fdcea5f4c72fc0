//! Lock files: ours, a dead owner's, a living one's.

use super::{Lock, LockError};
use std::path::PathBuf;
use std::process::Command;

/// A path in a folder of its own, which goes away with it.
struct Scratch(PathBuf);

impl Scratch {
    fn new(name: &str) -> Self {
        let folder = std::env::temp_dir().join(format!("pluto-lock-{}-{name}", std::process::id()));
        std::fs::create_dir_all(&folder).expect("a folder");
        Self(folder)
    }

    fn file(&self) -> PathBuf {
        self.0.join("pluto.pid")
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

#[test]
fn a_new_lock_holds_our_number_and_goes_with_us() {
    let scratch = Scratch::new("new");
    let lock = Lock::take(&scratch.file()).expect("the lock");
    assert_eq!(lock.stale(), None);
    lock.write_pid().expect("written");
    let text = std::fs::read_to_string(scratch.file()).expect("the file");
    assert_eq!(text, format!("{}\n", std::process::id()));
    drop(lock);
    assert!(!scratch.file().exists());
}

#[test]
fn a_living_owner_keeps_it() {
    let scratch = Scratch::new("living");
    let lock = Lock::take(&scratch.file()).expect("the lock");
    lock.write_pid().expect("written");
    let refused = Lock::take(&scratch.file()).expect_err("taken");
    assert!(matches!(&refused, LockError::Taken(text) if text.contains("already running")));
    assert!(refused.to_string().contains(&std::process::id().to_string()), "{refused}");
    assert!(scratch.file().exists(), "the refusal removes nothing");
    drop(lock);
}

#[test]
fn a_stale_one_is_taken_over() {
    let scratch = Scratch::new("stale");
    let mut child = Command::new("true").spawn().expect("a process");
    let gone = child.id().cast_signed();
    child.wait().expect("its end");
    std::fs::write(scratch.file(), format!("{gone}\n")).expect("written");
    let lock = Lock::take(&scratch.file()).expect("taken over");
    assert_eq!(lock.stale(), Some(gone));
    lock.write_pid().expect("written");
    let text = std::fs::read_to_string(scratch.file()).expect("the file");
    assert_eq!(text, format!("{}\n", std::process::id()), "nothing of the old number is left");
}

#[test]
fn a_process_of_another_name_with_that_number_is_no_owner() {
    let scratch = Scratch::new("reused");
    let mut child = Command::new("sleep").arg("60").spawn().expect("a process");
    std::fs::write(scratch.file(), format!("{}\n", child.id())).expect("written");
    let lock = Lock::take(&scratch.file());
    child.kill().expect("killed");
    child.wait().expect("its end");
    assert!(lock.is_ok(), "{lock:?}");
}

#[test]
fn rubbish_in_it_is_nobody() {
    let scratch = Scratch::new("rubbish");
    std::fs::write(scratch.file(), [0xff; 4_096]).expect("written");
    let lock = Lock::take(&scratch.file()).expect("the lock");
    assert_eq!(lock.stale(), None);
}

#[test]
fn a_folder_that_is_not_there_is_named() {
    let scratch = Scratch::new("missing");
    let refused = Lock::take(&scratch.0.join("no/pluto.pid")).expect_err("no folder");
    assert!(matches!(&refused, LockError::Io(text) if text.contains("no/pluto.pid")), "{refused}");
}
