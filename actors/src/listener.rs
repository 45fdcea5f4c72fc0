//! The listener: reads the sockets, looks at the 28 octets of each header, and passes the
//! datagram on. Load is shed here and nowhere else: a full mailbox drops and counts.

use crate::demux::{Inside, Route, needless_marker, unmark};
use crate::faults::Place;
use crate::impair::{self, Late};
use crate::shed::{Reason, Seldom, Shed};
use crate::shell::Shell;
use crate::sockets::{Reader, StrayReader};
use crate::supervisor::Supervisor;
use actix::prelude::SendError;
use actix::{Actor, Addr, AsyncContext, Context, Handler, Recipient};
use pluto_messages::{
    AskForCookies, ClearCounters, DatagramArrived, DescribeListener, ListenOn, ListenerDescription,
    NewResponder, Received, Unlisten,
};
use pluto_states::{CookieJar, Datagram};
use pluto_wire::numbers::NotifyType;
use pluto_wire::{Header, Version};
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::Duration;

/// When cookies are asked for, and when new peers are turned away.
#[derive(Debug, Clone, Copy)]
pub struct Thresholds {
    /// Half-open responders from which on cookies are asked for; 0 is always, `usize::MAX`
    /// is never.
    pub cookies: usize,
    /// Half-open responders from which on requests are dropped.
    pub most_half_open: usize,
}

/// Half-open responders of one source (an IPv4 address, or a /64 of IPv6) from which on
/// cookies are asked for. Many peers may be behind one translator.
pub const COOKIES_PER_SOURCE: usize = 128;

/// The same from which on its requests are dropped.
pub const MOST_PER_SOURCE: usize = 1024;

/// Cookies' secrets last this long (RFC 7296, 2.6 leaves it open).
const COOKIE_ROTATION: Duration = Duration::from_secs(120);

/// The actor.
#[derive(Debug)]
pub struct Listener {
    shell: Rc<Shell>,
    supervisor: Addr<Supervisor>,
    thresholds: Thresholds,
    jar: CookieJar,
    own: Option<Recipient<Late>>,
    listening: bool,
    received: u64,
    shed: Shed,
    asking: Seldom,
}

impl Listener {
    /// Not listening yet.
    #[must_use]
    pub fn new(shell: Rc<Shell>, supervisor: Addr<Supervisor>, thresholds: Thresholds) -> Self {
        let jar = CookieJar::new(&mut **shell.entropy.borrow_mut());
        Self {
            shell,
            supervisor,
            thresholds,
            jar,
            own: None,
            listening: false,
            received: 0,
            shed: Shed::default(),
            asking: Seldom::default(),
        }
    }

    /// One datagram as it came.
    pub fn receive(
        &mut self,
        local: SocketAddr,
        remote: SocketAddr,
        encapsulating: bool,
        bytes: &[u8],
    ) {
        self.received = self.received.wrapping_add(1);
        self.shell.faults.at(Place::Listener);
        let (inside, marked) = match needless_marker(bytes) {
            _ if encapsulating => (unmark(bytes), true),
            Some(ike) => (Inside::Ike(ike), true),
            None => (Inside::Ike(bytes), false),
        };
        match inside {
            Inside::Ike(ike) => self.dispatch(local, remote, marked, ike, false),
            Inside::Keepalive => {}
            Inside::Esp(esp) => match self.shell.sockets.as_ref().and_then(|s| s.esp()) {
                Some(plane) => plane.deliver(esp, remote),
                // The kernel takes ESP off the socket; what arrives here has no SA.
                None => self.shed.count(Reason::Mangled),
            },
        }
    }

    /// Lets go of a request, and says so now and then.
    fn shed(&mut self, reason: Reason, why: impl FnOnce() -> String) {
        if let Some(count) = self.shed.count_and_say(reason, self.shell.clock.now()) {
            let more = match count {
                1 => String::new(),
                _ => format!("; {count} times since this was last said"),
            };
            self.shell.log.warn(&format!("{}{more}", why()));
        }
    }

    fn dispatch(
        &mut self,
        local: SocketAddr,
        remote: SocketAddr,
        non_esp_marker: bool,
        bytes: &[u8],
        late: bool,
    ) {
        if !late {
            self.shell.tally.borrow_mut().ike_received(bytes.len());
        }
        let header = match Header::peek(bytes) {
            Ok(header) => header,
            Err(error) => {
                self.shed.count(Reason::Mangled);
                return self.shell.log.stranger(remote, &error.to_string());
            }
        };
        let carrying = |bytes: Vec<u8>| Datagram { local, remote, non_esp_marker, bytes };
        let datagram = || carrying(bytes.to_vec());
        if self.shell.impair.is_on()
            && !late
            && let Some(own) = &self.own
        {
            return impair::inbound(&self.shell.impair, &datagram(), own);
        }
        let demux = self.shell.demux.borrow();
        match demux.route(&header, remote) {
            Route::To(ike) => {
                let sent = ike.try_send(DatagramArrived(datagram()));
                drop(demux);
                match sent {
                    Ok(()) => {}
                    // It is ending.
                    Err(SendError::Closed(_)) if self.repeats_answer(&header, &datagram()) => {}
                    Err(_) => self.shed(Reason::Busy, || {
                        format!(
                            "dropping what {remote} sends: it comes faster than it is worked on"
                        )
                    }),
                }
            }
            Route::New => {
                let half_open = (demux.half_open(), demux.half_open_from(remote.ip()));
                drop(demux);
                self.newcomer(half_open, remote, bytes, carrying);
            }
            Route::Nowhere(why) => {
                drop(demux);
                if self.repeats_answer(&header, &datagram()) {
                    return;
                }
                self.shed.count(Reason::NoSuchSa);
                if header.version.major > Version::V2.major
                    && self.shell.log.admits_stranger()
                    && let Some(refusal) = pluto_states::refuse_major_version(&datagram())
                {
                    self.shell.refuse(NotifyType::INVALID_MAJOR_VERSION, &refusal);
                }
                self.shell.log.stranger(remote, why);
            }
        }
    }

