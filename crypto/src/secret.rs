//! Octets that must not leak.

use zeroize::{Zeroize, ZeroizeOnDrop};

/// Secret octets: zeroed on drop, shown as their number only.
#[derive(Clone, Default, Zeroize, ZeroizeOnDrop)]
pub struct Secret(Box<[u8]>);

impl Secret {
    /// Takes the octets over.
    #[must_use]
    pub fn new(mut octets: Vec<u8>) -> Self {
        if octets.capacity() == octets.len() {
            return Self(octets.into_boxed_slice());
        }
        // Shrinking may move the octets and leave the old ones behind.
        let kept = Self::from_slice(&octets);
        octets.zeroize();
        kept
    }
    /// A copy of `octets`.
    #[must_use]
    pub fn from_slice(octets: &[u8]) -> Self {
        Self(octets.into())
    }
    /// The octets; keep the borrow short.
    #[must_use]
    pub fn expose(&self) -> &[u8] {
        &self.0
    }
    /// How many octets.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }
    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Secret({} octets)", self.0.len())
    }
}

impl PartialEq for Secret {
    fn eq(&self, other: &Self) -> bool {
        crate::constant_time_eq(&self.0, &other.0)
    }
}
impl Eq for Secret {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_holds_what_it_was_given_and_does_not_show_it() {
        let mut roomy = Vec::with_capacity(100);
        roomy.extend_from_slice(b"secret");
        for secret in [Secret::new(roomy), Secret::from_slice(b"secret")] {
            assert_eq!(secret.expose(), b"secret");
            assert_eq!(format!("{secret:?}"), "Secret(6 octets)");
            assert_ne!(secret, Secret::from_slice(b"secreT"));
            assert_ne!(secret, Secret::from_slice(b"secre"));
        }
        assert!(Secret::default().is_empty());
    }
}
