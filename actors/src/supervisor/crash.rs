//! `whack --crash`: a peer has lost its SAs without a word; all that there are with it are
//! replaced, rather than found dead one by one.

use super::Supervisor;
use super::listing::IkeView;
use actix::{ActorFutureExt, AsyncContext, Context, WrapFuture};
use pluto_connections::{ConnectionSerial, SerialNo};
use pluto_messages::{Initiate, Reporter, Resolve};
use pluto_states::Request;
use pluto_whack::codes;
use std::net::IpAddr;

impl Supervisor {
    /// The peer at this address, or of this name.
    pub(super) fn crash(&mut self, peer: String, reporter: Reporter, ctx: &mut Context<Self>) {
        let dns = self.shell.dns.clone();
        let ikes = self.ask_ikes(None, true);
        let found = async move {
            let addresses = match peer.parse() {
                Ok(address) => Ok(vec![address]),
                Err(_) => match dns.send(Resolve(peer.clone())).await {
                    Ok(Ok(Ok(addresses))) => Ok(addresses),
                    Ok(Ok(Err(why))) => Err(format!("--crash {peer}: {why}")),
                    Ok(Err(fault)) => Err(format!("--crash {peer}: {fault}")),
                    Err(_) => Err("the daemon is stopping".to_string()),
                },
            };
            (peer, addresses, ikes.await)
        };
        ctx.spawn(found.into_actor(self).map(move |(peer, addresses, ikes), actor, ctx| {
            let done = actor.contained("--crash", ctx, |actor, _| match addresses {
                Ok(addresses) => actor.replace_all(&peer, &addresses, &ikes, &reporter),
                Err(why) => reporter.say(codes::NOPEERIP, why),
            });
            if let Err(fault) = done {
                reporter.say(codes::INTERNAL_ERROR, fault.to_string());
            }
        }));
    }

    fn replace_all(
        &mut self,
        peer: &str,
        addresses: &[IpAddr],
        ikes: &[IkeView],
        reporter: &Reporter,
    ) {
        let ikes = ikes.iter().filter(|ike| addresses.contains(&ike.live.summary.remote.ip()));
        let serials: Vec<SerialNo> = ikes.map(|ike| ike.serial).collect();
        // What was replaced, or is being taken down, only ends sooner.
        let stays = |serial: &&SerialNo| self.ikes.get(serial).is_some_and(|ike| !ike.ending);
        let replaced = serials.iter().filter(stays).count();
        let text = format!("peer {peer} has crashed: replacing {replaced} IKE SAs");
        self.shell.log.info(&text);
        reporter.say(codes::LOG, text);
        for serial in serials {
            let Some(entry) = self.ikes.get(&serial) else { continue };
            if !entry.ending {
                let children = entry.children.iter().filter_map(|child| self.children.get(child));
                let children = children.filter(|child| !child.ending);
                // Its owner may have let its Child SA go, unless it is about to have the first.
                let owner = (!entry.established && entry.initiator).then_some(entry.connection);
                let mut connections: Vec<ConnectionSerial> =
                    children.map(|child| child.connection).chain(owner).collect();
                connections.sort_unstable();
                connections.dedup();
                connections.retain(|connection| !entry.left_by.contains(connection));
                self.crashed.insert(serial, connections);
            }
            // The peer would not know what is being deleted.
            self.order(serial, Request::Abandon);
        }
    }

    /// An IKE SA has ended: whoever was to replace it begins.
    pub(super) fn replace_crashed(&mut self, ike: SerialNo) {
        for connection in self.crashed.remove(&ike).unwrap_or_default() {
            let on_demand = Some("the peer has crashed".to_string());
            let order = Initiate { reporter: Reporter::nobody(), asynchronous: true, on_demand };
            self.tell_connection(connection, order);
        }
    }
}
