//! What hostapd says on its control socket, as claims: a state machine without I/O.
//!
//! hostapd tells of a success and of a logoff, and of nothing else: not of another identity on the
//! same MAC, of a supplicant that is gone, of a carrier that is lost, nor of its own end. So only a
//! success that we have seen is a proof, what it proves is read at once, everybody is asked to prove
//! himself again and again, and a hostapd that misses three questions in a row is lost.

pub mod socket;

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use firewall_common::Mac;

use super::{Claim, EndReason, Proof, Source, Whose};

/// How long hostapd may take for an answer; it is asked as often. From its last answer to the third
/// miss is 1 s.
pub const ANSWER: Duration = Duration::from_millis(250);
/// So many unanswered questions, and it is lost.
const MISSES: u32 = 3;
/// From a proof to the next that is asked for.
const AGAIN: Duration = Duration::from_secs(30);
/// How long a node may take for that: hostapd repeats itself after 3 s and after 6 s more.
const SILENT: Duration = Duration::from_secs(10);
/// How long hostapd may take from telling a success to letting the node in.
const SETTLE: Duration = Duration::from_secs(1);
/// Stations that are remembered; hostapd itself knows at most 2,007.
const STATIONS: usize = 4096;
/// Questions that wait.
const QUESTIONS: usize = 2 * STATIONS;

#[derive(Clone, Debug, PartialEq, Eq)]
enum Question {
    Attach,
    Ping,
    /// What a station has proved; a success was told at that time.
    Station(Mac, Duration),
    /// Prove yourself again.
    Again(Mac),
    First,
    Next(Mac),
}

impl Question {
    fn text(&self) -> String {
        match self {
            Self::Attach => "ATTACH".to_owned(),
            Self::Ping => "PING".to_owned(),
            Self::Station(mac, _) => format!("STA {mac}"),
            Self::Again(mac) => format!("EAPOL_REAUTH {mac}"),
            Self::First => "STA-FIRST".to_owned(),
            Self::Next(mac) => format!("STA-NEXT {mac}"),
        }
    }
}

/// hostapd on one port.
#[derive(Debug)]
pub struct Dot1x {
    source: Source,
    is_connected: bool,
    asked: Option<(Question, Duration)>,
    questions: VecDeque<Question>,
    pinged: Duration,
    misses: u32,
    /// When each is to prove itself again, and if it has been asked to, by when.
    stations: BTreeMap<Mac, (Duration, bool)>,
    claims: VecDeque<Claim>,
}

impl Dot1x {
    /// Not connected yet.
    pub fn new(source: Source) -> Self {
        Self {
            source,
            is_connected: false,
            asked: None,
            questions: VecDeque::new(),
            pinged: Duration::ZERO,
            misses: 0,
            stations: BTreeMap::new(),
            claims: VecDeque::new(),
        }
    }

    /// The socket has a hostapd at its other end.
    pub fn connected(&mut self, now: Duration) {
        *self = Self { is_connected: true, pinged: now, ..Self::new(self.source) };
        self.questions.extend([Question::Attach, Question::First]);
    }

    /// It has none any more, or never had.
    pub fn lost(&mut self) {
        *self = Self::new(self.source);
        self.claims.push_back(Claim::SourceLost { source: self.source });
    }

    /// Whether there is a hostapd to be asked.
    pub const fn is_connected(&self) -> bool {
        self.is_connected
    }

    /// The port has no carrier: whoever proves something next need not be who did before.
    pub fn carrier_lost(&mut self) {
        self.stations.clear();
        let (source, whose) = (self.source, Whose::Everybody);
        self.claims.push_back(Claim::Ended { source, whose, reason: EndReason::Carrier });
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
                self.end(mac, EndReason::Logoff);
            }
            _ => {}
        }
    }

    fn answered(&mut self, text: &str, now: Duration) {
        let Some((question, _)) = self.asked.take() else { return };
        self.misses = 0;
        let mac = text.lines().next().and_then(parse_mac);
        match question {
            Question::Attach => {
                if text.trim_end() == "OK" {
                    self.claims.push_back(Claim::SourceBack { source: self.source });
                } else {
                    self.lost();
                }
            }
            Question::Ping | Question::Again(_) => {}
            // An answer that comes late is another station's.
            Question::Station(asked, at) if mac == Some(asked) => self.read(asked, text, at, now),
            Question::Station(asked, _) => self.end(asked, EndReason::Logoff),
            Question::First | Question::Next(_) => {
                let Some(mac) = mac else { return };
                if is_authorised(text) {
                    // What we have not seen is no proof.
                    self.expect(mac, now);
                }
                self.ask(Question::Next(mac));
            }
        }
    }

    /// What a station has proved.
    fn read(&mut self, mac: Mac, text: &str, at: Duration, now: Duration) {
        let identity = value(text, "dot1xAuthSessionUserName");
        let (true, Some(identity)) = (is_authorised(text), identity) else {
            if now < at + SETTLE {
                self.ask(Question::Station(mac, at));
            } else {
                self.end(mac, EndReason::Logoff);
            }
            return;
        };
        self.expect(mac, now + AGAIN);
        let session = value(text, "dot1xAuthSessionId").unwrap_or_default().to_owned();
        self.claims.push_back(Claim::Proven(Proof {
            source: self.source,
            identity: identity.to_owned(),
            mac: Some(mac),
            address: None,
            session,
            length: None,
        }));
    }

    fn expect(&mut self, mac: Mac, at: Duration) {
        if self.stations.len() < STATIONS || self.stations.contains_key(&mac) {
            self.stations.insert(mac, (at, false));
        }
    }

    fn end(&mut self, mac: Mac, reason: EndReason) {
        self.stations.remove(&mac);
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
        let stations = self.stations.values().map(|(at, _)| *at);
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
        let due: Vec<_> = self.stations.iter().filter(|(_, (at, _))| *at <= now).collect();
        let due: Vec<_> = due.into_iter().map(|(mac, (_, asked))| (*mac, *asked)).collect();
        for (mac, was_asked) in due {
            if was_asked {
                self.end(mac, EndReason::Silent);
            } else {
                self.stations.insert(mac, (now + SILENT, true));
                self.ask(Question::Again(mac));
            }
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
