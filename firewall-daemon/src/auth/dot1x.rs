//! What hostapd says on its control socket, as claims: a state machine without I/O.
//!
//! hostapd tells of a success and of a logoff, and of nothing else: not of another identity on the
//! same MAC, of a supplicant that is gone, of a carrier that is lost, nor of its own end. So only a
//! success that we have seen is a proof, what it proves is read at once, everybody is asked to prove
//! himself again and again and must say something within a second, and a hostapd that misses three
//! questions in a row is lost. Whom it does not know when we come is nobody; who has lost its lease is
//! asked who is there.

mod invitation;
mod question;
pub mod socket;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use firewall_common::Mac;

use self::invitation::Invitations;
use self::question::Question;
use super::{Claim, EndReason, Proof, Source, Whose};

/// How long hostapd may take for an answer; it is asked as often. From its last answer to the third
/// miss is 1 s.
pub const ANSWER: Duration = Duration::from_millis(250);
/// So many unanswered questions, and it is lost.
const MISSES: u32 = 3;
/// How long a node that is asked to prove itself may take for its first word. A supplicant that is
/// there answers in milliseconds.
const WORD: Duration = Duration::from_secs(1);
/// How long it may take for the proof: hostapd repeats itself after 3 s and after 6 s more.
const SILENT: Duration = Duration::from_secs(10);
/// How long hostapd may take from telling a success to letting the node in.
const SETTLE: Duration = Duration::from_secs(1);
/// Stations that are remembered; hostapd itself knows at most 2,007.
const STATIONS: usize = 4096;
/// Questions that wait.
const QUESTIONS: usize = 2 * STATIONS;

/// A station that hostapd has let in.
#[derive(Clone, Copy, Debug)]
struct Station {
    step: Step,
    /// When the step is over.
    due: Duration,
}

#[derive(Clone, Copy, Debug)]
enum Step {
    /// It has proved itself, and is asked again when that is over.
    Proven,
    /// hostapd is told to ask it.
    Asking(Option<u64>),
    /// It has been asked, and had spoken so often before.
    Asked(u64),
    /// It may take until then.
    Proving(Option<u64>),
}

/// hostapd on one port.
#[derive(Debug)]
pub struct Dot1x {
    source: Source,
    reauthenticate: Duration,
    is_connected: bool,
    asked: Option<(Question, Duration)>,
    questions: VecDeque<Question>,
    pinged: Duration,
    misses: u32,
    stations: BTreeMap<Mac, Station>,
    invitations: Invitations,
    /// Whom hostapd holds as let in, while it tells us of everybody.
    walked: Option<BTreeSet<Mac>>,
    claims: VecDeque<Claim>,
}

impl Dot1x {
    /// Not connected yet. Nodes are asked to prove themselves again so long after each proof.
    pub fn new(source: Source, reauthenticate: Duration) -> Self {
        Self {
            source,
            reauthenticate,
            is_connected: false,
            asked: None,
            questions: VecDeque::new(),
            pinged: Duration::ZERO,
            misses: 0,
            stations: BTreeMap::new(),
            invitations: Invitations::default(),
            walked: None,
            claims: VecDeque::new(),
        }
    }

    /// The socket has a hostapd at its other end.
    pub fn connected(&mut self, now: Duration) {
        let nobody = Self::new(self.source, self.reauthenticate);
        *self = Self { is_connected: true, pinged: now, ..nobody };
        self.ask(Question::Attach);
        self.walk();
    }

    /// It has none any more, or never had.
    pub fn lost(&mut self) {
        *self = Self::new(self.source, self.reauthenticate);
        self.claims.push_back(Claim::SourceLost { source: self.source });
    }

    /// Whether there is a hostapd to be asked.
    pub const fn is_connected(&self) -> bool {
        self.is_connected
    }

    /// The port's carrier has come or gone: whoever is there now need not be who was there before.
    /// Whom hostapd still holds as let in must prove itself as soon as it can be asked.
    pub fn carrier_changed(&mut self, is_up: bool, now: Duration) {
        for mac in std::mem::take(&mut self.stations).into_keys() {
            self.invitations.left(mac, now);
        }
        self.invitations.carrier_changed(is_up, now);
        let (source, whose) = (self.source, Whose::Everybody);
        self.claims.push_back(Claim::Ended { source, whose, reason: EndReason::Carrier });
        if is_up {
            self.walk();
        }
    }

    fn walk(&mut self) {
        self.walked = Some(BTreeSet::new());
        self.ask(Question::First);
    }

    /// A datagram from hostapd.
    pub fn received(&mut self, datagram: &[u8], now: Duration) {
        let Ok(text) = std::str::from_utf8(datagram) else { return };
        match text.strip_prefix('<').and_then(|rest| rest.split_once('>')) {
            Some((_level, event)) => self.told(event, now),
            None => self.answered(text, now),
        }
    }

