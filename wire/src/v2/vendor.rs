//! Vendor id (RFC 7296, 3.12): nothing but its octets, of any number.

use crate::reader::Reader;
use crate::writer::Writer;

pub(super) fn decode(reader: &mut Reader<'_>) -> Vec<u8> {
    reader.rest().to_vec()
}

pub(super) fn encode(vendor_id: &[u8], writer: &mut Writer) {
    writer.bytes(vendor_id);
}
