//! An access switch that does 802.1X and tells the gateway of it by RADIUS.

use std::{
    fs::{self, Permissions},
    os::unix::fs::PermissionsExt as _,
};

use super::{
    Credentials, FreeRadius, Hostapd, NODE, Numbers, SECRET, Server, Supplicant, certify,
    freeradius::ACCOUNTING, pki_of,
};
use crate::{
    gateway::{Gateway, policy::NEAR},
    lab::{Link, Namespace},
    packet::Mac,
};

/// The switch on the management network.
const SWITCH: &str = "10.30.0.2";
/// The gateway there.
const GATEWAY: &str = "10.30.0.1";

/// A gateway that learns from a switch who `ct-1` is. On the switch are hostapd and the FreeRADIUS
/// that it asks; the station that proves itself has the MAC of `ct-1`.
#[derive(Debug)]
pub struct Switch {
    /// What listens to the switch.
    pub gateway: Gateway,
    /// On the switch's port.
    pub hostapd: Hostapd,
    /// Beside it.
    pub freeradius: FreeRadius,
    _namespace: Namespace,
    station: Namespace,
    numbers: Numbers,
}

impl Switch {
    /// The switch's hostapd tells the gateway itself, or by way of FreeRADIUS, which signs with a
    /// Message-Authenticator.
    pub fn new(by_proxy: bool) -> Self {
        let mut gateway = Gateway::prepare_authenticated("802.1x");
        let lab = gateway.lab();
        let (namespace, station) = (lab.namespace("access"), lab.namespace("station"));
        let macs = [Mac([2, 0, 0, 0, 9, 1]), Mac([2, 0, 0, 0, 9, 2]), Mac([2, 0, 0, 0, 9, 3])];
        let ends = ((lab.gateway(), "mgmt0", macs[0]), (&namespace, "mgmt0", macs[1]));
        let (here, there) = Link::pair(ends.0, ends.1);
        here.address(&format!("{GATEWAY}/24"));
        there.address(&format!("{SWITCH}/24"));
        Link::pair((&namespace, "port1", macs[2]), (&station, "eth0", NEAR.mac));
        let secret = lab.directory().join("secret");
        fs::write(&secret, SECRET).expect("write the secret");
        fs::set_permissions(&secret, Permissions::from_mode(0o600)).expect("hide the secret");
        let client = format!(
            "[authentication.radius]\nlisten = \"{GATEWAY}:1813\"\n\
             allow_remote = true\n\
             [[authentication.radius.client]]\nname = \"switch-1\"\naddress = \"{SWITCH}\"\n\
             secret_file = {secret:?}\nrequire_message_authenticator = {by_proxy}\n"
        );
        gateway.write_config(&(gateway.config_text() + &client));
        let pki = certify(&gateway);
        gateway.restart();
        let (lab, numbers) = (gateway.lab(), Numbers::default());
        let freeradius = FreeRadius::start(lab, &namespace, &pki, GATEWAY, &numbers);
        let accounting = if by_proxy { ("127.0.0.1", ACCOUNTING) } else { (GATEWAY, 1813) };
        let server = Server::Radius { nas: "switch-1", accounting: Some(accounting) };
        let hostapd = Hostapd::start_in(lab, (&namespace, "port1"), &pki, &server, &numbers);
        Self { gateway, hostapd, freeradius, _namespace: namespace, station, numbers }
    }

    /// The station proves that it is `ct-1` with the certificate of that node.
    pub fn supplicant(&self, certificate: &str) -> Supplicant {
        let (pki, credentials) = (pki_of(&self.gateway), Credentials::Certificate(certificate));
        let place = (&self.station, "eth0");
        Supplicant::start(self.gateway.lab(), place, &pki, NODE, credentials, &self.numbers)
    }
}
