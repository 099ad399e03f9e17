//! `wpa_supplicant` on a node.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use super::{Numbers, PATIENCE, issued};
use crate::{
    gateway::Ended,
    lab::{Lab, Namespace, Process},
};

/// What a supplicant proves itself with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Credentials<'a> {
    /// PEAP with MSCHAPv2.
    Password,
    /// EAP-TLS, with what was issued to that node.
    Certificate(&'a str),
}

/// `wpa_supplicant`, killed when dropped.
#[derive(Debug)]
pub struct Supplicant {
    process: Process,
    control: PathBuf,
    interface: String,
}

impl Supplicant {
    /// On that interface. It says that it is `identity`.
    pub fn start(
        lab: &Lab,
        (namespace, interface): (&Namespace, &str),
        pki: &Path,
        identity: &str,
        credentials: Credentials<'_>,
        numbers: &Numbers,
    ) -> Self {
        let name = numbers.name("supplicant");
        let config = lab.directory().join(format!("{name}.conf"));
        let control = lab.directory().join(&name);
        let proof = match credentials {
            Credentials::Password => {
                "eap=PEAP\npassword=\"secret\"\nphase2=\"auth=MSCHAPV2\"\n".to_owned()
            }
            Credentials::Certificate(node) => {
                let [certificate, key] = issued(pki, node).map(|path| path.display().to_string());
                format!("eap=TLS\nclient_cert=\"{certificate}\"\nprivate_key=\"{key}\"\n")
            }
        };
        let text = format!(
            "ctrl_interface={}\nap_scan=0\nnetwork={{\nkey_mgmt=IEEE8021X\neapol_flags=0\n\
             identity=\"{identity}\"\nca_cert=\"{}\"\n{proof}}}\n",
            control.display(),
            pki.join("ca.crt").display()
        );
        fs::write(&config, text).expect("write the supplicant's configuration");
        let mut command = namespace.command("wpa_supplicant");
        command.args(["-D", "wired", "-i", interface, "-c"]).arg(config);
        let process = lab.process(&name, command);
        Self { process, control, interface: interface.to_owned() }
    }

    /// What it has said.
    pub fn log(&self) -> String {
        self.process.log()
    }

    /// How often it has said that.
    pub fn told(&self, words: &str) -> usize {
        self.log().matches(words).count()
    }

    /// Waits until it says that.
    pub fn says(&mut self, words: &str) {
        self.process.wait_for_log(words, PATIENCE);
    }

    /// Lets it say goodbye to hostapd; it proves nothing until it is told to.
    pub fn log_off(&self) {
        self.ask("logoff");
    }

    /// Lets it prove itself again.
    pub fn log_on(&self) {
        self.ask("logon");
    }

    /// Kills it, which it has no time to say.
    pub fn kill(mut self) {
        self.process.kill();
    }

    fn ask(&self, words: &str) {
        let mut command = Command::new("wpa_cli");
        command.arg("-p").arg(&self.control).args(["-i", &self.interface, words]);
        Ended::of(command).done();
    }
}
