//! `cordon events`

use clap::Args;
use firewall_control::{Event, EventQuery, EventSeverity, Party, Verdict};
use jiff::{SpanRelativeTo, Timestamp};

use super::flows::socket;
use crate::context::{Context, print};
use crate::failure::Failure;
use crate::human::clean;
use crate::paint::{Paint, Tone};

/// What happened, oldest first
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  \
    cordon events --since 10m\n  \
    cordon events --severity high --since 1d\n  \
    cordon events --since 2026-01-31T12:00:00Z\n  \
    cordon --json events --follow | jq .reason")]
pub(crate) struct Arguments {
    /// Go on with what happens from now on
    #[arg(long, short)]
    follow: bool,
    /// Only events from then on: an instant (RFC 3339), or how long ago (10m, 2h, 1d)
    #[arg(long, value_name = "T", value_parser = since)]
    since: Option<Since>,
    /// Only events with this node at either end, or about it
    #[arg(long, value_name = "NAME")]
    node: Option<String>,
    /// Only events with this subnetwork at either end, or about it
    #[arg(long, value_name = "NAME")]
    subnetwork: Option<String>,
    /// Only events that are at least so grave: low, medium or high
    #[arg(long, value_name = "SEVERITY", value_parser = severity, default_value = "low")]
    severity: EventSeverity,
}

fn severity(text: &str) -> Result<EventSeverity, &'static str> {
    let mut all = EventSeverity::ALL.iter().copied();
    all.find(|severity| severity.name() == text).ok_or("write low, medium or high")
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Since {
    Instant(Timestamp),
    Ago(jiff::SignedDuration),
}

fn since(text: &str) -> Result<Since, &'static str> {
    const HELP: &str = "write an instant like 2026-01-31T12:00:00Z, or how long ago: 10m, 2h, 1d";
    if let Ok(instant) = text.parse() {
        return Ok(Since::Instant(instant));
    }
    let span: jiff::Span = text.parse().map_err(|_| HELP)?;
    let ago = span.to_duration(SpanRelativeTo::days_are_24_hours()).map_err(|_| HELP)?;
    if ago.is_negative() { Err(HELP) } else { Ok(Since::Ago(ago)) }
}

impl Since {
    fn instant(self, now: Timestamp) -> Timestamp {
        match self {
            Self::Instant(instant) => instant,
            Self::Ago(ago) => now.checked_sub(ago).unwrap_or(Timestamp::MIN),
        }
    }
}

pub(crate) async fn run(arguments: &Arguments, context: &Context) -> Result<(), Failure> {
    let Arguments { follow, since, node, subnetwork, severity } = arguments;
    let (follow, severity) = (*follow, *severity);
    let since = since.map(|since| since.instant(Timestamp::now()).to_string());
    let query = EventQuery { since, follow };
    let mut events = context.client().events(&query).await.map_err(context.explain())?;
    while let Some(event) = events.next().await.map_err(context.explain())? {
        let is_grave = event.severity >= severity;
        if !is_grave || !is_about(&event, node.as_deref(), subnetwork.as_deref()) {
            continue;
        }
        let line = if context.json() {
            serde_json::to_string(&event).map_err(std::io::Error::from)?
        } else {
            render(&event, context.paint())
        };
        print(&(line + "\n"))?;
    }
    Ok(())
}

/// Whether an event is about that node and that subnetwork, as far as they are asked for.
fn is_about(event: &Event, node: Option<&str>, subnetwork: Option<&str>) -> bool {
    let ends = || [&event.source, &event.destination].into_iter().flatten();
    let is_node = |wanted| {
        event.node.as_deref() == Some(wanted)
            || ends().any(|end| end.node.as_deref() == Some(wanted))
    };
    let is_subnetwork = |wanted| {
        event.subnetwork.as_deref() == Some(wanted)
            || ends().any(|end| end.subnetwork.as_deref() == Some(wanted))
    };
    node.is_none_or(is_node) && subnetwork.is_none_or(is_subnetwork)
}

