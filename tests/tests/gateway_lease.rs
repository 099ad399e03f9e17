//! Leases by mutual TLS: `cordon-node` proves to the real daemon who it is, with certificates of
//! `cordon pki`.
#![expect(clippy::unwrap_used, reason = "helpers of tests panic like tests")]

use std::{fs, path::PathBuf, time::Duration};

use firewall_tests::{
    gateway::{
        Gateway, binary, eventually, measured,
        policy::{IDLE, NEAR, Station},
    },
    lab::{Link, Namespace, Process},
    packet::Mac,
};
use nix::sys::signal::Signal;

const LONG: Duration = Duration::from_secs(20);
const HERE: &str = "10.20.0.1";

/// The gateway of a bridge has no address but on a management network, where its nodes are, too.
struct Bench {
    gateway: Gateway,
    management: Namespace,
    own: Link,
}

impl Bench {
    fn new() -> Self {
        let gateway = Gateway::prepare_authenticated("lease");
        let lab = gateway.lab();
        let management = lab.namespace("management");
        let macs = [Mac([2, 0, 0, 0, 9, 1]), Mac([2, 0, 0, 0, 9, 2])];
        let (gate, own) =
            Link::pair((lab.gateway(), "mgmt0", macs[0]), (&management, "eth0", macs[1]));
        gate.address(&format!("{HERE}/24"));
        own.address(&format!("{}/24", NEAR.v4));
        let pki = gateway.lab().directory().join("pki");
        let mtls = format!(
            "[authentication.mtls]\nlisten = \"{HERE}:7447\"\nca = {:?}\ncrl = {:?}\n\
             certificate = {:?}\nkey = {:?}\nlease = \"60s\"\n",
            pki.join("ca.crt"),
            pki.join("crl.pem"),
            pki.join("gateway.crt"),
            pki.join("gateway.key")
        );
        gateway.write_config(&(gateway.config_text() + &mtls));
        let mut bench = Self { gateway, management, own };
        bench.pki(&["init"]);
        bench.pki(&["issue", "ct-1", "--identity", "ct-1.example"]);
        bench.gateway.restart();
        bench
    }

    fn pki(&self, arguments: &[&str]) -> String {
        let directory = self.pki_directory();
        let directory = directory.to_str().unwrap();
        self.gateway.cordon(&[&["pki", "--directory", directory], arguments].concat()).done()
    }

    fn pki_directory(&self) -> PathBuf {
        self.gateway.lab().directory().join("pki")
    }

    /// Starts `cordon-node`, which says `words` at some time.
    fn node(&self, name: &str, words: &str) -> Process {
        let directory = self.gateway.lab().directory();
        let pki = self.pki_directory();
        let issued = |ending: &str| {
            let mut files = fs::read_dir(pki.join("nodes")).unwrap().flatten();
            files.find(|file| file.path().extension().is_some_and(|found| found == ending))
        };
        let (certificate, key) = (issued("crt").unwrap().path(), issued("key").unwrap().path());
        let text = format!(
            "gateway = \"{HERE}:7447\"\nidentity = \"ct-1.example\"\nca = {:?}\n\
             certificate = {certificate:?}\nkey = {key:?}\n",
            pki.join("ca.crt")
        );
        let config = directory.join("node.toml");
        fs::write(&config, text).unwrap();
        let mut command = self.management.command(binary("cordon-node"));
        command.arg("--config").arg(config);
        let mut node = self.gateway.lab().process(name, command);
        node.wait_for_log(words, LONG);
        node
    }
}

#[test]
fn a_node_speaks_from_its_proof_to_its_farewell() {
    let bench = Bench::new();
    bench.gateway.assert_dropped_as("no_lease");
    let mut node = bench.node("node", "a lease of 60 s");
    // Whoever is told of a lease has it.
    assert!(bench.gateway.crosses(), "{:?}", bench.gateway.events());
    let nodes = bench.gateway.cordon(&["nodes", "--name", "ct-1"]).done();
    assert!(nodes.contains("lease ct-1.example"), "{nodes}");
    assert!(node.stop(LONG).success());
    bench.gateway.waits_until_it_crosses(false);
    bench.gateway.assert_dropped_as("lease_expired");
}

