use super::accounting::{Accounting, Answer, Client, Now};
use super::packet::{ACCOUNTING_RESPONSE, kind, request, sign};
use super::*;

use std::net::SocketAddr;

mod restart;

const MAC: Mac = Mac([0x02, 0, 0, 0x20, 0, 0x11]);
/// The gateway's clock at the start of every test.
const WALL: u32 = 1_800_000_000;

const START: u32 = 1;
const STOP: u32 = 2;
const INTERIM: u32 = 3;
const ON: u32 = 7;
const OFF: u32 = 8;

/// A switch as it speaks, and who listens to it.
struct Bench {
    accounting: Accounting,
    from: SocketAddr,
    second: u32,
    identifier: u8,
}

type Said<'a> = Vec<(u8, Vec<u8>)>;

fn secret() -> Secret {
    Secret::new(*b"a secret of the switch's")
}

fn client() -> Client {
    Client {
        name: "switch-1".into(),
        address: [10, 0, 0, 1].into(),
        secret: secret(),
        interim: Duration::from_secs(60),
        require_message_authenticator: true,
        require_event_timestamp: true,
    }
}

fn number(kind: u8, value: u32) -> (u8, Vec<u8>) {
    (kind, value.to_be_bytes().to_vec())
}

fn text(kind: u8, value: &str) -> (u8, Vec<u8>) {
    (kind, value.as_bytes().to_vec())
}

/// What a switch says of the station at `WALL + second`.
fn said(status: u32, id: &str, second: u32) -> Said<'static> {
    vec![
        number(kind::ACCT_STATUS_TYPE, status),
        text(kind::USER_NAME, "ct-1.radiology.example"),
        text(kind::CALLING_STATION_ID, "02-00-00-20-00-11"),
        text(kind::ACCT_SESSION_ID, id),
        text(kind::NAS_PORT_ID, "Gi1/0/7"),
        number(kind::EVENT_TIMESTAMP, WALL + second),
    ]
}

