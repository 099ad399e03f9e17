//! What hostapd is asked.

use std::time::Duration;

use firewall_common::Mac;

/// A question; hostapd answers one after the other.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Question {
    Attach,
    Ping,
    /// What a station has proved; a success was told at that time.
    Station(Mac, Duration),
    /// How often a station has spoken, before it is asked to prove itself again,
    Before(Mac),
    /// the asking,
    Again(Mac),
    /// and how often it has spoken then.
    After(Mac),
    /// Who is there? Of a station that hostapd has forgotten.
    Invite(Mac),
    First,
    Next(Mac),
}

impl Question {
    pub(super) fn text(&self) -> String {
        match self {
            Self::Attach => "ATTACH".to_owned(),
            Self::Ping => "PING".to_owned(),
            Self::Station(mac, _) | Self::Before(mac) | Self::After(mac) => format!("STA {mac}"),
            Self::Again(mac) => format!("EAPOL_REAUTH {mac}"),
            Self::Invite(mac) => format!("NEW_STA {mac}"),
            Self::First => "STA-FIRST".to_owned(),
            Self::Next(mac) => format!("STA-NEXT {mac}"),
        }
    }

    /// Whether that may be the answer.
    pub(super) fn fits(&self, text: &str, mac: Option<Mac>) -> bool {
        let text = text.trim_end();
        match self {
            Self::Ping => text == "PONG",
            Self::Before(asked) | Self::After(asked) => {
                mac == Some(*asked) || matches!(text, "" | "FAIL")
            }
            Self::Again(_) | Self::Invite(_) => mac.is_none() && text != "PONG",
            Self::Attach | Self::Station(..) | Self::First | Self::Next(_) => true,
        }
    }
}