#[test]
fn a_revoked_certificate_cuts_the_node_off() {
    let bench = Bench::new();
    let _node = bench.node("node", "a lease of");
    assert!(bench.gateway.crosses());
    bench.pki(&["revoke", "ct-1"]);
    let took = bench.gateway.waits_until_it_crosses(false);
    measured(format_args!("from the revocation to the last frame: {took:?}"));
    assert!(bench.gateway.told("lease", "revoked") >= 1);
}

#[test]
fn a_node_that_is_gone_keeps_its_lease_to_its_end_and_over_a_restart_and_no_longer() {
    let mut bench = Bench::new();
    let node = bench.node("node", "a lease of");
    node.signal(Signal::SIGSTOP);
    assert!(bench.gateway.crosses());
    let before = bench.gateway.lease_seconds().unwrap();
    bench.gateway.stop_daemon();
    bench.gateway.restart();
    assert!(bench.gateway.crosses(), "{:?}", bench.gateway.events());
    let after = bench.gateway.lease_seconds().unwrap();
    assert!((1..=before).contains(&after), "{before} s, then {after} s");
    // It finds the daemon again, and goes on.
    node.signal(Signal::SIGCONT);
    assert!(eventually(Duration::from_secs(60), || bench.gateway.told("lease", "goes on") >= 1));
    assert!(bench.gateway.crosses());
}

#[test]
fn nobody_has_a_lease_who_is_isolated_or_elsewhere() {
    let bench = Bench::new();
    bench.gateway.isolate("ct-1");
    let mut node = bench.node("isolated", "isolated");
    bench.gateway.assert_dropped_as("isolated");
    node.kill();
    bench.gateway.release("ct-1");
    bench.gateway.assert_dropped_as("no_lease");
    // A node that needs no such lease, with the certificate of one that does.
    let Station { v4, .. } = IDLE;
    bench.own.address(&format!("{v4}/24"));
    let mut moved = bench.management.command("ip");
    moved.args(["address", "delete", &format!("{}/24", NEAR.v4), "dev", "eth0"]);
    assert!(moved.status().unwrap().success());
    let _elsewhere = bench.node("elsewhere", "cordon-node: ");
    bench.gateway.assert_dropped_as("no_lease");
}

#[test]
fn certificates_that_cannot_be_checked_are_a_failure_that_is_told() {
    let bench = Bench::new();
    let check =
        |state: &str| eventually(LONG, || bench.gateway.check("authentication sources").0 == state);
    assert!(check("ok"));
    let crl = bench.pki_directory().join("crl.pem");
    let list = fs::read(&crl).unwrap();
    fs::write(&crl, "no list\n").unwrap();
    assert!(check("fail"));
    fs::write(&crl, list).unwrap();
    assert!(check("ok"));
    bench.node("node", "a lease of");
    assert!(bench.gateway.crosses());
}

#[test]
fn a_certificate_that_is_revoked_while_the_daemon_is_dead_or_after_it_cuts_the_node_off() {
    for is_after in [false, true] {
        let mut bench = Bench::new();
        let node = bench.node("node", "a lease of");
        // It does not prove itself to the daemon that comes.
        node.signal(Signal::SIGSTOP);
        assert!(bench.gateway.crosses());
        bench.gateway.stop_daemon();
        if !is_after {
            bench.pki(&["revoke", "ct-1"]);
        }
        bench.gateway.restart();
        if is_after {
            assert!(bench.gateway.crosses(), "{:?}", bench.gateway.events());
            bench.pki(&["revoke", "ct-1"]);
        }
        let took = bench.gateway.waits_until_it_crosses(false);
        measured(format_args!("from revocation or restart to the last frame: {took:?}"));
        assert!(bench.gateway.told("lease", "revoked") >= 1);
    }
}
