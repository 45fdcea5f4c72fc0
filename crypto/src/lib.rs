//! Cryptography behind one surface, so that the rest of the daemon does not know which
//! library computes what: aws-lc-rs for the hot paths, openssl for legacy algorithms,
//! odd groups and X.509.
//!
//! Nothing here blocks or reads a clock. Randomness comes in through [`Entropy`], so a
//! seed fixes every byte of a simulation. Values that must stay secret are [`Secret`]:
//! zeroed when dropped, redacted in `Debug`.

mod algorithms;
mod auth;
mod cipher;
mod entropy;
mod error;
mod esp_cipher;
mod ike_cipher;
mod ke;
mod keymat;
mod mac;
mod prf;
mod secret;
mod selftest;
pub mod snapshot;

#[cfg(test)]
mod known_answers;
#[cfg(test)]
mod testdata_tests;

pub use algorithms::{
    EncrInfo, IntegInfo, KeInfo, PrfInfo, encr_info, integ_info, ke_info, prf_info,
};
pub use auth::{constant_time_eq, psk_auth};
pub use entropy::{Entropy, SeededEntropy, SystemEntropy};
pub use error::Error;
pub use esp_cipher::EspCipher;
pub use ike_cipher::{IkeCipher, Opened};
pub use ke::{Cost, LocalKey};
pub use keymat::{ChildKeys, ChildSuite, IkeKeys, IkeSuite};
pub use prf::{HashId, hash, prf, prf_plus};
pub use secret::Secret;
pub use selftest::selftest;