    /// Whether it is the last request of an IKE SA that is gone, whose answer was lost.
    fn repeats_answer(&self, header: &Header, datagram: &Datagram) -> bool {
        let now = self.shell.clock.now();
        let answers = self.shell.demux.borrow_mut().farewells.answer(now, header, datagram);
        answers.iter().for_each(|answer| self.shell.transmit(answer));
        !answers.is_empty()
    }

    /// A request of somebody new, when so many responders are half-open, and so many of the
    /// same source. `with` makes a datagram of it, or of an answer to it.
    fn newcomer(
        &mut self,
        (half_open, from_there): (usize, usize),
        remote: SocketAddr,
        bytes: &[u8],
        with: impl Fn(Vec<u8>) -> Datagram,
    ) {
        let Thresholds { cookies, most_half_open } = self.thresholds;
        let (limited, from) = (cookies != usize::MAX, remote.ip());
        if !self.listening {
            return self.shed.count(Reason::NotListening);
        }
        if half_open >= most_half_open {
            return self.shed(Reason::HalfOpen, || {
                format!(
                    "turning new peers away: {half_open} IKE SAs are half-open, as many as \
                     --max-halfopen-ike allows"
                )
            });
        }
        if limited && from_there >= MOST_PER_SOURCE {
            return self.shed(Reason::Source, || {
                format!("turning {from} away: {from_there} IKE SAs of its network are half-open")
            });
        }
        if half_open >= cookies || (limited && from_there >= COOKIES_PER_SOURCE) {
            match self.jar.challenge(bytes, remote) {
                Ok(None) => {}
                Ok(Some(answer)) => {
                    if self.asking.may(self.shell.clock.now()) {
                        let all =
                            if half_open >= cookies { "new peers" } else { &from.to_string() };
                        self.shell.log.info(&format!(
                            "asking {all} for cookies: {half_open} IKE SAs are half-open, \
                             {from_there} of them with {from}"
                        ));
                    }
                    return self.shell.refuse(NotifyType::COOKIE, &with(answer));
                }
                Err(()) => return self.shed.count(Reason::Mangled),
            }
        }
        if self.supervisor.try_send(NewResponder(with(bytes.to_vec()))).is_err() {
            self.shed(Reason::Busy, || {
                "dropping requests of new peers: they come faster than they are worked on".into()
            });
        }
    }
}

impl Actor for Listener {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        ctx.run_interval(COOKIE_ROTATION, |listener, _| {
            let shell = Rc::clone(&listener.shell);
            listener.jar.rotate(&mut **shell.entropy.borrow_mut());
        });
        self.shell.transport.deliver_to(ctx.address().recipient());
        self.own = Some(ctx.address().recipient());
        for socket in self.shell.sockets.iter().flat_map(|sockets| sockets.all()) {
            ctx.spawn(Reader::new(socket));
        }
        let plane = self.shell.sockets.as_ref().and_then(|sockets| sockets.esp());
        if let Some(Ok(stray)) = plane.map(StrayReader::new) {
            ctx.spawn(stray);
        }
    }
}

impl Handler<Received> for Listener {
    type Result = ();
    fn handle(&mut self, msg: Received, _: &mut Self::Context) {
        self.receive(msg.local, msg.remote, msg.encapsulating, &msg.bytes);
    }
}

impl Handler<Late> for Listener {
    type Result = ();
    fn handle(&mut self, msg: Late, _: &mut Self::Context) {
        let Datagram { local, remote, non_esp_marker, bytes } = msg.0;
        self.dispatch(local, remote, non_esp_marker, &bytes, true);
    }
}

impl Handler<AskForCookies> for Listener {
    type Result = ();
    fn handle(&mut self, msg: AskForCookies, _: &mut Self::Context) {
        self.thresholds.cookies = msg.0;
    }
}

impl Handler<ListenOn> for Listener {
    type Result = ();
    fn handle(&mut self, msg: ListenOn, ctx: &mut Self::Context) {
        if let Some(sockets) = &self.shell.sockets {
            for opened in sockets.update(&msg.0, &self.shell.log) {
                ctx.spawn(Reader::new(opened));
            }
        }
        if !self.listening {
            self.shell.log.info("listening for IKE messages");
        }
        self.listening = true;
    }
}

impl Handler<ClearCounters> for Listener {
    type Result = ();
    fn handle(&mut self, _: ClearCounters, _: &mut Self::Context) {
        (self.received, self.shed) = (0, Shed::default());
    }
}

impl Handler<Unlisten> for Listener {
    type Result = ();
    fn handle(&mut self, _: Unlisten, _: &mut Self::Context) {
        self.listening = false;
        self.shell.log.info("no longer listening for new IKE SAs");
    }
}

impl Handler<DescribeListener> for Listener {
    type Result = ListenerDescription;
    fn handle(&mut self, _: DescribeListener, _: &mut Self::Context) -> ListenerDescription {
        let demux = self.shell.demux.borrow();
        ListenerDescription {
            listening: self.listening,
            sockets: self.shell.sockets.as_ref().map(|all| all.describe()).unwrap_or_default(),
            spis: demux.len(),
            half_open: demux.half_open(),
            cookies: demux.half_open() >= self.thresholds.cookies,
            cookies_from: self.thresholds.cookies,
            most_half_open: self.thresholds.most_half_open,
            received: self.received,
            shed: self.shed.list(),
        }
    }
}
