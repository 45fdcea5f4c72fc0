//! Who hears what, and how much strangers may make us write.

use super::limit::{Admit, RateLimit};
use super::{Log, Subject, TapFilter};
use pluto_connections::{ConnectionSerial, SerialNo};
use pluto_messages::Reporter;
use pluto_states::Level;
use pluto_whack::{DebugClass, DebugSet, Reply};
use slog::{Drain, Logger, Never, OwnedKVList, Record};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::sync::mpsc::Receiver;

#[derive(Clone, Default)]
struct Lines(Arc<Mutex<Vec<String>>>);

impl Drain for Lines {
    type Ok = ();
    type Err = Never;
    fn log(&self, record: &Record<'_>, _: &OwnedKVList) -> Result<(), Never> {
        self.0.lock().expect("no panic").push(record.msg().to_string());
        Ok(())
    }
}

impl Lines {
    fn log(&self) -> Log {
        Log::to(Logger::root(self.clone(), slog::o!()))
    }

    fn take(&self) -> Vec<String> {
        std::mem::take(&mut *self.0.lock().expect("no panic"))
    }
}

fn heard(replies: &mut Receiver<Reply>) -> Vec<String> {
    let text = |reply| match reply {
        Reply::Line { text, .. } => text,
        other => panic!("{other:?}"),
    };
    std::iter::from_fn(|| replies.try_recv().ok()).map(text).collect()
}

const WEST_5: Subject<'static> = Subject {
    name: Some("\"west\"[1] 192.0.2.1"),
    connection: Some(ConnectionSerial(1)),
    serial: Some(SerialNo(5)),
};
const WEST_6: Subject<'static> = Subject { serial: Some(SerialNo(6)), ..WEST_5 };
const EAST: Subject<'static> =
    Subject { name: Some("\"east\""), connection: Some(ConnectionSerial(2)), serial: None };

#[test]
fn lines_begin_with_whose_they_are_and_stay_one_line() {
    let lines = Lines::default();
    let log = lines.log();
    log.line(Level::Info, &WEST_5, format_args!("up"));
    log.line(Level::Warn, &EAST, format_args!("a\nforged \x1b[2Jline"));
    log.debug("not asked for");
    let expected = ["\"west\"[1] 192.0.2.1 #5: up", "warning: \"east\": a\\nforged \\u{1b}[2Jline"];
    assert_eq!(lines.take(), expected);
}

#[test]
fn a_trace_of_a_state_hears_its_debug_lines_and_nobody_else_does() {
    let lines = Lines::default();
    let log = lines.log();
    let (reporter, mut of_state) = Reporter::new(9);
    let tap = log.tap(TapFilter::State(SerialNo(5)), reporter);
    let (reporter, mut of_waiting) = Reporter::new(9);
    let _waiting = log.tap(TapFilter::Connection(ConnectionSerial(1)), reporter);
    let (reporter, mut of_trace) = Reporter::new(9);
    let _trace = log.tap(TapFilter::ConnectionTrace(ConnectionSerial(1)), reporter);
    for (subject, text) in [(&WEST_5, "five"), (&WEST_6, "six"), (&EAST, "east")] {
        log.line(Level::Debug, subject, format_args!("debug {text}"));
        log.line(Level::Info, subject, format_args!("info {text}"));
    }
    let (five, six) = ("\"west\"[1] 192.0.2.1 #5: ", "\"west\"[1] 192.0.2.1 #6: ");
    assert_eq!(heard(&mut of_state), [format!("| {five}debug five"), format!("{five}info five")]);
    assert_eq!(heard(&mut of_waiting), [format!("{five}info five"), format!("{six}info six")]);
    assert_eq!(heard(&mut of_trace).len(), 4);
    assert_eq!(lines.take().len(), 3, "debugging is off for the log");
    drop(tap);
    log.line(Level::Info, &WEST_5, format_args!("later"));
    assert_eq!(heard(&mut of_state), Vec::<String>::new());
    assert_eq!(heard(&mut of_waiting).len(), 1);
}

