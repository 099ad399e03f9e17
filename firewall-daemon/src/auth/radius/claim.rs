//! What a client's statement is worth.

use super::{Session, Statement};
use crate::auth::{Claim, EndReason, Proof, Source, Whose};

/// So many intervals a lease goes on that the client does not speak of: two packets may be lost.
const INTERVALS: u32 = 3;

impl Statement {
    /// What it claims.
    pub fn claim(self) -> Claim {
        let ended = |whose, reason| Claim::Ended { source: Source::Radius, whose, reason };
        match self {
            Self::Started { session, user } | Self::Interim { session, user } => {
                let length = session.interim.saturating_mul(INTERVALS);
                Claim::Proven(Proof {
                    source: Source::Radius,
                    identity: user,
                    mac: Some(session.station),
                    address: None,
                    session: session.name(),
                    length: Some(length.saturating_sub(session.age)),
                    chain: None,
                })
            }
            Self::Stopped { session, cause: _ } => {
                ended(Whose::Session(session.name()), EndReason::Logoff)
            }
            Self::ClientRestarted { client, age: _ } => {
                ended(Whose::Sessions(beginning(&client)), EndReason::Restarted)
            }
        }
    }
}

impl Session {
    /// Of all clients' sessions.
    fn name(&self) -> String {
        beginning(&self.client) + &self.id
    }
}

/// Of a client's sessions. No client has a slash in its name.
fn beginning(client: &str) -> String {
    format!("{client}/")
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use firewall_common::Mac;

    use super::*;

    fn session(age: u64) -> Session {
        Session {
            client: "switch-1".into(),
            id: "5f3a".to_owned(),
            station: Mac([2, 0, 0, 0, 1, 1]),
            nas: None,
            nas_address: None,
            port: None,
            port_id: None,
            class: Vec::new(),
            interim: Duration::from_secs(60),
            age: Duration::from_secs(age),
        }
    }

    #[test]
    fn a_lease_is_three_intervals_from_when_it_happened() {
        for (age, seconds) in [(0, 180), (50, 130), (180, 0), (900, 0)] {
            let user = "ct-1.example".to_owned();
            let claim = Statement::Interim { session: session(age), user: user.clone() }.claim();
            let expected = Proof {
                source: Source::Radius,
                identity: user,
                mac: Some(Mac([2, 0, 0, 0, 1, 1])),
                address: None,
                session: "switch-1/5f3a".to_owned(),
                length: Some(Duration::from_secs(seconds)),
                chain: None,
            };
            assert_eq!(claim, Claim::Proven(expected));
        }
    }

    #[test]
    fn a_client_that_begins_anew_ends_its_own_sessions_only() {
        let claim =
            Statement::ClientRestarted { client: "switch-1".into(), age: Duration::ZERO }.claim();
        let whose = Whose::Sessions("switch-1/".to_owned());
        let reason = EndReason::Restarted;
        assert_eq!(claim, Claim::Ended { source: Source::Radius, whose, reason });
        let claim = Statement::Stopped { session: session(0), cause: None }.claim();
        let whose = Whose::Session("switch-1/5f3a".to_owned());
        let reason = EndReason::Logoff;
        assert_eq!(claim, Claim::Ended { source: Source::Radius, whose, reason });
    }
}
