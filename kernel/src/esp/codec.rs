//! ESP packets (RFC 4303): one direction of one SA, packet by packet.
//!
//! ```text
//!   0                   1                   2                   3
//!   0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
//!  +---------------------------------------------------------------+
//!  | Security Parameters Index                                     |
//!  | Sequence Number (lower half)                                  |
//!  | IV, 0, 8 or 16 octets                                         |
//!  | Payload                                                       |
//!  | TFC padding (tunnel mode) | Padding 1, 2, 3 ...               |
//!  |                           | Pad Length    | Next Header       |
//!  | ICV, 8 to 32 octets                                           |
//!  +---------------------------------------------------------------+
//! ```
//!
//! Payloads are sealed and opened where they lie; nothing is allocated or copied.

use super::octets::{be32, put};
use super::window::{Replay, Window};
use pluto_crypto::{Entropy, EspCipher, SystemEntropy};
use std::fmt;
use std::ops::Range;

/// SPI and sequence number.
const HEADER: usize = 8;
/// Pad length and next header.
const TRAILER: usize = 2;
/// Without ESN numbers end here (RFC 4303, 3.3.3).
const LAST_SHORT: u64 = 0xffff_ffff;
/// The most padding that a trailer can name.
const LONGEST_PADDING: usize = 255;

/// 1, 2, 3 ... (RFC 4303, 2.4).
const PADDING: [u8; LONGEST_PADDING] = {
    let mut padding = [0; LONGEST_PADDING];
    let mut rest: &mut [u8] = &mut padding;
    let mut number = 1;
    while let Some((first, others)) = rest.split_first_mut() {
        *first = number;
        number = number.wrapping_add(1);
        rest = others;
    }
    padding
};

/// Random octets for IVs, taken from the system some at a time.
pub struct Ivs {
    entropy: Box<dyn Entropy + Send>,
    ready: [u8; 1024],
    used: usize,
}

impl Default for Ivs {
    fn default() -> Self {
        Self::new(Box::new(SystemEntropy))
    }
}

impl fmt::Debug for Ivs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Ivs").finish_non_exhaustive()
    }
}

impl Ivs {
    /// IVs from `entropy`.
    #[must_use]
    pub fn new(entropy: Box<dyn Entropy + Send>) -> Self {
        Self { entropy, ready: [0; 1024], used: 1024 }
    }

    fn fill(&mut self, iv: &mut [u8]) {
        if self.used + iv.len() > self.ready.len() {
            self.entropy.fill(&mut self.ready);
            self.used = 0;
        }
        let fresh = self.ready.get(self.used..).unwrap_or(&[]);
        for (to, from) in iv.iter_mut().zip(fresh) {
            *to = *from;
        }
        self.used += iv.len();
    }
}

/// Why a packet could not be sealed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SealError {
    /// The last sequence number has been used.
    Exhausted,
    /// The buffer is too small for what is added.
    Room,
    /// The cipher refused.
    Cipher,
}

/// Why a packet was not opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OpenError {
    /// It is too short for its SA, or no whole number of blocks.
    Length,
    /// Its sequence number is refused.
    Replay(Replay),
    /// Its integrity check fails.
    Integrity,
    /// The padding is not what the protocol says, or longer than the packet.
    Padding,
}

/// Protects what we send under one SA.
#[derive(Debug)]
pub struct Sealer {
    spi: u32,
    sequence: u64,
    last: u64,
    cipher: EspCipher,
    iv: usize,
    icv: usize,
    align: usize,
    random_iv: bool,
}

impl Sealer {
    /// Starts at sequence number 1.
    #[must_use]
    pub fn new(spi: u32, esn: bool, cipher: EspCipher) -> Self {
        Self {
            spi,
            sequence: 0,
            last: if esn { u64::MAX } else { LAST_SHORT },
            iv: cipher.iv_len(),
            icv: cipher.icv_len(),
            align: cipher.alignment(),
            random_iv: cipher.iv_is_random(),
            cipher,
        }
    }

    /// Goes on behind `sequence` (tests, and an SA that is taken over).
    #[must_use]
    pub fn behind(mut self, sequence: u64) -> Self {
        self.sequence = sequence;
        self
    }

    /// The number used last.
    #[must_use]
    pub fn sequence(&self) -> u64 {
        self.sequence
    }

    /// Where the payload begins in the packet.
    #[must_use]
    pub fn payload_at(&self) -> usize {
        HEADER + self.iv
    }

    /// Octets of the packet with a payload of so many.
    #[must_use]
    pub fn sealed_len(&self, payload: usize) -> usize {
        HEADER + self.iv + (payload + TRAILER).next_multiple_of(self.align) + self.icv
    }

    /// The largest payload whose packet has at most so many octets.
    #[must_use]
    pub fn largest_payload(&self, packet: usize) -> usize {
        let room = packet.saturating_sub(HEADER + self.iv + self.icv);
        (room / self.align * self.align).saturating_sub(TRAILER)
    }

