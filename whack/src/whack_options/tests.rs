use super::*;
use crate::Listing;
use pluto_connections::SerialNo;

fn parse(line: &str) -> Result<WhackCommand, Complaint> {
    let mut read_file = |name: &str| match name {
        "conn" => Ok("--name filed --host 192.0.2.1\n--id '@left end'\n".to_owned()),
        "bad" => Ok("--listen\n\n--dance\n".to_owned()),
        _ => Err(std::io::Error::from_raw_os_error(2)),
    };
    WhackCommand::parse(line.split_whitespace().map(str::to_owned), &mut read_file)
}

fn run(line: &str) -> WhackRun {
    match parse(line) {
        Ok(WhackCommand::Run(run)) => *run,
        other => panic!("{line}: {other:?}"),
    }
}

fn one(line: &str) -> Request {
    let mut requests = run(line).requests;
    assert_eq!(requests.len(), 1, "{line}: {requests:?}");
    requests.remove(0)
}

/// The keywords of a connection with these options, `left…`, `right…` and its own.
fn keywords(before_to: &str, after_to: &str) -> String {
    let line = format!("--name c --host 1.2.3.4 {before_to} --to --host 5.6.7.8 {after_to}");
    let Request::Add { connection, replace: false } = one(&line) else { panic!("{line}") };
    assert_eq!((connection.name.as_str(), connection.source.as_str()), ("c", "whack"));
    let side = |name: &'static str, end: &EndSpec| -> Vec<String> {
        end.0
            .iter()
            .filter(|(keyword, _)| *keyword != "host")
            .map(|(keyword, value)| format!("{name}{keyword}={value}"))
            .collect()
    };
    assert_eq!(connection.left.0["host"], "1.2.3.4");
    assert_eq!(connection.right.0["host"], "5.6.7.8");
    let mut all = side("left", &connection.left);
    all.extend(side("right", &connection.right));
    all.extend(connection.options.iter().map(|(keyword, value)| format!("{keyword}={value}")));
    all.join(" ")
}

#[test]
fn end_options_become_keywords_of_their_end() {
    for (option, keyword) in [
        ("--id @west", "id=@west"),
        ("--cert west", "cert=west"),
        ("--ckaid 00", "ckaid=00"),
        ("--ca %same", "ca=%same"),
        ("--ikeport 501", "ikeport=501"),
        ("--nexthop %direct", "nexthop=%direct"),
        ("--subnet 10.1.0.0/24", "subnet=10.1.0.0/24"),
        ("--client 10.1.0.0/24", "subnet=10.1.0.0/24"),
        ("--subnets 10.1.0.0/24,10.2.0.0/24", "subnets=10.1.0.0/24,10.2.0.0/24"),
        ("--clientprotoport tcp/7", "protoport=tcp/7"),
        ("--dnskeyondemand", "pubkey=%dnsondemand"),
        ("--sourceip 10.1.0.1", "sourceip=10.1.0.1"),
        ("--srcip=10.1.0.1", "sourceip=10.1.0.1"),
        ("--interface-ip 10.1.0.1/24", "interface-ip=10.1.0.1/24"),
        ("--interfaceip 10.1.0.1/24", "interface-ip=10.1.0.1/24"),
        ("--vti 10.1.0.1/24", "vti=10.1.0.1/24"),
        ("--vtiip 10.1.0.1/24", "vti=10.1.0.1/24"),
        ("--auth psk", "auth=psk"),
        ("--authby psk", "auth=psk"),
        ("--autheap tls", "autheap=tls"),
        ("--updown /x", "updown=/x"),
        ("--sendcert never", "sendcert=never"),
        ("--xauthserver", "xauthserver=yes"),
        ("--xauth", "xauthserver=yes"),
        ("--xauthclient=no", "xauthclient=no"),
        ("--modecfgserver", "modecfgserver=yes"),
        ("--modeconfigclient", "modecfgclient=yes"),
        ("--addresspool 10.9.0.1-10.9.0.9", "addresspool=10.9.0.1-10.9.0.9"),
        ("--cat", "cat=yes"),
        ("--username u", "username=u"),
        ("--xauthname u", "username=u"),
    ] {
        assert_eq!(keywords(option, ""), format!("left{keyword}"), "{option}");
        assert_eq!(keywords("", option), format!("right{keyword}"), "{option}");
    }
}