/// One line: when, what, why, where, who, how much.
pub(super) fn render(event: &Event, paint: Paint) -> String {
    let tone = match (event.severity, event.verdict) {
        (EventSeverity::High, _) => Tone::Bad,
        (EventSeverity::Medium, _) | (EventSeverity::Low, Some(Verdict::Drop)) => Tone::Warn,
        (EventSeverity::Low, Some(Verdict::Pass)) => Tone::Good,
        (EventSeverity::Low, None) => Tone::Bold,
    };
    let grave = match event.severity {
        EventSeverity::Low => None,
        EventSeverity::Medium | EventSeverity::High => Some(format!("({})", event.severity)),
    };
    let mut words = vec![event.time.clone(), paint.tone(tone, event.kind.name())];
    words.extend(grave);
    let mut say = |word: Option<String>| words.extend(word.map(|word| clean(&word)));
    if event.verdict.is_some() {
        say(event.reason.clone());
    }
    say(event.port.clone());
    say(event.vlan.map(|vlan| format!("vlan {vlan}")));
    say(event
        .protocol
        .clone()
        .or_else(|| event.ethertype.map(|ethertype| format!("ethertype 0x{ethertype:04x}"))));
    let ends = [&event.source, &event.destination];
    say(match ends.map(|end| end.as_ref().and_then(party)) {
        [Some(source), Some(destination)] => Some(format!("{source} -> {destination}")),
        [Some(source), None] => Some(format!("{source} ->")),
        [None, Some(destination)] => Some(format!("-> {destination}")),
        [None, None] => None,
    });
    say(event.length.map(|length| format!("{length} B")));
    say(event.rule.as_ref().map(|rule| format!("rule \"{rule}\"")));
    say(event.subnetwork.as_ref().map(|name| format!("subnetwork {name}")));
    say(event.node.as_ref().map(|name| format!("node {name}")));
    say(event.generation.map(|generation| format!("generation {generation}")));
    say(event.count.map(|count| format!("{count} events")));
    say(event.by.as_ref().map(|by| format!("by {by}")));
    if event.verdict.is_none() {
        say(event.reason.as_ref().map(|reason| format!("\"{reason}\"")));
    }
    say(event.message.clone());
    words.join(" ")
}

/// `ct-1 10.20.0.11:104`, or the MAC where there is no address.
fn party(party: &Party) -> Option<String> {
    let Party { mac, address, port, node, subnetwork: _ } = party;
    let address = address.as_ref().map(|address| socket(address, *port)).or_else(|| mac.clone());
    match (node, address) {
        (Some(node), Some(address)) => Some(format!("{node} {address}")),
        (Some(name), None) => Some(name.clone()),
        (None, address) => address,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_is_about_its_ends_and_whom_it_names() {
        let end = |node: &str| Party { node: Some(node.into()), ..Party::default() };
        let event = Event {
            source: Some(end("ct-1")),
            destination: Some(Party { subnetwork: Some("hospital".into()), ..end("pacs") }),
            ..Event::new(1, String::new(), 0, firewall_control::EventKind::Drop)
        };
        for (node, subnetwork, expected) in [
            (None, None, true),
            (Some("ct-1"), None, true),
            (Some("pacs"), Some("hospital"), true),
            (Some("ct-2"), None, false),
            (Some("ct-1"), Some("radiology"), false),
        ] {
            assert_eq!(is_about(&event, node, subnetwork), expected, "{node:?} {subnetwork:?}");
        }
    }

    #[test]
    fn severities_rise_from_low_to_high() {
        let [low, medium, high] = ["low", "medium", "high"].map(|name| severity(name).unwrap());
        assert!(low < medium && medium < high);
        assert!(severity("grave").is_err());
    }

    #[test]
    fn since_is_an_instant_or_a_while_ago() {
        let now: Timestamp = "2026-01-31T12:00:00Z".parse().unwrap();
        for (text, instant) in [
            ("10m", "2026-01-31T11:50:00Z"),
            ("1d", "2026-01-30T12:00:00Z"),
            ("1h30m", "2026-01-31T10:30:00Z"),
            ("2026-01-01T00:00:00+01:00", "2025-12-31T23:00:00Z"),
        ] {
            assert_eq!(since(text).unwrap().instant(now).to_string(), instant, "{text}");
        }
        for text in ["", "yesterday", "10", "-10m", "1 month"] {
            assert!(since(text).is_err(), "{text}");
        }
    }
}