fn without(mut said: Said<'static>, kind: u8) -> Said<'static> {
    said.retain(|(other, _)| *other != kind);
    said
}

fn with(mut said: Said<'static>, attribute: (u8, Vec<u8>)) -> Said<'static> {
    said.retain(|(kind, _)| *kind != attribute.0);
    said.push(attribute);
    said
}

fn twice(mut said: Said<'static>, kind: u8) -> Said<'static> {
    let again = said.iter().find(|(other, _)| *other == kind).unwrap().clone();
    said.push(again);
    said
}

impl Bench {
    fn new() -> Self {
        Self::of(client())
    }

    fn of(client: Client) -> Self {
        let from = SocketAddr::from(([10, 0, 0, 1], 1646));
        Self { accounting: Accounting::new([client]), from, second: 0, identifier: 0 }
    }

    fn packet(&mut self, said: &Said<'_>) -> Vec<u8> {
        self.identifier = self.identifier.wrapping_add(1);
        let attributes: Vec<_> = said.iter().map(|(kind, value)| (*kind, &value[..])).collect();
        request(self.identifier, &attributes, true, &secret())
    }

    fn receive(&mut self, datagram: &[u8]) -> Answer {
        let second = u64::from(self.second);
        let now = Now {
            monotonic: Duration::from_secs(5000 + second),
            wall: Duration::from_secs(u64::from(WALL) + second),
        };
        self.accounting.receive(datagram, self.from, now)
    }

    fn say(&mut self, said: &Said<'_>) -> Answer {
        let packet = self.packet(said);
        self.receive(&packet)
    }

    fn refusal(&mut self, said: &Said<'_>) -> Option<Refusal> {
        self.say(said).refusal
    }
}

fn session(age: u64) -> Session {
    Session {
        client: "switch-1".into(),
        id: "a".to_owned(),
        station: MAC,
        nas: None,
        nas_address: None,
        port: None,
        port_id: Some("Gi1/0/7".to_owned()),
        class: Vec::new(),
        interim: Duration::from_secs(60),
        age: Duration::from_secs(age),
    }
}

#[test]
fn a_session_is_told_from_its_start_to_its_end() {
    let mut bench = Bench::new();
    let user = "ct-1.radiology.example".to_owned();
    let answer = bench.say(&said(START, "a", 0));
    let response = answer.response.unwrap();
    assert_eq!(response[..4], [ACCOUNTING_RESPONSE, 1, 0, 20]);
    assert_eq!(
        answer.statement,
        Some(Statement::Started { session: session(0), user: user.clone() })
    );
    bench.second = 60;
    let answer = bench.say(&with(said(INTERIM, "a", 58), number(kind::NAS_PORT, 7)));
    let expected = Session { port: Some(7), ..session(2) };
    assert_eq!(answer.statement, Some(Statement::Interim { session: expected, user }));
    bench.second = 70;
    // Whoever is gone need not say who it was.
    let stop = without(without(said(STOP, "a", 70), kind::USER_NAME), kind::CALLING_STATION_ID);
    let answer = bench.say(&with(stop, number(kind::ACCT_TERMINATE_CAUSE, 2)));
    let expected = Statement::Stopped { session: session(0), cause: Some(2) };
    assert_eq!(answer.statement, Some(expected));
    assert_eq!(bench.accounting.counts().statements(), 3);
}

#[test]
fn a_client_that_begins_anew_ends_all_its_sessions() {
    for status in [ON, OFF] {
        let mut bench = Bench::new();
        bench.second = 10;
        bench.say(&said(START, "a", 5));
        let restarted =
            vec![number(kind::ACCT_STATUS_TYPE, status), number(kind::EVENT_TIMESTAMP, WALL + 10)];
        let expected =
            Statement::ClientRestarted { client: "switch-1".into(), age: Duration::ZERO };
        assert_eq!(bench.say(&restarted).statement, Some(expected));
        let rows = [(Some(Refusal::Superseded), INTERIM, 9), (None, START, 10)];
        for (refusal, status, second) in rows {
            assert_eq!(bench.refusal(&said(status, "a", second)), refusal);
        }
    }
}

#[test]
fn what_is_not_believed_has_a_reason() {
    let start = || said(START, "a", 0);
    let rows = [
        (Refusal::MissingAttribute, without(start(), kind::ACCT_STATUS_TYPE)),
        (Refusal::MissingAttribute, without(start(), kind::USER_NAME)),
        (Refusal::MissingAttribute, without(start(), kind::ACCT_SESSION_ID)),
        (Refusal::NoStation, without(start(), kind::CALLING_STATION_ID)),
        (Refusal::NoStation, with(start(), text(kind::CALLING_STATION_ID, "10.0.0.7"))),
        (Refusal::Undated, without(start(), kind::EVENT_TIMESTAMP)),
        (Refusal::Stale, with(start(), number(kind::EVENT_TIMESTAMP, WALL - 301))),
        (Refusal::Stale, with(start(), number(kind::ACCT_DELAY_TIME, 301))),
        (Refusal::Early, with(start(), number(kind::EVENT_TIMESTAMP, WALL + 61))),
        (Refusal::Status, said(15, "a", 0)),
        (Refusal::Attribute, with(start(), text(kind::USER_NAME, "ct-1\u{1b}[2J"))),
        (Refusal::Attribute, with(start(), (kind::USER_NAME, vec![0xff]))),
        (Refusal::Attribute, with(start(), (kind::ACCT_STATUS_TYPE, vec![1]))),
        (Refusal::Attribute, twice(start(), kind::USER_NAME)),
        (Refusal::Attribute, twice(start(), kind::ACCT_STATUS_TYPE)),
        (Refusal::MessageAuthenticator, with(start(), (80, vec![0; 16]))),
        (Refusal::Malformed, with(start(), (kind::VENDOR_SPECIFIC, vec![0, 0, 0, 9]))),
        (Refusal::Malformed, with(start(), (kind::CLASS, vec![]))),
    ];
    for (refusal, said) in rows {
        let mut bench = Bench::new();
        let answer = bench.say(&said);
        assert_eq!(answer.refusal, Some(refusal), "{said:?}");
        assert_eq!(answer.statement, None);
        assert_eq!(answer.response.is_some(), refusal.is_acknowledged(), "{refusal:?}");
        assert_eq!(bench.accounting.counts().refusals(refusal), 1);
    }
}

#[test]
fn what_is_not_signed_as_agreed_is_refused() {
    let mut bench = Bench::new();
    let packet = bench.packet(&said(START, "a", 0));
    let attributes: Vec<_> = said(START, "a", 0);
    let attributes: Vec<_> = attributes.iter().map(|(kind, value)| (*kind, &value[..])).collect();
    let other = Secret::new(*b"a secret of another switch");
    let mut forged = packet.clone();
    // The identity is changed, and the outer signature is right again.
    let place = forged.windows(4).position(|bytes| bytes == b"ct-1").unwrap();
    forged[place + 3] = b'2';
    let mut unsigned = forged.clone();
    unsigned[4] ^= 1;
    let mut code = packet.clone();
    code[0] = 1;
    let mut longer = packet.clone();
    longer[3] += 1;
    let rows = [
        (Refusal::Authenticator, request(1, &attributes, true, &other)),
        (Refusal::NoMessageAuthenticator, request(1, &attributes, false, &secret())),
        (Refusal::Authenticator, forged),
        (Refusal::Authenticator, unsigned),
        (Refusal::Code, code),
        (Refusal::Malformed, longer),
        (Refusal::Malformed, packet[..packet.len() - 1].to_vec()),
        (Refusal::Malformed, packet[..19].to_vec()),
        (Refusal::Malformed, Vec::new()),
        (Refusal::Malformed, [4, 1, 0x10, 1].into_iter().chain([0; 4093]).collect()),
    ];
    for (refusal, datagram) in rows {
        let answer = bench.receive(&datagram);
        let expected = Answer { response: None, statement: None, refusal: Some(refusal) };
        assert_eq!(answer, expected);
    }
    bench.from.set_ip([10, 0, 0, 2].into());
    assert_eq!(bench.receive(&packet).refusal, Some(Refusal::UnknownClient));
    bench.from.set_ip([10, 0, 0, 1].into());
    assert_eq!(bench.receive(&packet).refusal, None);
}

#[test]
fn padding_after_a_packet_does_not_count() {
    let mut bench = Bench::new();
    let mut packet = bench.packet(&said(START, "a", 0));
    packet.extend([0; 20]);
    assert!(bench.receive(&packet).statement.is_some());
}

#[test]
fn a_retransmission_gets_the_same_answer_and_a_replay_none() {
    let mut bench = Bench::new();
    let packet = bench.packet(&said(START, "a", 0));
    let first = bench.receive(&packet);
    bench.second = 3;
    let again = bench.receive(&packet);
    assert_eq!(again, Answer { statement: None, ..first });
    for (refusal, second) in
        [(Refusal::Replayed, 61), (Refusal::Replayed, 300), (Refusal::Stale, 301)]
    {
        bench.second = second;
        let expected = Answer { response: None, statement: None, refusal: Some(refusal) };
        assert_eq!(bench.receive(&packet), expected, "after {second} s");
    }
    assert_eq!(bench.accounting.counts().retransmissions(), 1);
}

#[test]
fn nothing_older_changes_what_is_known_of_a_session() {
    let mut bench = Bench::new();
    bench.second = 100;
    let of_another = |status, second| {
        with(said(status, "a", second), text(kind::CALLING_STATION_ID, "02-00-00-20-00-99"))
    };
    let rows = [
        (None, said(START, "a", 50)),
        (Some(Refusal::Superseded), with(said(START, "a", 50), number(kind::ACCT_DELAY_TIME, 2))),
        (Some(Refusal::Superseded), said(INTERIM, "a", 49)),
        (None, said(INTERIM, "a", 60)),
        (Some(Refusal::OtherStation), of_another(INTERIM, 61)),
        (None, said(STOP, "a", 70)),
        (Some(Refusal::SessionOver), said(INTERIM, "a", 71)),
        (Some(Refusal::SessionOver), said(START, "a", 70)),
        (None, of_another(START, 80)),
    ];
    for (refusal, said) in rows {
        assert_eq!(bench.refusal(&said), refusal, "{said:?}");
    }
}

#[test]
fn a_client_that_dates_nothing_cannot_be_repeated_while_its_sessions_are_known() {
    let mut bench = Bench::of(Client { require_event_timestamp: false, ..client() });
    let undated = |status, lasted| {
        let said = without(said(status, "a", 0), kind::EVENT_TIMESTAMP);
        with(said, number(kind::ACCT_SESSION_TIME, lasted))
    };
    let start = without(said(START, "a", 0), kind::EVENT_TIMESTAMP);
    let start = bench.packet(&start);
    let interim = bench.packet(&undated(INTERIM, 60));
    assert!(bench.receive(&start).statement.is_some());
    assert!(bench.receive(&interim).statement.is_some());
    // Long after the packets themselves are forgotten.
    bench.second = 3600;
    assert_eq!(bench.receive(&interim).refusal, Some(Refusal::Superseded));
    assert_eq!(bench.receive(&start).refusal, Some(Refusal::Superseded));
    assert_eq!(bench.refusal(&undated(STOP, 3600)), None);
    bench.second = 7200;
    assert_eq!(bench.receive(&start).refusal, Some(Refusal::SessionOver));
    let timeless = without(said(INTERIM, "b", 0), kind::EVENT_TIMESTAMP);
    assert_eq!(bench.refusal(&timeless), Some(Refusal::Undated));
}

#[test]
fn a_client_may_shorten_its_leases_and_not_lengthen_them() {
    for (interim, said_interval) in [(60, 3600), (30, 30), (60, 0)] {
        let mut bench = Bench::new();
        let start = with(said(START, "a", 0), number(kind::ACCT_INTERIM_INTERVAL, said_interval));
        match bench.say(&start).statement {
            Some(Statement::Started { session, .. }) => {
                assert_eq!(session.interim, Duration::from_secs(interim));
            }
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn what_cannot_be_remembered_is_refused() {
    let mut bench = Bench::new();
    bench.accounting = Accounting::with_room([client()], 2);
    let ids = ["a", "b", "c"].map(|id| bench.refusal(&said(START, id, 0)));
    assert_eq!(ids, [None, None, Some(Refusal::Full)]);
    bench.second = 361;
    assert_eq!(bench.refusal(&said(START, "c", 361)), None);
}

#[test]
fn proxies_get_their_state_back() {
    let mut bench = Bench::new();
    let mut start = said(START, "a", 0);
    start.extend([(kind::PROXY_STATE, vec![1, 2]), (kind::PROXY_STATE, vec![3])]);
    let response = bench.say(&start).response.unwrap();
    assert_eq!(response[20..], [kind::PROXY_STATE, 4, 1, 2, kind::PROXY_STATE, 3, 3]);
}

/// A million packets with bytes changed, left out and put in, half of them signed again. Nothing
/// panics, and of a packet that nobody has signed again no statement comes but its own.
#[test]
fn no_packet_makes_it_panic() {
    let mut bench = Bench::new();
    let seeds: Vec<_> = [START, STOP, INTERIM, ON, 15]
        .map(|status| with(said(status, "a", 0), (kind::CLASS, vec![7; 40])))
        .iter()
        .map(|said| bench.packet(said))
        .collect();
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut random = |below: usize| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        usize::try_from(state >> 20).unwrap() % below
    };
    let mut statements = 0;
    for round in 0..1_000_000_u32 {
        let mut packet = seeds[random(seeds.len())].clone();
        for _ in 0..=random(4) {
            let place = random(packet.len());
            match random(6) {
                0 => packet.truncate(place.max(1)),
                1 => packet.insert(place, u8::try_from(random(256)).unwrap()),
                2 if packet.len() > 1 => drop(packet.remove(place)),
                _ => packet[place] = u8::try_from(random(256)).unwrap(),
            }
        }
        let is_signed = random(2) == 0;
        if is_signed {
            sign(&mut packet, &secret());
        }
        if round % 100 == 0 {
            bench.accounting = Accounting::new([client()]);
        }
        let answer = bench.receive(&packet);
        let is_seed = seeds.iter().any(|seed| packet.starts_with(seed));
        assert!(answer.refusal.is_some() || is_signed || is_seed, "{packet:x?}");
        statements += u32::from(answer.statement.is_some());
    }
    assert!(statements > 1000, "only {statements} got that far");
}