#[test]
fn connection_options_become_keywords() {
    for (options, expected) in [
        ("--connalias a", "connalias=a"),
        ("--ikev2", "keyexchange=ikev2"),
        ("--ikev1-allow", "keyexchange=ikev1"),
        ("--ipv6", "hostaddrfamily=ipv6"),
        ("--tunnel --encrypt", "phase2=esp type=tunnel"),
        ("--transport --authenticate", "phase2=ah type=transport"),
        ("--compress", "compress=yes"),
        ("--compress=no", "compress=no"),
        ("--psk", "authby=secret"),
        ("--rsasig --ecdsa-sha2_256", "authby=rsasig,ecdsa-sha2_256"),
        ("--auth-null", "authby=null"),
        ("--pass --auth-never", "authby=never type=pass"),
        ("--drop", "type=drop"),
        ("--reject", "type=drop"),
        ("--negopass --failpass", "failureshunt=pass negotiationshunt=pass"),
        ("--negohold --failreject", "failureshunt=drop negotiationshunt=drop"),
        ("--ike aes-sha2 --esp aes", "esp=aes ike=aes-sha2"),
        ("--ikealg aes", "ike=aes"),
        ("--ah sha1", "ah=sha1"),
        ("--pfs=no", "pfs=no"),
        ("--esn", "esn=yes"),
        ("--esn=either", "esn=either"),
        ("--no-esn", "esn=no"),
        ("--esn --no-esn", "esn=either"),
        ("--ikelifetime 1h --ipseclifetime 2h", "ikelifetime=1h ipsec-lifetime=2h"),
        ("--rekeywindow 5m --rekeyfuzz 10%", "rekeyfuzz=10% rekeymargin=5m"),
        ("--retransmit-interval 100", "retransmit-interval=100"),
        ("--dontrekey --reauth", "reauth=yes rekey=no"),
        ("--replay-window 0", "replay-window=0"),
        ("--dpddelay 5 --dpdaction clear", "dpdaction=clear dpddelay=5"),
        ("--ikefrag-force", "fragmentation=force"),
        ("--mobike --intermediate=no", "intermediate=no mobike=yes"),
        ("--session-resumption", "session-resumption=yes"),
        ("--allow-narrowing", "narrowing=yes"),
        ("--narrowing no", "narrowing=no"),
        ("--no-nat-keepalive", "nat-keepalive=no"),
        ("--encaps", "encapsulation=yes"),
        ("--encapsulation=auto", "encapsulation=auto"),
        ("--ikev1-natt rfc", "nat-ikev1-method=rfc"),
        ("--tcp fallback --tcp-remote-port 4500", "enable-tcp=fallback tcp-remoteport=4500"),
        ("--send-no-esp-tfc", "send-esp-tfc-padding-not-supported=yes"),
        ("--dont-share-lease", "share-lease=no"),
        ("--aggrmode", "aggressive=yes"),
        ("--allow-cert-without-san-id", "require-id-on-certificate=no"),
        ("--conn-mark-in 1/2", "mark-in=1/2"),
        ("--vti-iface v", "vti-interface=v"),
        ("--policylabel l", "sec-label=l"),
        ("--redirect-to 192.0.2.9", "redirect-to=192.0.2.9"),
        ("--reqid 7 --nic-offload packet", "nic-offload=packet reqid=7"),
    ] {
        assert_eq!(keywords("", options), expected, "{options}");
        assert_eq!(keywords(options, ""), expected, "{options}");
    }
}

#[test]
fn commands_become_requests() {
    let name = || "west".to_owned();
    for (line, expected) in [
        ("--name west --route", Request::Route { name: name() }),
        ("--ondemand --name west", Request::Route { name: name() }),
        ("--name west --unroute", Request::Unroute { name: name() }),
        (
            "--name west --initiate",
            Request::Initiate {
                name: name(),
                remote_host: None,
                username: None,
                password: None,
                asynchronous: false,
            },
        ),
        (
            "--name west --initiate --remote-host h --xauthname u --xauthpass p --bg",
            Request::Initiate {
                name: name(),
                remote_host: Some("h".into()),
                username: Some("u".into()),
                password: Some(Password("p".into())),
                asynchronous: true,
            },
        ),
        ("--name west --down", Request::Down { name: name() }),
        ("--name west --terminate", Request::Down { name: name() }),
        ("--name west --suspend", Request::Suspend { name: name() }),
        ("--name west --rekey-ike", Request::RekeyIke { name: name(), asynchronous: false }),
        (
            "--name west --rekey-child --asynchronous",
            Request::RekeyChild { name: name(), asynchronous: true },
        ),
        ("--name west --delete-ike", Request::DeleteIke { name: name() }),
        ("--name west --delete-child", Request::DeleteChild { name: name() }),
        ("--name west --down-ike", Request::DownIke { name: name() }),
        ("--name west --down-child", Request::DownChild { name: name() }),
        ("--name west --delete", Request::Delete { name: name() }),
        ("--name west --deleteid", Request::DeleteId { name: name() }),
        ("--name west --deleteuser", Request::DeleteUser { name: name() }),
        ("--deletestate 5", Request::DeleteState { serial: SerialNo(5) }),
        ("--deletestate #5", Request::DeleteState { serial: SerialNo(5) }),
        ("--crash 192.0.2.1", Request::Crash { address: "192.0.2.1".into() }),
        ("--trace #5", Request::Trace { name: "#5".into() }),
    ] {
        assert_eq!(one(line), expected, "{line}");
    }
}

