//! What packets are worth: clients, signatures, replays and the order of events, without any I/O.

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use super::memory::Moments;
use super::packet::{ACCOUNTING_REQUEST, Packet};
use super::replay::{Limits, Seen, Sight};
use super::request::{Request, Status};
use super::sessions::{Event, Sessions};
use super::{Counts, Refusal, Secret, Session, Statement, station};

/// How long ago an event may have happened.
pub const PAST: Duration = Duration::from_secs(300);
/// How far a client's clock may be ahead of ours.
pub const FUTURE: Duration = Duration::from_secs(60);
/// How long a packet is remembered: until it is too old to be said again.
const MEMORY: Duration = Duration::from_secs(PAST.as_secs() + FUTURE.as_secs() + 1);
/// How long a session is remembered whose client does not date its packets.
const DAY: Duration = Duration::from_secs(24 * 3600);
/// How many packets and sessions of a client are remembered. 10,000 stations that are spoken of every
/// minute make 60,000 packets in the time that a packet is remembered.
const MOST: usize = 1 << 17;

/// A client as it is configured, with its secret.
#[derive(Clone, Debug)]
pub struct Client {
    /// What statements and logs call it.
    pub name: Arc<str>,
    /// Where its packets come from.
    pub address: IpAddr,
    /// What it signs with.
    pub secret: Secret,
    /// How often it speaks of a session.
    pub interim: Duration,
    /// Whether every packet must have a Message-Authenticator.
    pub require_message_authenticator: bool,
    /// Whether every packet must have an Event-Timestamp. Without one a packet can be said again once
    /// nobody remembers it.
    pub require_event_timestamp: bool,
}

/// Both clocks.
#[derive(Clone, Copy, Debug)]
pub struct Now {
    /// Since boot.
    pub monotonic: Duration,
    /// Since 1970, as clients date their packets.
    pub wall: Duration,
}

/// What a datagram leads to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// To be sent to where the datagram came from.
    pub response: Option<Vec<u8>>,
    /// What was said, if it was new and is believed.
    pub statement: Option<Statement>,
    /// Why there is no statement. A retransmission has neither.
    pub refusal: Option<Refusal>,
}

/// The accounting server's memory.
#[derive(Debug)]
pub struct Accounting {
    clients: HashMap<IpAddr, State>,
    counts: Counts,
    most: usize,
}

#[derive(Debug)]
struct State {
    client: Client,
    seen: Seen,
    sessions: Sessions,
    /// When it began anew, by its clock.
    restarted: u64,
    /// Until when it was heard, by its clock: by the daemon before, and by this one.
    heard: (u64, u64),
}

impl Accounting {
    /// With nothing heard yet.
    pub fn new(clients: impl IntoIterator<Item = Client>) -> Self {
        Self::with_room(clients, MOST)
    }

    /// With room for so many packets and sessions of each client.
    pub(super) fn with_room(clients: impl IntoIterator<Item = Client>, most: usize) -> Self {
        let states = clients.into_iter().map(|client| {
            let (seen, sessions) = (Seen::default(), Sessions::default());
            (client.address, State { client, seen, sessions, restarted: 0, heard: (0, 0) })
        });
        Self { clients: states.collect(), counts: Counts::default(), most }
    }

    /// What has been counted; stays up to date.
    pub fn counts(&self) -> Counts {
        self.counts.clone()
    }

    /// Goes on after a daemon that has heard clients until then: see [`Memory`](super::memory::Memory).
    pub(super) fn recall(&mut self, heard: &Moments) {
        for state in self.clients.values_mut() {
            let until = heard.get(&*state.client.name).copied().unwrap_or(0);
            state.heard = (until, until);
        }
    }

    /// The names of the clients.
    pub(super) fn clients(&self) -> impl Iterator<Item = &str> {
        self.clients.values().map(|state| &*state.client.name)
    }

    /// Until when each client that dates its packets was heard.
    pub(super) fn heard(&self) -> Moments {
        let heard = self.clients.values().filter(|state| state.heard.1 > 0);
        heard.map(|state| (state.client.name.to_string(), state.heard.1)).collect()
    }

    /// Receives a datagram.
    pub fn receive(&mut self, datagram: &[u8], from: SocketAddr, now: Now) -> Answer {
        let answer = self.answer(datagram, from, now);
        match &answer {
            Answer { refusal: Some(refusal), .. } => self.counts.refusal(*refusal),
            Answer { statement: Some(_), .. } => self.counts.statement(),
            Answer { .. } => self.counts.retransmission(),
        }
        answer
    }

    fn answer(&mut self, datagram: &[u8], from: SocketAddr, now: Now) -> Answer {
        let silence = |refusal| Answer { response: None, statement: None, refusal: Some(refusal) };
        let Some(state) = self.clients.get_mut(&from.ip().to_canonical()) else {
            return silence(Refusal::UnknownClient);
        };
        let Ok(packet) = Packet::parse(datagram) else { return silence(Refusal::Malformed) };
        let (statement, refusal) = match state.receive(&packet, from, now, self.most) {
            Ok(statement) => (statement, None),
            Err(refusal) if refusal.is_acknowledged() => (None, Some(refusal)),
            Err(refusal) => return silence(refusal),
        };
        Answer { response: Some(packet.response(&state.client.secret)), statement, refusal }
    }
}

