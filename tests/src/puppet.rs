//! A peer that can be made to say anything: it knows the keys, and obeys no rule.
//!
//! It is made of `wire` and `crypto` alone, so that it shares no mistake with the machine.

use pluto_connections::proposal::IkeProposals;
use pluto_crypto::{
    Entropy, IkeCipher, IkeKeys, IkeSuite, LocalKey, Secret, SeededEntropy, prf, psk_auth,
};
use pluto_states::Datagram;
use pluto_wire::numbers::{AuthMethod, ExchangeType, IdType, PayloadType};
use pluto_wire::v2::{
    AuthPayload, EncryptedFragment, Identification, KePayload, Message, Payload, decode_chain,
    encode_chain, encode_fragment_prefix, encode_protected_prefix,
};
use pluto_wire::{Flags, Header, IkeSpi, IkeSpis, MessageId, Version};
use std::net::SocketAddr;

/// The puppet, as initiator or responder.
#[derive(Debug)]
pub struct Puppet {
    /// Its address.
    pub local: SocketAddr,
    /// The address of who it plays with.
    pub remote: SocketAddr,
    /// Whether it is the initiator.
    pub initiator: bool,
    /// Both SPIs.
    pub spis: IkeSpis,
    entropy: SeededEntropy,
    key: LocalKey,
    nonce: Vec<u8>,
    sealed: u64,
    /// The IKE_SA_INIT request.
    pub request: Vec<u8>,
    response: Vec<u8>,
    session: Option<Session>,
}

#[derive(Debug)]
struct Session {
    suite: IkeSuite,
    keys: IkeKeys,
    send: IkeCipher,
    receive: IkeCipher,
    peer_nonce: Vec<u8>,
}

#[allow(
    clippy::unwrap_used,
    clippy::missing_panics_doc,
    clippy::expect_used,
    reason = "a puppet that cannot play is a broken test"
)]
impl Puppet {
    /// A puppet with SPI, nonce and key pair (X25519) of its own.
    #[must_use]
    pub fn new(seed: u64, initiator: bool, local: SocketAddr, remote: SocketAddr) -> Self {
        let mut entropy = SeededEntropy::new(seed);
        let mut spi = [0; 8];
        entropy.fill(&mut spi);
        let key = LocalKey::generate(pluto_wire::numbers::KeId::X25519, &mut entropy).unwrap();
        let mut spis = IkeSpis::default();
        if initiator {
            spis.initiator = IkeSpi(spi);
        } else {
            spis.responder = IkeSpi(spi);
        }
        let mut nonce = vec![0; 32];
        entropy.fill(&mut nonce);
        Self {
            local,
            remote,
            initiator,
            spis,
            entropy,
            key,
            nonce,
            sealed: 0,
            request: Vec::new(),
            response: Vec::new(),
            session: None,
        }
    }

    /// A header of the puppet's.
    #[must_use]
    pub fn header(&self, exchange: ExchangeType, response: bool, id: u32) -> Header {
        let flags = if self.initiator { Flags::INITIATOR } else { Flags::default() };
        Header {
            spis: self.spis,
            next_payload: PayloadType::NONE,
            version: Version::V2,
            exchange,
            flags: if response { flags.with(Flags::RESPONSE) } else { flags },
            message_id: MessageId(id),
            length: 0,
        }
    }

    /// Octets on their way to the other.
    #[must_use]
    pub fn datagram(&self, bytes: Vec<u8>) -> Datagram {
        Datagram { local: self.local, remote: self.remote, non_esp_marker: false, bytes }
    }

    /// KE and nonce.
    #[must_use]
    pub fn ke_and_nonce(&self) -> Vec<Payload> {
        let ke = KePayload { method: self.key.method(), data: self.key.public().to_vec() };
        vec![Payload::Ke(ke), Payload::Nonce(self.nonce.clone())]
    }

    /// SA, KE and nonce, as an honest initiator sends them.
    #[must_use]
    pub fn init_payloads(&self, proposals: &IkeProposals) -> Vec<Payload> {
        let mut payloads = vec![Payload::Sa(proposals.to_wire(&[]))];
        payloads.extend(self.ke_and_nonce());
        payloads
    }

    /// An unprotected message.
    #[must_use]
    pub fn plain(
        &self,
        exchange: ExchangeType,
        response: bool,
        payloads: Vec<Payload>,
    ) -> Datagram {
        let message = Message { header: self.header(exchange, response, 0), payloads };
        self.datagram(message.encode().unwrap())
    }

    /// The IKE_SA_INIT request; it is remembered.
    pub fn init_request(&mut self, payloads: Vec<Payload>) -> Datagram {
        let datagram = self.plain(ExchangeType::IKE_SA_INIT, false, payloads);
        self.request = datagram.bytes.clone();
        datagram
    }

