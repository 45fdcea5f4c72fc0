//! Every option of `whack`, a line each.

use crate::Listing;
use crate::options::getopt::{Opt, Takes};
use Takes::{Nothing, Optional, Value};

/// What an option does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Key {
    Help,
    Version,
    Label,
    Rundir,
    Ctlsocket,
    Name,
    Asynchronous,
    Utc,
    Json,
    Optionsfrom,
    Magic,
    /// `--to`: the left end is complete, the right one begins.
    To,
    /// A keyword of the present end, with the option's value (`yes` without one).
    End(&'static str),
    /// A keyword of the present end, with this value.
    EndSet(&'static str, &'static str),
    /// `--username`: an end's keyword, or the answer to a prompt.
    Username,
    /// A keyword of the connection, with the option's value (`yes` without one).
    Conn(&'static str),
    /// A keyword of the connection, with this value.
    ConnSet(&'static str, &'static str),
    /// A word to add to `authby=`.
    Authby(&'static str),
    Esn,
    NoEsn,
    /// Hint for the family of `--oppohere` and `--oppothere`.
    TunnelIpv4,
    TunnelIpv6,
    /// A command.
    Command(Command),
    /// `--redirect-to`: a keyword, or a command when it stands alone.
    RedirectTo,
    RemoteHost,
    Xauthpass,
    LeaveState,
    KeepKeys,
    PubkeyRsa,
    OppoProto,
    OppoSport,
    OppoDport,
    OppoLabel,
    OppoReqid,
    Debug,
    NoDebug,
    DebugAll,
    DebugNone,
    Impair,
    NoImpair,
    Unsupported,
}

/// What whack is to do; at most one at a time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Command {
    Add,
    Route,
    Unroute,
    Initiate,
    Down,
    Suspend,
    RekeyIke,
    RekeyChild,
    DeleteIke,
    DeleteChild,
    DownIke,
    DownChild,
    Delete,
    DeleteId,
    DeleteUser,
    DeleteState,
    Crash,
    OppoHere,
    OppoThere,
    KeyId,
    Listen,
    Unlisten,
    IkeSocketBufsize,
    IkeSocketErrqueue,
    Redirect,
    GlobalRedirect,
    GlobalRedirectTo,
    DdosMode(&'static str),
    Ddns,
    RereadSecrets,
    RereadCerts,
    FetchCrls,
    RereadAll,
    PurgeOcsp,
    ClearStats,
    Trace,
    Listing(Listing),
    Shutdown,
}

/// Whether a command takes `--name`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum NameRule {
    Mandatory,
    Optional,
    Forbidden,
}

impl Command {
    pub(super) fn name_rule(self) -> NameRule {
        use Command as C;
        match self {
            C::Add | C::Route | C::Unroute | C::Initiate | C::Down | C::Suspend => {
                NameRule::Mandatory
            }
            C::RekeyIke | C::RekeyChild | C::DeleteIke | C::DeleteChild => NameRule::Mandatory,
            C::DownIke | C::DownChild | C::Delete | C::DeleteId | C::DeleteUser => {
                NameRule::Mandatory
            }
            C::Ddns | C::Redirect => NameRule::Optional,
            C::Listing(
                Listing::TrafficStatus
                | Listing::ConnectionStatus
                | Listing::BriefConnectionStatus
                | Listing::ShowStates,
            ) => NameRule::Optional,
            _ => NameRule::Forbidden,
        }
    }

    /// Commands of the same group may be given together.
    pub(super) fn group(self) -> Self {
        match self {
            Self::IkeSocketBufsize | Self::IkeSocketErrqueue => Self::Listen,
            Self::OppoThere => Self::OppoHere,
            Self::GlobalRedirectTo => Self::GlobalRedirect,
            other => other,
        }
    }
}

const YN: Takes = Optional("yes|no");
const DURATION: Takes = Value("duration");
const NUMBER: Takes = Value("number");
const MARK: Takes = Value("value/mask");

const fn command(name: &'static str, command: Command, help: &'static str) -> Opt<Key> {
    Opt::new(name, Nothing, Key::Command(command), help)
}

const fn list(name: &'static str, what: Listing, help: &'static str) -> Opt<Key> {
    Opt::new(name, Nothing, Key::Command(Command::Listing(what)), help)
}

const fn auth(name: &'static str, word: &'static str, help: &'static str) -> Opt<Key> {
    Opt::new(name, Nothing, Key::Authby(word), help)
}

const fn set(
    name: &'static str,
    keyword: &'static str,
    value: &'static str,
    help: &'static str,
) -> Opt<Key> {
    Opt::new(name, Nothing, Key::ConnSet(keyword, value), help)
}

/// A connection's yes-or-no keyword of the same name.
const fn yn(name: &'static str, help: &'static str) -> Opt<Key> {
    Opt::new(name, YN, Key::Conn(name), help)
}

/// A connection's keyword of the same name.
const fn conn(name: &'static str, takes: Takes, help: &'static str) -> Opt<Key> {
    Opt::new(name, takes, Key::Conn(name), help)
}

/// An end's keyword of the same name.
const fn end(name: &'static str, takes: Takes, help: &'static str) -> Opt<Key> {
    Opt::new(name, takes, Key::End(name), help)
}

/// The heading of a part of the usage, and its options.
pub(super) type Part = (&'static str, &'static [Opt<Key>]);

pub(super) const PARTS: &[Part] = &[
    ("everything", GENERIC),
    ("an end (before --to: left; after it: right)", END),
    ("a connection", CONNECTION),
    ("a command", COMMANDS),
    ("a listing", LISTINGS),
];

const GENERIC: &[Opt<Key>] = &[
    Opt::new("help", Nothing, Key::Help, "print this and exit"),
    Opt::new("version", Nothing, Key::Version, "print the version and exit"),
    Opt::new("optionsfrom", Value("file"), Key::Optionsfrom, "read options from a file"),
    Opt::new("label", Value("text"), Key::Label, "text for whack's own complaints"),
    Opt::new("rundir", Value("directory"), Key::Rundir, "where pluto.ctl is (/run/pluto)"),
    Opt::alias("ctlbase", Value("directory"), Key::Rundir),
    Opt::new("ctlsocket", Value("file"), Key::Ctlsocket, "the control socket"),
    Opt::new("name", Value("name"), Key::Name, "a connection, \"name\"[1], #state, $connection"),
    Opt::new("asynchronous", YN, Key::Asynchronous, "do not wait for the outcome"),
    Opt::new("bg", YN, Key::Asynchronous, "the same"),
    Opt::alias("async", YN, Key::Asynchronous),
    Opt::new("utc", Nothing, Key::Utc, "times in UTC (always)"),
    Opt::new("json", Nothing, Key::Json, "listings as one JSON document"),
    Opt::new("magic", NUMBER, Key::Magic, "version of the protocol, for tests; 0: the right one"),
];

const END: &[Opt<Key>] = &[
    end("host", Value("address|name|%word"), "IKE address"),
    end("id", Value("identity"), "identity"),
    end("cert", Value("name"), "certificate"),
    end("ckaid", Value("hex"), "private key"),
    end("ca", Value("dn|%same|%any"), "issuer of the certificate"),
    end("ikeport", NUMBER, "IKE port"),
    end("nexthop", Value("address|%direct|%defaultroute"), "first hop to the other end"),
    end("subnet", Value("selectors"), "traffic behind it"),
    Opt::new("client", Value("selectors"), Key::End("subnet"), "the same"),
    end("subnets", Value("list"), "the same, with a connection for each: NAME/1x0, NAME/2x0, …"),
    Opt::new("clientprotoport", Value("protocol/port"), Key::End("protoport"), "only this traffic"),
    Opt::new(
        "dnskeyondemand",
        Nothing,
        Key::EndSet("pubkey", "%dnsondemand"),
        "public key from the DNS",
    ),
    end("sourceip", Value("addresses"), "source addresses of tunneled traffic"),
    Opt::alias("srcip", Value("addresses"), Key::End("sourceip")),
    end("interface-ip", Value("cidr"), "address of the ipsec-interface"),
    Opt::alias("interfaceip", Value("cidr"), Key::End("interface-ip")),
    end("vti", Value("cidr"), "address of the VTI interface"),
    Opt::replaced("vtiip", Value("cidr"), Key::End("vti"), "vti", "5.2"),
    end("auth", Value("psk|null|rsasig|rsa|ecdsa|eaponly"), "how it proves its identity"),
    Opt::replaced("authby", Value("method"), Key::End("auth"), "auth", "5.0"),
    end("autheap", Value("none|tls"), "EAP method"),
    end("updown", Value("command"), "script"),
    end("sendcert", Value("always|never|ifasked"), "when to send the certificate"),
    end("xauthserver", YN, "asks for user and password (IKEv1)"),
    Opt::replaced("xauth", YN, Key::End("xauthserver"), "xauthserver", "5.0"),
    end("xauthclient", YN, "has user and password (IKEv1)"),
    end("modecfgserver", YN, "gives addresses"),
    Opt::alias("modeconfigserver", YN, Key::End("modecfgserver")),
    end("modecfgclient", YN, "takes an address"),
    Opt::alias("modeconfigclient", YN, Key::End("modecfgclient")),
    end("addresspool", Value("ranges"), "addresses to give"),
    end("cat", YN, "client address translation"),
    Opt::new("username", Value("name"), Key::Username, "user; with --initiate: answers the prompt"),
    Opt::alias("xauthuser", Value("name"), Key::Username),
    Opt::alias("xauthname", Value("name"), Key::Username),
    Opt::ignored("groups", Value("groups"), Key::Unsupported, "5.4"),
];

const CONNECTION: &[Opt<Key>] = &[
    Opt::new("to", Nothing, Key::To, "between the two ends: adds the connection"),
    conn("connalias", Value("names"), "more names"),
    set("ikev1", "keyexchange", "ikev1", "IKE version 1"),
    Opt::alias("ikev1-allow", Nothing, Key::ConnSet("keyexchange", "ikev1")),
    set("ikev2", "keyexchange", "ikev2", "IKE version 2 (default)"),
    Opt::alias("ikev2-allow", Nothing, Key::ConnSet("keyexchange", "ikev2")),
    Opt::alias("ikev2-propose", Nothing, Key::ConnSet("keyexchange", "ikev2")),
    set("ipv4", "hostaddrfamily", "ipv4", "hosts' addresses are IPv4"),
    set("ipv6", "hostaddrfamily", "ipv6", "hosts' addresses are IPv6"),
    Opt::new("tunnelipv4", Nothing, Key::TunnelIpv4, "--oppohere and --oppothere are IPv4"),
    Opt::new("tunnelipv6", Nothing, Key::TunnelIpv6, "--oppohere and --oppothere are IPv6"),
    set("tunnel", "type", "tunnel", "tunnel mode (default)"),
    set("transport", "type", "transport", "transport mode"),
    set("encrypt", "phase2", "esp", "ESP (default)"),
    set("authenticate", "phase2", "ah", "AH"),
    yn("compress", "IPCOMP"),
    auth("psk", "secret", "pre-shared key"),
    auth("rsasig", "rsasig", "RSA"),
    auth("rsa-sha1", "rsa-sha1", "RSA with SHA1"),
    auth("rsa-sha2", "rsa-sha2", "RSA with SHA2"),
    auth("rsa-sha2_256", "rsa-sha2_256", "RSA with SHA2-256"),
    auth("rsa-sha2_384", "rsa-sha2_384", "RSA with SHA2-384"),
    auth("rsa-sha2_512", "rsa-sha2_512", "RSA with SHA2-512"),
    auth("ecdsa", "ecdsa", "ECDSA"),
    auth("ecdsa-sha2", "ecdsa-sha2", "ECDSA with SHA2"),
    auth("ecdsa-sha2_256", "ecdsa-sha2_256", "ECDSA with SHA2-256"),
    auth("ecdsa-sha2_384", "ecdsa-sha2_384", "ECDSA with SHA2-384"),
    auth("ecdsa-sha2_512", "ecdsa-sha2_512", "ECDSA with SHA2-512"),
    auth("auth-null", "null", "no authentication"),
    auth("auth-never", "never", "no negotiation"),
    set("pass", "type", "pass", "let traffic pass, never negotiate"),
    set("drop", "type", "drop", "drop traffic, never negotiate"),
    Opt::replaced("reject", Nothing, Key::ConnSet("type", "drop"), "drop", "5.0"),
    set("negopass", "negotiationshunt", "pass", "let traffic pass while negotiating"),
    set("negodrop", "negotiationshunt", "drop", "drop traffic while negotiating (default)"),
    Opt::alias("negohold", Nothing, Key::ConnSet("negotiationshunt", "drop")),
    set("failnone", "failureshunt", "none", "after a failure nothing stays (default)"),
    set("failpass", "failureshunt", "pass", "after a failure traffic passes"),
    set("faildrop", "failureshunt", "drop", "after a failure traffic is dropped"),
    Opt::alias("failhold", Nothing, Key::ConnSet("failureshunt", "drop")),
    Opt::alias("failreject", Nothing, Key::ConnSet("failureshunt", "drop")),
    conn("ike", Value("proposals"), "IKE proposals"),
    Opt::replaced("ikealg", Value("proposals"), Key::Conn("ike"), "ike", "5.0"),
    conn("esp", Value("proposals"), "ESP proposals"),
    conn("ah", Value("proposals"), "AH proposals"),
    Opt::removed("pfsgroup", Value("group"), Key::Unsupported, "4.0"),
    yn("pfs", "perfect forward secrecy (yes)"),
    yn("pfs-rekey-workaround", "accept rekeying without PFS"),
    yn("ms-dh-downgrade", "allow Windows to change the group"),
    Opt::new("esn", Optional("yes|no|either"), Key::Esn, "extended sequence numbers"),
    Opt::new("no-esn", Nothing, Key::NoEsn, "short sequence numbers; with --esn: either"),
    conn("ikelifetime", DURATION, "life of the IKE SA (8h)"),
    conn("ipsec-lifetime", DURATION, "life of the Child SA (8h)"),
    Opt::alias("ipseclifetime", DURATION, Key::Conn("ipsec-lifetime")),
    conn("rekeymargin", DURATION, "how long before that it is replaced (9m)"),
    Opt::alias("rekeywindow", DURATION, Key::Conn("rekeymargin")),
    conn("rekeyfuzz", Value("percent"), "random growth of the margin (100%)"),
    conn("ipsec-max-bytes", Value("octets"), "traffic after which the Child SA is replaced"),
    conn("ipsec-max-packets", NUMBER, "packets after which the Child SA is replaced"),
    conn("retransmit-timeout", DURATION, "when a request is given up (30s)"),
    conn("retransmit-interval", Value("ms"), "when a request is first sent again (500ms)"),
    set("dontrekey", "rekey", "no", "do not replace SAs"),
    set("reauth", "reauth", "yes", "replace the IKE SA by authenticating anew"),
    conn("replay-window", NUMBER, "packets (128), 0: none"),
    conn("dpddelay", DURATION, "interval of liveness checks"),
    conn("dpdtimeout", DURATION, "when the peer is dead (IKEv1)"),
    Opt::alias("dpdaction", Value("action"), Key::Conn("dpdaction")),
    Opt::ignored("keyingtries", NUMBER, Key::Unsupported, "5.0"),
    conn("fragmentation", Value("yes|no|force"), "IKE fragmentation"),
    Opt::alias("ikefrag-allow", Nothing, Key::ConnSet("fragmentation", "yes")),
    Opt::alias("ikefrag-force", Nothing, Key::ConnSet("fragmentation", "force")),
    conn("ikepad", Optional("yes|no|auto"), "pad IKE messages (IKEv1)"),
    yn("mobike", "MOBIKE"),
    yn("intermediate", "IKE_INTERMEDIATE"),
    yn("session-resumption", "session resumption"),
    yn("send-supported-auth-methods", "SUPPORTED_AUTH_METHODS"),
    conn("narrowing", Value("yes|no"), "accept fewer selectors"),
    Opt::alias("allow-narrowing", YN, Key::Conn("narrowing")),
    conn("nat-keepalive", Value("yes|no"), "keepalives behind a NAT (yes)"),
    Opt::replaced(
        "no-nat-keepalive",
        Nothing,
        Key::ConnSet("nat-keepalive", "no"),
        "nat-keepalive",
        "5.0",
    ),
    Opt::replaced(
        "no-nat_keepalive",
        Nothing,
        Key::ConnSet("nat-keepalive", "no"),
        "nat-keepalive",
        "5.0",
    ),
    conn("encapsulation", Optional("yes|no|auto"), "ESP in UDP"),
    Opt::alias("encaps", Optional("yes|no|auto"), Key::Conn("encapsulation")),
    Opt::new(
        "ikev1-natt",
        Value("both|rfc|drafts|none"),
        Key::Conn("nat-ikev1-method"),
        "NAT traversal of IKEv1",
    ),
    Opt::new("tcp", Value("no|yes|fallback"), Key::Conn("enable-tcp"), "IKE over TCP"),
    Opt::new("tcp-remote-port", NUMBER, Key::Conn("tcp-remoteport"), "its port"),
    yn("iptfs", "IP-TFS"),
    yn("iptfs-fragmentation", "fragments of IP-TFS"),
    conn("iptfs-packet-size", Value("octets"), "packets of IP-TFS"),
    conn("iptfs-max-queue-size", Value("octets"), "queue of IP-TFS"),
    conn("iptfs-init-delay", DURATION, "delay of IP-TFS"),
    conn("iptfs-reorder-window", NUMBER, "reordering of IP-TFS"),
    conn("iptfs-drop-time", DURATION, "when IP-TFS gives a packet up"),
    conn("tfc", NUMBER, "traffic flow confidentiality padding"),
    yn("send-esp-tfc-padding-not-supported", "refuse the peer's padding"),
    Opt::alias("send-no-esp-tfc", YN, Key::Conn("send-esp-tfc-padding-not-supported")),
    yn("reject-simultaneous-ike-auth", "keep one of two crossing IKE SAs"),
    yn("sha2-truncbug", "truncate SHA2-256 to 96 bits"),
    Opt::alias("sha2_truncbug", YN, Key::Conn("sha2-truncbug")),
    yn("overlapip", "allow overlapping clients"),
    set("dont-share-lease", "share-lease", "no", "a lease for each connection"),
    yn("aggressive", "aggressive mode (IKEv1)"),
    Opt::alias("aggrmode", YN, Key::Conn("aggressive")),
    yn("dns-match-id", "identity must match the reverse DNS"),
    set(
        "allow-cert-without-san-id",
        "require-id-on-certificate",
        "no",
        "identity need not be in the certificate",
    ),
    yn("initial-contact", "send INITIAL_CONTACT"),
    Opt::replaced("initialcontact", YN, Key::Conn("initial-contact"), "initial-contact", "5.0"),
    yn("cisco-unity", "Cisco Unity's Vendor ID"),
    Opt::replaced("cisco_unity", YN, Key::Conn("cisco-unity"), "cisco-unity", "5.0"),
    yn("fake-strongswan", "strongSwan's Vendor ID"),
    conn("remote-peer-type", Value("cisco|ietf"), "kind of peer"),
    yn("nm-configured", "set up by NetworkManager"),
    conn("send-redirect", Value("yes|no|auto"), "redirect the peer"),
    conn("accept-redirect", Value("yes|no"), "obey redirection"),
    conn("accept-redirect-to", Value("list"), "where redirection may lead"),
    conn("xauthby", Value("file|pam|alwaysok"), "where passwords are checked"),
    conn("xauthfail", Value("hard|soft"), "what a wrong password does"),
    yn("modecfgpull", "ask for the address (IKEv1)"),
    conn("modecfgdns", Value("addresses"), "name servers to give"),
    conn("modecfgdomains", Value("domains"), "domains to give"),
    conn("modecfgbanner", Value("text"), "banner to give"),
    yn("ignore-peer-dns", "do not use the peer's name servers"),
    conn("metric", NUMBER, "metric of routes"),
    conn("mtu", NUMBER, "MTU of routes"),
    conn("priority", NUMBER, "priority of policies"),
    conn("reqid", NUMBER, "the kernel's number for its policies (1 to 16383)"),
    conn("nflog-group", NUMBER, "NFLOG group"),
    Opt::new("conn-mark", MARK, Key::Conn("mark"), "mark of both directions"),
    Opt::new("conn-mark-in", MARK, Key::Conn("mark-in"), "mark of what comes in"),
    Opt::new("conn-mark-out", MARK, Key::Conn("mark-out"), "mark of what goes out"),
    conn("vti-interface", Value("name"), "VTI interface"),
    Opt::alias("vti-iface", Value("name"), Key::Conn("vti-interface")),
    yn("vti-routing", "routes through it"),
    yn("vti-shared", "shared with other connections"),
    conn("ipsec-interface", Value("number|yes|no"), "ipsecN interface"),
    conn("nic-offload", Value("no|crypto|packet|yes"), "let the network card do it"),
    conn("sendca", Value("none|issuer|all"), "CA certificates to send"),
    yn("decap-dscp", "copy DSCP to the inner packet"),
    yn("encap-dscp", "copy DSCP to the outer packet (yes)"),
    yn("nopmtudisc", "no path MTU discovery"),
    Opt::new("policylabel", Value("label"), Key::Conn("sec-label"), "security label"),
    Opt::removed("initiateontraffic", Nothing, Key::Unsupported, "5.0"),
    Opt::unsupported("ppk", Optional("yes|no|insist"), Key::Unsupported, "post-quantum keys"),
];

const COMMANDS: &[Opt<Key>] = &[
    command("route", Command::Route, "bring it up when there is traffic"),
    Opt::alias("ondemand", Nothing, Key::Command(Command::Route)),
    command("unroute", Command::Unroute, "no longer"),
    command("initiate", Command::Initiate, "bring it up"),
    Opt::new("remote-host", Value("address|name"), Key::RemoteHost, "... to this peer"),
    Opt::new("xauthpass", Value("password"), Key::Xauthpass, "... with this password"),
    command("down", Command::Down, "take it down"),
    command("terminate", Command::Down, "the same"),
    command("suspend", Command::Suspend, "take it down, to be resumed"),
    command("rekey-ike", Command::RekeyIke, "rekey the IKE SA"),
    command("rekey-child", Command::RekeyChild, "rekey the Child SA"),
    command("delete-ike", Command::DeleteIke, "delete the IKE SA"),
    command("delete-child", Command::DeleteChild, "delete the Child SA"),
    command("down-ike", Command::DownIke, "take the IKE SA down"),
    command("down-child", Command::DownChild, "take the Child SA down"),
    command("delete", Command::Delete, "remove the connection"),
    command("deleteid", Command::DeleteId, "remove connections whose peer is --name"),
    command("deleteuser", Command::DeleteUser, "remove connections of user --name"),
    Opt::new("deletestate", NUMBER, Key::Command(Command::DeleteState), "delete this state alone"),
    Opt::new(
        "crash",
        Value("address|name"),
        Key::Command(Command::Crash),
        "this peer has restarted",
    ),
    Opt::new(
        "trace",
        Value("#state|name"),
        Key::Command(Command::Trace),
        "follow its log, debug lines too",
    ),
    Opt::new(
        "oppohere",
        Value("address"),
        Key::Command(Command::OppoHere),
        "as if there was traffic from",
    ),
    Opt::new("oppothere", Value("address"), Key::Command(Command::OppoThere), "... to"),
    Opt::new("oppoproto", NUMBER, Key::OppoProto, "... of this protocol"),
    Opt::new("opposport", NUMBER, Key::OppoSport, "... from this port"),
    Opt::new("oppodport", NUMBER, Key::OppoDport, "... to this port"),
    Opt::new("oppolabel", Value("label"), Key::OppoLabel, "... with this label"),
    Opt::new("opporeqid", NUMBER, Key::OppoReqid, "... of this policy"),
    Opt::new(
        "keyid",
        Value("identity"),
        Key::Command(Command::KeyId),
        "set (without key: delete) its public key",
    ),
    Opt::new("addkey", Nothing, Key::KeepKeys, "... beside those it has"),
    Opt::new("pubkeyrsa", Value("key"), Key::PubkeyRsa, "... to this"),
    Opt::unsupported("pubkeyecdsa", Value("key"), Key::Unsupported, "raw ECDSA keys"),
    command("listen", Command::Listen, "look at interfaces, load secrets, listen"),
    command("unlisten", Command::Unlisten, "no new IKE SAs"),
    Opt::new(
        "ike-socket-bufsize",
        Value("octets"),
        Key::Command(Command::IkeSocketBufsize),
        "buffers of IKE sockets",
    ),
    Opt::new(
        "ike-socket-errqueue",
        Value("yes|no"),
        Key::Command(Command::IkeSocketErrqueue),
        "read ICMP errors",
    ),
    Opt::replaced(
        "ike-socket-errqueue-toggle",
        Value("yes|no"),
        Key::Command(Command::IkeSocketErrqueue),
        "ike-socket-errqueue",
        "5.2",
    ),
    Opt::new(
        "redirect-to",
        Value("list"),
        Key::RedirectTo,
        "redirect peers to; with --to: its keyword",
    ),
    Opt::new(
        "global-redirect",
        Value("yes|no|auto"),
        Key::Command(Command::GlobalRedirect),
        "redirect new peers",
    ),
    Opt::new(
        "global-redirect-to",
        Value("list"),
        Key::Command(Command::GlobalRedirectTo),
        "... to",
    ),
    Opt::new(
        "ddos-mode",
        Value("busy|unlimited|auto"),
        Key::Command(Command::DdosMode("")),
        "when to ask for cookies",
    ),
    Opt::replaced(
        "ddos-busy",
        Nothing,
        Key::Command(Command::DdosMode("busy")),
        "ddos-mode",
        "5.0",
    ),
    Opt::replaced(
        "ddos-unlimited",
        Nothing,
        Key::Command(Command::DdosMode("unlimited")),
        "ddos-mode",
        "5.0",
    ),
    Opt::replaced(
        "ddos-auto",
        Nothing,
        Key::Command(Command::DdosMode("auto")),
        "ddos-mode",
        "5.0",
    ),
    command("ddns", Command::Ddns, "resolve names now"),
    command("rereadsecrets", Command::RereadSecrets, "load secrets"),
    command("rereadcerts", Command::RereadCerts, "load certificates"),
    command("fetchcrls", Command::FetchCrls, "fetch revocation lists"),
    command("rereadall", Command::RereadAll, "all three"),
    command("purgeocsp", Command::PurgeOcsp, "empty the OCSP cache"),
    Opt::removed("rereadcrls", Nothing, Key::Unsupported, "5.0"),
    Opt::new(
        "debug",
        Value("classes"),
        Key::Debug,
        "log at debug level: base+crypt, all, none, help",
    ),
    Opt::new("no-debug", Value("classes"), Key::NoDebug, "no longer"),
    Opt::new("debug-all", Nothing, Key::DebugAll, "as --debug all"),
    Opt::new("debug-none", Nothing, Key::DebugNone, "as --debug none"),
    Opt::new("impair", Value("behaviour"), Key::Impair, "inject a fault, for tests; none: no more"),
    Opt::new("no-impair", Value("behaviour"), Key::NoImpair, "no longer"),
    Opt::unsupported("seccomp-crashtest", Nothing, Key::Unsupported, "seccomp"),
    command("shutdown", Command::Shutdown, "stop pluto"),
    Opt::new("leave-state", Nothing, Key::LeaveState, "... and leave the kernel's SAs"),
];

const LISTINGS: &[Opt<Key>] = &[
    list("status", Listing::Status, "everything"),
    list("briefstatus", Listing::BriefStatus, "counts of SAs"),
    list("globalstatus", Listing::GlobalStatus, "all counters"),
    command("clearstats", Command::ClearStats, "set them to zero"),
    list("trafficstatus", Listing::TrafficStatus, "traffic of Child SAs"),
    list("shuntstatus", Listing::ShuntStatus, "shunts"),
    list("addresspoolstatus", Listing::AddressPoolStatus, "address pools"),
    list("connectionstatus", Listing::ConnectionStatus, "connections"),
    list("briefconnectionstatus", Listing::BriefConnectionStatus, "connections, a line each"),
    list("fipsstatus", Listing::FipsStatus, "FIPS mode"),
    list("processstatus", Listing::ProcessStatus, "child processes"),
    list("showstates", Listing::ShowStates, "IKE and Child SAs"),
    Opt::alias("statestatus", Nothing, Key::Command(Command::Listing(Listing::ShowStates))),
    list("listpubkeys", Listing::ListPubkeys, "public keys"),
    list("checkpubkeys", Listing::CheckPubkeys, "public keys that expire"),
    list("listpsks", Listing::ListPsks, "whose pre-shared keys there are"),
    list("listcerts", Listing::ListCerts, "certificates"),
    list("listcacerts", Listing::ListCaCerts, "CA certificates"),
    list("listcrls", Listing::ListCrls, "revocation lists"),
    list("listevents", Listing::ListEvents, "timers"),
    list("listall", Listing::ListAll, "all lists but the timers"),
];
