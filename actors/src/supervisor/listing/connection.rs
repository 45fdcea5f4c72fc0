//! Facts of connections.

use super::{ConnectionView, Gathered};
use pluto_connections::proposal::{describe_child, list_ike};
use pluto_connections::{Kind, LiveStatus};
use pluto_whack::report::{ConnectionFacts, EndFacts};

/// The facts of one.
pub(super) fn facts(view: &ConnectionView, g: &Gathered) -> ConnectionFacts {
    let live = &view.live;
    let ike = live.established_ike.and_then(|serial| g.ike(serial));
    let child = live.established_child.and_then(|serial| g.child(serial));
    let status = view.connection.status(
        live.wishes,
        LiveStatus {
            negotiating_ike: live.negotiating_ike,
            established_ike: live.established_ike,
            established_child: live.established_child,
            ..LiveStatus::default()
        },
    );
    let serial = |serial: Option<pluto_connections::SerialNo>| serial.map(|serial| serial.0);
    ConnectionFacts {
        serial: status.serial.0,
        template: status.template.map(|template| template.0),
        name: status.name,
        log_name: status.log_name,
        connection_kind: match status.kind {
            Kind::Permanent => "permanent",
            Kind::Template => "template",
            Kind::Instance => "instance",
        }
        .into(),
        aliases: status.aliases,
        oriented: status.oriented,
        local: end(status.local, status.updown),
        remote: {
            let updown = status.remote.updown.clone();
            end(status.remote, updown)
        },
        interface: status.interface,
        routing: live.routing.name().into(),
        owner: serial(live.established_child),
        negotiating_ike_sa: serial(live.negotiating_ike),
        established_ike_sa: serial(live.established_ike),
        established_child_sa: serial(live.established_child),
        wanted_up: live.wishes.up,
        revival_attempts: live.revival.map_or(0, |(attempt, _)| u64::from(attempt)),
        last_failure: live.failure.clone(),
        modecfgdns: status.config_dns,
        modecfgdomains: status.config_domains,
        modecfgbanner: status.config_banner,
        policy: status.policy,
        ike_life_s: status.ike_life,
        ipsec_life_s: status.ipsec_life,
        ipsec_max_bytes: status.ipsec_max_bytes.unwrap_or(1 << 63),
        ipsec_max_packets: status.ipsec_max_packets.unwrap_or(1 << 63),
        replay_window: status.replay_window,
        rekey_margin_s: status.rekey_margin,
        rekey_fuzz_percent: status.rekey_fuzz_percent,
        retransmit_interval_ms: status.retransmit_interval_ms,
        retransmit_timeout_s: status.retransmit_timeout,
        initial_contact: status.initial_contact,
        fake_strongswan: status.fake_strongswan,
        send_vendorid: status.send_vendor_id,
        send_no_esp_tfc: status.send_no_esp_tfc,
        priority: [u32::from(status.prefix_lengths.0), u32::from(status.prefix_lengths.1), 0],
        metric: status.metric,
        mtu: Some(status.mtu).filter(|mtu| *mtu != 0),
        sa_priority: Some(status.priority).filter(|priority| *priority != 0),
        tfc: Some(status.tfc).filter(|tfc| *tfc != 0),
        mark: mark(status.mark_in, status.mark_out),
        sendca: status.sendca,
        dpd_delay_s: status.dpd_delay,
        dpd_timeout_s: status.dpd_timeout,
        encapsulation: status.encapsulation,
        keepalive_s: status.nat_keepalive,
        reqid: status.reqid,
        debug: (!view.debug.is_empty()).then(|| view.debug.to_string()),
        ike_algorithms: status.ike_proposals,
        ike_algorithm_newest: ike.and_then(|ike| ike.live.summary.suite.as_ref().map(list_ike)),
        esp_algorithms: status.child_proposals,
        esp_algorithm_newest: child.map(|child| describe_child(&child.up.suite)),
        ipsec_protocol: status.protocol,
        pfs: status.pfs,
        ..ConnectionFacts::default()
    }
}

fn end(end: pluto_connections::EndStatus, updown: Option<String>) -> EndFacts {
    EndFacts {
        host: end.address.unwrap_or(end.host).into(),
        id: end.id.into(),
        id_kind: end.id_kind,
        nexthop: end.nexthop,
        selectors: end.selectors,
        subnet_configured: end.subnet_configured,
        sourceip: end.source_ips,
        updown,
        auth: end.auth,
        sendcert: end.sendcert,
        modecfg: end.modecfg,
        addresspool: end.address_pool,
        ..EndFacts::default()
    }
}

fn mark(inbound: Option<(u32, u32)>, outbound: Option<(u32, u32)>) -> Option<String> {
    let text = |(value, mask): (u32, u32)| format!("{value}/0x{mask:x}");
    match (inbound, outbound) {
        (None, None) => None,
        (Some(both), Some(other)) if both == other => Some(text(both)),
        (inbound, outbound) => Some(format!(
            "in:{}, out:{}",
            inbound.map_or("unset".to_string(), text),
            outbound.map_or("unset".to_string(), text)
        )),
    }
}
