use super::*;
use crate::Listing;
use crate::request::Password;
use pluto_connections::{ConnectionSpec, SerialNo};

fn decode(json: &str) -> Result<Request, FrameError> {
    decode_request(json.as_bytes())
}

fn round_trip(request: &Request) -> Request {
    let line = encode_request(request);
    assert_eq!(line.iter().filter(|&&octet| octet == b'\n').count(), 1);
    decode_request(line.strip_suffix(b"\n").unwrap()).unwrap()
}

#[test]
fn requests_survive_the_wire() {
    let mut spec = ConnectionSpec { name: "a\nb".into(), ..ConnectionSpec::default() };
    spec.left.0.insert("host".into(), "192.0.2.1".into());
    for request in [
        Request::Listen,
        Request::Add { connection: spec, replace: true },
        Request::DeleteState { serial: SerialNo(7) },
        Request::Listing { what: Listing::ShowStates, name: None, text: false },
        Request::Initiate {
            name: "west".into(),
            remote_host: Some("192.0.2.2".into()),
            username: None,
            password: Some(Password("pass".into())),
            asynchronous: true,
        },
    ] {
        assert_eq!(round_trip(&request), request);
    }
}

#[test]
fn the_form_of_a_request_is_stable() {
    let line = encode_request(&Request::Route { name: "west".into() });
    assert_eq!(line, b"{\"version\":1,\"command\":\"route\",\"name\":\"west\"}\n");
}

#[test]
fn a_refusal_names_the_field() {
    for (json, field) in [
        (r#"{"version":1,"command":"initiate","name":"x","asynchronous":"yes"}"#, "asynchronous"),
        (r#"{"version":1,"command":"delete-state","serial":"seven"}"#, "serial"),
        (r#"{"version":1,"command":"listing","what":"everything"}"#, "what"),
        (r#"{"version":1,"command":"dance"}"#, "command"),
        (
            r#"{"version":1,"command":"add","connection":{"name":"x","left":{"host":1},
                "right":{},"options":{},"source":""}}"#,
            "connection.left.host",
        ),
    ] {
        match decode(json) {
            Err(FrameError::Field { field: found, .. }) => assert_eq!(found, field, "{json}"),
            other => panic!("{json}: {other:?}"),
        }
    }
}

#[test]
fn a_missing_field_is_named() {
    let error = decode(r#"{"version":1,"command":"route"}"#).unwrap_err().to_string();
    assert!(error.contains("missing field `name`"), "{error}");
}

#[test]
fn unknown_fields_are_ignored() {
    let request = decode(r#"{"version":1,"command":"listen","later":true}"#);
    assert_eq!(request, Ok(Request::Listen));
}

#[test]
fn another_version_may_only_ask_for_status_and_shutdown() {
    let status = Request::Listing { what: Listing::Status, name: None, text: false };
    assert_eq!(decode(r#"{"version":2,"command":"listing","what":"status"}"#), Ok(status));
    assert_eq!(
        decode(r#"{"version":2,"command":"shutdown"}"#),
        Ok(Request::Shutdown { leave_state: false })
    );
    assert_eq!(
        decode(r#"{"version":2,"command":"listen"}"#),
        Err(FrameError::Version { found: Some(2) })
    );
    assert_eq!(decode(r#"{"command":"listen"}"#), Err(FrameError::Version { found: None }));
}

#[test]
fn garbage_is_refused() {
    for garbage in ["", "null", "[]", "{", "GET / HTTP/1.1\r", "\u{0}\u{0}whk", "{\"version\":1}"] {
        assert!(decode(garbage).is_err(), "{garbage:?}");
    }
    assert!(decode_request(&[0xff, 0xfe]).is_err());
    let long = vec![b' '; MAX_REQUEST + 1];
    assert_eq!(decode_request(&long), Err(FrameError::TooLong { limit: MAX_REQUEST }));
    let deep = "{\"version\":".to_owned() + &"[".repeat(100_000);
    assert!(decode(&deep).is_err());
}

#[test]
fn text_is_read_with_the_shortest_way_or_the_other_one() {
    for (text, short) in
        [("", true), ("plain\n", true), ("\"west\"\t\\ / é\n\n", true), ("\"west\" \u{1}", false)]
    {
        let line = encode_reply(&Reply::text(text.into()));
        let line = line.strip_suffix(b"\n").unwrap();
        let mut out = String::from("before ");
        assert_eq!(append_text(line, &mut out), short);
        assert_eq!(out, format!("before {}", if short { text } else { "" }));
        assert_eq!(decode_reply(line), Ok(Reply::text(text.into())));
    }
    for other in [
        r#"{"reply":"line","code":0,"text":"x"}"#,
        r#"{"reply":"text","text":"x","y":1}"#,
        r#"{"reply":"text","text":"x","y":"z"}"#,
        r#"{"reply":"text","text":"x\"}"#,
        r#"{"reply":"text","text":"x\é"}"#,
    ] {
        let mut out = String::new();
        assert!(!append_text(other.as_bytes(), &mut out) && out.is_empty(), "{other}");
    }
}

#[test]
fn a_password_is_not_shown() {
    assert!(!format!("{:?}", Request::Answer { text: Password("sesame".into()) }).contains("ses"));
}

#[test]
fn replies_survive_the_wire_and_long_texts_are_cut() {
    for reply in [Reply::log("\"west\" #1: hello"), Reply::End { code: 56 }] {
        let line = encode_reply(&reply);
        assert_eq!(decode_reply(line.strip_suffix(b"\n").unwrap()).unwrap(), reply);
    }
    let line = encode_reply(&Reply::log("é".repeat(MAX_TEXT)));
    match decode_reply(line.strip_suffix(b"\n").unwrap()).unwrap() {
        Reply::Line { text, .. } => {
            assert!(text.len() <= MAX_TEXT && text.ends_with("é…"), "{}", text.len());
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn lines_are_found_however_the_octets_arrive() {
    let stream = b"one\n\ntwo\nthree";
    for size in 1..=stream.len() {
        let (mut lines, mut found) = (Lines::new(5), Vec::new());
        for chunk in stream.chunks(size) {
            lines.push(chunk);
            while let Some(line) = lines.next_line().unwrap() {
                found.push(String::from_utf8(line.to_vec()).unwrap());
            }
        }
        assert_eq!(found, ["one", "", "two"], "in pieces of {size}");
        assert!(lines.has_partial());
    }
}

#[test]
fn a_line_that_is_too_long_is_refused_before_it_ends() {
    let mut lines = Lines::new(4);
    lines.push(b"four\nfive5");
    assert_eq!(lines.next_line(), Ok(Some(&b"four"[..])));
    assert_eq!(lines.next_line(), Err(FrameError::TooLong { limit: 4 }));
}
