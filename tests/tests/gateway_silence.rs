//! What hostapd does not tell: that a cable was pulled for a moment, that a supplicant is gone, that it
//! is another hostapd itself. But for the last test its part is played by a socket that says what
//! hostapd says.
#![expect(clippy::unwrap_used, reason = "helpers of tests panic like tests")]

use std::{fs, thread::sleep, time::Duration};

use firewall_tests::{
    gateway::{Gateway, eventually, hostapd::Hostapd, measured},
    lab::Process,
};

const PATIENCE: Duration = Duration::from_secs(10);

#[test]
fn a_carrier_that_flaps_within_milliseconds_ends_the_leases_of_the_port() {
    let (gateway, hostapd) = Gateway::with_hostapd("");
    hostapd.lets_in();
    gateway.waits_until_it_crosses(true);
    hostapd.is_there(false);
    let link = gateway.lab().near().link();
    link.down();
    link.up();
    let took = gateway.waits_until_it_crosses(false);
    measured(format_args!("from a flap to the last frame: {took:?}"));
    assert!(gateway.told("lease", "carrier") >= 1);
    // Whoever is there after it proves itself, and goes on.
    hostapd.is_there(true);
    link.down();
    link.up();
    gateway.waits_until_it_crosses(true);
}

#[test]
fn a_supplicant_that_was_killed_is_found_when_it_is_next_asked() {
    let (gateway, hostapd) = Gateway::with_hostapd("reauthenticate = \"10s\"\n");
    hostapd.lets_in();
    gateway.waits_until_it_crosses(true);
    // It answers twice, and goes on.
    sleep(Duration::from_secs(21));
    assert!(gateway.crosses(), "{:?}", gateway.events());
    hostapd.is_there(false);
    assert!(eventually(Duration::from_secs(12), || gateway.told("lease", "unanswered") >= 1));
    assert!(!gateway.crosses());
    // It may come again.
    hostapd.is_there(true);
    hostapd.lets_in();
    gateway.waits_until_it_crosses(true);
}

#[test]
fn a_lease_whose_station_another_hostapd_does_not_know_ends_when_the_daemon_comes_back() {
    let (mut gateway, hostapd) = Gateway::with_hostapd("");
    hostapd.lets_in();
    gateway.waits_until_it_crosses(true);
    gateway.stop_daemon();
    drop(hostapd);
    let _another = Hostapd::start(gateway.hostapd_socket());
    gateway.restart();
    assert!(eventually(PATIENCE, || gateway.told("lease", "forgotten") >= 1));
    gateway.assert_dropped_as("lease_expired");
}

#[test]
fn a_lease_whose_station_is_gone_ends_within_seconds_of_the_daemons_return() {
    let (mut gateway, hostapd) = Gateway::with_hostapd("");
    hostapd.lets_in();
    gateway.waits_until_it_crosses(true);
    gateway.stop_daemon();
    hostapd.is_there(false);
    gateway.restart();
    let took = gateway.waits_until_it_crosses(false);
    measured(format_args!("from the daemon's return to the last frame: {took:?}"));
    assert!(gateway.told("lease", "unanswered") >= 1);
}

/// The real hostapd and a real supplicant, by EAP-MD5: how long a proof takes does not matter here.
fn real() -> (Gateway, Process, Process) {
    let mut gateway = Gateway::prepare_authenticated("802.1x");
    let directory = gateway.lab().directory().to_owned();
    let listen = format!(
        "[[authentication.hostapd]]\nport = \"inside\"\nsocket = {:?}\nreauthenticate = \"10s\"\n",
        directory.join("hostapd/inside")
    );
    gateway.write_config(&(gateway.config_text() + &listen));
    gateway.restart();
    let path = directory.display();
    let [users, hostapd, supplicant] =
        ["users", "hostapd.conf", "supplicant.conf"].map(|name| directory.join(name));
    fs::write(&users, "\"ct-1.example\" MD5 \"secret\"\n").unwrap();
    let text = format!(
        "interface=inside\ndriver=wired\nieee8021x=1\nuse_pae_group_addr=1\neap_server=1\n\
         eap_user_file={path}/users\nctrl_interface={path}/hostapd\n"
    );
    fs::write(&hostapd, text).unwrap();
    let text = "ap_scan=0\nnetwork={\nkey_mgmt=IEEE8021X\neap=MD5\nidentity=\"ct-1.example\"\n\
                password=\"secret\"\neapol_flags=0\n}\n";
    fs::write(&supplicant, text).unwrap();
    let mut command = gateway.lab().gateway().command("hostapd");
    command.arg(hostapd);
    let mut hostapd = gateway.lab().process("hostapd", command);
    hostapd.wait_for_log("AP-ENABLED", PATIENCE);
    let host = gateway.lab().near();
    let mut command = host.command("wpa_supplicant");
    command.args(["-D", "wired", "-i", host.link().name(), "-c"]).arg(supplicant);
    let supplicant = gateway.lab().process("supplicant", command);
    (gateway, hostapd, supplicant)
}

#[test]
fn a_real_supplicant_answers_when_it_is_asked_and_is_missed_once_it_was_killed() {
    let (gateway, hostapd, mut supplicant) = real();
    let is_let_in = eventually(Duration::from_secs(60), || gateway.crosses());
    assert!(is_let_in, "{:?}\n{}", gateway.events(), hostapd.log());
    // It is asked twice.
    sleep(Duration::from_secs(23));
    assert!(gateway.crosses(), "{:?}\n{}", gateway.events(), hostapd.log());
    assert_eq!(gateway.told("lease", "may not speak"), 0, "{:?}", gateway.events());
    supplicant.kill();
    let is_missed = eventually(Duration::from_secs(13), || !gateway.crosses());
    assert!(is_missed, "{:?}\n{}", gateway.events(), hostapd.log());
    assert_eq!(gateway.told("lease", "unanswered"), 1, "{:?}", gateway.events());
}
