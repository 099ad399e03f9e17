//! A switch that tells of its sessions by RADIUS accounting.

use std::fs::{self, Permissions};
use std::net::{SocketAddr, UdpSocket};
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use firewall_daemon::auth::radius::Secret;
use firewall_daemon::auth::radius::packet::{ACCOUNTING_RESPONSE, kind, request};
use firewall_tests::gateway::Gateway;
use firewall_tests::gateway::policy::NEAR;
use firewall_tests::packet::Mac;

use super::traffic::{Traffic, now};
use super::{BEGIN, END, row};
use crate::Effort;
use crate::report::Report;
use crate::statistics::Samples;

const SECRET: &str = "a secret that nobody guesses";
const PATIENCE: Duration = Duration::from_secs(5);

/// Acct-Status-Type (RFC 2866, 5.1).
#[derive(Clone, Copy, Debug)]
pub(super) enum Status {
    Start = 1,
    Stop = 2,
    Interim = 3,
}

pub(super) fn measure(effort: Effort, report: &mut Report) {
    let mut gateway = Gateway::prepare_authenticated("802.1x");
    let configuration = gateway.config_text();
    let switch = Switch::plug(&mut gateway, &configuration);
    let traffic = Traffic::start(gateway.lab());
    let [mut first, mut last] = [const { Samples(Vec::new()) }; 2];
    for round in 0..effort.pick(3, 20) {
        let session = format!("session-{round}");
        let begun = now();
        switch.says(Status::Start, &session, "ct-1.example", NEAR.mac);
        first.push(traffic.begins(begun));
        let begun = now();
        switch.says(Status::Stop, &session, "ct-1.example", NEAR.mac);
        last.push(traffic.ends(begun));
    }
    row(report, "RADIUS accounting, start sent to first frame", &first, BEGIN);
    row(report, "RADIUS accounting, stop sent to last frame", &last, END);
}

/// On the loopback of the gateway's namespace.
pub(super) struct Switch {
    socket: UdpSocket,
    secret: Secret,
}

impl Switch {
    /// Lets the gateway listen to the switch, and starts the daemon.
    pub(super) fn plug(gateway: &mut Gateway, configuration: &str) -> Self {
        let file = gateway.lab().directory().join("secret");
        let secret = write(&file);
        let table = format!(
            "[authentication.radius]\n[[authentication.radius.client]]\nname = \"switch-1\"\n\
             address = \"127.0.0.1\"\nsecret_file = {file:?}\n"
        );
        gateway.write_config(&(configuration.to_owned() + &table));
        gateway.restart();
        let here = SocketAddr::from(([127, 0, 0, 1], 0));
        let socket = gateway.lab().gateway().run(|| UdpSocket::bind(here)).unwrap();
        socket.connect(("127.0.0.1", 1813)).unwrap();
        socket.set_read_timeout(Some(PATIENCE)).unwrap();
        Self { socket, secret }
    }

    /// Says something of a station, and waits until it is answered.
    pub(super) fn says(&self, status: Status, session: &str, user: &str, station: Mac) {
        let status = (status as u32).to_be_bytes();
        let second = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
        let second = u32::try_from(second).unwrap().to_be_bytes();
        let station = station.to_string();
        let attributes: [(u8, &[u8]); 5] = [
            (kind::ACCT_STATUS_TYPE, &status),
            (kind::ACCT_SESSION_ID, session.as_bytes()),
            (kind::USER_NAME, user.as_bytes()),
            (kind::CALLING_STATION_ID, station.as_bytes()),
            (kind::EVENT_TIMESTAMP, &second),
        ];
        self.socket.send(&request(1, &attributes, true, &self.secret)).unwrap();
        let mut response = [0; 64];
        let length = self.socket.recv(&mut response).expect("a response");
        assert_eq!((length, response[0]), (20, ACCOUNTING_RESPONSE));
    }
}

fn write(file: &Path) -> Secret {
    fs::write(file, SECRET).unwrap();
    fs::set_permissions(file, Permissions::from_mode(0o600)).unwrap();
    Secret::load(file).unwrap()
}
