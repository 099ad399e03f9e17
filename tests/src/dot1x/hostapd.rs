//! hostapd on a wired port.

use std::{
    fs,
    io::Write as _,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::{SystemTime, UNIX_EPOCH},
};

use super::{NODE, Numbers, OTHER, PATIENCE};
use crate::{
    gateway::{Ended, Gateway},
    lab::{Handle, Lab, Namespace, Process},
    packet::Mac,
};

/// What hostapd and RADIUS servers share.
pub const SECRET: &str = "a secret that nobody guesses";

/// RFC 5176, 3: the port of the first one; each further one listens on the next.
const COMMANDS: u16 = 3798;

/// Who checks what supplicants prove.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Server {
    /// hostapd itself.
    Own,
    /// A RADIUS server on the loopback; one that is told of sessions, by its address and port.
    Radius {
        /// As hostapd calls itself.
        nas: &'static str,
        /// Whom it tells.
        accounting: Option<(&'static str, u16)>,
    },
}

/// hostapd, killed when dropped.
#[derive(Debug)]
pub struct Hostapd {
    process: Process,
    control: PathBuf,
    port: String,
    /// Where it listens to RADIUS servers, on the loopback of its namespace.
    commands: u16,
    namespace: Handle,
}

impl Hostapd {
    /// On a port of the gateway's.
    pub fn start(
        gateway: &Gateway,
        port: &str,
        pki: &Path,
        server: &Server,
        numbers: &Numbers,
    ) -> Self {
        let lab = gateway.lab();
        Self::start_in(lab, (lab.gateway(), port), pki, server, numbers)
    }

    /// On that interface.
    pub fn start_in(
        lab: &Lab,
        (namespace, port): (&Namespace, &str),
        pki: &Path,
        server: &Server,
        numbers: &Numbers,
    ) -> Self {
        let control = Self::directory(lab, port);
        let (name, commands) = (numbers.name("hostapd"), COMMANDS + numbers.last());
        let config = lab.directory().join(format!("{name}.conf"));
        let mut text = format!(
            "interface={port}\ndriver=wired\nieee8021x=1\nuse_pae_group_addr=1\n\
             ctrl_interface={}\nradius_das_port={commands}\nradius_das_client=127.0.0.1 {SECRET}\n",
            control.display()
        );
        text += &match server {
            Server::Own => own_server(lab, pki),
            Server::Radius { nas, accounting } => asks(nas, *accounting),
        };
        fs::write(&config, text).expect("write hostapd's configuration");
        let mut command = namespace.command("hostapd");
        command.arg(config);
        let mut process = lab.process(&name, command);
        process.wait_for_log("AP-ENABLED", PATIENCE);
        let (port, namespace) = (port.to_owned(), namespace.handle().clone());
        Self { process, control, port, commands, namespace }
    }

    /// Where the control socket of the hostapd on that port lies.
    pub fn directory(lab: &Lab, port: &str) -> PathBuf {
        lab.directory().join(format!("hostapd-of-{port}"))
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

    /// Asks it by its control socket.
    pub fn ask(&self, words: &[&str]) -> String {
        let mut command = Command::new("hostapd_cli");
        command.arg("-p").arg(&self.control).args(["-i", &self.port]).args(words);
        Ended::of(command).done()
    }

    /// Lets a RADIUS server tell it to end a station's session (RFC 5176: Disconnect-Message). Panics
    /// unless it says that it has done so.
    pub fn disconnect(&self, station: Mac) {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("a time after 1970");
        let mut radclient = self.namespace.command("radclient");
        let address = format!("127.0.0.1:{}", self.commands);
        radclient.args(["-r", "2", "-t", "2", &address, "disconnect", SECRET]);
        radclient.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null());
        let mut radclient = radclient.spawn().expect("start radclient");
        let seconds = now.as_secs();
        let text = format!("Calling-Station-Id = \"{station}\"\nEvent-Timestamp = {seconds}\n");
        radclient.stdin.take().expect("a pipe").write_all(text.as_bytes()).expect("tell radclient");
        let status = radclient.wait().expect("wait for radclient");
        assert!(status.success(), "{status}\n{}", self.log());
    }

    /// Lets it forget every station; nobody is let in any more.
    pub fn forget(&self) {
        for words in ["disable", "enable"] {
            self.ask(&[words]);
        }
    }

    /// Lets it ask a station that it does not know who is there.
    pub fn invite(&self, station: Mac) {
        self.ask(&["new_sta", &station.to_string()]);
    }

    /// Its control socket.
    pub fn socket(&self) -> PathBuf {
        self.control.join(&self.port)
    }

    /// Kills it, which it has no time to say.
    pub fn kill(mut self) {
        self.process.kill();
    }
}

/// An EAP server of hostapd's own that knows both identities, by certificate and by password.
fn own_server(lab: &Lab, pki: &Path) -> String {
    let users = lab.directory().join("users");
    let user = |name| format!("\"{name}\" TLS,PEAP\n\"{name}\" MSCHAPV2 \"secret\" [2]\n");
    fs::write(&users, user(NODE) + &user(OTHER)).expect("write hostapd's users");
    format!(
        "eap_server=1\neap_user_file={}\nca_cert={}\nserver_cert={}\nprivate_key={}\n",
        users.display(),
        pki.join("ca.crt").display(),
        pki.join("gateway.crt").display(),
        pki.join("gateway.key").display()
    )
}

fn asks(nas: &str, accounting: Option<(&str, u16)>) -> String {
    let mut text = format!(
        "nas_identifier={nas}\nown_ip_addr=127.0.0.1\nauth_server_addr=127.0.0.1\n\
         auth_server_port=1812\nauth_server_shared_secret={SECRET}\n"
    );
    if let Some((address, port)) = accounting {
        text += &format!(
            "acct_server_addr={address}\nacct_server_port={port}\n\
             acct_server_shared_secret={SECRET}\nradius_acct_interim_interval=60\n"
        );
    }
    text
}
