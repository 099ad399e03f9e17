use super::*;

mod invitation;

const SOURCE: Source = Source::Dot1x(0);
const CT: Mac = Mac([2, 0, 0, 0, 1, 1]);
const AUTHORISED: &str = "02:00:00:00:01:01\nflags=[ASSOC][AUTHORIZED]\n\
                          dot1xAuthSessionUserName=ct.example\ndot1xAuthSessionId=S1\n\
                          dot1xAuthEapolFramesRx=7\n";
const AGAIN: Duration = Duration::from_secs(30);

fn at(milliseconds: u64) -> Duration {
    Duration::from_millis(milliseconds)
}

fn claims(machine: &mut Dot1x) -> Vec<Claim> {
    std::iter::from_fn(|| machine.poll_claim()).collect()
}

/// One that has attached, at second 1, with no stations.
fn attached() -> Dot1x {
    let mut machine = Dot1x::new(SOURCE, AGAIN);
    machine.connected(at(1000));
    for (question, answer) in [("ATTACH", "OK\n"), ("STA-FIRST", "")] {
        assert_eq!(machine.poll_transmit(at(1000)).as_deref(), Some(question));
        machine.received(answer.as_bytes(), at(1000));
    }
    let nobody = forgotten([]);
    assert_eq!(claims(&mut machine), [Claim::SourceBack { source: SOURCE }, nobody]);
    machine
}

/// Whoever is not one of these has been forgotten.
fn forgotten<const N: usize>(macs: [Mac; N]) -> Claim {
    let whose = Whose::Others(BTreeSet::from(macs));
    Claim::Ended { source: SOURCE, whose, reason: EndReason::Forgotten }
}

fn tell(machine: &mut Dot1x, event: &str, now: u64) {
    tell_of(machine, &format!("{event} 02:00:00:00:01:01"), now);
}

