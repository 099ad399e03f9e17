//! What the guard has found, as long as it matters to somebody.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use firewall_control::{Check, EventKind, Health};

use crate::dataplane::guard::finding::Finding;
use crate::dataplane::guard::{Look, MendError, Outcome};

/// How long something that was mended is a warning.
const REMEMBERED: Duration = Duration::from_secs(600);
/// After that time without a look, nobody guards the guard.
pub(super) const OVERDUE: Duration = Duration::from_secs(5);

/// A port, or all of them.
type Place = Option<String>;

/// Something to be told, once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct News {
    pub(super) kind: EventKind,
    pub(super) port: Place,
    pub(super) sentence: String,
    /// All is well again.
    pub(super) mended: bool,
}

/// What is wrong, and what was.
#[derive(Debug, Default)]
pub(super) struct Findings {
    standing: Vec<Standing>,
    mended: BTreeMap<Place, Mended>,
    looked: Option<Instant>,
}

#[derive(Debug)]
struct Standing {
    place: Place,
    finding: Finding,
    sentence: String,
}

/// What was mended in a place, the last time.
#[derive(Debug)]
struct Mended {
    at: Instant,
    sentence: String,
    before: u32,
}

impl Findings {
    /// Takes in what a look found; returns what is new.
    pub(super) fn observe(
        &mut self,
        look: Look,
        outcomes: Vec<Outcome>,
        now: Instant,
    ) -> Vec<News> {
        let mut news = Vec::new();
        let is_looked_at = |place: &Place| match look {
            Look::Ports => place.is_some(),
            Look::Everything => true,
        };
        let (looked_at, mut standing): (Vec<_>, Vec<_>) =
            self.standing.drain(..).partition(|standing| is_looked_at(&standing.place));
        self.mended.retain(|_, mended| now.duration_since(mended.at) < REMEMBERED);
        let mut is_mended = Vec::new();
        for Outcome { port, finding, sentence, mended } in outcomes {
            let kind = kind(&finding, mended.is_ok());
            match mended {
                Ok(()) => {
                    let last = match self.mended.remove(&port) {
                        None => Mended { at: now, sentence: sentence.clone(), before: 0 },
                        Some(Mended { at, sentence: also, before }) if at == now => {
                            Mended { at, sentence: format!("{also}; {sentence}"), before }
                        }
                        Some(Mended { before, .. }) => {
                            Mended { at: now, sentence: sentence.clone(), before: before + 1 }
                        }
                    };
                    self.mended.insert(port.clone(), last);
                    is_mended.push((port.clone(), finding));
                    let sentence = format!("repaired: {sentence}");
                    news.push(News { kind, port, sentence, mended: true });
                }
                Err(error) => {
                    let sentence = if matches!(error, MendError::NotOurs) {
                        sentence
                    } else {
                        format!("{sentence}; not repaired: {error}")
                    };
                    let is_known = |one: &Standing| one.place == port && one.sentence == sentence;
                    if !looked_at.iter().any(is_known) {
                        let (port, sentence) = (port.clone(), sentence.clone());
                        news.push(News { kind, port, sentence, mended: false });
                    }
                    standing.push(Standing { place: port, finding, sentence });
                }
            }
        }
        for Standing { place, finding, sentence } in looked_at {
            let goes_on = |one: &Standing| one.place == place && one.finding.goes_on(&finding);
            let was_mended = is_mended.iter().any(|(port, _)| *port == place);
            if !was_mended && !standing.iter().any(goes_on) {
                let (kind, sentence) = (EventKind::Health, format!("over: {sentence}"));
                news.push(News { kind, port: place, sentence, mended: true });
            }
        }
        self.standing = standing;
        match look {
            Look::Ports => {}
            Look::Everything => self.looked = Some(now),
        }
        news
    }

    /// What there is to say of a port, or of what is no port's.
    pub(super) fn of(&self, port: Option<&str>, now: Instant) -> Option<(Health, String)> {
        let here = |place: &Place| place.as_deref() == port;
        let standing = || self.standing.iter().filter(|one| here(&one.place));
        if let Some(worst) = standing().map(|one| severity(&one.finding)).max() {
            let sentences: Vec<_> = standing().map(|one| one.sentence.as_str()).collect();
            return Some((worst, sentences.join("; ")));
        }
        let (_, Mended { at, sentence, before }) = self.mended.iter().find(|(at, _)| here(at))?;
        let age = now.duration_since(*at);
        if age >= REMEMBERED {
            return None;
        }
        let before = match before {
            0 => String::new(),
            before => format!(" (and {before} times before)"),
        };
        Some((Health::Warn, format!("repaired {} s ago{before}: {sentence}", age.as_secs())))
    }

    /// The check of what is no port's: pins, image, publication, stops, and the guard itself.
    pub(super) fn check(&self, now: Instant) -> Check {
        let silent = self.looked.map_or(OVERDUE, |looked| now.duration_since(looked));
        let (state, sentence) = if silent >= OVERDUE {
            let sentence = "nobody has looked after pins, links and image for seconds".to_owned();
            (Health::Fail, sentence)
        } else {
            self.of(None, now).unwrap_or_else(|| {
                (Health::Ok, "pins, image and stops are as they were made".to_owned())
            })
        };
        Check { name: "guard".to_owned(), state, sentence }
    }
}

