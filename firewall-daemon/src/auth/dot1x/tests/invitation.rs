use std::ops::Range;

use super::*;

/// When it is asked who is there meanwhile, by a machine whose other questions are answered so.
fn invited(machine: &mut Dot1x, meanwhile: Range<u64>, answer: &str) -> Vec<u64> {
    let mut asked = Vec::new();
    for now in meanwhile.step_by(10) {
        machine.pass(at(now));
        while let Some(question) = machine.poll_transmit(at(now)) {
            let answer = match question.as_str() {
                "PING" => "PONG\n",
                "NEW_STA 02:00:00:00:01:01" => {
                    asked.push(now);
                    "OK\n"
                }
                _ => answer,
            };
            machine.received(answer.as_bytes(), at(now));
        }
    }
    asked
}

#[test]
fn a_station_that_has_left_is_asked_three_times_who_is_there() {
    let mut machine = attached();
    tell(&mut machine, "AP-STA-DISCONNECTED", 1000);
    tell(&mut machine, "CTRL-EVENT-EAP-SUCCESS", 1010);
    read(&mut machine, AUTHORISED, 1010);
    tell(&mut machine, "AP-STA-DISCONNECTED", 2000);
    // Nobody has answered; that says nothing new.
    tell(&mut machine, "CTRL-EVENT-EAP-FAILURE", 2010);
    assert_eq!(invited(&mut machine, 2020..200_000, "FAIL\n"), [8000, 28_000, 88_000]);
}

#[test]
fn a_station_that_is_back_is_not_asked_who_is_there() {
    let mut machine = attached();
    for now in [1010, 3000] {
        tell(&mut machine, "CTRL-EVENT-EAP-SUCCESS", now);
        read(&mut machine, AUTHORISED, now);
        if now == 1010 {
            tell(&mut machine, "AP-STA-DISCONNECTED", 2000);
        }
    }
    assert_eq!(invited(&mut machine, 3010..33_000, AUTHORISED), <[u64; 0]>::default());
}

#[test]
fn a_station_that_hostapd_has_forgotten_without_a_word_is_asked_who_is_there() {
    let mut machine = attached();
    tell(&mut machine, "CTRL-EVENT-EAP-SUCCESS", 1010);
    read(&mut machine, AUTHORISED, 1010);
    assert_eq!(invited(&mut machine, 1020..200_000, "FAIL\n"), [37_010, 57_010, 117_010]);
}

#[test]
fn whom_hostapd_has_forgotten_while_the_cable_was_out_is_asked_who_is_there_when_it_is_back() {
    let mut machine = attached();
    tell(&mut machine, "CTRL-EVENT-EAP-SUCCESS", 1010);
    read(&mut machine, AUTHORISED, 1010);
    machine.carrier_changed(false, at(2000));
    // It had been asked just before.
    tell(&mut machine, "CTRL-EVENT-EAP-FAILURE", 11_000);
    assert_eq!(invited(&mut machine, 11_010..300_000, ""), <[u64; 0]>::default());
    machine.carrier_changed(true, at(300_000));
    assert_eq!(invited(&mut machine, 300_000..500_000, ""), [306_000, 326_000, 386_000]);
}