    fn told(&mut self, event: &str, now: Duration) {
        let mut words = event.split_ascii_whitespace();
        let (Some(word), Some(mac)) = (words.next(), words.next().and_then(parse_mac)) else {
            return;
        };
        match word {
            // A success alone tells of a new proof; AP-STA-CONNECTED only that the first was one.
            "CTRL-EVENT-EAP-SUCCESS" | "CTRL-EVENT-EAP-SUCCESS2" | "AP-STA-CONNECTED" => {
                self.ask(Question::Station(mac, now));
            }
            "AP-STA-DISCONNECTED" | "CTRL-EVENT-EAP-FAILURE" | "CTRL-EVENT-EAP-FAILURE2" => {
                self.end(mac, EndReason::Logoff, now);
            }
            _ => {}
        }
    }

    fn answered(&mut self, text: &str, now: Duration) {
        self.misses = 0;
        let mac = text.lines().next().and_then(parse_mac);
        // What comes late answers another question; it shuts nobody out.
        let Some((question, _)) = self.asked.take_if(|(question, _)| question.fits(text, mac))
        else {
            return;
        };
        match question {
            Question::Attach => {
                if text.trim_end() == "OK" {
                    self.claims.push_back(Claim::SourceBack { source: self.source });
                } else {
                    self.lost();
                }
            }
            Question::Ping | Question::Invite(_) => {}
            // An answer that comes late is another station's.
            Question::Station(asked, at) if mac == Some(asked) => self.read(asked, text, at, now),
            Question::Station(asked, _) => self.end(asked, EndReason::Logoff, now),
            Question::Before(asked) | Question::After(asked) if !is_authorised(text) => {
                self.end(asked, EndReason::Logoff, now);
            }
            Question::Before(asked) => self.note(asked, frames(text)),
            Question::Again(asked) if text.trim_end() == "OK" => self.asked(asked, now),
            Question::Again(asked) => self.end(asked, EndReason::Logoff, now),
            Question::After(asked) => self.compare(asked, frames(text), now),
            Question::First | Question::Next(_) => match mac {
                Some(mac) => {
                    if is_authorised(text) {
                        // What we have not seen is no proof.
                        self.expect(mac, now);
                        self.hold(mac);
                    }
                    self.ask(Question::Next(mac));
                }
                None if text.is_empty() => self.walked_to_the_end(),
                // The one before has gone meanwhile.
                None if question != Question::First => self.ask(Question::First),
                None => self.walked = None,
            },
        }
    }

    fn hold(&mut self, mac: Mac) {
        if let Some(walked) = &mut self.walked {
            walked.insert(mac);
        }
    }

    /// Who is not among those that hostapd holds as let in has left it, or hostapd was another one.
    fn walked_to_the_end(&mut self) {
        let Some(walked) = self.walked.take() else { return };
        let (source, whose) = (self.source, Whose::Others(walked));
        self.claims.push_back(Claim::Ended { source, whose, reason: EndReason::Forgotten });
    }

    fn note(&mut self, mac: Mac, frames: Option<u64>) {
        let Some(station) = self.stations.get_mut(&mac) else { return };
        match &mut station.step {
            Step::Asking(before) => *before = frames,
            Step::Proven | Step::Asked(_) | Step::Proving(_) => return,
        }
        self.ask(Question::Again(mac));
    }

    fn asked(&mut self, mac: Mac, now: Duration) {
        let Some(station) = self.stations.get_mut(&mac) else { return };
        *station = match station.step {
            Step::Asking(Some(before)) => Station { step: Step::Asked(before), due: now + WORD },
            // A hostapd that does not count.
            Step::Asking(None) => Station { step: Step::Proving(None), due: now + SILENT },
            Step::Proven | Step::Asked(_) | Step::Proving(_) => return,
        };
    }

    /// Whether a station has said something since it was asked.
    fn compare(&mut self, mac: Mac, frames: Option<u64>, now: Duration) {
        let Some(station) = self.stations.get(&mac) else { return };
        match station.step {
            Step::Proving(Some(before)) if frames == Some(before) => {
                self.end(mac, EndReason::Unanswered, now);
            }
            Step::Proven | Step::Asking(_) | Step::Asked(_) | Step::Proving(_) => {}
        }
    }

