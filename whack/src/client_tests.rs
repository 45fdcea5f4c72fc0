use super::*;
use crate::report::{ChildSaFacts, FipsFacts, TotalsFacts};
use crate::whack_options::WhackCommand;
use std::io::{BufRead, BufReader};
use std::thread;

fn whack(line: &str) -> WhackRun {
    let mut no_file = |_: &str| Err(ErrorKind::NotFound.into());
    let arguments = line.split_whitespace().map(str::to_owned);
    match WhackCommand::parse(arguments, &mut no_file) {
        Ok(WhackCommand::Run(run)) => *run,
        other => panic!("{line}: {other:?}"),
    }
}

/// Runs a command against a daemon that reads one request, answers with these octets and
/// closes; gives the result, what was printed and what the daemon read.
fn against(line: &str, answer: Vec<u8>) -> (Result<u8, ClientError>, String, Vec<String>) {
    let (mut ours, theirs) = UnixStream::pair().unwrap();
    let daemon = thread::spawn(move || {
        let (mut reader, mut writer) = (BufReader::new(theirs.try_clone().unwrap()), theirs);
        let mut request = String::new();
        reader.read_line(&mut request).unwrap();
        let mut read = vec![request];
        for part in answer.split_inclusive(|&octet| octet == b'\n') {
            let _ = writer.write_all(part);
            if part.starts_with(b"{\"reply\":\"prompt\"") {
                let mut line = String::new();
                reader.read_line(&mut line).unwrap();
                read.push(line);
            }
        }
        read
    });
    let run = whack(line);
    let mut out = Vec::new();
    let result = exchange(&run, &run.requests[0], &mut ours, &mut out);
    drop(ours);
    (result, String::from_utf8(out).unwrap(), daemon.join().unwrap())
}

fn replies(replies: &[Reply]) -> Vec<u8> {
    replies.iter().flat_map(frame::encode_reply).collect()
}

#[test]
fn progress_is_printed_and_the_first_error_code_is_the_exit_status() {
    let (result, out, read) = against(
        "--name west --initiate",
        replies(&[
            Reply::log("\"west\" #1: initiating IKEv2 connection"),
            Reply::error(51, "\"west\" #1: 30 second timeout\n\u{1b}[2J"),
            Reply::End { code: 56 },
        ]),
    );
    assert_eq!(result.unwrap(), 51);
    assert_eq!(
        out,
        "\"west\" #1: initiating IKEv2 connection\n\"west\" #1: 30 second timeout??[2J\n"
    );
    assert!(matches!(
        frame::decode_request(read[0].trim_end().as_bytes()),
        Ok(Request::Initiate { .. })
    ));
}

#[test]
fn a_listing_succeeds_and_is_rendered() {
    let answer = replies(&[
        Reply::item(FipsFacts { mode: "disabled".into() }),
        Reply::error(21, "no connection"),
        Reply::End { code: 21 },
    ]);
    let (result, out, _) = against("--fipsstatus", answer);
    assert_eq!((result.unwrap(), out.as_str()), (0, "FIPS mode disabled\nno connection\n"));
}

#[test]
fn a_listing_that_the_daemon_has_rendered_is_printed_as_it_is_but_for_control_characters() {
    let answer = replies(&[
        Reply::text("\"west\"\n\u{1b}[2J é\n".into()),
        Reply::text("more\n".into()),
        Reply::End { code: 0 },
    ]);
    let (result, out, read) = against("--status", answer);
    assert_eq!((result.unwrap(), out.as_str()), (0, "\"west\"\n?[2J é\nmore\n"));
    assert!(read[0].contains("\"text\":true"), "{read:?}");
    let (_, _, read) = against("--status --json", replies(&[Reply::End { code: 0 }]));
    assert!(read[0].contains("\"text\":false"), "{read:?}");
}

#[test]
fn json_is_one_document_of_the_same_facts() {
    let answer = replies(&[
        Reply::item(ChildSaFacts { serial: 2, ..ChildSaFacts::default() }),
        Reply::item(TotalsFacts { loaded: 3, ..TotalsFacts::default() }),
        Reply::log("a remark"),
        Reply::End { code: 0 },
    ]);
    let (result, out, _) = against("--trafficstatus --json --name west", answer);
    assert_eq!(result.unwrap(), 0);
    let document: serde_json::Value = serde_json::from_str(&out).unwrap();
    assert_eq!(document["format"], "pluto-whack");
    assert_eq!(document["listing"], "traffic-status");
    assert_eq!(document["name"], "west");
    assert_eq!(document["child_sas"][0]["serial"], 2);
    assert_eq!(document["totals"]["loaded"], 3);
    assert_eq!(document["messages"][0]["text"], "a remark");
}