#[test]
fn commands_without_a_connection_become_requests() {
    let name = || "west".to_owned();
    for (line, expected) in [
        ("--listen", Request::Listen),
        ("--unlisten", Request::Unlisten),
        ("--ike-socket-bufsize 64KiB", Request::IkeSocketBufsize { bytes: 65_536 }),
        ("--ike-socket-errqueue no", Request::IkeSocketErrqueue { on: false }),
        ("--redirect-to a", Request::Redirect { name: None, to: "a".into() }),
        ("--redirect-to a --name west", Request::Redirect { name: Some(name()), to: "a".into() }),
        (
            "--global-redirect auto --global-redirect-to a",
            Request::GlobalRedirect { mode: Some("auto".into()), to: Some("a".into()) },
        ),
        ("--ddos-mode Busy", Request::DdosMode { mode: "busy".into() }),
        ("--ddos-unlimited", Request::DdosMode { mode: "unlimited".into() }),
        ("--ddns", Request::Ddns),
        ("--rereadsecrets", Request::RereadSecrets),
        ("--rereadcerts", Request::RereadCerts),
        ("--fetchcrls", Request::FetchCrls),
        ("--rereadall", Request::RereadAll),
        ("--purgeocsp", Request::PurgeOcsp),
        ("--clearstats", Request::ClearStats),
        ("--shutdown", Request::Shutdown { leave_state: false }),
        ("--shutdown --leave-state", Request::Shutdown { leave_state: true }),
        ("--status", Request::Listing { what: Listing::Status, name: None, text: true }),
        ("--statestatus", Request::Listing { what: Listing::ShowStates, name: None, text: true }),
        (
            "--trafficstatus --name west",
            Request::Listing { what: Listing::TrafficStatus, name: Some(name()), text: true },
        ),
        (
            "--keyid @west --addkey --pubkeyrsa 0sAQ==",
            Request::KeyId { id: "@west".into(), add: true, public_key: Some("0sAQ==".into()) },
        ),
        (
            "--impair none --impair a:1 --no-impair b",
            Request::Impair { add: vec!["a:1".into()], remove: vec!["b".into()], clear: true },
        ),
        (
            "--tunnelipv4 --oppohere 192.0.2.1 --oppothere 192.0.2.2 --oppoproto 6 --oppodport 7",
            Request::Oppo {
                here: "192.0.2.1".into(),
                there: "192.0.2.2".into(),
                protocol: Some(6),
                source_port: None,
                destination_port: Some(7),
                label: None,
                reqid: None,
                asynchronous: false,
            },
        ),
    ] {
        assert_eq!(one(line), expected, "{line}");
    }
}

#[test]
fn debug_classes_go_with_a_name_or_a_command() {
    let Request::Debug { add, remove, name } = one("--debug base --no-debug routing --name c")
    else {
        panic!()
    };
    assert_eq!((add.to_string(), name.as_deref()), ("base".to_owned(), Some("c")));
    assert!(remove.contains(crate::DebugClass::Routing));
    let requests = run("--debug-none --debug crypt --listen").requests;
    assert_eq!(requests.len(), 2);
    assert_eq!(requests[1], Request::Listen);
    let both = run("--ike-socket-bufsize 2000 --listen").requests;
    assert_eq!(both, [Request::IkeSocketBufsize { bytes: 2000 }, Request::Listen]);
    match parse("--debug help") {
        Ok(WhackCommand::Print { text, status: 1 }) => assert!(text.contains("cpu-usage")),
        other => panic!("{other:?}"),
    }
}

