//! IKEv2: the table of exchanges, and a file for each.

pub(crate) mod authentication;
pub(crate) mod child;
pub(crate) mod configuration;
pub(crate) mod create_child_sa;
pub(crate) mod established;
pub(crate) mod ike_auth;
pub(crate) mod ike_sa_init;
pub(crate) mod informational;
pub(crate) mod mobike;
pub(crate) mod outbound;
pub(crate) mod reauth;
pub(crate) mod receive;
pub(crate) mod refused;
pub(crate) mod rekey_ike;
pub(crate) mod state;
pub(crate) mod table;

pub use configuration::ConfigStory;
pub use mobike::PathStory;
pub use reauth::Reauthentication;
