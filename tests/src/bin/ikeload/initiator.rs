//! One initiator: a state machine whose questions are answered at once.

use crate::socket::{PORT, Socket};
use pluto_connections::{Connection, ConnectionSpec, EndSpec, LocalAddress, SerialNo};
use pluto_crypto::{Secret, SystemEntropy, psk_auth};
use pluto_states::{
    Ask, AskResult, ChildEvent, ChildSpi, Datagram, Env, IkeSa, Input, Instant, KernelRequest,
    KernelResult, Output, Serials,
};
use pluto_wire::IkeSpi;
use std::collections::VecDeque;
use std::net::{Ipv4Addr, SocketAddr};

/// What all initiators share.
pub(crate) struct Settings {
    /// Our address.
    pub(crate) ours: Ipv4Addr,
    /// The responder's.
    pub(crate) peer: Ipv4Addr,
    /// The address before the first of many.
    pub(crate) sources: Option<Ipv4Addr>,
    /// The pre-shared key.
    pub(crate) secret: String,
}

/// One.
pub(crate) struct Initiator {
    sa: IkeSa,
    serials: Serials,
    secret: String,
    up: bool,
    failure: Option<String>,
}

fn words(pairs: &[(&str, String)]) -> std::collections::BTreeMap<String, String> {
    pairs.iter().map(|(key, value)| ((*key).to_string(), value.clone())).collect()
}

fn connection(local: Ipv4Addr, peer: Ipv4Addr, number: u32) -> Result<Connection, String> {
    let [_, _, x, y] = number.to_be_bytes();
    let end = |host: Ipv4Addr, id: char, net: u8| {
        EndSpec(words(&[
            ("host", host.to_string()),
            ("id", format!("@{id}{number}")),
            ("subnet", format!("{net}.{x}.{y}.0/24")),
        ]))
    };
    let spec = ConnectionSpec {
        name: format!("c{number}"),
        left: end(local, 'l', 11),
        right: end(peer, 'r', 12),
        options: words(&[
            ("keyexchange", "ikev2".into()),
            ("authby", "secret".into()),
            ("ike", "aes_gcm256-sha2_256;dh31".into()),
            ("esp", "aes_gcm256".into()),
        ]),
        source: "ikeload".into(),
    };
    let parsed = Connection::parse(&spec).map_err(|error| error.to_string())?;
    Ok(parsed.oriented(&[LocalAddress { interface: "any".into(), address: local.into() }]))
}

impl Initiator {
    /// Number `number`; not started yet.
    pub(crate) fn new(settings: &Settings, number: u32) -> Result<Self, String> {
        let local = settings.sources.map_or(settings.ours, |b| crate::address_after(b, number));
        let connection = connection(local, settings.peer, number)?;
        let policy = connection.ike_policy().ok_or("a connection that cannot be used")?;
        let mut serials = Serials::default();
        let sa = IkeSa::initiator(
            serials.next_serial(),
            policy,
            connection.child_policies(),
            SocketAddr::from((local, PORT)),
            SocketAddr::from((settings.peer, PORT)),
            &mut SystemEntropy,
        );
        Ok(Self { sa, serials, secret: settings.secret.clone(), up: false, failure: None })
    }

    pub(crate) fn spi(&self) -> IkeSpi {
        self.sa.spis().initiator
    }

    /// How it has ended; none while it has not.
    pub(crate) fn outcome(&self) -> Option<Result<(), &str>> {
        match &self.failure {
            Some(why) => Some(Err(why)),
            None => self.up.then_some(Ok(())),
        }
    }

    pub(crate) fn start(&mut self, now: Instant, socket: &Socket) {
        self.feed(now, Input::Start, socket);
    }

    pub(crate) fn datagram(
        &mut self,
        now: Instant,
        remote: SocketAddr,
        local: Ipv4Addr,
        bytes: &[u8],
        socket: &Socket,
    ) {
        let local = SocketAddr::from((local, PORT));
        let datagram = Datagram { local, remote, non_esp_marker: false, bytes: bytes.to_vec() };
        self.feed(now, Input::Datagram(datagram), socket);
    }

    /// Whether its deadline has come; then it has acted on it.
    pub(crate) fn timer(&mut self, now: Instant, socket: &Socket) -> bool {
        let due = self.sa.deadline().is_some_and(|deadline| deadline <= now);
        if due {
            self.feed(now, Input::Timer, socket);
        }
        due
    }

    /// One input, with all that follows from it.
    fn feed(&mut self, now: Instant, input: Input, socket: &Socket) {
        let mut inputs = VecDeque::from([input]);
        while let Some(input) = inputs.pop_front() {
            let mut out = Vec::new();
            let mut env = Env { now, entropy: &mut SystemEntropy, serials: &mut self.serials };
            self.sa.handle(&mut env, input, &mut out);
            for output in out {
                inputs.extend(self.perform(output, socket));
            }
        }
    }

    /// Carries out an output; what comes of it is the next input.
    fn perform(&mut self, output: Output, socket: &Socket) -> Option<Input> {
        match output {
            Output::Transmit(Datagram { local: SocketAddr::V4(local), bytes, remote, .. }) => {
                if remote.port() == PORT {
                    socket.send(*local.ip(), &bytes);
                } else {
                    self.failure = Some(format!("a NAT seems to be in between: {remote}"));
                }
            }
            Output::Job(id, job) => return Some(Input::JobDone(id, job.run())),
            Output::Ask(id, ask) => return Some(Input::AskDone(id, self.answer(ask))),
            Output::Kernel(KernelRequest::AllocateSpi { child: SerialNo(n), .. }) => {
                let spi = ChildSpi(0x1000_u32.wrapping_add(u32::try_from(n).unwrap_or(0)));
                return Some(Input::KernelDone(KernelResult::Spi(SerialNo(n), Ok(spi))));
            }
            Output::Kernel(
                KernelRequest::Install(install) | KernelRequest::InstallInbound(install),
            ) => {
                return Some(Input::KernelDone(KernelResult::Installed(install.child, Ok(()))));
            }
            Output::Child(ChildEvent::Up(_)) => self.up = true,
            Output::Child(ChildEvent::Down { reason, .. }) => {
                self.failure = Some(format!("{reason:?}"));
            }
            Output::Finished(finish) => self.failure = Some(format!("{finish:?}")),
            _ => {}
        }
        None
    }

    fn answer(&self, ask: Ask) -> AskResult {
        let Ask::Psk(question) = ask else { return AskResult::Lost };
        let secret = Secret::from_slice(self.secret.as_bytes());
        let mac = |octets: &Vec<u8>| psk_auth(question.prf, &secret, &[octets]).ok();
        AskResult::Psk(question.octets.iter().map(mac).collect())
    }
}