#[test]
fn what_does_not_go_together_is_refused_with_33() {
    for (line, expected) in [
        ("", "no action specified; try --help for hints"),
        ("--name x", "\"x\" no action specified; try --help for hints"),
        ("--listen extra", "unexpected argument \"extra\""),
        ("--route", "missing --name <connection_name>"),
        ("--listen --name x", "\"x\" no reason for --name"),
        ("--status --name x", "\"x\" no reason for --name"),
        ("--status --shutdown", "conflicing command options '--status' and '--shutdown'"),
        (
            "--name x --initiate --route",
            "\"x\" conflicing command options '--initiate' and '--route'",
        ),
        (
            "--name x --host 1.2.3.4 --to --host 5.6.7.8 --initiate",
            "\"x\" conflicing command options '--to' and '--initiate'",
        ),
        ("--name x --to --host 5.6.7.8", "\"x\" connection missing --host before --to"),
        ("--name x --host 1.2.3.4 --to", "\"x\" connection missing --host after --to"),
        (
            "--name whack--vti-interface --vti-interface --host 1.2.3.4 --to --host 5.6.7.8",
            "\"whack--vti-interface\" connection missing --host before --to",
        ),
        ("--host 1.2.3.4 --to --host 5.6.7.8", "missing --name <connection_name>"),
        ("--name x --initiate --psk", "\"x\" connection description option, but no --to"),
        ("--name x --initiate --host 1.2.3.4", "\"x\" connection description option, but no --to"),
        ("--listen --leave-state", "no reason for --leave-state"),
        ("--listen --remote-host x", "no reason for --remote-host"),
        ("--listen --username x", "no reason for --username"),
        ("--listen --json", "no reason for --json"),
        ("--listen --addkey", "no reason for --addkey"),
        ("--listen --oppoproto 1", "no reason for --oppoproto"),
        ("--oppohere 192.0.2.1", "--oppohere and --oppothere must be used together"),
        (
            "--tunnelipv6 --oppohere 192.0.2.1 --oppothere ::1",
            "option --oppohere '192.0.2.1' is not ipv6",
        ),
        ("--name x --name y --route", "\"x\" duplicated flag \"--name\""),
        ("--listen --listen", "duplicated flag \"--listen\""),
        (
            "--name x --host 1.2.3.4 --id a --id b --to --host 5.6.7.8",
            "\"x\" duplicated flag \"--id\"",
        ),
        (
            "--name x --host 1.2.3.4 --to --host 5.6.7.8 --ikev1 --ikev2",
            "\"x\" option \"--ikev2\" conflicts with option \"--ikev1\"",
        ),
        (
            "--name x --host 1.2.3.4 --to --host 5.6.7.8 --tunnel --transport",
            "\"x\" option \"--transport\" conflicts with option \"--tunnel\"",
        ),
    ] {
        let complaint = parse(line).unwrap_err();
        let expected = format!("whack error: {expected}");
        assert_eq!((complaint.text.as_str(), complaint.status), (expected.as_str(), 33), "{line}");
        assert_eq!(complaint.message("whack"), format!("{expected}\n"));
    }
    let labelled = parse("--label lab --listen x").unwrap_err();
    assert_eq!(labelled.text, "whack error: lab unexpected argument \"x\"");
}

#[test]
fn wrong_options_are_refused_with_1() {
    for (line, expected) in [
        ("--dance", "unrecognized option '--dance'"),
        ("--optionsfrom bad", "bad:3: unrecognized option '--dance'"),
        (
            "--name x --initiate --async=maybe",
            "ERROR: option --async 'maybe' invalid, should be yes or no",
        ),
        ("--deletestate x", "ERROR: option --deletestate 'x' invalid, should be a number"),
        (
            "--ddos-mode x",
            "ERROR: option --ddos-mode 'x' invalid, should be one of busy, unlimited, auto",
        ),
        ("--debug x", "ERROR: option --debug 'x' invalid, unknown debug class \"x\""),
        ("--ppk", "ERROR: option --ppk (post-quantum keys), not supported yet"),
        (
            "--pfsgroup modp",
            "ERROR: option --pfsgroup 'modp' invalid, option \"--pfsgroup\" was removed in Libreswan 4.0",
        ),
        (
            "--rereadcrls",
            "ERROR: option --rereadcrls invalid, option \"--rereadcrls\" was removed in Libreswan 5.0",
        ),
    ] {
        let complaint = parse(line).unwrap_err();
        assert_eq!((complaint.text.as_str(), complaint.status), (expected, 1), "{line}");
    }
    let unknown = parse("--dance").unwrap_err().message("ipsec whack");
    assert_eq!(
        unknown,
        "ipsec whack: unrecognized option '--dance'\nFor usage information: ipsec whack --help\n"
    );
}

