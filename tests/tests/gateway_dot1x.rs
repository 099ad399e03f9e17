//! 802.1X through the real program: hostapd on the gateway's port, `wpa_supplicant` on the node, PEAP
//! between them.
#![expect(clippy::unwrap_used, reason = "helpers of tests panic like tests")]

use std::{
    fs,
    path::Path,
    process::Command,
    sync::atomic::{AtomicU32, Ordering::Relaxed},
    time::Duration,
};

use firewall_tests::{
    gateway::{
        Gateway, eventually,
        policy::{FAR, NEAR, images},
    },
    lab::Process,
    packet::{Packet, payload, udp},
};

/// hostapd repeats what is not answered after three seconds, and a supplicant after thirty.
const PATIENCE: Duration = Duration::from_secs(60);
const SHORT: Duration = Duration::from_millis(100);

const NODE: &str = "ct-1.example";
const OTHER: &str = "ct-2.example";

/// A gateway whose `ct-1` has to prove itself to the hostapd on `inside`.
struct Site {
    gateway: Gateway,
    hostapd: Process,
    started: AtomicU32,
}

impl Site {
    fn new() -> Self {
        let node = "roles = [\"modality\"]\n";
        let authenticates = format!("{node}authentication = \"802.1x\"\nidentity = \"{NODE}\"\n");
        let mut gateway = Gateway::prepare(&images().replacen(node, &authenticates, 1));
        let directory = gateway.lab().directory().to_owned();
        certify(&directory);
        let socket = directory.join("hostapd/inside");
        let listen =
            format!("[[authentication.hostapd]]\nport = \"inside\"\nsocket = {socket:?}\n");
        gateway.write_config(&(gateway.config_text() + &listen));
        gateway.restart();
        let started = AtomicU32::new(0);
        let hostapd = hostapd(&gateway, &started);
        Self { gateway, hostapd, started }
    }

    /// The node says who it is until the supplicant is dropped.
    fn supplicant(&self, identity: &str) -> Process {
        let directory = self.gateway.lab().directory();
        let config = directory.join("supplicant.conf");
        let text = format!(
            "ctrl_interface={0}/supplicant\nap_scan=0\nnetwork={{\nkey_mgmt=IEEE8021X\n\
             eap=PEAP\nidentity=\"{identity}\"\npassword=\"secret\"\nphase2=\"auth=MSCHAPV2\"\n\
             ca_cert=\"{0}/certificate.pem\"\neapol_flags=0\n}}\n",
            directory.display()
        );
        fs::write(&config, text).unwrap();
        let host = self.gateway.lab().near();
        let mut command = host.command("wpa_supplicant");
        command.args(["-D", "wired", "-i", host.link().name(), "-c"]).arg(config);
        self.gateway.lab().process(&numbered("supplicant", &self.started), command)
    }

    fn log_off(&self) {
        let host = self.gateway.lab().near();
        let mut command = host.command("wpa_cli");
        command.arg("-p").arg(self.gateway.lab().directory().join("supplicant"));
        let output = command.args(["-i", host.link().name(), "logoff"]).output().unwrap();
        assert!(output.status.success(), "{output:?}");
    }

    /// Whether a frame of the node's crosses.
    fn crosses(&self) -> bool {
        let before = self.gateway.ledger();
        self.gateway.lab().near().port().send(&log());
        let change = self.gateway.since(&before);
        change.passed_as("inside", "opened") + change.passed_as("inside", "established") > 0
    }

    #[track_caller]
    fn is_let_in(&self, is: bool) {
        let has_come = eventually(PATIENCE, || self.crosses() == is);
        assert!(has_come, "{:?}\n{}", self.gateway.events(), self.hostapd.log());
    }
}

fn hostapd(gateway: &Gateway, started: &AtomicU32) -> Process {
    let directory = gateway.lab().directory();
    let users = directory.join("users");
    let user = |name| format!("\"{name}\" PEAP\n\"{name}\" MSCHAPV2 \"secret\" [2]\n");
    fs::write(&users, user(NODE) + &user(OTHER)).unwrap();
    let config = directory.join("hostapd.conf");
    let text = format!(
        "interface=inside\ndriver=wired\nieee8021x=1\nuse_pae_group_addr=1\neap_server=1\n\
         eap_user_file={0}/users\nserver_cert={0}/certificate.pem\nprivate_key={0}/key.pem\n\
         ctrl_interface={0}/hostapd\n",
        directory.display()
    );
    fs::write(&config, text).unwrap();
    let mut command = gateway.lab().gateway().command("hostapd");
    command.arg(config);
    let mut process = gateway.lab().process(&numbered("hostapd", started), command);
    process.wait_for_log("AP-ENABLED", PATIENCE);
    process
}

fn numbered(name: &str, started: &AtomicU32) -> String {
    format!("{name}-{}", started.fetch_add(1, Relaxed))
}

/// A certificate that the server shows and the supplicant knows.
fn certify(directory: &Path) {
    let output = Command::new("openssl")
        .args(["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1"])
        .args(["-nodes", "-days", "2", "-subj", "/CN=authenticator.example", "-keyout"])
        .arg(directory.join("key.pem"))
        .arg("-out")
        .arg(directory.join("certificate.pem"))
        .output()
        .unwrap();
    assert!(output.status.success(), "{output:?}");
}

fn log() -> Packet {
    let [headers, _] = NEAR.to(&FAR);
    headers / udp(40_000, 514) / payload(b"a log")
}

#[test]
fn a_node_is_let_in_by_hostapd_and_out_by_its_logoff() {
    let site = Site::new();
    let gateway = &site.gateway;
    let before = gateway.ledger();
    gateway.lab().near().port().send(&log());
    gateway.lab().far().port().expect_silence(SHORT);
    gateway.since(&before).assert_drops(&[("inside", "no_lease", 1)]);

    let _supplicant = site.supplicant(NODE);
    site.is_let_in(true);
    assert!(gateway.since(&before).passed_as("inside", "eapol") > 0);
    assert_eq!(gateway.since(&before).passed_as("outside", "eapol"), 0);
    let nodes = gateway.cordon(&["nodes", "--name", "ct-1"]).done();
    assert!(nodes.contains(&format!("dot1x {NODE}")), "{nodes}");

    site.log_off();
    site.is_let_in(false);
}

#[test]
fn the_identity_of_another_node_is_no_lease_for_this_one() {
    let site = Site::new();
    let mut supplicant = site.supplicant(OTHER);
    supplicant.wait_for_log("CTRL-EVENT-EAP-SUCCESS", PATIENCE);
    assert!(!site.crosses());
    drop(supplicant);
    let supplicant = site.supplicant(NODE);
    site.is_let_in(true);
    drop(supplicant);
    let _supplicant = site.supplicant(OTHER);
    site.is_let_in(false);
}

#[test]
fn a_hostapd_that_is_killed_takes_its_leases_with_it() {
    let mut site = Site::new();
    let supplicant = site.supplicant(NODE);
    site.is_let_in(true);
    site.hostapd.kill();
    site.is_let_in(false);
    drop(supplicant);
    site.hostapd = hostapd(&site.gateway, &site.started);
    let _supplicant = site.supplicant(NODE);
    site.is_let_in(true);
}
