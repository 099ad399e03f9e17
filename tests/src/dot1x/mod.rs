//! 802.1X with the real programs: hostapd, `wpa_supplicant` and FreeRADIUS, with certificates of
//! `cordon pki`.

mod freeradius;
mod hostapd;
mod supplicant;
mod switch;

use std::{
    cell::Cell,
    fs,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

pub use freeradius::FreeRadius;
pub use hostapd::{Hostapd, SECRET, Server};
pub use supplicant::{Credentials, Supplicant};
pub use switch::Switch;

use crate::{
    gateway::{
        Gateway,
        leases::authenticated,
        policy::{FAR, NEAR},
    },
    lab::{Host, Lab},
    packet::{Mac, Packet, eth, payload},
};

/// hostapd repeats what is not answered after three seconds, and a supplicant after thirty.
pub const PATIENCE: Duration = Duration::from_secs(60);
/// What `ct-1` has to prove.
pub const NODE: &str = "ct-1.example";
/// What no node of the policy is called.
pub const OTHER: &str = "ct-2.example";

/// Where 802.1X frames go to (IEEE 802.1X-2020, 11.1.1).
const PAE_GROUP: Mac = Mac([0x01, 0x80, 0xc2, 0, 0, 0x03]);

/// A gateway whose `ct-1` has to prove itself to the hostapd on `inside`.
#[derive(Debug)]
pub struct Site {
    /// What is between the node and the world.
    pub gateway: Gateway,
    /// The hostapd on `inside`; none once a test has taken it.
    pub hostapd: Option<Hostapd>,
    numbers: Numbers,
}

impl Site {
    /// With one host on either side.
    #[expect(clippy::new_without_default, reason = "a site is no plain value")]
    pub fn new() -> Self {
        Self::of(Lab::new(), &["inside"])
    }

    /// With two hosts behind `inside`.
    pub fn shared() -> Self {
        let lab = Lab::with_hosts(2, 1);
        lab.near_switch().forward_eapol();
        Self::of(lab, &["inside"])
    }

    /// The daemon listens to a hostapd on `outside`, too.
    pub fn on_both_ports() -> Self {
        Self::of(Lab::new(), &["inside", "outside"])
    }

    fn of(lab: Lab, ports: &[&str]) -> Self {
        let mut gateway = Gateway::in_lab(lab, &authenticated("802.1x"));
        NEAR.settle(gateway.lab().near().link(), &FAR);
        FAR.settle(gateway.lab().far().link(), &NEAR);
        let pki = certify(&gateway);
        let tables = ports.iter().map(|port| listens(gateway.lab(), port));
        gateway.write_config(&(gateway.config_text() + &tables.collect::<String>()));
        gateway.restart();
        let numbers = Numbers::default();
        let hostapd = Hostapd::start(&gateway, "inside", &pki, &Server::Own, &numbers);
        Self { gateway, hostapd: Some(hostapd), numbers }
    }

    /// The hostapd on `inside`.
    pub fn hostapd(&self) -> &Hostapd {
        self.hostapd.as_ref().expect("a hostapd runs")
    }

    /// Kills the hostapd on `inside`, which says no farewell.
    pub fn kill_hostapd(&mut self) {
        self.hostapd.take().expect("a hostapd runs").kill();
    }

    /// Starts another one in its place.
    pub fn start_hostapd(&mut self) {
        assert!(self.hostapd.is_none(), "a hostapd runs already");
        self.hostapd = Some(self.another_hostapd("inside"));
    }

    /// Starts a hostapd on that port.
    pub fn another_hostapd(&self, port: &str) -> Hostapd {
        let pki = pki_of(&self.gateway);
        Hostapd::start(&self.gateway, port, &pki, &Server::Own, &self.numbers)
    }

    /// A supplicant on `ct-1` that says it is `identity`.
    pub fn supplicant(&self, identity: &str, credentials: Credentials<'_>) -> Supplicant {
        self.supplicant_on(self.gateway.lab().near(), identity, credentials)
    }

    /// A supplicant on `ct-1` that proves that it is.
    pub fn proves(&self) -> Supplicant {
        let supplicant = self.supplicant(NODE, Credentials::Certificate("ct-1"));
        self.is_let_in(true);
        supplicant
    }

    /// A supplicant on that host.
    pub fn supplicant_on(
        &self,
        host: &Host,
        identity: &str,
        credentials: Credentials<'_>,
    ) -> Supplicant {
        let place = (host.namespace(), host.link().name());
        let lab = self.gateway.lab();
        Supplicant::start(lab, place, &pki_of(&self.gateway), identity, credentials, &self.numbers)
    }

    /// Waits until frames of `ct-1` cross, or until they do not; how long that took.
    #[track_caller]
    pub fn is_let_in(&self, is: bool) -> Duration {
        let begun = Instant::now();
        let log = || self.hostapd.as_ref().map(Hostapd::log).unwrap_or_default();
        let end = begun + PATIENCE;
        while self.gateway.crosses() != is {
            assert!(Instant::now() < end, "{:?}\n{}", self.gateway.events(), log());
        }
        begun.elapsed()
    }

    /// Watches for that long that frames of `ct-1` go on crossing, or that none does.
    #[track_caller]
    pub fn stays_let_in(&self, is: bool, time: Duration) {
        let end = Instant::now() + time;
        while Instant::now() < end {
            assert_eq!(self.gateway.crosses(), is, "{:?}", self.gateway.events());
        }
    }
}

/// The table that lets the daemon listen to a hostapd on that port.
fn listens(lab: &Lab, port: &str) -> String {
    let socket = Hostapd::directory(lab, port).join(port);
    format!("[[authentication.hostapd]]\nport = \"{port}\"\nsocket = {socket:?}\n")
}

/// An 802.1X frame of that station's that says goodbye (IEEE 802.1X-2020, 11.3.2: EAPOL-Logoff).
pub fn logoff(station: Mac) -> Packet {
    let mut body = vec![1, 2, 0, 0];
    body.resize(46, 0);
    eth(station, PAE_GROUP).ethertype(0x888e) / payload(body)
}

/// A small certification authority, with certificates for [`NODE`] and [`OTHER`]; where it lies.
pub fn certify(gateway: &Gateway) -> PathBuf {
    let directory = pki_of(gateway);
    let pki = |arguments: &[&str]| {
        let place = ["pki", "--directory", directory.to_str().expect("a path of the lab's")];
        gateway.cordon(&[&place, arguments].concat()).done();
    };
    pki(&["init"]);
    pki(&["issue", "ct-1", "--identity", NODE]);
    pki(&["issue", "ct-2", "--identity", OTHER]);
    directory
}

fn pki_of(gateway: &Gateway) -> PathBuf {
    gateway.lab().directory().join("pki")
}

/// The certificate that was issued to a node, and its key.
fn issued(pki: &Path, node: &str) -> [PathBuf; 2] {
    let files: Vec<_> = fs::read_dir(pki.join("nodes")).expect("certificates").flatten().collect();
    ["crt", "key"].map(|ending| {
        let is_it = |path: &PathBuf| {
            let name = path.file_stem().and_then(|name| name.to_str()).unwrap_or_default();
            name.starts_with(&format!("{node}-")) && path.extension().is_some_and(|it| it == ending)
        };
        let found = files.iter().map(fs::DirEntry::path).find(is_it);
        found.unwrap_or_else(|| panic!("no {ending} of {node}"))
    })
}

/// Numbers for programs of the same name.
#[derive(Debug, Default)]
pub struct Numbers(Cell<u16>);

impl Numbers {
    /// A name that no program before has had.
    pub fn name(&self, program: &str) -> String {
        self.0.set(self.0.get() + 1);
        format!("{program}-{}", self.last())
    }

    fn last(&self) -> u16 {
        self.0.get()
    }
}
