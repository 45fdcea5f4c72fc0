//! What `packaging/_updown` does with DNS servers, with a scratch directory in place of /etc
//! and /run/pluto, and a resolvectl and an unbound-control that only remember what they were
//! told.

#![allow(clippy::expect_used, reason = "tests")]

use std::path::{Path, PathBuf};
use std::process::Command;

/// resolvectl and unbound-control. `calls` has what changed something.
const FAKES: &str = r#"
cat >bin/resolvectl <<'END'
#!/bin/sh
here=${0%/*}
if [ $# = 2 ] && [ "$1" != revert ]; then
  echo "Link 2 ($2): $(cat "$here/$1.$2" 2>/dev/null)"
  exit
fi
echo "resolvectl $*" >>"$here/calls"
[ ! -e "$here/broken" ] || { echo "resolvectl: no bus" >&2; exit 1; }
case $1 in
  revert) rm -f "$here/dns.$2" "$here/domain.$2" ;;
  *) what=$1 link=$2; shift 2; echo "$*" >"$here/$what.$link" ;;
esac
END
cat >bin/unbound-control <<'END'
#!/bin/sh
here=${0%/*}
[ "$1" != list_forwards ] || { cat "$here/forwards"; exit; }
echo "unbound-control $*" >>"$here/calls"
END
chmod +x bin/*; : >bin/forwards; : >bin/calls
"#;

const PRELUDE: &str = r#"
cd "$scratch" || exit 1
mkdir -p bin run etc
conf=$scratch/etc/resolv.conf
printf 'search lan\nnameserver 192.0.2.53\noptions edns0\n' >etc/original
cp etc/original "$conf"
# updown VERB CONNECTION VARIABLE...
updown() {
  verb=$1 connection=$2; shift 2
  env -i PATH="${path:-$scratch/bin:$PATH}" UPDOWN_PART=dns UPDOWN_RESOLV_CONF="$conf" \
    PLUTO_RUNDIR="$scratch/run" PLUTO_VERB=$verb PLUTO_CONNECTION=$connection \
    PLUTO_SA_REQID=16389 PLUTO_INTERFACE=eth0 PLUTO_CFG_CLIENT=1 "$@" \
    "$shell" "$script" 2>&1 || echo "status $?"
}
up() { connection=$1; shift; updown up-client "$connection" "$@"; }
down() { connection=$1; shift; updown down-client "$connection" "$@"; }
given='PLUTO_PEER_DNS_INFO=10.2.0.53'
# What a resolver reads of it.
read_conf() { grep -v '^#' "$conf"; }
same() { cmp "$conf" etc/original && echo as before; }
calls() { cat bin/calls; : >bin/calls; }
"#;

/// The output of commands in a scratch directory of this name.
fn output(name: &str, commands: &str) -> String {
    let scratch: PathBuf = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    let _ = std::fs::remove_dir_all(&scratch);
    std::fs::create_dir_all(&scratch).expect("a scratch directory");
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/../packaging/_updown");
    let dash = Path::new("/usr/bin/dash").exists();
    let ran = Command::new("/bin/sh")
        .args(["-c", &format!("{PRELUDE}\n{FAKES}\n{commands}")])
        .env("scratch", &scratch)
        .env("script", script)
        .env("shell", if dash { "dash" } else { "sh" })
        .output()
        .expect("/bin/sh");
    let text = |octets: &[u8]| String::from_utf8_lossy(octets).into_owned();
    assert_eq!(text(&ran.stderr), "", "nothing goes wrong unnoticed");
    let _ = std::fs::remove_dir_all(&scratch);
    text(&ran.stdout).replace(&scratch.display().to_string(), "SCRATCH")
}

fn assert_prints(name: &str, commands: &str, expected: &str) {
    let tidy = |text: &str| {
        let lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
        lines.collect::<Vec<_>>().join("\n")
    };
    assert_eq!(tidy(&output(name, commands)), tidy(expected));
}

#[test]
fn resolv_conf_has_the_servers_while_the_tunnel_is_up() {
    assert_prints(
        "file",
        "chmod 640 $conf
         up west $given PLUTO_PEER_DOMAIN_INFO='example.com example.org'
         read_conf; stat -c %a $conf
         down west; same; ls etc run",
        "updating resolvconf
         nameserver 10.2.0.53
         search lan
         nameserver 192.0.2.53
         options edns0
         search example.com example.org lan
         640
         restoring resolvconf
         as before
         etc:
         original
         resolv.conf
         run:
         dns.lock",
    );
}

#[test]
fn every_tunnel_takes_its_own_servers_and_the_last_one_restores() {
    assert_prints(
        "several",
        "up west $given PLUTO_PEER_DOMAIN_INFO=example.com >/dev/null
         up east PLUTO_PEER_DNS_INFO='10.2.0.53 2001:db8::53' >/dev/null
         up east PLUTO_PEER_DNS_INFO='10.2.0.53 2001:db8::53' >/dev/null
         read_conf; down west; echo; read_conf; down west; down east; same",
        "nameserver 10.2.0.53
         nameserver 2001:db8::53
         search lan
         nameserver 192.0.2.53
         options edns0
         search example.com lan
         restoring resolvconf
         nameserver 10.2.0.53
         nameserver 2001:db8::53
         search lan
         nameserver 192.0.2.53
         options edns0
         restoring resolvconf
         as before",
    );
}

#[test]
fn what_others_change_in_resolv_conf_meanwhile_is_theirs() {
    // A DHCP client writes the file anew; the administrator edits lines of ours.
    assert_prints(
        "others",
        "up west $given >/dev/null
         echo nameserver 192.0.2.99 >$conf; down west; cat $conf
         up west $given >/dev/null
         sed -i 's/^nameserver 10.2.0.53/nameserver 10.2.0.54/' $conf
         echo 'options rotate' >>$conf; down west; cat $conf",
        "nameserver 192.0.2.99
         restoring resolvconf
         nameserver 10.2.0.54
         nameserver 192.0.2.99
         options rotate",
    );
}

#[test]
fn a_server_that_the_administrator_has_too_stays_his() {
    assert_prints(
        "shared",
        "up west PLUTO_PEER_DNS_INFO=192.0.2.53 PLUTO_PEER_DOMAIN_INFO=lan >/dev/null
         down west; same",
        "restoring resolvconf
         as before",
    );
}

#[test]
fn a_link_stays_a_link_and_a_file_that_was_not_there_goes() {
    assert_prints(
        "links",
        "mv $conf etc/real; ln -s real $conf
         up west $given >/dev/null; readlink $conf; head -n 1 etc/real; down west; same
         rm etc/real
         up west $given; grep -v '^#' etc/real; down west; ls etc
         ln -sf /nowhere/at/all $conf; up west $given; down west; readlink $conf",
        "real
         # pluto-dns SCRATCH/run/dns/west.16389 nameserver 10.2.0.53
         restoring resolvconf
         as before
         updating resolvconf
         nameserver 10.2.0.53
         restoring resolvconf
         original
         resolv.conf
         _updown: up-client: SCRATCH/etc/resolv.conf leads nowhere: \
            the DNS servers 10.2.0.53 are not used
         /nowhere/at/all",
    );
}

#[test]
fn what_a_killed_daemon_has_left_is_removed_but_not_another_daemons() {
    assert_prints(
        "killed",
        "up west $given >/dev/null
         up east PLUTO_RUNDIR=/run/other PLUTO_PEER_DNS_INFO=10.3.0.53 >/dev/null
         up link PLUTO_DNS_RESOLVER=systemd $given; up zone PLUTO_DNS_RESOLVER=unbound $given
         calls >/dev/null
         updown dns-restore ''; read_conf; calls; ls run
         updown dns-restore ''; calls
         updown dns-restore '' PLUTO_RUNDIR=/run/other; same",
        "restoring resolvconf
         nameserver 10.3.0.53
         search lan
         nameserver 192.0.2.53
         options edns0
         resolvectl revert eth0
         unbound-control -q forward_remove .
         unbound-control -q flush_zone .
         dns.lock
         restoring resolvconf
         as before",
    );
}

#[test]
fn systemd_resolved_is_told_of_the_interface_and_of_domains_to_route() {
    assert_prints(
        "systemd",
        "systemd='PLUTO_DNS_RESOLVER=systemd'
         up west $systemd $given PLUTO_PEER_DOMAIN_INFO='example.com example.org'; calls
         down west $systemd; calls
         up west $systemd $given PLUTO_VIRT_INTERFACE=ipsec0; calls
         down west $systemd; calls; same; ls run",
        "resolvectl dns eth0 10.2.0.53
         resolvectl domain eth0 ~example.com ~example.org
         resolvectl revert eth0
         resolvectl dns ipsec0 10.2.0.53
         resolvectl domain ipsec0 ~.
         resolvectl revert ipsec0
         as before
         dns.lock",
    );
}

#[test]
fn systemd_resolved_gets_back_what_an_interface_had_with_its_last_tunnel() {
    assert_prints(
        "systemd-own",
        "systemd='PLUTO_DNS_RESOLVER=systemd'
         resolvectl=bin/resolvectl; $resolvectl dns eth0 192.0.2.53; $resolvectl domain eth0 lan; calls >/dev/null
         up west $systemd $given PLUTO_PEER_DOMAIN_INFO=example.com; calls; echo
         up east $systemd PLUTO_PEER_DNS_INFO=10.3.0.53; calls; echo
         down west $systemd; calls; echo
         down east $systemd; calls",
        "resolvectl dns eth0 10.2.0.53
         resolvectl domain eth0 ~example.com lan
         resolvectl default-route eth0 yes
         resolvectl dns eth0 10.3.0.53 10.2.0.53
         resolvectl domain eth0 ~. ~example.com lan
         resolvectl default-route eth0 yes
         resolvectl dns eth0 10.3.0.53
         resolvectl domain eth0 ~. lan
         resolvectl default-route eth0 yes
         resolvectl revert eth0
         resolvectl dns eth0 192.0.2.53
         resolvectl domain eth0 lan",
    );
}

#[test]
fn a_tunnel_that_moves_keeps_its_servers_and_takes_them_along() {
    assert_prints(
        "moves",
        "systemd='PLUTO_DNS_RESOLVER=systemd' moving='PLUTO_MOBIKE_EVENT=yes'
         up west $systemd $given; calls >/dev/null
         down west $systemd $moving; calls
         up west $systemd $given $moving PLUTO_INTERFACE=wlan0; calls
         down west $systemd PLUTO_INTERFACE=wlan0; calls",
        "resolvectl revert eth0
         resolvectl dns wlan0 10.2.0.53
         resolvectl domain wlan0 ~.
         resolvectl revert wlan0",
    );
}

#[test]
fn unbound_forwards_the_domains_while_a_tunnel_wants_it() {
    assert_prints(
        "unbound",
        "unbound='PLUTO_DNS_RESOLVER=unbound'
         printf '. IN forward +i 192.0.2.53\\nexample.net. IN forward 192.0.2.54\\n' >bin/forwards
         up west $unbound $given PLUTO_PEER_DOMAIN_INFO='example.com example.net'; calls; echo
         up east $unbound PLUTO_PEER_DNS_INFO=10.3.0.53 PLUTO_PEER_DOMAIN_INFO=example.com; calls
         down west $unbound; calls; down east $unbound; calls; echo
         up west $unbound $given; down west $unbound; calls",
        "unbound-control -q forward_add example.com 10.2.0.53
         unbound-control -q flush_zone example.com
         unbound-control -q forward_add example.net 10.2.0.53
         unbound-control -q flush_zone example.net
         unbound-control -q forward_add example.com 10.3.0.53 10.2.0.53
         unbound-control -q flush_zone example.com
         unbound-control -q forward_add example.com 10.3.0.53
         unbound-control -q flush_zone example.com
         unbound-control -q forward_add example.net 192.0.2.54
         unbound-control -q flush_zone example.net
         unbound-control -q forward_remove example.com
         unbound-control -q flush_zone example.com
         unbound-control -q forward_add . 10.2.0.53
         unbound-control -q flush_zone .
         unbound-control -q forward_add +i . 192.0.2.53
         unbound-control -q flush_zone .",
    );
}

#[test]
fn what_cannot_be_told_is_said_and_does_not_fail_the_tunnel() {
    assert_prints(
        "missing",
        "mkdir few; for tool in env tr mkdir dash sh readlink; do
             place=$(command -v $tool) && ln -s $place few/$tool
         done
         path=$scratch/few
         up west $given PLUTO_DNS_RESOLVER=systemd; down west PLUTO_DNS_RESOLVER=systemd
         up west $given PLUTO_DNS_RESOLVER=unbound; down west PLUTO_DNS_RESOLVER=unbound
         up west $given PLUTO_DNS_RESOLVER=dnsmasq; down west PLUTO_DNS_RESOLVER=dnsmasq
         path=''; : >bin/broken
         up west $given PLUTO_DNS_RESOLVER=systemd; same
         up west PLUTO_DNS_RESOLVER=systemd PLUTO_PEER_DOMAIN_INFO=example.com",
        "_updown: up-client: resolvectl is not installed: the DNS servers 10.2.0.53 are not used
         _updown: up-client: unbound-control is not installed: the DNS servers 10.2.0.53 are not used
         _updown: up-client: unknown dns-resolver dnsmasq: the DNS servers 10.2.0.53 are not used
         resolvectl: no bus
         _updown: up-client: systemd has not taken the DNS servers 10.2.0.53 for eth0
         as before",
    );
}

#[test]
fn nothing_but_addresses_and_names_gets_to_commands() {
    assert_prints(
        "hostile",
        "up west PLUTO_DNS_RESOLVER=unbound PLUTO_PEER_DNS_INFO='-h $(reboot) * 10.2.0.53' \
             PLUTO_PEER_DOMAIN_INFO='-c ;reboot .. a/../b example.com. *'
         calls",
        "unbound-control -q forward_add example.com 10.2.0.53
         unbound-control -q flush_zone example.com",
    );
}
