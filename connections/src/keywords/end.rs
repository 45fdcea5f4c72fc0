//! The keywords of an end (`left…=`, `right…=`).

use super::{Complaint, Effect, Keyword, Read, Scope, Syntax, values};
use crate::end::{End, Host, Nexthop, ProtoPort};
use crate::{Authby, Id, PoolRange, Selector};

const fn end(
    name: &'static str,
    aliases: &'static [&'static str],
    default: &'static str,
    summary: &'static str,
    set: fn(&mut End, &str) -> Read,
) -> Keyword {
    Keyword { name, aliases, scope: Scope::End, default, summary, effect: Effect::End(set) }
}

const fn later(
    name: &'static str,
    aliases: &'static [&'static str],
    default: &'static str,
    summary: &'static str,
    syntax: Syntax,
    harmless: &'static [&'static str],
) -> Keyword {
    let effect = Effect::Later(syntax, harmless);
    Keyword { name, aliases, scope: Scope::End, default, summary, effect }
}

const YES_NO: Syntax = Syntax::YesNo;
const TEXT: Syntax = Syntax::Text;

/// All of them.
#[rustfmt::skip]
pub(super) static TABLE: &[Keyword] = &[
    end("host", &[], "required", "of left= and right=: address, name, %any, %defaultroute or %interface", host),
    end("ikeport", &[], "500, 4500 behind NAT", "UDP port of IKE, 1 to 65535", |e, v| {
        e.ike_port = Some(values::number16(v, 1, u16::MAX)?);
        Ok(())
    }),
    end("nexthop", &[], "from the route", "router towards the other end: address, %direct or %defaultroute", |e, v| {
        e.nexthop = Nexthop::parse(v)?;
        Ok(())
    }),
    end("subnet", &["client"], "the host", "traffic of this end: networks or ranges, a list", subnet),
    later("subnets", &[], "none", "several subnets, a connection each", TEXT, &[]),
    end("protoport", &["clientprotoport"], "all", "protocol and port of this end, as in tcp/443; %any: any one", |e, v| {
        e.proto_port = Some(ProtoPort::parse(v)?);
        Ok(())
    }),
    end("sourceip", &["srcip"], "none", "our address towards the other end's subnet", |e, v| {
        e.source_ips = values::addresses(v)?;
        Ok(())
    }),
    end("id", &[], "the host's address", "who the end is", id),
    end("auth", &[], "authby", "how this end authenticates: psk or null; signatures are refused", auth),
    end("updown", &[], "native", "command run when routes and tunnels change; %disabled: none", |e, v| {
        e.updown = Some(if v == "%disabled" { "".into() } else { v.into() });
        Ok(())
    }),
    later("interface-ip", &["interfaceip"], "none", "address of the ipsec-interface", TEXT, &[]),
    later("vti", &["vtiip"], "none", "address of the VTI", TEXT, &[]),
    later("autheap", &[], "none", "EAP method",
        Syntax::Words(&["none", "tls", "mschapv2"]), &["none"]),
    later("cert", &[], "none", "certificate's nickname", TEXT, &[]),
    later("ckaid", &[], "none", "private key's id", TEXT, &[]),
    later("rsasigkey", &[], "none", "raw RSA public key", TEXT, &["%cert"]),
    later("ecdsakey", &[], "none", "raw ECDSA public key", TEXT, &["%cert"]),
    later("eddsakey", &[], "none", "raw EdDSA public key", TEXT, &["%cert"]),
    later("pubkey", &[], "none", "raw public key", TEXT, &["%cert"]),
    later("dnskeyondemand", &[], "no", "public key from the DNS", YES_NO, &["no"]),
    later("ca", &[], "%any", "certificate authority", TEXT, &["%any"]),
    // No certificate is ever sent yet, so the question when has no bad answer.
    end("sendcert", &[], "always", "when to send the certificate: always, never, ifasked; none is yet", |e, v| {
        e.send_cert = values::choice(v, &[
            (&["always", "yes", "alwayssend"], "always"),
            (&["never", "no"], "never"),
            (&["sendifasked", "ifasked"], "sendifasked"),
        ])?;
        Ok(())
    }),
    later("xauthserver", &["xauth"], "no", "XAUTH server (IKEv1)", YES_NO, &["no"]),
    later("xauthclient", &[], "no", "XAUTH client (IKEv1)", YES_NO, &["no"]),
    end("modecfgserver", &["modeconfigserver"], "no", "gives the other end its address; that end's addresspool= implies it", |e, v| {
        e.config_server = values::yes_no(v)?;
        Ok(())
    }),
    end("modecfgclient", &["modeconfigclient"], "no", "asks for an address; addresspool= implies it", |e, v| {
        e.config_client = values::yes_no(v)?;
        Ok(())
    }),
    later("username", &["xauthusername", "xauthuser", "xauthname"], "none", "XAUTH or EAP user",
        TEXT, &[]),
    end("addresspool", &[], "none", "addresses for this end's host: FROM-TO or NET/LENGTH, to 64 ranges", address_pool),
    later("cat", &[], "no", "client address translation", YES_NO, &["no"]),
    later("updown-config", &[], "noasync,noexec", "how the updown command is run", TEXT,
        &["noasync,noexec", "noasync noexec", "no-async,no-exec", "noasync", "noexec"]),
    later("groundhog", &[], "no", "ignore the expiry of certificates (tests)", YES_NO, &["no"]),
    Keyword {
        name: "groups", aliases: &[], scope: Scope::End, default: "none",
        summary: "nothing any more", effect: Effect::Obsolete,
    },
];

