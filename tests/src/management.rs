//! Nodes that prove with a certificate who they are, on a management network.

use std::{
    fs,
    path::{Path, PathBuf},
    time::Duration,
};

use crate::{
    gateway::{Gateway, binary, policy::NEAR},
    lab::{Link, Namespace, Process},
    packet::Mac,
};

const LONG: Duration = Duration::from_secs(20);
const HERE: &str = "10.20.0.1";

/// A gateway whose `ct-1` has a certificate of `cordon pki`. The gateway of a bridge has no address but
/// on a management network, where its nodes are, too.
#[derive(Debug)]
pub struct Management {
    /// What the node proves itself to.
    pub gateway: Gateway,
    management: Namespace,
    own: Link,
}

impl Management {
    /// With one certificate and no node that shows it yet.
    #[expect(clippy::new_without_default, reason = "a network is no plain value")]
    pub fn new() -> Self {
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
        let mut network = Self { gateway, management, own };
        network.pki(&["init"]);
        network.pki(&["issue", "ct-1", "--identity", "ct-1.example"]);
        network.gateway.restart();
        network
    }

    /// Runs `cordon pki` there.
    pub fn pki(&self, arguments: &[&str]) -> String {
        let directory = self.pki_directory();
        let directory = directory.to_str().unwrap();
        self.gateway.cordon(&[&["pki", "--directory", directory], arguments].concat()).done()
    }

    /// Where its files are.
    pub fn pki_directory(&self) -> PathBuf {
        self.gateway.lab().directory().join("pki")
    }

    /// The node's interface on the management network.
    pub fn own(&self) -> &Link {
        &self.own
    }

    /// Starts `cordon-node` with the certificate that was issued last; it says `words` at some time.
    pub fn node(&self, name: &str, words: &str) -> Process {
        let directory = self.gateway.lab().directory();
        let pki = self.pki_directory();
        let certificate = newest_certificate(&pki);
        let key = certificate.with_extension("key");
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

fn newest_certificate(pki: &Path) -> PathBuf {
    let files = fs::read_dir(pki.join("nodes")).unwrap().map(|file| file.unwrap().path());
    let certificates = files.filter(|file| file.extension().is_some_and(|ending| ending == "crt"));
    let age = |file: &PathBuf| fs::metadata(file).unwrap().modified().unwrap();
    certificates.max_by_key(age).expect("no certificate was issued")
}