    /// As initiator: takes the IKE_SA_INIT response, and has keys.
    pub fn take_response(&mut self, bytes: &[u8], proposals: &IkeProposals) {
        let message = Message::decode(bytes).unwrap();
        self.spis = message.header.spis;
        self.response = bytes.to_vec();
        let (sa, ke, nonce) = parts(&message.payloads);
        let suite = proposals.check_choice(&sa).unwrap().suite;
        self.derive(suite, &ke, nonce);
    }

    /// As responder: answers an IKE_SA_INIT request with its first proposal, and has keys.
    pub fn answer(&mut self, bytes: &[u8], proposals: &IkeProposals) -> Datagram {
        let message = Message::decode(bytes).unwrap();
        self.spis.initiator = message.header.spis.initiator;
        self.request = bytes.to_vec();
        let (sa, ke, nonce) = parts(&message.payloads);
        let chosen = proposals.choose(&sa).unwrap();
        let mut payloads =
            vec![Payload::Sa(pluto_wire::v2::SaPayload { proposals: vec![chosen.reply.clone()] })];
        payloads.extend(self.ke_and_nonce());
        let datagram = self.plain(ExchangeType::IKE_SA_INIT, true, payloads);
        self.response = datagram.bytes.clone();
        self.derive(chosen.suite, &ke, nonce);
        datagram
    }

    fn derive(&mut self, suite: IkeSuite, ke: &KePayload, peer_nonce: Vec<u8>) {
        let shared = self.key.agree(&ke.data).unwrap();
        let (ni, nr) =
            if self.initiator { (&self.nonce, &peer_nonce) } else { (&peer_nonce, &self.nonce) };
        let keys = IkeKeys::derive(&suite, &shared, ni, nr, self.spis).unwrap();
        self.take_keys(suite, keys, peer_nonce);
    }

    fn take_keys(&mut self, suite: IkeSuite, keys: IkeKeys, peer_nonce: Vec<u8>) {
        let of_initiator = IkeCipher::new(&suite, &keys.ei, &keys.ai).unwrap();
        let of_responder = IkeCipher::new(&suite, &keys.er, &keys.ar).unwrap();
        let (send, receive) = if self.initiator {
            (of_initiator, of_responder)
        } else {
            (of_responder, of_initiator)
        };
        self.session = Some(Session { suite, keys, send, receive, peer_nonce });
    }

    /// The payloads of a request that rekeys the IKE SA, and its new SPI.
    pub fn rekey_payloads(&mut self, proposals: &IkeProposals) -> (IkeSpi, Vec<Payload>) {
        let mut spi = [0; 8];
        self.entropy.fill(&mut spi);
        self.entropy.fill(&mut self.nonce);
        let method = self.key.method();
        self.key = LocalKey::generate(method, &mut self.entropy).unwrap();
        let mut payloads = vec![Payload::Sa(proposals.to_wire(&spi))];
        payloads.extend(self.ke_and_nonce().into_iter().rev());
        (IkeSpi(spi), payloads)
    }

    /// Takes what answers that: from now on the puppet is the new IKE SA's initiator.
    pub fn take_rekey(&mut self, spi: IkeSpi, answer: &[Payload], proposals: &IkeProposals) {
        let (sa, ke, nonce) = parts(answer);
        let responder = IkeSpi(sa.proposals.first().unwrap().spi.as_slice().try_into().unwrap());
        self.spis = IkeSpis { initiator: spi, responder };
        self.initiator = true;
        let suite = proposals.check_choice(&sa).unwrap().suite;
        let shared = self.key.agree(&ke.data).unwrap();
        let (prf, d) = (self.session().suite.prf, &self.session().keys.d);
        let keys = IkeKeys::derive_rekeyed(prf, d, &suite, &shared, &self.nonce, &nonce, self.spis);
        self.take_keys(suite, keys.unwrap(), nonce);
    }

    fn session(&self) -> &Session {
        self.session.as_ref().expect("keys come from IKE_SA_INIT")
    }

    /// An honest AUTH payload for `id` with this key.
    #[must_use]
    pub fn auth(&self, id: &Identification, psk: &[u8]) -> Payload {
        let session = self.session();
        let (message, key) = if self.initiator {
            (&self.request, &session.keys.pi)
        } else {
            (&self.response, &session.keys.pr)
        };
        let head = [id.id_type.0, 0, 0, 0];
        let maced = prf(session.suite.prf, key.expose(), &[&head, &id.data]).unwrap();
        let octets: [&[u8]; 3] = [message, &session.peer_nonce, maced.expose()];
        let data = psk_auth(session.suite.prf, &Secret::from_slice(psk), &octets).unwrap();
        let data = data.expose().to_vec();
        Payload::Auth(AuthPayload { method: AuthMethod::SHARED_KEY_MIC, data })
    }

    /// A protected message.
    pub fn seal(
        &mut self,
        exchange: ExchangeType,
        response: bool,
        id: u32,
        payloads: &[Payload],
    ) -> Datagram {
        let (first, plain) = encode_chain(payloads).unwrap();
        self.seal_raw(exchange, response, id, first, &plain)
    }

