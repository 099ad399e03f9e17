use super::*;

const SOURCE: Source = Source::Dot1x(0);
const CT: Mac = Mac([2, 0, 0, 0, 1, 1]);
const AUTHORISED: &str = "02:00:00:00:01:01\nflags=[ASSOC][AUTHORIZED]\n\
                          dot1xAuthSessionUserName=ct.example\ndot1xAuthSessionId=S1\n";

fn at(milliseconds: u64) -> Duration {
    Duration::from_millis(milliseconds)
}

fn claims(machine: &mut Dot1x) -> Vec<Claim> {
    std::iter::from_fn(|| machine.poll_claim()).collect()
}

/// One that has attached, at second 1, with no stations.
fn attached() -> Dot1x {
    let mut machine = Dot1x::new(SOURCE);
    machine.connected(at(1000));
    for (question, answer) in [("ATTACH", "OK\n"), ("STA-FIRST", "")] {
        assert_eq!(machine.poll_transmit(at(1000)).as_deref(), Some(question));
        machine.received(answer.as_bytes(), at(1000));
    }
    assert_eq!(claims(&mut machine), [Claim::SourceBack { source: SOURCE }]);
    machine
}

fn tell(machine: &mut Dot1x, event: &str, now: u64) {
    machine.received(format!("<3>{event} 02:00:00:00:01:01").as_bytes(), at(now));
}

fn read(machine: &mut Dot1x, answer: &str, now: u64) {
    assert_eq!(machine.poll_transmit(at(now)).as_deref(), Some("STA 02:00:00:00:01:01"));
    machine.received(answer.as_bytes(), at(now));
}

fn identities(machine: &mut Dot1x) -> Vec<String> {
    let proven = claims(machine).into_iter().filter_map(|claim| match claim {
        Claim::Proven(proof) => Some(proof.identity),
        Claim::Ended { .. }
        | Claim::Refused(_)
        | Claim::SourceLost { .. }
        | Claim::SourceBack { .. } => None,
    });
    proven.collect()
}

fn ended(reason: EndReason) -> Claim {
    Claim::Ended { source: SOURCE, whose: Whose::Mac(CT), reason }
}

#[test]
fn every_success_is_read_anew_and_another_identity_is_seen() {
    let mut machine = attached();
    for (event, identity) in [
        ("CTRL-EVENT-EAP-SUCCESS", "ct.example"),
        ("CTRL-EVENT-EAP-SUCCESS2", "mr.example"),
        ("AP-STA-CONNECTED", "ct.example"),
    ] {
        tell(&mut machine, event, 1010);
        read(&mut machine, &AUTHORISED.replace("ct.example", identity), 1010);
        assert_eq!(identities(&mut machine), [identity], "{event}");
    }
}

#[test]
fn a_success_that_lets_nobody_in_within_a_second_is_none() {
    let mut machine = attached();
    tell(&mut machine, "CTRL-EVENT-EAP-SUCCESS", 1010);
    let refused = AUTHORISED.replace("[AUTHORIZED]", "");
    read(&mut machine, &refused, 1011);
    assert_eq!(claims(&mut machine), []);
    read(&mut machine, &refused, 2010);
    assert_eq!(claims(&mut machine), [ended(EndReason::Logoff)]);
}

#[test]
fn a_logoff_or_a_failure_ends_the_lease() {
    for event in ["AP-STA-DISCONNECTED", "CTRL-EVENT-EAP-FAILURE", "CTRL-EVENT-EAP-FAILURE2"] {
        let mut machine = attached();
        tell(&mut machine, event, 1010);
        assert_eq!(claims(&mut machine), [ended(EndReason::Logoff)], "{event}");
    }
}

#[test]
fn a_hostapd_that_was_killed_is_lost_within_a_second() {
    let mut machine = attached();
    let mut now = 1000;
    while claims(&mut machine).is_empty() {
        now += 10;
        machine.pass(at(now));
        machine.poll_transmit(at(now));
        assert!(now <= 2000, "a second after its last answer");
    }
    assert!(!machine.is_connected());
}

