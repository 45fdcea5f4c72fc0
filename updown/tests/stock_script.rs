//! `packaging/_updown`, with dash and iproute2 in a network namespace of its own: a bridge
//! br0 with 192.0.2.1/24 and 2001:db8::1/64, a default route through 192.0.2.254. Where
//! that cannot be made (no root, no iproute2), the tests say so and pass.

use std::process::{Command, Output};

const HOST: &str = "
    ip link set lo up && ip link add br0 type bridge && ip link set br0 up || exit 77
    ip address add 192.0.2.1/24 dev br0 && ip route add default via 192.0.2.254 || exit 77
    ip -6 address add 2001:db8::1/64 dev br0 nodad 2>/dev/null || echo no IPv6
    updown() {
        env -i PATH=\"$PATH\" PLUTO_CONNECTION_TYPE=tunnel PLUTO_PEER=198.51.100.1 \
            PLUTO_INTERFACE=br0 \"$@\" dash \"$script\" 2>&1 || echo \"status $?\"
    }
    routes() { ip route show proto 117 | sed 's/ linkdown//; s/ *$//'; }
    sources() { ip -o address show scope host dev br0 | awk '{print $4}'; }
";

/// Runs shell commands on that host; none when there can be no such host.
fn on_host(commands: &str) -> Option<String> {
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/../packaging/_updown");
    let shell = format!("script={script}\n{HOST}\n{commands}");
    let ran = Command::new("unshare").args(["-n", "dash", "-c", &shell]).output();
    let skipped = |why: &str| {
        println!("SKIPPED: packaging/_updown is not tried: {why}");
        None
    };
    match ran {
        Err(error) => skipped(&format!("unshare cannot be run: {error}")),
        Ok(Output { status, stdout, stderr }) => {
            let stderr = String::from_utf8_lossy(&stderr).into_owned();
            match status.code() {
                Some(0) => {
                    assert_eq!(stderr, "", "nothing goes wrong unnoticed");
                    Some(String::from_utf8_lossy(&stdout).into_owned())
                }
                Some(77) => skipped(&format!("the host cannot be made: {stderr}")),
                Some(1) if stderr.contains("unshare") => skipped(stderr.trim()),
                Some(127) => skipped("dash is missing"),
                _ => Some(format!("{status}: {stderr}")),
            }
        }
    }
}

fn assert_prints(commands: &str, expected: &str) {
    if let Some(printed) = on_host(commands) {
        if printed.contains("no IPv6") && commands.contains("2001:db8") {
            println!("SKIPPED: no IPv6 here");
            return;
        }
        let tidy = |text: &str| {
            let lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
            lines.filter(|line| *line != "no IPv6").collect::<Vec<_>>().join("\n")
        };
        assert_eq!(tidy(&printed), tidy(expected));
    }
}

#[test]
fn routes_that_are_there_already_are_left_alone() {
    assert_prints(
        "updown PLUTO_VERB=prepare-client PLUTO_PEER_CLIENT=10.2.0.0/24
         updown PLUTO_VERB=route-client PLUTO_PEER_CLIENT=10.2.0.0/24
         updown PLUTO_VERB=up-client PLUTO_PEER_CLIENT=10.2.0.0/24
         routes
         updown PLUTO_VERB=down-client PLUTO_PEER_CLIENT=10.2.0.0/24
         updown PLUTO_VERB=unroute-client PLUTO_PEER_CLIENT=10.2.0.0/24
         ip route show default",
        "default via 192.0.2.254 dev br0",
    );
}

#[test]
fn what_route_adds_unroute_removes() {
    assert_prints(
        "tunnel='PLUTO_PEER_CLIENT=10.2.0.0/24 PLUTO_MTU=1400 PLUTO_METRIC=50'
         updown PLUTO_VERB=route-client $tunnel PLUTO_MY_SOURCEIP=10.1.0.1
         updown PLUTO_VERB=up-client $tunnel PLUTO_MY_SOURCEIP=10.1.0.1
         routes; sources
         updown PLUTO_VERB=unroute-client $tunnel PLUTO_MY_SOURCEIP=10.1.0.1
         echo after; routes; sources",
        "10.2.0.0/24 via 192.0.2.254 dev br0 src 10.1.0.1 metric 50 mtu 1400
         10.1.0.1/32
         after",
    );
}