    /// Makes `packet` from its payload, which lies at [`Sealer::payload_at`] already;
    /// tells how many octets it has.
    ///
    /// # Errors
    /// See [`SealError`]; no number is used up then.
    pub fn seal(
        &mut self,
        packet: &mut [u8],
        payload: usize,
        next_header: u8,
        ivs: &mut Ivs,
    ) -> Result<usize, SealError> {
        let sequence = self.sequence.checked_add(1).filter(|next| *next <= self.last);
        let sequence = sequence.ok_or(SealError::Exhausted)?;
        let iv = packet.get_mut(HEADER..HEADER + self.iv).ok_or(SealError::Room)?;
        if self.random_iv {
            ivs.fill(iv);
        } else {
            // Unique for the key is enough for counter modes (RFC 4106, 3.1).
            put(iv, 0, &sequence.to_be_bytes());
        }
        self.seal_as(sequence, packet, payload, next_header)
    }

    /// With the IV that lies in `packet` already.
    fn seal_as(
        &mut self,
        sequence: u64,
        packet: &mut [u8],
        payload: usize,
        next_header: u8,
    ) -> Result<usize, SealError> {
        let len = self.sealed_len(payload);
        let packet = packet.get_mut(..len).ok_or(SealError::Room)?;
        let (header, rest) = packet.split_at_mut_checked(HEADER).ok_or(SealError::Room)?;
        let (iv, rest) = rest.split_at_mut_checked(self.iv).ok_or(SealError::Room)?;
        let body = rest.len().checked_sub(self.icv).ok_or(SealError::Room)?;
        let (body, icv) = rest.split_at_mut_checked(body).ok_or(SealError::Room)?;
        let low = (sequence & LAST_SHORT) as u32;
        put(header, 0, &self.spi.to_be_bytes());
        put(header, 4, &low.to_be_bytes());
        let padding = body.len().saturating_sub(payload + TRAILER);
        let pattern = PADDING.get(..padding).ok_or(SealError::Room)?;
        put(body, payload, pattern);
        put(body, payload + padding, &[(padding & 0xff) as u8, next_header]);
        self.cipher
            .seal_in_place(self.spi, sequence, iv, body, icv)
            .map_err(|_| SealError::Cipher)?;
        self.sequence = sequence;
        Ok(len)
    }
}

/// What a packet held.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Opened {
    /// Where in the packet the payload lies, TFC padding included.
    pub payload: Range<usize>,
    /// What it is: 4 and 41 a packet (tunnel mode), 59 a dummy, else transport mode.
    pub next_header: u8,
    /// The whole sequence number.
    pub sequence: u64,
}

/// Checks and decrypts what we receive under one SA.
#[derive(Debug)]
pub struct Opener {
    spi: u32,
    window: Window,
    cipher: EspCipher,
    iv: usize,
    icv: usize,
    align: usize,
}

impl Opener {
    /// With a fresh window of `window` packets.
    #[must_use]
    pub fn new(spi: u32, esn: bool, window: u32, cipher: EspCipher) -> Self {
        Self {
            spi,
            window: Window::new(window, esn),
            iv: cipher.iv_len(),
            icv: cipher.icv_len(),
            align: cipher.alignment(),
            cipher,
        }
    }

    /// The window.
    #[must_use]
    pub fn window(&self) -> &Window {
        &self.window
    }

    /// Takes `sequence` as the highest seen (tests, and an SA that is taken over).
    pub fn seen_up_to(&mut self, sequence: u64) {
        self.window.accept(sequence);
    }

    /// Opens `packet`, which begins with its SPI, in place. What is refused changes
    /// nothing, but its octets are worthless afterwards.
    ///
    /// # Errors
    /// See [`OpenError`].
    pub fn open(&mut self, packet: &mut [u8]) -> Result<Opened, OpenError> {
        let low = be32(packet, 4).ok_or(OpenError::Length)?;
        let begin = HEADER + self.iv;
        let end = packet.len().checked_sub(self.icv).ok_or(OpenError::Length)?;
        let body = end.checked_sub(begin).ok_or(OpenError::Length)?;
        if body < TRAILER || !body.is_multiple_of(self.align.min(4)) {
            return Err(OpenError::Length);
        }
        // RFC 4303, 3.4.3: the cheap check first, the window moves after integrity only.
        let sequence = self.window.reconstruct(low).map_err(OpenError::Replay)?;
        self.window.check(sequence).map_err(OpenError::Replay)?;
        let (front, icv) = packet.split_at_mut_checked(end).ok_or(OpenError::Length)?;
        let (head, payload) = front.split_at_mut_checked(begin).ok_or(OpenError::Length)?;
        let iv = head.get(HEADER..).ok_or(OpenError::Length)?;
        self.cipher.open_in_place(self.spi, sequence, iv, payload, icv).map_err(
            |error| match error {
                pluto_crypto::Error::Integrity => OpenError::Integrity,
                _ => OpenError::Length,
            },
        )?;
        self.window.accept(sequence);
        let (rest, trailer) = payload.split_last_chunk::<TRAILER>().ok_or(OpenError::Length)?;
        let [padding, next_header] = *trailer;
        let kept = rest.len().checked_sub(usize::from(padding)).ok_or(OpenError::Padding)?;
        if rest.get(kept..) != PADDING.get(..usize::from(padding)) {
            return Err(OpenError::Padding);
        }
        Ok(Opened { payload: begin..begin + kept, next_header, sequence })
    }
}

#[cfg(test)]
#[path = "codec_tests.rs"]
mod tests;
