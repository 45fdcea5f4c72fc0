//! What the administrator wants: connections, identities, secrets, proposals, routing.