fn tell_of(machine: &mut Dot1x, event: &str, now: u64) {
    machine.received(format!("<3>{event}").as_bytes(), at(now));
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

/// A station that has proved itself at 1.01 s and is asked to do so again: what becomes of it, and
/// when, if hostapd answers so. The last of the answers is repeated.
fn asked_again(answers: &[&str]) -> (Vec<Claim>, Vec<(u64, String)>, u64) {
    let mut machine = attached();
    tell(&mut machine, "CTRL-EVENT-EAP-SUCCESS", 1010);
    read(&mut machine, AUTHORISED, 1010);
    assert_eq!(identities(&mut machine).len(), 1);
    let (mut now, mut asked, mut answers) = (1010, Vec::new(), answers.iter());
    let mut answer = "";
    loop {
        now += 10;
        machine.pass(at(now));
        while let Some(question) = machine.poll_transmit(at(now)) {
            if question == "PING" {
                machine.received(b"PONG\n", at(now));
                continue;
            }
            answer = answers.next().copied().unwrap_or(answer);
            asked.push((now, question));
            machine.received(answer.as_bytes(), at(now));
        }
        let claims = claims(&mut machine);
        if !claims.is_empty() {
            return (claims, asked, now);
        }
    }
}

#[test]
fn a_supplicant_that_does_not_say_a_word_when_asked_again_ends_within_a_second() {
    let (end, asked, now) = asked_again(&[AUTHORISED, "OK\n", AUTHORISED]);
    assert_eq!(end, [ended(EndReason::Unanswered)]);
    let sta = "STA 02:00:00:00:01:01".to_owned();
    let again = "EAPOL_REAUTH 02:00:00:00:01:01".to_owned();
    assert_eq!(asked, [(31_010, sta.clone()), (31_010, again), (32_010, sta)]);
    assert_eq!(now, 32_010);
}

#[test]
fn a_supplicant_that_speaks_and_proves_nothing_ends() {
    let spoken = AUTHORISED.replace("FramesRx=7", "FramesRx=8");
    let (end, _, now) = asked_again(&[AUTHORISED, "OK\n", &spoken]);
    assert_eq!((end, now), (vec![ended(EndReason::Silent)], 42_010));
    // A hostapd that does not count.
    let uncounted = AUTHORISED.replace("FramesRx=7", "FramesRx=?");
    let (end, _, now) = asked_again(&[&uncounted, "OK\n"]);
    assert_eq!((end, now), (vec![ended(EndReason::Silent)], 41_010));
}

#[test]
fn a_station_that_hostapd_does_not_hold_when_it_is_to_ask_it_ends() {
    let out = AUTHORISED.replace("[AUTHORIZED]", "");
    for answers in [&["FAIL\n"][..], &[&out], &[AUTHORISED, "FAIL\n"], &[AUTHORISED, "OK\n", &out]]
    {
        let (end, ..) = asked_again(answers);
        assert_eq!(end, [ended(EndReason::Logoff)], "{answers:?}");
    }
}

#[test]
fn an_answer_that_comes_late_shuts_nobody_out() {
    let other = AUTHORISED.replacen("01:01", "01:09", 1);
    for answers in [
        &["PONG\n", AUTHORISED, "OK\n", AUTHORISED][..],
        &[&other, AUTHORISED, "OK\n", AUTHORISED],
        &[AUTHORISED, "PONG\n", "OK\n", AUTHORISED],
        &[AUTHORISED, "OK\n", "OK\n", AUTHORISED],
    ] {
        let (end, asked, _) = asked_again(answers);
        assert_eq!(end, [ended(EndReason::Unanswered)], "{answers:?}");
        assert_eq!(asked.len(), 4, "{answers:?}");
    }
    // A hostapd that never answers what it is asked has not asked anybody.
    let (end, _, now) = asked_again(&["PONG\n"]);
    assert_eq!((end, now), (vec![ended(EndReason::Silent)], 41_010));
}

#[test]
fn a_proof_that_comes_after_the_asking_is_a_proof() {
    let mut machine = attached();
    tell(&mut machine, "CTRL-EVENT-EAP-SUCCESS", 1010);
    read(&mut machine, AUTHORISED, 1010);
    machine.pass(at(31_010));
    assert_eq!(machine.poll_transmit(at(31_010)).as_deref(), Some("PING"));
    machine.received(b"PONG\n", at(31_010));
    read(&mut machine, AUTHORISED, 31_010);
    let again = machine.poll_transmit(at(31_010));
    assert_eq!(again.as_deref(), Some("EAPOL_REAUTH 02:00:00:00:01:01"));
    machine.received(b"OK\n", at(31_010));
    assert_eq!(identities(&mut machine).len(), 1, "of the first time");
    tell(&mut machine, "CTRL-EVENT-EAP-SUCCESS", 31_050);
    // The frames are counted at the proof, and are the same a second after the asking.
    read(&mut machine, AUTHORISED, 31_050);
    assert_eq!(identities(&mut machine), ["ct.example"]);
    for now in (31_060..61_000).step_by(10) {
        machine.pass(at(now));
        while let Some(question) = machine.poll_transmit(at(now)) {
            assert_eq!(question, "PING", "at {now}");
            machine.received(b"PONG\n", at(now));
        }
        assert_eq!(claims(&mut machine), [], "at {now}");
    }
}

/// Answers these questions.
fn answer(machine: &mut Dot1x, answers: &[(&str, &str)], now: u64) {
    for (question, answer) in answers {
        assert_eq!(machine.poll_transmit(at(now)).as_deref(), Some(*question));
        machine.received(answer.as_bytes(), at(now));
    }
}

const STA: &str = "STA 02:00:00:00:01:01";
const NEXT: &str = "STA-NEXT 02:00:00:00:01:01";
const REAUTH: &str = "EAPOL_REAUTH 02:00:00:00:01:01";

#[test]
fn who_was_let_in_before_we_listened_must_prove_itself_again_and_others_are_forgotten() {
    let mut machine = Dot1x::new(SOURCE, AGAIN);
    machine.connected(at(1000));
    answer(&mut machine, &[("ATTACH", "OK\n"), ("STA-FIRST", AUTHORISED), (NEXT, "")], 1000);
    machine.pass(at(1001));
    answer(&mut machine, &[(STA, AUTHORISED), (REAUTH, "OK\n")], 1001);
    assert_eq!(claims(&mut machine), [Claim::SourceBack { source: SOURCE }, forgotten([CT])]);
}

#[test]
fn who_proves_itself_while_hostapd_tells_of_everybody_is_not_forgotten() {
    let mut machine = Dot1x::new(SOURCE, AGAIN);
    machine.connected(at(1000));
    let other = AUTHORISED.replacen("01:01", "01:02", 1);
    answer(&mut machine, &[("ATTACH", "OK\n"), ("STA-FIRST", &other)], 1000);
    // New ones are put in front.
    tell(&mut machine, "CTRL-EVENT-EAP-SUCCESS", 1001);
    answer(&mut machine, &[("STA-NEXT 02:00:00:00:01:02", "FAIL\n"), (STA, AUTHORISED)], 1001);
    // Whom we were at has gone: from the beginning.
    let out = other.replace("[AUTHORIZED]", "");
    tell_of(&mut machine, "AP-STA-DISCONNECTED 02:00:00:00:01:02", 1002);
    let walk = [("STA-FIRST", &*out), ("STA-NEXT 02:00:00:00:01:02", "")];
    answer(&mut machine, &walk, 1002);
    assert_eq!(claims(&mut machine).last(), Some(&forgotten([CT])));
}

#[test]
fn a_hostapd_that_tells_of_nobody_because_it_cannot_forgets_nobody() {
    for reply in ["UNKNOWN COMMAND\n", "FAIL\n", "PONG\n"] {
        let mut machine = Dot1x::new(SOURCE, AGAIN);
        machine.connected(at(1000));
        answer(&mut machine, &[("ATTACH", "OK\n"), ("STA-FIRST", reply)], 1000);
        assert_eq!(claims(&mut machine), [Claim::SourceBack { source: SOURCE }], "{reply}");
    }
}

#[test]
fn a_carrier_that_changes_ends_every_lease_of_the_port_and_asks_at_once() {
    let mut machine = attached();
    tell(&mut machine, "CTRL-EVENT-EAP-SUCCESS", 1010);
    read(&mut machine, AUTHORISED, 1010);
    claims(&mut machine);
    machine.carrier_changed(true, at(1020));
    let (whose, reason) = (Whose::Everybody, EndReason::Carrier);
    assert_eq!(claims(&mut machine), [Claim::Ended { source: SOURCE, whose, reason }]);
    answer(&mut machine, &[("STA-FIRST", AUTHORISED), (NEXT, "")], 1020);
    machine.pass(at(1020));
    answer(&mut machine, &[(STA, AUTHORISED), (REAUTH, "OK\n")], 1020);
    assert_eq!(identities(&mut machine), <[String; 0]>::default());
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
        assert!(machine.invitations.len() <= STATIONS);
    }
}
