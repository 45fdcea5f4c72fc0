//! Lines arrive in order; what is too much is counted; the end waits for all.

use super::{MOST, Sink, start};
use slog::{Logger, OwnedKVList, Record};
use std::io;
use std::sync::mpsc;

/// Says what it is given and when it is flushed; needs leave to go on after a line.
struct Slow {
    leave: mpsc::Receiver<()>,
    said: mpsc::Sender<String>,
}

impl Sink for Slow {
    fn write(&mut self, record: &Record<'_>, _: &OwnedKVList) -> io::Result<()> {
        let _ = self.said.send(record.msg().to_string());
        let _ = self.leave.recv();
        Ok(())
    }

    fn flush(&mut self) -> io::Result<()> {
        let _ = self.said.send("-".to_string());
        Ok(())
    }
}

#[test]
fn lines_that_wait_go_out_together_and_the_end_waits_for_them() {
    let (go, leave) = mpsc::channel();
    let (said, heard) = mpsc::channel();
    let (queue, guard) = start(Slow { leave, said }).expect("a thread");
    let log = Logger::root(queue, slog::o!());
    slog::info!(log, "one");
    go.send(()).expect("a reader");
    let first: Vec<String> = heard.iter().take(2).collect();
    for text in ["two", "three", "four"] {
        slog::info!(log, "{}", text);
    }
    drop(go);
    drop(guard);
    slog::info!(log, "after the end");
    let rest: Vec<String> = heard.try_iter().filter(|line| line != "-").collect();
    assert_eq!(
        (first, rest),
        (vec!["one".into(), "-".into()], ["two", "three", "four"].map(String::from).to_vec())
    );
}

#[test]
fn a_sink_that_does_not_keep_up_holds_up_nobody_and_says_how_much_was_lost() {
    let (go, leave) = mpsc::channel();
    let (said, heard) = mpsc::channel();
    let (queue, guard) = start(Slow { leave, said }).expect("a thread");
    let log = Logger::root(queue, slog::o!());
    slog::info!(log, "first");
    assert_eq!(heard.recv().as_deref(), Ok("first"));
    for n in 0..MOST + 11 {
        slog::info!(log, "{}", n);
    }
    drop(go);
    drop(guard);
    let lines: Vec<String> = heard.try_iter().filter(|line| line != "-").collect();
    assert_eq!(lines.len(), MOST + 1);
    let warning = "warning: 11 lines of log were lost: too many";
    assert_eq!(lines.last().map(String::as_str), Some(warning));
}

#[test]
fn a_sink_that_panics_ends_the_log_and_nothing_else() {
    struct Broken;
    impl Sink for Broken {
        fn write(&mut self, _: &Record<'_>, _: &OwnedKVList) -> io::Result<()> {
            panic!("broken")
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }
    let (queue, guard) = start(Broken).expect("a thread");
    let log = Logger::root(queue, slog::o!());
    slog::info!(log, "one");
    drop(guard);
    slog::info!(log, "two");
}