#[test]
fn a_hostapd_that_answers_is_never_lost() {
    let mut machine = attached();
    for now in (1000..60_000).step_by(10) {
        machine.pass(at(now));
        if let Some(question) = machine.poll_transmit(at(now)) {
            assert_eq!(question, "PING");
            machine.received(b"PONG\n", at(now));
        }
    }
    assert_eq!(claims(&mut machine), []);
}

#[test]
fn a_supplicant_that_is_gone_is_asked_again_and_ends() {
    let mut machine = attached();
    tell(&mut machine, "CTRL-EVENT-EAP-SUCCESS", 1010);
    read(&mut machine, AUTHORISED, 1010);
    assert_eq!(identities(&mut machine).len(), 1);
    let (mut now, mut asked) = (1010, None);
    let end = loop {
        now += 10;
        machine.pass(at(now));
        if let Some(question) = machine.poll_transmit(at(now)) {
            let is_again = question == "EAPOL_REAUTH 02:00:00:00:01:01";
            asked = asked.or(is_again.then_some(now));
            machine.received(if is_again { b"OK\n" } else { b"PONG\n" }, at(now));
        }
        let claims = claims(&mut machine);
        if !claims.is_empty() {
            break claims;
        }
    };
    assert_eq!(end, [ended(EndReason::Silent)]);
    assert_eq!(asked, Some(31_010));
    assert_eq!(now, 41_010);
}

#[test]
fn who_was_let_in_before_we_listened_must_prove_itself_again() {
    let mut machine = Dot1x::new(SOURCE);
    machine.connected(at(1000));
    for (question, answer) in
        [("ATTACH", "OK\n"), ("STA-FIRST", AUTHORISED), ("STA-NEXT 02:00:00:00:01:01", "")]
    {
        assert_eq!(machine.poll_transmit(at(1000)).as_deref(), Some(question));
        machine.received(answer.as_bytes(), at(1000));
    }
    machine.pass(at(1001));
    assert_eq!(machine.poll_transmit(at(1001)).as_deref(), Some("EAPOL_REAUTH 02:00:00:00:01:01"));
    assert_eq!(identities(&mut machine), <[String; 0]>::default());
}

#[test]
fn a_lost_carrier_ends_every_lease_of_the_port() {
    let mut machine = attached();
    machine.carrier_lost();
    let (whose, reason) = (Whose::Everybody, EndReason::Carrier);
    assert_eq!(claims(&mut machine), [Claim::Ended { source: SOURCE, whose, reason }]);
}

#[test]
fn an_answer_about_another_station_proves_nothing() {
    let mut machine = attached();
    tell(&mut machine, "CTRL-EVENT-EAP-SUCCESS", 1010);
    read(&mut machine, &AUTHORISED.replacen("01:01", "01:09", 1), 1010);
    assert_eq!(claims(&mut machine), [ended(EndReason::Logoff)]);
}

#[test]
fn mutated_lines_never_panic_and_what_waits_is_bounded() {
    let lines = [
        AUTHORISED,
        "<3>CTRL-EVENT-EAP-SUCCESS 02:00:00:00:01:01",
        "<3>AP-STA-DISCONNECTED 02:00:00:00:01:01",
        "OK\n",
        "PONG\n",
        "FAIL\n",
    ];
    let rounds = if cfg!(debug_assertions) { 100_000 } else { 1_000_000 };
    let mut machine = attached();
    let mut seed = 0x9e37_79b9_7f4a_7c15_u64;
    for round in 0..rounds {
        let mut next = || {
            seed ^= seed << 13;
            seed ^= seed >> 7;
            seed ^= seed << 17;
            usize::try_from(seed >> 33).unwrap()
        };
        let mut line = lines[next() % lines.len()].as_bytes().to_vec();
        for _ in 0..next() % 4 {
            let place = next() % line.len();
            line[place] = next().to_le_bytes()[0];
        }
        line.truncate(1 + next() % line.len());
        let now = at(1000 + round * 7);
        machine.pass(now);
        machine.poll_transmit(now);
        machine.received(&line, now);
        if !machine.is_connected() {
            machine.connected(now);
        }
        claims(&mut machine);
        assert!(machine.questions.len() <= QUESTIONS && machine.stations.len() <= STATIONS);
    }
}
