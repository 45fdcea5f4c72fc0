//! IKE and Child SAs: `--showstates`, `--trafficstatus`, `--briefconnectionstatus`.

use super::amount::{exact, rounded};
use crate::report::{ChildSaFacts, DeadlineFacts, IkeSaFacts, PendingFacts};
use std::fmt::{Result, Write};

fn head(
    out: &mut String,
    (serial, connection): (u64, &str),
    (port, tcp): (u16, bool),
    words: &str,
    deadlines: &[DeadlineFacts],
) -> Result {
    let tcp = if tcp { "(tcp)" } else { "" };
    write!(out, "#{serial}: {connection}:{port}{tcp} {words};")?;
    for DeadlineFacts { event, in_s } in deadlines {
        write!(out, " {event} in {in_s}s;")?;
    }
    Ok(())
}

fn tail(out: &mut String, busy: bool) -> Result {
    writeln!(out, " {};", if busy { "crypto_calculating" } else { "idle" })
}

pub(super) fn ike_sa(sa: &IkeSaFacts, out: &mut String) -> Result {
    head(
        out,
        (sa.serial, &sa.connection),
        (sa.remote_port, sa.tcp),
        &sa.state_words,
        &sa.deadlines,
    )?;
    if sa.newest {
        out.push_str(" newest;");
    }
    if let Some(seconds) = sa.last_live_s {
        write!(out, " lastlive={seconds}s;")?;
    }
    if sa.mobike {
        out.push_str(" MOBIKE;");
    }
    tail(out, sa.busy)
}

pub(super) fn child_sa(sa: &ChildSaFacts, out: &mut String) -> Result {
    head(
        out,
        (sa.serial, &sa.connection),
        (sa.remote_port, sa.tcp),
        &sa.state_words,
        &sa.deadlines,
    )?;
    if sa.newest {
        out.push_str(" newest;");
    }
    if sa.eroute_owner {
        out.push_str(" eroute owner;");
    }
    if let Some(parent) = sa.ike_sa {
        let kind = if sa.ike_version == 1 { "ISAKMP" } else { "IKE" };
        write!(out, " {kind} SA #{parent};")?;
    }
    tail(out, sa.busy)?;
    if !sa.established {
        return Ok(());
    }
    write!(out, "#{}: {}", sa.serial, sa.connection)?;
    let protocol = sa.protocol.to_ascii_lowercase();
    write!(out, " {protocol}.{:x}@{}", sa.outbound_spi, sa.remote)?;
    write!(out, " {protocol}.{:x}@{}", sa.inbound_spi, sa.local)?;
    if sa.mode == "tunnel" {
        write!(out, " tun.0@{} tun.0@{}", sa.remote, sa.local)?;
    }
    let (name, most) = (&sa.protocol, exact(sa.max_bytes));
    let (received, sent) = (rounded(sa.in_bytes), rounded(sa.out_bytes));
    // The blank at the end is libreswan's.
    writeln!(out, " Traffic: {name}in={received} {name}out={sent} {name}max={most} ")
}

pub(super) fn traffic(sa: &ChildSaFacts, out: &mut String) -> Result {
    if !sa.established {
        return Ok(());
    }
    write!(out, "#{}: {}, ", sa.serial, sa.connection)?;
    if let Some(username) = &sa.username {
        write!(out, "username={username}, ")?;
    }
    write!(out, "type={}", sa.protocol)?;
    if let Some(offload) = &sa.nic_offload {
        write!(out, "(nic-offload={offload})")?;
    }
    write!(out, ", add_time={}, inBytes={}, outBytes={}", sa.add_time, sa.in_bytes, sa.out_bytes)?;
    write!(out, ", maxBytes={}", exact(sa.max_bytes))?;
    if let (None, Some(id)) = (&sa.username, &sa.remote_id) {
        write!(out, ", id='{id}'")?;
    }
    if !sa.lease.is_empty() {
        write!(out, ", lease={}", sa.lease.join(","))?;
    }
    out.write_char('\n')
}

pub(super) fn brief_connection(sa: &ChildSaFacts, out: &mut String) -> Result {
    if !sa.established {
        return Ok(());
    }
    let (local_ts, remote_ts) = (sa.local_ts.join(","), sa.remote_ts.join(","));
    let (received, sent) = (rounded(sa.in_bytes), rounded(sa.out_bytes));
    let ChildSaFacts { local, remote, connection, reqid, .. } = sa;
    writeln!(
        out,
        "{local_ts} <==> {remote_ts}\tfrom {local} to {remote} ({received}/{sent})\t{connection}, reqid={reqid}"
    )
}

pub(super) fn pending(pending: &PendingFacts, out: &mut String) -> Result {
    write!(out, "#{}: pending Child SA for {}", pending.ike_sa, pending.connection)?;
    if let Some(replaced) = pending.replacing {
        write!(out, " replacing #{replaced}")?;
    }
    out.write_char('\n')
}
