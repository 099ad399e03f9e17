//! Leases in the real daemon and the real program. hostapd's part is played by a socket that says what
//! hostapd says.
#![expect(clippy::unwrap_used, reason = "helpers of tests panic like tests")]

use std::{
    os::unix::net::UnixDatagram,
    path::PathBuf,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering::SeqCst},
        mpsc,
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use firewall_tests::{
    gateway::{
        Gateway, eventually, measured,
        policy::{FAR, NEAR, images},
    },
    packet::{Packet, payload, udp},
};

const PATIENCE: Duration = Duration::from_secs(10);
const SHORT: Duration = Duration::from_millis(100);

/// What answers on hostapd's socket, until it is dropped.
struct Hostapd {
    events: mpsc::Sender<&'static str>,
    identity: Arc<Mutex<String>>,
    over: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Hostapd {
    fn start(path: PathBuf) -> Self {
        let _left_by_the_one_before = std::fs::remove_file(&path);
        let socket = UnixDatagram::bind(&path).unwrap();
        socket.set_read_timeout(Some(Duration::from_millis(5))).unwrap();
        let (events, told) = mpsc::channel::<&str>();
        let identity = Arc::new(Mutex::new("ct-1.example".to_owned()));
        let over = Arc::new(AtomicBool::new(false));
        let (known, end) = (Arc::clone(&identity), Arc::clone(&over));
        let thread = thread::spawn(move || {
            let (mut listener, mut buffer) = (None, [0; 4096]);
            while !end.load(SeqCst) {
                if let Some(listener) = &listener
                    && let Ok(event) = told.try_recv()
                {
                    let event = format!("<3>{event} {}", NEAR.mac);
                    socket.send_to(event.as_bytes(), listener).unwrap();
                }
                let Ok((length, from)) = socket.recv_from(&mut buffer) else { continue };
                let from = from.as_pathname().unwrap().to_owned();
                let question = std::str::from_utf8(&buffer[..length]).unwrap();
                let answer = match question.split(' ').next().unwrap() {
                    "ATTACH" => {
                        listener = Some(from.clone());
                        "OK\n".to_owned()
                    }
                    "PING" => "PONG\n".to_owned(),
                    "STA" => format!(
                        "{}\nflags=[AUTHORIZED]\ndot1xAuthSessionId=1\ndot1xAuthSessionUserName={}\n",
                        NEAR.mac,
                        known.lock().unwrap()
                    ),
                    _ => String::new(),
                };
                // A daemon that was killed does not listen.
                let _ = socket.send_to(answer.as_bytes(), from);
            }
        });
        Self { events, identity, over, thread: Some(thread) }
    }

    fn say(&self, event: &'static str) {
        self.events.send(event).unwrap();
    }
}

impl Drop for Hostapd {
    fn drop(&mut self) {
        self.over.store(true, SeqCst);
        let ended = self.thread.take().map(JoinHandle::join);
        assert!(ended.is_none_or(|ended| ended.is_ok()) || thread::panicking());
    }
}

fn gateway() -> (Gateway, Hostapd) {
    let node = "roles = [\"modality\"]\n";
    let authenticates = format!("{node}authentication = \"802.1x\"\nidentity = \"ct-1.example\"\n");
    let mut gateway = Gateway::prepare(&images().replacen(node, &authenticates, 1));
    let hostapd = Hostapd::start(socket(&gateway));
    let path = socket(&gateway);
    let listen =
        format!("[[authentication.hostapd]]\nport = \"inside\"\nsocket = \"{}\"\n", path.display());
    gateway.write_config(&(gateway.config_text() + &listen));
    gateway.restart();
    (gateway, hostapd)
}

fn socket(gateway: &Gateway) -> PathBuf {
    gateway.lab().directory().join("hostapd")
}

fn log() -> Packet {
    let [headers, _] = NEAR.to(&FAR);
    headers / udp(40_000, 514) / payload(b"a log")
}

/// Whether a frame of the node's crosses.
fn crosses(gateway: &Gateway) -> bool {
    let before = gateway.glance();
    gateway.lab().near().port().send(&log());
    thread::sleep(Duration::from_millis(2));
    gateway.drops_since(&before).is_empty()
}

fn is_let_in(gateway: &Gateway, is: bool) -> Duration {
    let begun = Instant::now();
    assert!(eventually(PATIENCE, || crosses(gateway) == is), "{:?}", gateway.events());
    begun.elapsed()
}

#[test]
fn a_node_speaks_from_its_proof_to_its_logoff() {
    let (gateway, hostapd) = gateway();
    let (near, far) = (gateway.lab().near().port(), gateway.lab().far().port());
    let before = gateway.ledger();
    near.send(&log());
    far.expect_silence(SHORT);
    gateway.since(&before).assert_drops(&[("inside", "no_lease", 1)]);

    hostapd.say("CTRL-EVENT-EAP-SUCCESS");
    measured(format_args!("from the success to the first frame: {:?}", is_let_in(&gateway, true)));
    let nodes = gateway.cordon(&["nodes", "--name", "ct-1"]).done();
    assert!(nodes.contains("dot1x ct-1.example"), "{nodes}");

    hostapd.say("AP-STA-DISCONNECTED");
    measured(format_args!("from the logoff to the last frame: {:?}", is_let_in(&gateway, false)));
    // What crossed meanwhile has waited at the one opened before.
    let far = gateway.lab().far().port();
    let before = gateway.ledger();
    near.send(&log());
    far.expect_silence(SHORT);
    gateway.since(&before).assert_drops(&[("inside", "lease_expired", 1)]);
}

#[test]
fn another_identity_on_the_nodes_mac_cuts_it_off() {
    let (gateway, hostapd) = gateway();
    hostapd.say("CTRL-EVENT-EAP-SUCCESS");
    is_let_in(&gateway, true);
    "ct-2.example".clone_into(&mut hostapd.identity.lock().unwrap());
    hostapd.say("CTRL-EVENT-EAP-SUCCESS");
    is_let_in(&gateway, false);
}

#[test]
fn a_hostapd_that_ends_takes_its_leases_with_it() {
    let (gateway, hostapd) = gateway();
    hostapd.say("CTRL-EVENT-EAP-SUCCESS");
    is_let_in(&gateway, true);
    drop(hostapd);
    measured(format_args!(
        "from hostapd's end to the last frame: {:?}",
        is_let_in(&gateway, false)
    ));
    let hostapd = Hostapd::start(socket(&gateway));
    hostapd.say("CTRL-EVENT-EAP-SUCCESS");
    is_let_in(&gateway, true);
}

#[test]
fn a_port_that_is_seen_without_carrier_has_no_leases() {
    let (gateway, hostapd) = gateway();
    hostapd.say("CTRL-EVENT-EAP-SUCCESS");
    is_let_in(&gateway, true);
    gateway.lab().near().link().down();
    let is_told =
        || gateway.events().iter().any(|event| event.reason.as_deref() == Some("carrier"));
    assert!(eventually(PATIENCE, is_told));
    gateway.lab().near().link().up();
    is_let_in(&gateway, false);
}

#[test]
fn a_lease_outlives_a_daemon_that_is_ended() {
    let (mut gateway, hostapd) = gateway();
    hostapd.say("CTRL-EVENT-EAP-SUCCESS");
    is_let_in(&gateway, true);
    gateway.stop_daemon();
    gateway.restart();
    assert!(crosses(&gateway), "{:?}", gateway.events());
}