    /// A protected message with any octets inside.
    pub fn seal_raw(
        &mut self,
        exchange: ExchangeType,
        response: bool,
        id: u32,
        first: PayloadType,
        plain: &[u8],
    ) -> Datagram {
        let header = self.header(exchange, response, id);
        let session = self.session.as_ref().expect("keys come from IKE_SA_INIT");
        let body_len = session.send.body_len(plain.len());
        let mut bytes = encode_protected_prefix(&header, &[], first, body_len).unwrap();
        self.sealed += 1;
        session.send.seal(&mut bytes, plain, self.sealed, &mut self.entropy).unwrap();
        self.datagram(bytes)
    }

    /// A protected message in `total` fragments of about the same size.
    pub fn seal_fragments(
        &mut self,
        exchange: ExchangeType,
        response: bool,
        id: u32,
        payloads: &[Payload],
        total: u16,
    ) -> Vec<Datagram> {
        let (first, plain) = encode_chain(payloads).unwrap();
        let size = plain.len().div_ceil(total.into());
        let parts: Vec<&[u8]> = plain.chunks(size).collect();
        let total = u16::try_from(parts.len()).unwrap();
        (1..=total)
            .zip(parts)
            .map(|(number, part)| {
                let first = if number == 1 { first } else { PayloadType::NONE };
                self.seal_fragment(
                    self.header(exchange, response, id),
                    first,
                    (number, total),
                    part,
                )
            })
            .collect()
    }

    /// A fragment with any numbers, and any octets inside.
    pub fn seal_fragment(
        &mut self,
        header: Header,
        first: PayloadType,
        (number, total): (u16, u16),
        plain: &[u8],
    ) -> Datagram {
        let session = self.session.as_ref().expect("keys come from IKE_SA_INIT");
        let body_len = session.send.body_len(plain.len());
        let mut bytes = encode_fragment_prefix(&header, first, 1, 1, body_len).unwrap();
        *bytes.get_mut(28).unwrap() = first.0;
        bytes.truncate(32);
        bytes.extend(number.to_be_bytes());
        bytes.extend(total.to_be_bytes());
        self.sealed += 1;
        session.send.seal(&mut bytes, plain, self.sealed, &mut self.entropy).unwrap();
        self.datagram(bytes)
    }

    /// A protected message behind payloads that are not encrypted.
    pub fn seal_behind(
        &mut self,
        outer: &[Payload],
        header: Header,
        payloads: &[Payload],
    ) -> Datagram {
        let (first, plain) = encode_chain(payloads).unwrap();
        let session = self.session.as_ref().expect("keys come from IKE_SA_INIT");
        let body_len = session.send.body_len(plain.len());
        let mut bytes = encode_protected_prefix(&header, outer, first, body_len).unwrap();
        self.sealed += 1;
        session.send.seal(&mut bytes, &plain, self.sealed, &mut self.entropy).unwrap();
        self.datagram(bytes)
    }

    /// The same with a fragment.
    pub fn seal_fragment_behind(
        &mut self,
        outer: &[Payload],
        header: Header,
        first_inner: PayloadType,
        (number, total): (u16, u16),
        plain: &[u8],
    ) -> Datagram {
        let session = self.session.as_ref().expect("keys come from IKE_SA_INIT");
        let body = vec![0; session.send.body_len(plain.len())];
        let body_len = body.len();
        let part = EncryptedFragment { first_inner, number, total, body_offset: 0, body };
        let payloads = outer.iter().cloned().chain([Payload::EncryptedFragment(part)]).collect();
        let mut bytes = Message { header, payloads }.encode().unwrap();
        bytes.truncate(bytes.len() - body_len);
        self.sealed += 1;
        session.send.seal(&mut bytes, plain, self.sealed, &mut self.entropy).unwrap();
        self.datagram(bytes)
    }

    /// What a protected message of the other says; none when it is not protected by it.
    #[must_use]
    pub fn open(&self, bytes: &[u8]) -> Option<(Header, Vec<Payload>)> {
        let message = Message::decode(bytes).ok()?;
        let Some(Payload::Encrypted(sk)) = message.payloads.last() else { return None };
        let plain = self.session().receive.open(bytes, sk.body_offset).ok()?;
        Some((message.header, decode_chain(sk.first_inner, &plain).ok()?))
    }
}

/// `@name` as a payload's value.
#[must_use]
pub fn fqdn(name: &str) -> Identification {
    Identification { id_type: IdType::FQDN, data: name.as_bytes().to_vec() }
}

#[allow(clippy::unwrap_used, reason = "a puppet that cannot play is a broken test")]
fn parts(payloads: &[Payload]) -> (pluto_wire::v2::SaPayload, KePayload, Vec<u8>) {
    let (mut sa, mut ke, mut nonce) = (None, None, None);
    for payload in payloads {
        match payload {
            Payload::Sa(found) => sa = Some(found.clone()),
            Payload::Ke(found) => ke = Some(found.clone()),
            Payload::Nonce(found) => nonce = Some(found.clone()),
            _ => {}
        }
    }
    (sa.unwrap(), ke.unwrap(), nonce.unwrap())
}
