use super::*;
use crate::refusal::Answer;
use pluto_wire::numbers::{AuthMethod, IdType, NotifyType};
use pluto_wire::v2::{AuthPayload, Identification, Notify, SaPayload, UnknownPayload};

fn notify(notify_type: NotifyType) -> Payload {
    Payload::Notify(Notify::new(notify_type, Vec::new()))
}

fn id_i() -> Payload {
    Payload::IdI(Identification { id_type: IdType::FQDN, data: b"west".to_vec() })
}

fn auth() -> Payload {
    Payload::Auth(AuthPayload { method: AuthMethod::SHARED_KEY_MIC, data: vec![1] })
}

fn sa() -> Payload {
    Payload::Sa(SaPayload::default())
}

fn processor(
    waiting: Waiting,
    exchange: ExchangeType,
    message: MessageRole,
    payloads: &[Payload],
) -> Result<Processor, Answer> {
    admit(waiting, exchange, message, payloads).map(|row| row.processor).map_err(|r| r.answer)
}

fn is_syntax(answer: Result<Processor, Answer>) -> bool {
    matches!(answer, Err(Answer::FailIke(n)) if n.notify_type == NotifyType::INVALID_SYNTAX)
}

#[test]
fn every_exchange_out_of_its_time_is_dropped() {
    for waiting in [Waiting::AuthRequest, Waiting::AuthResponse, Waiting::Nothing] {
        for exchange in [
            X::CREATE_CHILD_SA,
            X::INFORMATIONAL,
            X::IKE_INTERMEDIATE,
            X::IKE_SESSION_RESUME,
            X::IKE_FOLLOWUP_KE,
            ExchangeType(0),
            ExchangeType(255),
        ] {
            for message in [Request, Response] {
                assert_eq!(processor(waiting, exchange, message, &[]), Err(Answer::Drop));
            }
        }
    }
}

#[test]
fn rows_are_told_apart_by_their_payloads() {
    let got =
        |payloads: &[Payload]| processor(Waiting::InitResponse, X::IKE_SA_INIT, Response, payloads);
    assert_eq!(got(&[notify(NotifyType::COOKIE)]), Ok(Processor::IkeSaInitNotification));
    assert!(is_syntax(got(&[notify(NotifyType::COOKIE), sa()])));
    assert!(is_syntax(got(&[])));
    let got =
        |payloads: &[Payload]| processor(Waiting::AuthRequest, X::IKE_AUTH, Request, payloads);
    assert_eq!(got(&[id_i(), auth()]), Ok(Processor::IkeAuthRequest));
    assert_eq!(got(&[id_i()]), Ok(Processor::IkeAuthEapRequest));
    assert!(is_syntax(got(&[auth()])), "no IDi");
    assert!(is_syntax(got(&[id_i(), auth(), sa()])), "SA without TS");
}

#[test]
fn a_payload_twice_is_a_syntax_error() {
    for twice in [id_i(), auth()] {
        let payloads = [id_i(), auth(), twice];
        assert!(is_syntax(processor(Waiting::AuthRequest, X::IKE_AUTH, Request, &payloads)));
    }
}

#[test]
fn unknown_payloads_matter_only_when_critical() {
    let unknown = |critical| {
        let payload_type = PayloadType(200);
        Payload::Unknown(UnknownPayload { payload_type, critical, data: Vec::new() })
    };
    let got = |payload| processor(Waiting::Established, X::INFORMATIONAL, Request, &[payload]);
    assert_eq!(got(unknown(false)), Ok(Processor::InformationalRequest));
    let Err(Answer::Reply(notify)) = got(unknown(true)) else { panic!("not refused") };
    assert_eq!(notify.notify_type, NotifyType::UNSUPPORTED_CRITICAL_PAYLOAD);
    assert_eq!(notify.data, [200]);
}