#[test]
fn a_daemon_that_dies_is_a_failure_but_the_end_of_a_shutdown() {
    let half = b"{\"reply\":\"line\",\"code\":0,\"text\":\"hel".to_vec();
    for answer in [vec![], replies(&[Reply::log("hello")]), half] {
        let (result, ..) = against("--name west --initiate", answer);
        assert!(matches!(result, Err(ClientError::Closed)), "{result:?}");
    }
    let (result, out, _) = against("--shutdown", replies(&[Reply::log("Pluto is shutting down")]));
    assert_eq!((result.unwrap(), out.as_str()), (0, "Pluto is shutting down\n"));
}

#[test]
fn an_answer_that_is_no_answer_is_refused() {
    let endless = vec![b'x'; frame::MAX_REPLY + 2];
    for answer in [b"garbage\n".to_vec(), b"{\"reply\":\"dance\"}\n".to_vec(), endless] {
        let (result, ..) = against("--status", answer);
        assert!(matches!(result, Err(ClientError::Answer(_))), "{result:?}");
    }
}

#[test]
fn prompts_are_answered_from_the_command_line() {
    let prompts = || {
        replies(&[
            Reply::Prompt { code: codes::USERPROMPT, text: "Username:".into() },
            Reply::Prompt { code: codes::ENTERSECRET, text: "Password:".into() },
            Reply::End { code: 0 },
        ])
    };
    let (result, _, read) =
        against("--name west --initiate --username xroad --xauthpass use1pass", prompts());
    assert_eq!(result.unwrap(), 0);
    assert!(read[1].contains("xroad") && read[2].contains("use1pass"), "{read:?}");
    let (result, ..) = against("--name west --initiate --username xroad", prompts());
    assert!(matches!(result, Err(ClientError::Prompt(prompt)) if prompt == "Password:"));
}

#[test]
fn a_long_listing_is_printed_in_pieces() {
    let item = || Reply::item(ChildSaFacts { established: true, ..ChildSaFacts::default() });
    let mut answer: Vec<Reply> = (0..2000).map(|_| item()).collect();
    answer.push(Reply::End { code: 0 });
    let (result, out, _) = against("--trafficstatus", replies(&answer));
    assert_eq!((result.unwrap(), out.lines().count()), (0, 2000));
}

#[test]
fn a_closed_standard_output_is_an_error_and_no_crash() {
    struct Closed;
    impl Write for Closed {
        fn write(&mut self, _: &[u8]) -> io::Result<usize> {
            Err(ErrorKind::BrokenPipe.into())
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }
    let (mut ours, mut theirs) = UnixStream::pair().unwrap();
    theirs.write_all(&replies(&[Reply::log("x"), Reply::End { code: 0 }])).unwrap();
    let run = whack("--listen");
    let result = exchange(&run, &run.requests[0], &mut ours, &mut Closed);
    assert!(matches!(result, Err(ClientError::Output(_))));
}

#[test]
fn complaints_name_the_socket_and_the_errno() {
    let connect = |errno| ClientError::Connect {
        socket: "/run/pluto/pluto.ctl".into(),
        error: io::Error::from_raw_os_error(errno),
    };
    for (error, expected) in [
        (
            connect(2),
            "ipsec whack: ERROR: Pluto is not running (no \"/run/pluto/pluto.ctl\"): No such file or directory (errno 2)\n",
        ),
        (
            connect(13),
            "ipsec whack: ERROR: no right to communicate with pluto (access(\"/run/pluto/pluto.ctl\"))\n",
        ),
        (
            connect(111),
            "ipsec whack: ERROR: connect(pluto_ctl) failed (\"/run/pluto/pluto.ctl\"): Connection refused (errno 111)\n",
        ),
    ] {
        assert_eq!(error.message("ipsec whack", ""), expected);
    }
    assert_eq!(
        ClientError::Closed.message("whack", "lab "),
        "whack error: lab Pluto has gone before its answer was complete\n"
    );
}

#[test]
fn each_request_has_its_own_connection() {
    let path = std::env::temp_dir().join(format!("whack-test-{}.ctl", std::process::id()));
    let _ = std::fs::remove_file(&path);
    let listener = std::os::unix::net::UnixListener::bind(&path).unwrap();
    let daemon = thread::spawn(move || {
        for _ in 0..2 {
            let (mut stream, _) = listener.accept().unwrap();
            let mut request = String::new();
            BufReader::new(stream.try_clone().unwrap()).read_line(&mut request).unwrap();
            let code = if request.contains("\"debug\"") { 27 } else { 0 };
            stream.write_all(&replies(&[Reply::End { code }])).unwrap();
        }
    });
    let mut command = whack("--debug base --listen");
    command.socket = path.clone();
    assert_eq!(run(&command, &mut Vec::new()).unwrap(), 27);
    daemon.join().unwrap();
    std::fs::remove_file(&path).unwrap();
    let error = run(&command, &mut Vec::new()).unwrap_err();
    assert!(error.message("whack", "").contains("Pluto is not running (no "), "{error:?}");
    assert_eq!(command.requests.len(), 2);
    assert_eq!(command.requests[1], Request::Listen);
}
