//! The supervision tree.

use crate::report::{ActorFacts, ActorKind};
use std::fmt::{Result, Write};

pub(super) fn actor(actor: &ActorFacts, out: &mut String) -> Result {
    let indent = 2 * actor.actor.depth();
    write!(out, "{:indent$}{}", "", actor.actor.name())?;
    if !actor.name.is_empty() && actor.name != actor.actor.name() {
        write!(out, " {}", actor.name)?;
    }
    if let Some(serial) = actor.serial {
        let sign = if actor.actor == ActorKind::Connection { '$' } else { '#' };
        write!(out, " {sign}{serial}")?;
    }
    write!(out, ": {}; age {}s; restarts {};", actor.state, actor.age_s, actor.restarts)?;
    write!(out, " panics survived {};", actor.panics_survived)?;
    if actor.dropped > 0 {
        write!(out, " messages dropped {};", actor.dropped)?;
    }
    out.write_char('\n')
}
