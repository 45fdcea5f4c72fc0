use super::*;
use crate::DebugClass;

fn parse(line: &str) -> Result<PlutoCommandLine, Complaint> {
    let mut read_file = |name: &str| match name {
        "options" => Ok("--nofork --ikeport 501\n--secretsfile '/etc/a b/*.secrets'\n".to_owned()),
        _ => Err(std::io::Error::from_raw_os_error(2)),
    };
    PlutoCommandLine::parse(line.split_whitespace().map(str::to_owned), &mut read_file)
}

fn options(line: &str) -> PlutoOptions {
    match parse(line) {
        Ok(PlutoCommandLine { command: PlutoCommand::Run(options), .. }) => *options,
        other => panic!("{line}: {other:?}"),
    }
}

#[test]
fn without_options_the_documented_defaults_hold() {
    let options = options("");
    assert_eq!(options, PlutoOptions::default());
    assert_eq!(options.control_socket(), PathBuf::from("/run/pluto/pluto.ctl"));
    assert_eq!(options.pid_file(), PathBuf::from("/run/pluto/pluto.pid"));
    let facts = options.facts();
    assert_eq!((facts.nhelpers, facts.ddos_mode.as_str()), (-1, "auto"));
}

#[test]
fn each_option_sets_what_it_says() {
    let check = |line: &str, holds: &dyn Fn(&PlutoOptions) -> bool| {
        let options = options(line);
        assert!(holds(&options), "{line}: {options:?}");
        assert!(!holds(&PlutoOptions::default()), "{line}: is the default");
    };
    check("--nofork --stderrlog", &|o| o.nofork && o.stderrlog);
    check("--logfile /l --log-no-time --log-no-append", &|o| {
        o.logfile == Some("/l".into()) && !o.log_time && !o.log_append
    });
    check("--logip=no", &|o| !o.logip);
    check("--interface a --interface b", &|o| o.interfaces == ["a", "b"]);
    check("--listen 2001:db8::1", &|o| o.listen == "2001:db8::1".parse().ok());
    check("--ikeport 501 --natikeport=4501", &|o| (o.ikeport, o.natikeport) == (501, 4501));
    check("--ctlbase /x", &|o| o.control_socket() == *"/x/pluto.ctl");
    check("--rundir /x --statedir /z", &|o| o.state_dir() == *"/z");
    check("--rundir /x --ctlsocket /y", &|o| o.control_socket() == *"/y");
    check("--secretsfile /s/*", &|o| o.secretsfile == "/s/*");
    check("--nhelpers 0", &|o| o.nhelpers == Some(0));
    check("--keep-alive 1m", &|o| o.keep_alive == Duration::from_secs(60));
    check("--uniqueids=no", &|o| !o.uniqueids);
    check("--virtual-private %v4:10.0.0.0/8,%v4:!10.1.0.0/16", &|o| o.virtual_private.len() == 2);
    check("--ddos-mode BUSY", &|o| o.ddos_mode == DdosMode::Busy);
    check("--ddos-ike-threshold 5", &|o| o.ddos_ike_threshold == 5);
    check("--max-halfopen-ike 6", &|o| o.max_halfopen_ike == 6);
    check("--ike-socket-bufsize 64KiB", &|o| o.ike_socket_bufsize == 65_536);
    check("--ike-socket-errqueue no", &|o| !o.ike_socket_errqueue);
    check("--use-none", &|o| o.kernel == KernelChoice::None);
    check("--protostack none", &|o| o.kernel == KernelChoice::None);
    check("--use-embedded --esp-workers 3", &|o| {
        (o.kernel, o.esp_workers) == (KernelChoice::Embedded, 3)
    });
    check("--tun-fd 7", &|o| o.tun_fd == Some(7));
    check("--updown-timeout 5s", &|o| o.updown_timeout == Duration::from_secs(5));
    check("--dns-resolver systemd", &|o| o.dns_resolver == DnsResolver::Systemd);
    check("--dns-resolver=Unbound", &|o| o.facts().dns_resolver == "unbound");
    check("--expire-shunt-interval 1", &|o| o.expire_shunt_interval == Duration::from_secs(1));
    check("--ikev1-reject", &|o| o.ikev1_policy == Ikev1Policy::Reject);
    check("--debug base --debug crypt,no-routing", &|o| o.debug.to_string() == "base+crypt");
    check("--debug-all --no-debug base", &|o| {
        !o.debug.contains(DebugClass::Base) && o.debug.contains(DebugClass::Refcnt)
    });
    check("--impair a --impair b:1", &|o| o.impair == ["a", "b:1"]);
    check("--optionsfrom options", &|o| {
        o.nofork && o.ikeport == 501 && o.secretsfile == "/etc/a b/*.secrets"
    });
}

