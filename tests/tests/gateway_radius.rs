//! Leases by RADIUS accounting: the real daemon listens to radclient.
#![expect(clippy::unwrap_used, reason = "helpers of tests panic like tests")]

use std::{
    fs::{self, Permissions},
    io::Write as _,
    os::unix::fs::PermissionsExt as _,
    path::PathBuf,
    process::Stdio,
    thread::sleep,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use firewall_tests::gateway::{Gateway, Stream, eventually, measured, policy::FAR};

const SECRET: &str = "a secret that nobody guesses";
const LONG: Duration = Duration::from_secs(20);
const CHECK: &str = "authentication sources";

fn secret_file(gateway: &Gateway) -> PathBuf {
    gateway.lab().directory().join("secret")
}

fn write_secret(gateway: &Gateway) {
    fs::write(secret_file(gateway), SECRET).unwrap();
    fs::set_permissions(secret_file(gateway), Permissions::from_mode(0o600)).unwrap();
}

/// Listens on the loopback of its namespace, where the switch is, too.
fn prepare() -> Gateway {
    let gateway = Gateway::prepare_authenticated("802.1x");
    let client = format!(
        "[authentication.radius]\n[[authentication.radius.client]]\nname = \"switch-1\"\n\
         address = \"127.0.0.1\"\nsecret_file = {:?}\ninterim = \"10s\"\n",
        secret_file(&gateway)
    );
    gateway.write_config(&(gateway.config_text() + &client));
    gateway
}

fn gateway() -> Gateway {
    let mut gateway = prepare();
    write_secret(&gateway);
    gateway.restart();
    gateway
}

/// What the switch says of a station in one of its sessions.
fn of_station(status: &str, user: &str, mac: &str) -> String {
    format!(
        "Acct-Status-Type = {status}\nUser-Name = \"{user}\"\nCalling-Station-Id = \"{mac}\"\n\
         Acct-Session-Id = \"5f3a\"\n"
    )
}

fn of_ct_1(status: &str) -> String {
    of_station(status, "ct-1.example", "02-00-00-00-01-01")
}

/// Lets the switch say it; whether it got the response.
fn says(gateway: &Gateway, secret: &str, attributes: &str) -> bool {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
    let mut radclient = gateway.lab().gateway().command("radclient");
    radclient.args(["-r", "2", "-t", "1", "127.0.0.1:1813", "acct", secret]);
    radclient.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null());
    let mut radclient = radclient.spawn().unwrap();
    let dated = format!("{attributes}Event-Timestamp = {now}\nMessage-Authenticator = 0x00\n");
    radclient.stdin.take().unwrap().write_all(dated.as_bytes()).unwrap();
    radclient.wait().unwrap().success()
}

/// The switch dates what it says in whole seconds, and nothing older changes what is newer.
fn a_second_later() {
    sleep(Duration::from_millis(1100));
}

#[test]
fn a_node_speaks_from_its_switchs_start_to_its_stop() {
    let gateway = gateway();
    gateway.assert_dropped_as("no_lease");
    assert!(says(&gateway, SECRET, &of_ct_1("Start")));
    measured(format_args!("from the start: {:?}", gateway.waits_until_it_crosses(true)));
    let nodes = gateway.cordon(&["nodes", "--name", "ct-1"]).done();
    assert!(nodes.contains("radius ct-1.example"), "{nodes}");
    // Three intervals of ten seconds.
    assert!(gateway.lease_seconds().is_some_and(|seconds| seconds <= 30));
    assert!(says(&gateway, SECRET, &of_ct_1("Stop")));
    measured(format_args!("from the stop: {:?}", gateway.waits_until_it_crosses(false)));
    gateway.assert_dropped_as("lease_expired");
}

#[test]
fn a_switch_that_begins_anew_has_let_nobody_in() {
    let gateway = gateway();
    assert!(says(&gateway, SECRET, &of_ct_1("Start")));
    gateway.waits_until_it_crosses(true);
    a_second_later();
    assert!(says(&gateway, SECRET, "Acct-Status-Type = Accounting-On\n"));
    gateway.waits_until_it_crosses(false);
    assert!(gateway.events().iter().any(|event| event.reason.as_deref() == Some("restarted")));
}

#[test]
fn what_is_not_signed_or_not_of_the_node_lets_nobody_in() {
    let gateway = gateway();
    assert!(!says(&gateway, "another secret that nobody guesses", &of_ct_1("Start")));
    gateway.assert_dropped_as("no_lease");
    let other_mac = of_station("Start", "ct-1.example", "02-00-00-00-01-02");
    assert!(says(&gateway, SECRET, &other_mac));
    assert!(eventually(LONG, || gateway.told("lease_refused", "mac") == 1));
    gateway.assert_dropped_as("no_lease");
}

#[test]
fn a_lease_outlives_the_daemon_and_grows_no_longer_by_that() {
    let mut gateway = gateway();
    assert!(says(&gateway, SECRET, &of_ct_1("Start")));
    gateway.waits_until_it_crosses(true);
    gateway.stop_daemon();
    a_second_later();
    gateway.restart();
    assert!(gateway.crosses(), "{:?}", gateway.events());
    assert!(gateway.lease_seconds().is_some_and(|seconds| seconds <= 29));
    assert!(says(&gateway, SECRET, &of_ct_1("Stop")), "it knows its session");
    gateway.waits_until_it_crosses(false);
}

#[test]
fn a_source_that_cannot_be_opened_grants_nothing_and_stops_nothing() {
    let mut gateway = prepare();
    gateway.restart();
    let check = |state: &str| eventually(LONG, || gateway.check(CHECK).0 == state);
    assert!(check("fail"));
    let sentence = gateway.check(CHECK).1;
    assert!(sentence.contains("no secret for the RADIUS client \"switch-1\""), "{sentence}");
    assert_eq!(gateway.cordon(&["status", "--check"]).code, Some(1));
    assert!(!says(&gateway, SECRET, &of_ct_1("Start")));
    gateway.assert_dropped_as("no_lease");
    gateway.stop(None, false);
    gateway.resume(None);
    write_secret(&gateway);
    assert!(check("ok"), "{:?}", gateway.check(CHECK));
    assert!(says(&gateway, SECRET, &of_ct_1("Start")));
    gateway.waits_until_it_crosses(true);
    Stream::open(gateway.lab().near(), gateway.lab().far(), FAR.v4, 104).assert_flows();
}