fn host(end: &mut End, value: &str) -> Read {
    end.host =
        Host::parse(value).map_err(|e| e.map_or(Complaint::Unsupported, Complaint::Invalid))?;
    Ok(())
}

fn subnet(end: &mut End, value: &str) -> Read {
    let text = value.trim();
    if text.starts_with("vhost:") || text.starts_with("vnet:") {
        return Err(Complaint::Unsupported);
    }
    let parse = |one: &str| Selector::parse(one).map_err(|e| format!("\"{one}\": {e}"));
    let all = values::list(text).map(parse).collect::<Result<Box<[_]>, _>>()?;
    if all.is_empty() {
        return Err(Complaint::Invalid("must be ADDRESS/LENGTH, or a list of them".to_owned()));
    }
    end.subnets = all;
    Ok(())
}

/// Ranges that one connection may have.
const MAX_RANGES: usize = 64;

fn address_pool(end: &mut End, value: &str) -> Read {
    let mut all: Vec<PoolRange> = Vec::new();
    for text in values::list(value) {
        let range = PoolRange::parse(text)
            .map_err(|e| e.map_or(Complaint::Unsupported, Complaint::Invalid))?;
        if let Some(other) = all.iter().find(|other| other.overlaps(&range)) {
            return Err(Complaint::Invalid(format!("{range} and {other} overlap")));
        }
        all.push(range);
    }
    if all.is_empty() || all.len() > MAX_RANGES {
        let why = format!("must be 1 to {MAX_RANGES} ranges, as in 192.0.2.100-192.0.2.110");
        return Err(Complaint::Invalid(why));
    }
    end.address_pool = all.into();
    Ok(())
}

fn id(end: &mut End, value: &str) -> Read {
    if value.eq_ignore_ascii_case("%none") {
        return Ok(());
    }
    match Id::parse(value).map_err(|e| e.to_string())? {
        // It stands for a certificate's subject, and certificates are another issue.
        Id::FromCert => Err(Complaint::Unsupported),
        id => {
            end.id = Some(id);
            Ok(())
        }
    }
}

fn auth(end: &mut End, value: &str) -> Read {
    let words: &[(&[&str], Option<Authby>)] = &[
        (&["psk", "secret"], Some(Authby::Psk)),
        (&["null"], Some(Authby::Null)),
        (&["rsasig", "rsa", "rsa-sha2", "rsa-sha1"], None),
        (&["ecdsa", "ecdsa-sha2"], None),
        (&["eddsa"], None),
        (&["eaponly"], None),
        (&["never"], None),
    ];
    end.auth = Some(values::choice(value, words)?.ok_or(Complaint::Unsupported)?);
    Ok(())
}
