//! Addresses as administrators write them: the forms of inet_aton(3) included, which
//! configurations of thirty years use (`10/8`, `127.1`).

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Reads a numeric address; names are not looked up.
pub(crate) fn parse_address(text: &str) -> Option<IpAddr> {
    if text.contains(':') {
        return text.parse::<Ipv6Addr>().ok().map(IpAddr::V6);
    }
    parse_ipv4(text).map(IpAddr::V4)
}

/// One to four parts, each decimal, octal (`0…`) or hexadecimal (`0x…`); the last one fills
/// all octets that are left, as inet_aton(3) has it.
fn parse_ipv4(text: &str) -> Option<Ipv4Addr> {
    let parts: Vec<u32> = text.split('.').map(parse_part).collect::<Option<_>>()?;
    let (last, leading) = parts.split_last()?;
    if leading.len() > 3 {
        return None;
    }
    let mut value: u32 = 0;
    let mut shift: u32 = 32;
    for part in leading {
        shift = shift.saturating_sub(8);
        value |= u8::try_from(*part).ok().map(u32::from)?.checked_shl(shift)?;
    }
    let room = if shift == 32 { u32::MAX } else { 1_u32.checked_shl(shift)?.wrapping_sub(1) };
    (*last <= room).then(|| Ipv4Addr::from(value | last))
}

fn parse_part(text: &str) -> Option<u32> {
    // from_str_radix takes a sign, which no address has.
    if text.len() > 16 || !text.bytes().all(|b| b.is_ascii_hexdigit() || b == b'x' || b == b'X') {
        return None;
    }
    if let Some(hex) = text.strip_prefix("0x").or_else(|| text.strip_prefix("0X")) {
        return u32::from_str_radix(hex, 16).ok();
    }
    match text.strip_prefix('0') {
        Some(octal) if !octal.is_empty() => u32::from_str_radix(octal, 8).ok(),
        _ => text.parse().ok(),
    }
}

/// Reads what stands behind the slash of a network: a prefix length, or for IPv4 a mask
/// (`255.255.255.0`, `0xffffff00`) of ones followed by zeros.
pub(crate) fn parse_prefix(text: &str, address: IpAddr) -> Option<u8> {
    let bits = if address.is_ipv4() { 32 } else { 128 };
    if !text.is_empty() && text.len() <= 3 && text.bytes().all(|b| b.is_ascii_digit()) {
        return text.parse().ok().filter(|length| *length <= bits);
    }
    if !address.is_ipv4() {
        return None;
    }
    let mask = match text.strip_prefix("0x").or_else(|| text.strip_prefix("0X")) {
        Some(hex) if hex.len() == 8 => parse_part(text)?,
        Some(_) => return None,
        None if text.matches('.').count() == 3 => u32::from(parse_ipv4(text)?),
        None => return None,
    };
    (mask.leading_ones().saturating_add(mask.trailing_zeros()) >= 32)
        .then(|| u8::try_from(mask.leading_ones()).unwrap_or(32))
}
