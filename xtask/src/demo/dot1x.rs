//! Real 802.1X: hostapd on the gateway's port, `wpa_supplicant` on the workstation, and certificates
//! of `cordon pki`.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use serde_json::Value;

use super::gateway::Gateway;
use super::interrupt;
use super::lab::{Host, Lab};
use super::process::Service;

/// What the workstation's certificate says.
pub(super) const IDENTITY: &str = "workstation-1.radiology.example";
/// The node it belongs to.
pub(super) const NODE: &str = "workstation-1";

const PATIENCE: Duration = Duration::from_secs(20);

/// Where the control socket of the hostapd on the port `inside` lies.
pub(super) fn socket(directory: &Path) -> PathBuf {
    directory.join("hostapd/inside")
}

/// Issues certificates, starts hostapd, and waits until the daemon hears it.
pub(super) fn serve(lab: &Lab, gateway: &Gateway) -> Result<()> {
    let directory = lab.directory();
    let pki = directory.join("pki");
    for arguments in [&["init"][..], &["issue", NODE, "--identity", IDENTITY]] {
        let place = pki.to_str().context("a path that is no text")?;
        let said = gateway.cordon(&[&["pki", "--directory", place], arguments].concat())?;
        said.or_fail("cordon pki")?;
    }
    fs::write(directory.join("eap-users"), format!("\"{IDENTITY}\" TLS\n"))?;
    let configuration = directory.join("hostapd.conf");
    let text = format!(
        "interface=inside\ndriver=wired\nieee8021x=1\nuse_pae_group_addr=1\neap_server=1\n\
         eap_user_file={0}/eap-users\nctrl_interface={0}/hostapd\nca_cert={0}/pki/ca.crt\n\
         server_cert={0}/pki/gateway.crt\nprivate_key={0}/pki/gateway.key\n",
        directory.display()
    );
    fs::write(&configuration, text)?;
    // For the books: what hostapd sends leaves through the firewall, too.
    let mut command = lab.gateway.command(find("tcpdump")?);
    command.args(["-Z", "root", "-i", "inside", "-nlt", "-Q", "out", "ether proto 0x888e"]);
    let mut tcpdump = Service::start(command, &sent_log(lab))?;
    let listens = || Ok(tcpdump.log().contains("listening on"));
    let listens = interrupt::until(PATIENCE, listens)?.is_some() && tcpdump.is_running()?;
    ensure!(listens, "tcpdump does not listen:\n{}", tcpdump.log());
    let mut command = lab.gateway.command(find("hostapd")?);
    command.arg(configuration);
    let hostapd = Service::start(command, &directory.join("hostapd.log"))?;
    let is_heard = interrupt::until(PATIENCE, || {
        let health = gateway.ask(&["status"])?["health"].as_array().cloned().unwrap_or_default();
        Ok(health
            .iter()
            .any(|check| check["name"] == "authentication sources" && check["state"] == "ok"))
    })?;
    is_heard.with_context(|| format!("the daemon does not hear hostapd:\n{}", hostapd.log()))?;
    Ok(())
}

/// How many frames hostapd has sent.
pub(super) fn sent(lab: &Lab) -> Result<u64> {
    let log = fs::read_to_string(sent_log(lab))?;
    Ok(u64::try_from(log.lines().filter(|line| line.starts_with("EAP")).count())?)
}

fn sent_log(lab: &Lab) -> PathBuf {
    lab.directory().join("sent-by-hostapd.log")
}

/// Lets a machine show the workstation's certificate to whoever asks for it.
pub(super) fn prove(lab: &Lab, host: &Host) -> Result<Service> {
    let directory = lab.directory();
    let [certificate, key] = ["crt", "key"].map(|ending| issued(directory, ending));
    let text = format!(
        "ap_scan=0\nnetwork={{\nkey_mgmt=IEEE8021X\neapol_flags=0\neap=TLS\nidentity=\"{IDENTITY}\"\n\
         ca_cert=\"{}\"\nclient_cert=\"{}\"\nprivate_key=\"{}\"\n}}\n",
        directory.join("pki/ca.crt").display(),
        certificate?.display(),
        key?.display()
    );
    let configuration = directory.join("supplicant.conf");
    fs::write(&configuration, text)?;
    let mut command = host.namespace.command(find("wpa_supplicant")?);
    command.args(["-D", "wired", "-i", "eth0", "-c"]).arg(configuration);
    Service::start(command, &directory.join("supplicant.log"))
}

/// Waits until the workstation has a lease; how long that took, and what is known of it.
pub(super) fn lease(gateway: &Gateway) -> Result<Option<(Duration, Value)>> {
    let mut found = Value::Null;
    let took = interrupt::until(PATIENCE, || {
        let nodes = gateway.ask(&["nodes", "--name", NODE])?;
        found = nodes["nodes"][0].clone();
        Ok(found["lease_source"].is_string())
    })?;
    Ok(took.map(|took| (took, found)))
}

fn issued(directory: &Path, ending: &str) -> Result<PathBuf> {
    let files = fs::read_dir(directory.join("pki/nodes"))?.flatten().map(|file| file.path());
    let mut meant = files.filter(|file| file.extension().is_some_and(|it| it == ending));
    meant.next().with_context(|| format!("no {ending} was issued"))
}

fn find(program: &str) -> Result<PathBuf> {
    crate::process::find(program).with_context(|| format!("there is no {program}"))
}
