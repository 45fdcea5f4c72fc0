//! EAP (RFC 7296, 3.16): a packet of RFC 3748, which is not looked into here. Its own
//! length field is judged by who speaks EAP.
//!
//! ```text
//! |     code      |  identifier   |            length             |
//! |     type      |  type data    ...                             |
//! ```

use crate::reader::Reader;
use crate::writer::Writer;

pub(super) fn decode(reader: &mut Reader<'_>) -> Vec<u8> {
    reader.rest().to_vec()
}

pub(super) fn encode(packet: &[u8], writer: &mut Writer) {
    writer.bytes(packet);
}