#[test]
fn old_options_warn() {
    let line =
        "--name c --host 1.2.3.4 --keyingtries 3 --groups g --to --host 5.6.7.8 --ikealg aes";
    assert_eq!(
        run(line).warnings,
        [
            "warning: ignoring option \"--keyingtries\" that was removed in Libreswan 5.0",
            "warning: ignoring option \"--groups\" that was removed in Libreswan 5.4",
            "warning: option \"--ikealg\" was replaced by \"--ike\" in libreswan version 5.0",
        ]
    );
}

#[test]
fn sockets_and_files_are_found() {
    let socket = |line: &str| run(line).socket.display().to_string();
    assert_eq!(socket("--listen"), "/run/pluto/pluto.ctl");
    assert_eq!(socket("--listen --rundir /x"), "/x/pluto.ctl");
    assert_eq!(socket("--listen --ctlbase /x"), "/x/pluto.ctl");
    assert_eq!(socket("--listen --rundir /x --ctlsocket /y"), "/y");
    let Request::Add { connection, .. } = one("--optionsfrom conn --to --host 192.0.2.2") else {
        panic!()
    };
    assert_eq!(
        (connection.name.as_str(), connection.left.0["id"].as_str()),
        ("filed", "@left end")
    );
    assert_eq!(run("--listen").protocol_version, 1);
    assert_eq!(run("--listen --magic 7").protocol_version, 7);
    assert_eq!(run("--listen --magic 0").protocol_version, 1);
}

#[test]
fn help_shows_every_option_of_the_table() {
    let Ok(WhackCommand::Print { text, status: 0 }) = parse("--help") else { panic!() };
    for name in ["--ctlsocket <file>", "--to ", "--psk ", "--briefstatus", "--trace <#state|name>"]
    {
        assert!(text.contains(name), "{name}");
    }
    let version = WhackCommand::Print { text: format!("whack {}\n", crate::VERSION), status: 0 };
    assert_eq!(parse("--version"), Ok(version));
}

#[test]
fn no_option_is_in_the_table_twice() {
    let mut names: Vec<_> =
        table::PARTS.iter().flat_map(|(_, part)| part.iter().map(|opt| opt.name)).collect();
    let all = names.len();
    names.sort_unstable();
    names.dedup();
    assert_eq!(names.len(), all);
}

#[test]
fn the_man_page_has_every_option() {
    use crate::options::{Opt, manual};
    use pluto_connections::keywords::{Scope, keyword};
    let known = |scope, name| keyword(scope, name).is_some_and(|keyword| keyword.is_supported());
    let supported = |opt: &Opt<Key>| match opt.key {
        Key::ConnSet("keyexchange", value) => value == "ikev2",
        Key::Authby(word) => ["secret", "null", "never"].contains(&word),
        Key::Conn(name) | Key::ConnSet(name, _) => known(Scope::Connection, name),
        Key::End(name) | Key::EndSet(name, _) => known(Scope::End, name),
        Key::Command(command) => is_carried_out(command),
        Key::OppoProto | Key::OppoSport | Key::OppoDport | Key::OppoLabel | Key::OppoReqid => false,
        Key::KeepKeys | Key::PubkeyRsa | Key::Xauthpass | Key::RedirectTo => false,
        Key::Username | Key::TunnelIpv4 | Key::TunnelIpv6 => false,
        _ => true,
    };
    let remark = |opt: &Opt<Key>| (!supported(opt)).then_some("not supported yet");
    let parts = table::PARTS.iter().map(|(heading, part)| {
        format!(".SS Options of {}\n{}", manual::roff(heading), manual::options(part, remark))
    });
    manual::check("whack.8", &parts.collect::<String>());
}

/// Whether the daemon does more than to say that it cannot.
fn is_carried_out(command: Command) -> bool {
    use Command as C;
    !matches!(
        command,
        C::Suspend
            | C::DeleteId
            | C::DeleteUser
            | C::OppoHere
            | C::OppoThere
            | C::KeyId
            | C::IkeSocketBufsize
            | C::IkeSocketErrqueue
            | C::Redirect
            | C::GlobalRedirect
            | C::GlobalRedirectTo
            | C::Ddns
            | C::RereadCerts
            | C::FetchCrls
            | C::PurgeOcsp
            | C::Listing(
                Listing::ListPubkeys
                    | Listing::CheckPubkeys
                    | Listing::ListCerts
                    | Listing::ListCaCerts
                    | Listing::ListCrls
            )
    )
}
