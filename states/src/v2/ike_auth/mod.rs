//! IKE_AUTH (RFC 7296, 1.2): who both are, and the first Child SA.
//!
//! ```text
//! HDR, SK {IDi, [IDr,] AUTH, SAi2, TSi, TSr}  -->
//!                                        <--  HDR, SK {IDr, AUTH, SAr2, TSi, TSr}
//! ```

pub(crate) mod initiator;
pub(crate) mod responder;