/// How bad it is that something is not as it should be.
fn severity(finding: &Finding) -> Health {
    match finding {
        Finding::Narrower { .. } => Health::Warn,
        Finding::Missing
        | Finding::Renamed { .. }
        | Finding::Recreated { .. }
        | Finding::Detached { .. }
        | Finding::Replaced { .. }
        | Finding::LinkPin { .. }
        | Finding::WayOut { .. }
        | Finding::VlanStripping
        | Finding::NotPromiscuous
        | Finding::Down
        | Finding::OtherMaps
        | Finding::MapPins { .. }
        | Finding::Image { .. }
        | Finding::Publication { .. }
        | Finding::Lifted { .. }
        | Finding::LeftOut(_)
        | Finding::Untold { .. }
        | Finding::Unreadable { .. } => Health::Fail,
    }
}

/// What happens to a gateway without anybody's ill will is told apart from what does not.
fn kind(finding: &Finding, mended: bool) -> EventKind {
    match finding {
        Finding::Recreated { .. } if mended => EventKind::Rearmed,
        Finding::Missing
        | Finding::Renamed { .. }
        | Finding::Down
        | Finding::Narrower { .. }
        | Finding::LeftOut(_)
        | Finding::Untold { .. }
        | Finding::Unreadable { .. } => EventKind::Health,
        Finding::Recreated { .. }
        | Finding::Detached { .. }
        | Finding::Replaced { .. }
        | Finding::LinkPin { .. }
        | Finding::WayOut { .. }
        | Finding::VlanStripping
        | Finding::NotPromiscuous
        | Finding::OtherMaps
        | Finding::MapPins { .. }
        | Finding::Image { .. }
        | Finding::Publication { .. }
        | Finding::Lifted { .. } => EventKind::Tamper,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dataplane::guard::finding;

    fn outcome(port: Option<&str>, finding: Finding, mended: Result<(), MendError>) -> Outcome {
        let sentence = finding.sentence("eth1");
        Outcome { port: port.map(str::to_owned), finding, sentence, mended }
    }

    fn missing() -> Outcome {
        outcome(Some("inside"), Finding::Missing, Err(MendError::NotOurs))
    }

    fn recreated() -> Outcome {
        outcome(Some("inside"), Finding::Recreated { before: 4, now: 6 }, Ok(()))
    }

    fn kinds(news: &[News]) -> Vec<(EventKind, bool)> {
        news.iter().map(|news| (news.kind, news.mended)).collect()
    }

    #[test]
    fn what_stands_is_told_once_and_fails_until_it_is_over() {
        let (mut findings, now) = (Findings::default(), Instant::now());
        let news = findings.observe(Look::Everything, vec![missing()], now);
        assert_eq!(kinds(&news), [(EventKind::Health, false)]);
        let later = now + 2 * REMEMBERED;
        assert_eq!(findings.observe(Look::Ports, vec![missing()], later), []);
        let (state, sentence) = findings.of(Some("inside"), later).unwrap();
        assert_eq!(state, Health::Fail);
        assert_eq!(sentence, "there is no interface eth1; nothing crosses it");
        assert_eq!(findings.of(Some("outside"), later), None);
        let news = findings.observe(Look::Ports, Vec::new(), later);
        assert_eq!(kinds(&news), [(EventKind::Health, true)]);
        assert_eq!(findings.of(Some("inside"), later), None);
    }

    #[test]
    fn what_was_repaired_warns_for_ten_minutes() {
        let (mut findings, now) = (Findings::default(), Instant::now());
        findings.observe(Look::Ports, vec![missing()], now);
        let news = findings.observe(Look::Ports, vec![recreated()], now);
        assert_eq!(kinds(&news), [(EventKind::Rearmed, true)]);
        let after = |seconds| findings.of(Some("inside"), now + Duration::from_secs(seconds));
        let (state, sentence) = after(3).unwrap();
        assert_eq!(state, Health::Warn);
        assert_eq!(sentence, "repaired 3 s ago: eth1 was made again (index 6, before 4)");
        assert!(after(599).is_some());
        assert_eq!(after(600), None);
    }

    #[test]
    fn repairs_that_do_not_last_are_counted() {
        let (mut findings, mut now) = (Findings::default(), Instant::now());
        for _ in 0..3 {
            now += Duration::from_secs(1);
            let place = finding::Place::Ingress;
            let found = [Finding::LinkPin { place }, Finding::Detached { place }];
            let found = found.map(|finding| outcome(Some("inside"), finding, Ok(())));
            let news = findings.observe(Look::Everything, found.into(), now);
            assert_eq!(kinds(&news), [(EventKind::Tamper, true); 2]);
        }
        let (_, sentence) = findings.of(Some("inside"), now).unwrap();
        assert_eq!(
            sentence,
            "repaired 0 s ago (and 2 times before): the pin of eth1's link was gone or another's; \
             somebody took the program away from eth1"
        );
    }

    #[test]
    fn a_look_at_the_ports_says_nothing_of_the_rest() {
        let (mut findings, now) = (Findings::default(), Instant::now());
        let image = || outcome(None, Finding::Image { line: 3 }, Err(MendError::VlanStripping));
        findings.observe(Look::Everything, vec![image()], now);
        assert_eq!(findings.observe(Look::Ports, Vec::new(), now), []);
        assert_eq!(findings.check(now).state, Health::Fail);
        assert_eq!(findings.observe(Look::Everything, Vec::new(), now).len(), 1);
        assert_eq!(findings.check(now).state, Health::Ok);
    }

    #[test]
    fn a_guard_that_does_not_look_is_a_failure() {
        let (mut findings, now) = (Findings::default(), Instant::now());
        findings.observe(Look::Ports, Vec::new(), now);
        assert_eq!(findings.check(now).state, Health::Fail);
        findings.observe(Look::Everything, Vec::new(), now);
        assert_eq!(findings.check(now + OVERDUE / 2).state, Health::Ok);
        assert_eq!(findings.check(now + OVERDUE).state, Health::Fail);
    }
}
