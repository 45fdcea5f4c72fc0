//! What payloads an unencrypted message holds, without reading their insides: for who needs one
//! or two of them, at a fraction of what [`Message::decode`](super::Message::decode) costs.

use super::message;
use super::payload::{Chain, Place};
use crate::numbers::PayloadType;
use crate::{DecodeError, Header};

/// The payloads of a datagram one after the other: their types and insides.
#[derive(Debug)]
pub struct Outline<'a> {
    chain: Chain<'a>,
}

impl<'a> Outline<'a> {
    /// Of a whole datagram (without the non-ESP marker), which is checked as
    /// [`Message::decode`](super::Message::decode) does.
    ///
    /// # Errors
    /// The header cannot be read, or its length is not the datagram's.
    pub fn of(datagram: &'a [u8]) -> Result<(Header, Self), DecodeError> {
        let (header, reader) = message::begin(datagram)?;
        Ok((header, Self { chain: Chain::new(header.next_payload, reader, Place::Outer) }))
    }
}

impl<'a> Iterator for Outline<'a> {
    /// A type, and what follows the generic header; or the first field that cannot be read,
    /// which is the last item.
    type Item = Result<(PayloadType, &'a [u8]), DecodeError>;

    fn next(&mut self) -> Option<Self::Item> {
        match self.chain.next_link() {
            Ok(link) => link.map(|mut link| Ok((link.payload_type, link.inside.rest()))),
            Err(error) => {
                self.chain.end();
                Some(Err(error))
            }
        }
    }
}