#[test]
fn a_source_address_goes_with_the_last_tunnel_that_uses_it() {
    assert_prints(
        "source=PLUTO_MY_SOURCEIP=10.1.0.1
         updown PLUTO_VERB=route-client PLUTO_PEER_CLIENT=10.2.0.0/24 $source
         updown PLUTO_VERB=route-client PLUTO_PEER_CLIENT=10.3.0.0/24 $source
         updown PLUTO_VERB=unroute-client PLUTO_PEER_CLIENT=10.2.0.0/24 $source
         routes; sources
         updown PLUTO_VERB=unroute-client PLUTO_PEER_CLIENT=10.3.0.0/24 $source
         echo after; routes; sources
         own=PLUTO_MY_SOURCEIP=192.0.2.1
         updown PLUTO_VERB=route-client PLUTO_PEER_CLIENT=10.3.0.0/24 $own
         updown PLUTO_VERB=unroute-client PLUTO_PEER_CLIENT=10.3.0.0/24 $own
         ip -o -4 address show dev br0 | awk '{print $4}'",
        "10.3.0.0/24 via 192.0.2.254 dev br0 src 10.1.0.1
         10.1.0.1/32
         after
         192.0.2.1/24",
    );
}

#[test]
fn everything_is_routed_in_halves() {
    assert_prints(
        "updown PLUTO_VERB=route-client PLUTO_PEER_CLIENT=0.0.0.0/0 PLUTO_MTU=1400
         routes; ip route show default
         updown PLUTO_VERB=unroute-client PLUTO_PEER_CLIENT=0.0.0.0/0 PLUTO_MTU=1400
         routes",
        "0.0.0.0/1 via 192.0.2.254 dev br0 mtu 1400
         128.0.0.0/1 via 192.0.2.254 dev br0 mtu 1400
         default via 192.0.2.254 dev br0",
    );
}

#[test]
fn ipv6_works_the_same() {
    assert_prints(
        "tunnel='PLUTO_PEER_CLIENT=2001:db8:2::/48 PLUTO_PEER=2001:db8::2'
         updown PLUTO_VERB=route-client-v6 $tunnel PLUTO_MY_SOURCEIP=2001:db8:1::1
         ip -6 route show proto 117 | sed 's/ metric.*//'
         ip -o -6 address show deprecated | awk '{print $4}'
         updown PLUTO_VERB=unroute-client-v6 $tunnel PLUTO_MY_SOURCEIP=2001:db8:1::1
         echo after; ip -6 route show proto 117; ip -o -6 address show deprecated",
        "2001:db8:2::/48 dev br0 src 2001:db8:1::1
         2001:db8:1::1/128
         after",
    );
}

#[test]
fn hosts_and_transport_mode_need_nothing() {
    assert_prints(
        "updown PLUTO_VERB=route-host PLUTO_PEER_CLIENT=198.51.100.1/32 PLUTO_MTU=1400
         updown PLUTO_VERB=route-client PLUTO_PEER_CLIENT=10.2.0.0/24 PLUTO_MTU=1400 \
             PLUTO_CONNECTION_TYPE=transport
         routes",
        "",
    );
}

#[test]
fn what_it_cannot_do_it_says() {
    assert_prints(
        "updown PLUTO_VERB=fly-client PLUTO_PEER_CLIENT=10.2.0.0/24
         updown PLUTO_VERB= PLUTO_PEER_CLIENT=10.2.0.0/24
         updown PLUTO_VERB=route-client
         updown PLUTO_VERB=route-client PLUTO_PEER_CLIENT=10.2.0.1-10.2.0.9 PLUTO_MTU=1400
         updown PLUTO_VERB=route-client PLUTO_PEER_CLIENT=10.2.0.0/24 PLUTO_INTERFACE=NULL \
             PLUTO_PEER=",
        "_updown: fly-client: unknown verb
         status 1
         _updown: PLUTO_VERB is not set: this is for the daemon to run
         status 1
         _updown: route-client: PLUTO_PEER_CLIENT is not set
         status 1
         _updown: route-client: 10.2.0.1-10.2.0.9 is no network/prefix and cannot be routed to
         status 1
         _updown: route-client: no interface is known and the peer is unreachable
         status 1",
    );
}