impl State {
    /// What a packet says, or nothing if it was said and answered before.
    fn receive(
        &mut self,
        packet: &Packet<'_>,
        from: SocketAddr,
        now: Now,
        most: usize,
    ) -> Result<Option<Statement>, Refusal> {
        if packet.code() != ACCOUNTING_REQUEST {
            return Err(Refusal::Code);
        }
        if !packet.is_signed(&self.client.secret) {
            return Err(Refusal::Authenticator);
        }
        let request = Request::read(packet)?;
        match &request.message_authenticator {
            Some(attribute) if packet.is_authentic(attribute, &self.client.secret) => {}
            Some(_) => return Err(Refusal::MessageAuthenticator),
            None if self.client.require_message_authenticator => {
                return Err(Refusal::NoMessageAuthenticator);
            }
            None => {}
        }
        let (moment, age) = self.date(&request, now)?;
        let limits = Limits { memory: MEMORY, most };
        match self.seen.look(packet.authenticator(), from, now.monotonic, limits) {
            Sight::New => self.hear(&request, moment, age, now.monotonic, most).map(Some),
            Sight::Retransmitted => Ok(None),
            Sight::Replayed => Err(Refusal::Replayed),
            Sight::Full => Err(Refusal::Full),
        }
    }

    /// When it happened, and how long ago.
    fn date(&self, request: &Request<'_>, now: Now) -> Result<(u64, Duration), Refusal> {
        let delay = request.delay.unwrap_or_default();
        let (moment, age) = match request.timestamp {
            Some(timestamp) => {
                let moment = Duration::from_secs(u64::from(timestamp));
                if moment > now.wall + FUTURE {
                    return Err(Refusal::Early);
                }
                (moment, now.wall.saturating_sub(moment).max(delay))
            }
            None if self.client.require_event_timestamp => return Err(Refusal::Undated),
            None => (now.wall.saturating_sub(delay), delay),
        };
        if age > PAST { Err(Refusal::Stale) } else { Ok((moment.as_secs(), age)) }
    }

    /// Takes what a packet says that is signed, new and recent.
    fn hear(
        &mut self,
        request: &Request<'_>,
        moment: u64,
        age: Duration,
        now: Duration,
        most: usize,
    ) -> Result<Statement, Refusal> {
        let status = request.status()?;
        // What was said of sessions before they all ended is no news of the next ones.
        if moment < self.restarted {
            return Err(Refusal::Superseded);
        }
        let is_dated = request.timestamp.is_some();
        // Whoever was there may have left before we could hear it.
        if is_dated && status != Status::Stop && moment <= self.heard.0 {
            return Err(Refusal::Superseded);
        }
        if status == Status::Restart {
            self.restarted = moment;
            self.sessions.end(is_dated);
            self.note(moment, is_dated);
            return Ok(Statement::ClientRestarted { client: Arc::clone(&self.client.name), age });
        }
        if status == Status::Interim && !is_dated && request.session_time.is_none() {
            return Err(Refusal::Undated);
        }
        let id = request.id.ok_or(Refusal::MissingAttribute)?;
        let said = request.station.and_then(station::parse);
        if status != Status::Stop && said.is_none() {
            return Err(Refusal::NoStation);
        }
        let user = match status {
            Status::Start | Status::Interim => request.user.ok_or(Refusal::MissingAttribute)?,
            Status::Stop | Status::Restart => "",
        };
        let shorter = request.interim.filter(|interim| !interim.is_zero());
        let interim = self.client.interim.min(shorter.unwrap_or(Duration::MAX));
        let event = Event {
            status,
            moment,
            is_dated,
            station: said,
            lasted: request.session_time,
            memory: if is_dated { MEMORY.max(interim * 4) } else { DAY },
        };
        let station = self.sessions.note(id, event, now, most)?;
        self.note(moment, is_dated);
        let session = Session {
            client: Arc::clone(&self.client.name),
            id: id.to_owned(),
            station,
            nas: request.nas.map(str::to_owned),
            nas_address: request.nas_address,
            port: request.port,
            port_id: request.port_id.map(str::to_owned),
            class: request.class.clone(),
            interim,
            age,
        };
        let user = user.to_owned();
        Ok(match status {
            Status::Start => Statement::Started { session, user },
            Status::Interim => Statement::Interim { session, user },
            Status::Stop | Status::Restart => Statement::Stopped { session, cause: request.cause },
        })
    }

    fn note(&mut self, moment: u64, is_dated: bool) {
        if is_dated {
            self.heard.1 = self.heard.1.max(moment);
        }
    }
}
