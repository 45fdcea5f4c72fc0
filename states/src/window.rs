//! Message ids, the window of one, retransmission and cached responses (RFC 7296, 2.1 to 2.3).