#[test]
fn a_debug_class_shows_its_lines_and_no_others() {
    let lines = Lines::default();
    let log = lines.log();
    let all = [
        DebugClass::Base,
        DebugClass::Routing,
        DebugClass::CpuUsage,
        DebugClass::Refcnt,
        DebugClass::Tmi,
        DebugClass::Crypt,
        DebugClass::Updown,
    ];
    for on in all {
        log.set_classes(DebugSet::from_iter([on]));
        for class in all {
            log.debug_line(class, &WEST_5, format_args!("of {}", class.name()));
        }
        log.debug("of base, too");
        let mut expected = vec![format!("| \"west\"[1] 192.0.2.1 #5: of {}", on.name())];
        expected.extend((on == DebugClass::Base).then(|| "| of base, too".to_string()));
        assert_eq!(lines.take(), expected);
    }
    log.set_classes(DebugSet::NONE);
    log.debug_line(DebugClass::Base, &WEST_5, format_args!("no longer"));
    assert_eq!(lines.take(), Vec::<String>::new());
}

#[test]
fn a_connection_may_have_classes_of_its_own() {
    let lines = Lines::default();
    let log = lines.log();
    let west = ConnectionSerial(1);
    log.set_classes(DebugSet::from_iter([DebugClass::Routing]));
    log.set_classes_of(west, DebugSet::from_iter([DebugClass::Crypt]));
    for class in [DebugClass::Routing, DebugClass::Crypt, DebugClass::Tmi] {
        for subject in [&WEST_5, &EAST, &Subject::default()] {
            log.debug_line(class, subject, format_args!("{}", class.name()));
        }
    }
    let west_5 = "| \"west\"[1] 192.0.2.1 #5: ";
    let routing = [format!("{west_5}routing"), "| \"east\": routing".into(), "| routing".into()];
    let expected: Vec<String> = routing.into_iter().chain([format!("{west_5}crypt")]).collect();
    assert_eq!(lines.take(), expected);
    log.set_classes_of(west, DebugSet::NONE);
    assert!(!log.shows(DebugClass::Crypt, &WEST_5) && log.shows(DebugClass::Routing, &WEST_5));
}

#[test]
fn a_trace_shows_all_classes() {
    let log = Log::discard();
    let (reporter, mut heard_by) = Reporter::new(9);
    let _tap = log.tap(TapFilter::State(SerialNo(5)), reporter);
    for class in [DebugClass::Base, DebugClass::Tmi, DebugClass::Crypt] {
        log.debug_line(class, &WEST_5, format_args!("five"));
        log.debug_line(class, &WEST_6, format_args!("six"));
    }
    assert_eq!(heard(&mut heard_by), vec!["| \"west\"[1] 192.0.2.1 #5: five"; 3]);
}

#[test]
fn a_tap_that_nobody_reads_loses_lines_and_holds_up_nobody() {
    let log = Log::discard();
    let (reporter, mut replies) = Reporter::new(3);
    let _tap = log.tap(TapFilter::State(SerialNo(5)), reporter);
    for n in 0..1_000 {
        log.line(Level::Info, &WEST_5, format_args!("{n}"));
    }
    assert_eq!(heard(&mut replies).len(), 3);
}

#[test]
fn strangers_are_heard_so_many_times_an_hour() {
    let mut builder = tokio::runtime::Builder::new_current_thread();
    let runtime = builder.enable_time().start_paused(true).build().expect("a runtime");
    runtime.block_on(async {
        let lines = Lines::default();
        let log = lines.log();
        let from = "192.0.2.7:500".parse().expect("an address");
        for _ in 0..3_000 {
            log.stranger(from, "nonsense");
        }
        let said = lines.take();
        assert_eq!(said.len(), 1_001);
        assert!(said[1_000].contains("rate limited log reached limit of 1000 entries"));
        assert!(!log.admits_stranger());
        tokio::time::advance(Duration::from_secs(3_600)).await;
        log.stranger(from, "nonsense");
        assert_eq!(lines.take(), ["warning: packet from 192.0.2.7:500: nonsense"]);
        let limit = RateLimit::default();
        assert_eq!(limit.admit(), Admit::Yes);
    });
}