#[test]
fn only_the_default_rundir_leaves_state_elsewhere() {
    assert_eq!(options("").state_dir(), PathBuf::from("/var/lib/ipsec"));
    assert_eq!(options("--rundir /run/pluto").state_dir(), PathBuf::from("/var/lib/ipsec"));
    assert_eq!(options("--rundir /run/pluto/").state_dir(), PathBuf::from("/var/lib/ipsec"));
    assert_eq!(options("--rundir /x").state_dir(), PathBuf::from("/x"));
    assert_eq!(options("--statedir /run/pluto").state_dir(), PathBuf::from("/run/pluto"));
}

#[test]
fn the_last_one_wins() {
    assert_eq!(options("--ikeport 501 --optionsfrom options --ikeport 502").ikeport, 502);
    assert_eq!(options("--use-none --use-xfrm").kernel, KernelChoice::Xfrm);
    assert!(options("--debug-all --debug-none").debug.is_empty());
}

#[test]
fn wrong_values_are_refused_by_option() {
    for (line, expected) in [
        ("--ikeport 0", "ERROR: option --ikeport '0' invalid, should be from 1 to 65535"),
        (
            "--listen host.example",
            "ERROR: option --listen 'host.example' invalid, should be one numeric address",
        ),
        ("--uniqueids=x", "ERROR: option --uniqueids 'x' invalid, should be yes or no"),
        (
            "--expire-shunt-interval 1001",
            "ERROR: option --expire-shunt-interval '1001' invalid, should be from 1s to 1000s",
        ),
        (
            "--dns-resolver dnsmasq",
            "ERROR: option --dns-resolver 'dnsmasq' invalid, should be one of file, systemd, unbound",
        ),
        ("--debug x", "ERROR: option --debug 'x' invalid, unknown debug class \"x\""),
        ("--config /c", "ERROR: option --config (reading ipsec.conf), not supported yet"),
        ("--listen-tcp", "ERROR: option --listen-tcp invalid, IKE over TCP, is not supported yet"),
        (
            "--ike-socket-bufsize 1",
            "ERROR: option --ike-socket-bufsize '1' invalid, should be 0 or from 1500 to 65535",
        ),
        ("west", "ERROR: unexpected argument \"west\""),
    ] {
        let complaint = parse(line).unwrap_err();
        assert_eq!((complaint.text.as_str(), complaint.status), (expected, 1), "{line}");
    }
}

#[test]
fn what_is_not_there_can_be_switched_off() {
    for line in ["--listen-tcp=no", "--ocsp-enable=no", "--seccomp disabled", "--crl-strict=no"] {
        assert_eq!(options(line), PlutoOptions::default(), "{line}");
    }
}

#[test]
fn options_without_effect_say_so() {
    let parsed = parse("--seedbits 5 --force-busy").unwrap();
    assert_eq!(
        parsed.warnings,
        [
            "warning: option \"--force-busy\" was replaced by \"--ddos-mode\" in libreswan version 3.9",
            "warning: option --seedbits has no effect: OpenSSL seeds itself",
        ]
    );
}

#[test]
fn every_option_of_the_table_is_carried_out() {
    use crate::options::getopt::{Class, Takes};
    for opt in table::TABLE.iter().filter(|opt| opt.class != Class::Unsupported) {
        let line = match opt.takes {
            Takes::Nothing | Takes::Optional(_) => format!("--{}", opt.name),
            Takes::Value(_) => format!("--{}=?", opt.name),
        };
        if let Err(complaint) = parse(&line) {
            assert!(!complaint.text.contains("not carried out"), "{line}: {complaint:?}");
        }
    }
}

#[test]
fn help_and_version_are_printed() {
    let print = |line| match parse(line).unwrap().command {
        PlutoCommand::Print(text) => text,
        other => panic!("{other:?}"),
    };
    assert!(print("--help").contains("--secretsfile <pattern>"));
    assert_eq!(print("--version"), format!("pluto {}\n", crate::VERSION));
    assert_eq!(parse("--selftest").unwrap().command, PlutoCommand::Selftest);
}

#[test]
fn the_man_page_has_every_option() {
    use crate::options::manual;
    let remark = |opt: &crate::options::Opt<Key>| match opt.key {
        Key::NoEffect => Some("without effect here"),
        Key::Off | Key::OffWord => Some("not supported yet: only no"),
        // The daemon shows them in listings at most.
        Key::Logip
        | Key::ListenUdp
        | Key::Ipsecdir
        | Key::Dumpdir
        | Key::VirtualPrivate
        | Key::ExpireShuntInterval
        | Key::IkeSocketErrqueue
        | Key::Vendorid
        | Key::Ikev1Reject => Some("accepted, without effect yet"),
        _ => None,
    };
    manual::check("pluto.8", &manual::options(table::TABLE, remark));
}