    /// What a station has proved.
    fn read(&mut self, mac: Mac, text: &str, at: Duration, now: Duration) {
        let identity = value(text, "dot1xAuthSessionUserName");
        let (true, Some(identity)) = (is_authorised(text), identity) else {
            if now < at + SETTLE {
                self.ask(Question::Station(mac, at));
            } else {
                self.end(mac, EndReason::Logoff, now);
            }
            return;
        };
        self.expect(mac, now + self.reauthenticate);
        self.hold(mac);
        let session = value(text, "dot1xAuthSessionId").unwrap_or_default().to_owned();
        self.claims.push_back(Claim::Proven(Proof {
            source: self.source,
            identity: identity.to_owned(),
            mac: Some(mac),
            address: None,
            session,
            length: None,
            chain: None,
        }));
    }

    fn expect(&mut self, mac: Mac, due: Duration) {
        self.invitations.back(mac);
        if self.stations.len() < STATIONS || self.stations.contains_key(&mac) {
            self.stations.insert(mac, Station { step: Step::Proven, due });
        }
    }

    fn end(&mut self, mac: Mac, reason: EndReason, now: Duration) {
        if self.stations.remove(&mac).is_some() {
            self.invitations.left(mac, now);
        }
        if let Some(walked) = &mut self.walked {
            walked.remove(&mac);
        }
        let (source, whose) = (self.source, Whose::Mac(mac));
        self.claims.push_back(Claim::Ended { source, whose, reason });
    }

    fn ask(&mut self, question: Question) {
        if self.questions.len() < QUESTIONS && !self.questions.contains(&question) {
            self.questions.push_back(question);
        }
    }

    /// When [`Dot1x::pass`] has something to do.
    pub fn poll_timeout(&self) -> Option<Duration> {
        let asked = self.asked.as_ref().map_or(self.pinged + ANSWER, |(_, at)| *at + ANSWER);
        let stations = self.stations.values().map(|station| station.due);
        let stations = stations.chain(self.invitations.next());
        self.is_connected.then(|| stations.chain([asked]).min().unwrap_or(asked))
    }

    /// Time has passed.
    pub fn pass(&mut self, now: Duration) {
        if !self.is_connected {
            return;
        }
        if self.asked.as_ref().is_some_and(|(_, at)| *at + ANSWER <= now) {
            self.misses += 1;
            if self.misses >= MISSES {
                self.lost();
                return;
            }
            let again = self.asked.take().map(|(question, _)| question);
            self.questions.extend(again.filter(|question| *question != Question::Ping));
        }
        if self.asked.is_none() && self.pinged + ANSWER <= now {
            self.pinged = now;
            // In front: nobody's questions delay it.
            self.questions.push_front(Question::Ping);
        }
        for mac in self.invitations.due(now) {
            self.ask(Question::Invite(mac));
        }
        let due = self.stations.iter().filter(|(_, station)| station.due <= now);
        let due: Vec<_> = due.map(|(mac, station)| (*mac, station.step)).collect();
        for (mac, step) in due {
            let (step, question) = match step {
                Step::Proven => (Step::Asking(None), Question::Before(mac)),
                Step::Asked(before) => (Step::Proving(Some(before)), Question::After(mac)),
                Step::Asking(_) | Step::Proving(_) => {
                    self.end(mac, EndReason::Silent, now);
                    continue;
                }
            };
            self.stations.insert(mac, Station { step, due: now + SILENT });
            self.ask(question);
        }
    }

    /// What is to be sent, if hostapd has answered what was sent before.
    pub fn poll_transmit(&mut self, now: Duration) -> Option<String> {
        if !self.is_connected || self.asked.is_some() {
            return None;
        }
        let question = self.questions.pop_front()?;
        let text = question.text();
        self.asked = Some((question, now));
        Some(text)
    }

    /// What it means.
    pub fn poll_claim(&mut self) -> Option<Claim> {
        self.claims.pop_front()
    }
}

fn is_authorised(text: &str) -> bool {
    value(text, "flags").is_some_and(|flags| flags.contains("[AUTHORIZED]"))
}

/// How many EAPOL frames of a station hostapd has received (IEEE 802.1X-2004, 9.4.2).
fn frames(text: &str) -> Option<u64> {
    value(text, "dot1xAuthEapolFramesRx")?.parse().ok()
}

fn value<'t>(text: &'t str, key: &str) -> Option<&'t str> {
    let mut lines = text.lines().filter_map(|line| line.split_once('='));
    lines.find_map(|(name, value)| (name == key).then_some(value))
}

fn parse_mac(text: &str) -> Option<Mac> {
    let mut bytes = [0; 6];
    let mut parts = text.split(':');
    for byte in &mut bytes {
        let part = parts.next().filter(|part| part.len() == 2)?;
        *byte = u8::from_str_radix(part, 16).ok()?;
    }
    parts.next().is_none().then_some(Mac(bytes))
}

#[cfg(test)]
mod tests;
