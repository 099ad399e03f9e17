//! What a switch said was recorded, and somebody says it again: to the daemon that heard it, and to the
//! one after.
#![expect(clippy::unwrap_used, reason = "helpers of tests panic like tests")]

use std::{
    fs::{self, Permissions},
    io::Write as _,
    net::UdpSocket,
    os::unix::fs::PermissionsExt as _,
    process::Stdio,
    thread::sleep,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use firewall_tests::gateway::Gateway;

const SECRET: &str = "a secret that nobody guesses";
const ANSWER: Duration = Duration::from_millis(500);

fn gateway() -> Gateway {
    let mut gateway = Gateway::prepare_authenticated("802.1x");
    let secret = gateway.lab().directory().join("secret");
    fs::write(&secret, SECRET).unwrap();
    fs::set_permissions(&secret, Permissions::from_mode(0o600)).unwrap();
    let client = format!(
        "[authentication.radius]\n[[authentication.radius.client]]\nname = \"switch-1\"\n\
         address = \"127.0.0.1\"\nsecret_file = {secret:?}\n"
    );
    gateway.write_config(&(gateway.config_text() + &client));
    gateway.restart();
    gateway
}

fn socket(gateway: &Gateway) -> UdpSocket {
    let socket = gateway.lab().gateway().run(|| UdpSocket::bind("127.0.0.1:0")).unwrap();
    socket.set_read_timeout(Some(ANSWER)).unwrap();
    socket
}

/// What the switch says of `ct-1`, as it is on the wire. Nobody has heard it yet.
fn recorded(gateway: &Gateway, status: &str) -> Vec<u8> {
    let wire = socket(gateway);
    let port = wire.local_addr().unwrap().port();
    let mut radclient = gateway.lab().gateway().command("radclient");
    radclient.args(["-r", "1", "-t", "1", &format!("127.0.0.1:{port}"), "acct", SECRET]);
    radclient.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null());
    let mut radclient = radclient.spawn().unwrap();
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
    let said = format!(
        "Acct-Status-Type = {status}\nUser-Name = \"ct-1.example\"\nAcct-Session-Id = \"5f3a\"\n\
         Calling-Station-Id = \"02-00-00-00-01-01\"\nEvent-Timestamp = {now}\n\
         Message-Authenticator = 0x00\n"
    );
    radclient.stdin.take().unwrap().write_all(said.as_bytes()).unwrap();
    wire.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    let mut packet = vec![0; 4096];
    let length = wire.recv(&mut packet).unwrap();
    packet.truncate(length);
    // Nobody has answered.
    assert!(!radclient.wait().unwrap().success());
    packet
}

/// Says it from a socket of its own; whether it is answered.
fn is_answered(gateway: &Gateway, packet: &[u8]) -> bool {
    let socket = socket(gateway);
    socket.send_to(packet, "127.0.0.1:1813").unwrap();
    socket.recv(&mut [0; 4096]).is_ok()
}

#[test]
fn a_recorded_start_lets_nobody_in_again_not_even_after_a_restart() {
    let mut gateway = gateway();
    let start = recorded(&gateway, "Start");
    assert!(is_answered(&gateway, &start));
    gateway.waits_until_it_crosses(true);
    sleep(Duration::from_millis(1100));
    assert!(is_answered(&gateway, &recorded(&gateway, "Stop")));
    gateway.waits_until_it_crosses(false);
    assert!(!is_answered(&gateway, &start), "the same daemon knows the packet");

    for is_killed in [false, true] {
        if is_killed {
            gateway.kill();
        } else {
            gateway.stop_daemon();
        }
        gateway.restart();
        assert!(is_answered(&gateway, &start), "whoever is late is told that it was heard");
        let page = gateway.metrics_page();
        let refused = "cordon_radius_refused_total{reason=\"superseded\"} 1";
        assert!(page.lines().any(|line| line == refused), "{page}");
        gateway.assert_dropped_as("lease_expired");
    }

    fs::write(gateway.state().join("radius"), "damaged\n").unwrap();
    gateway.stop_daemon();
    gateway.restart();
    is_answered(&gateway, &start);
    gateway.assert_dropped_as("lease_expired");
    sleep(Duration::from_millis(1100));
    // Nothing that could have been said to the daemon before is believed.
    assert!(is_answered(&gateway, &recorded(&gateway, "Start")));
    gateway.assert_dropped_as("lease_expired");

    fs::remove_file(gateway.state().join("radius")).unwrap();
    gateway.stop_daemon();
    gateway.restart();
    sleep(Duration::from_millis(1100));
    assert!(is_answered(&gateway, &recorded(&gateway, "Start")));
    gateway.waits_until_it_crosses(true);
}
