//! A machine must prove who it is.

use std::fs;
use std::time::Duration;

use anyhow::{Context as _, Result};

use super::Story;
use super::probe::{connect, names_the_drop};
use crate::demo::dot1x::{self, IDENTITY, NODE};
use crate::demo::gateway::RADIOLOGY;
use crate::demo::lab::Host;
use crate::demo::process::Service;
use crate::demo::report::Report;
use crate::demo::{dicom, hl7, interrupt};

const PATIENCE: Duration = Duration::from_secs(10);

pub(super) fn tell(story: &Story, report: &mut Report) -> Result<()> {
    let Story { lab, gateway, .. } = story;
    report.step(
        "The workstation must prove who it is",
        "Two lines more in the policy; until it has shown a certificate, it speaks to nobody.",
        |report| {
            let (file, text) = RADIOLOGY;
            let role = "roles      = [\"workstation\"]\n";
            let proof = format!("authentication = \"802.1x\"\nidentity = \"{IDENTITY}\"\n");
            fs::write(gateway.policy(file), text.replace(role, &format!("{role}{proof}")))?;
            let reload = gateway.ask(&["reload"])?;
            let changed = &reload["nodes"]["changed"];
            let named = changed.as_array().is_some_and(|it| it.contains(&NODE.into()));
            report.check("the reload names the node", named, &changed.to_string());
            lab.workstation.knows(&lab.ris)?;
            names_the_drop(story, report, "no_lease", &lab.workstation, |report| {
                is_silent(story, report, "the workstation reaches no RIS", &lab.workstation)
            })
        },
    )?;
    let mut supplicant = None;
    report.step(
        "The workstation shows its certificate",
        "802.1X over the same cable, to the gateway itself; then the day goes on.",
        |report| {
            supplicant = Some(prove(story, report)?);
            acknowledged(story, report, "R4712")
        },
    )?;
    report.step(
        "A laptop takes the unplugged workstation's place",
        "Cables are moved in radiology. The laptop has the workstation's address and card number.",
        |report| {
            if let Some(mut supplicant) = supplicant.take() {
                supplicant.kill()?;
            }
            lab.inside.ip("link set uplink down")?;
            let ended = interrupt::until(PATIENCE, || {
                let events = gateway.events()?;
                Ok(events.iter().any(|it| it["kind"] == "lease" && it["reason"] == "carrier"))
            })?;
            let measured = ended.map_or("no such event".to_owned(), |after| {
                format!("{} ms after the cable was pulled", after.as_millis())
            });
            report.check("the lease ends with the link", ended.is_some(), &measured);
            let told = impostor(story, report);
            lab.inside.ip("link set workstation up")?;
            lab.inside.ip("link set uplink up")?;
            told?;
            let echo = dicom::echo(&lab.ct, &lab.pacs, dicom::IMAGES)?;
            let measured = echo.gist("C-ECHO answered");
            report.check("the CT, which need prove nothing, goes on", echo.succeeded(), measured);
            prove(story, report)?;
            acknowledged(story, report, "R4713")
        },
    )
}

/// Starts the supplicant and looks at what comes of it.
fn prove(story: &Story, report: &mut Report) -> Result<Service> {
    let Story { lab, gateway, .. } = story;
    let supplicant = dot1x::prove(lab, &lab.workstation)?;
    let lease = dot1x::lease(gateway)?;
    let (after, node) =
        lease.with_context(|| format!("it is not let in:\n{}", supplicant.log()))?;
    let measured = format!("after {} ms", after.as_millis());
    report.check("hostapd believes it, and it has a lease", true, &measured);
    let (identity, source) = (&node["identity"], &node["lease_source"]);
    let measured = format!("{identity}, says {source}");
    report.check("`cordon nodes` says who it is", identity == IDENTITY, &measured);
    Ok(supplicant)
}

/// The laptop speaks with all that can be copied.
fn impostor(story: &Story, report: &mut Report) -> Result<()> {
    let Story { lab, .. } = story;
    let (laptop, workstation) = (&lab.laptop, &lab.workstation);
    lab.inside.ip("link set workstation down")?;
    laptop.namespace.ip(&format!("link set eth0 address {}", workstation.mac))?;
    laptop.namespace.ip(&format!("address add {}/32 dev eth0", workstation.address))?;
    laptop.knows(&lab.ris)?;
    let route = format!("{}/32 dev eth0 src {}", lab.ris.address, workstation.address);
    laptop.namespace.ip(&format!("route add {route}"))?;
    lab.inside.ip("link set uplink up")?;
    let told = names_the_drop(story, report, "lease_expired", workstation, |report| {
        is_silent(story, report, "the laptop reaches no RIS", laptop)
    });
    laptop.namespace.ip(&format!("route delete {route}"))?;
    laptop.namespace.ip(&format!("address delete {}/32 dev eth0", workstation.address))?;
    laptop.namespace.ip(&format!("link set eth0 address {}", laptop.mac))?;
    told
}

fn is_silent(story: &Story, report: &mut Report, claim: &str, host: &Host) -> Result<()> {
    let answer = connect(host, &story.lab.ris, hl7::PORT)?;
    report.check(claim, answer.is_err(), answer.as_ref().err().map_or("connected", String::as_str));
    Ok(())
}

fn acknowledged(story: &Story, report: &mut Report, id: &str) -> Result<()> {
    let Story { lab, .. } = story;
    let address = lab.ris.address.parse()?;
    let (code, of) = lab.workstation.namespace.inside(|| hl7::report(address, id))??;
    let measured = format!("{code} for message {of}");
    report.check("HL7: the RIS acknowledges its report", code == "AA" && of == id, &measured);
    Ok(())
}
