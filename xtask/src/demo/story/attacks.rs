//! Those who do not belong here.

use std::time::Instant;

use anyhow::Result;

use super::Story;
use super::probe::{connect, names_the_drop, ping};
use crate::demo::dicom;
use crate::demo::report::Report;

pub(super) fn tell(story: &Story, report: &mut Report) -> Result<()> {
    let lab = &story.lab;
    report.step(
        "A visitor plugs a laptop into radiology's switch",
        "It gets a link light, and nothing else.",
        |report| {
            // So that it sends more than ARP requests, which nobody would answer either.
            lab.laptop.knows(&lab.pacs)?;
            lab.pacs.knows(&lab.laptop)?;
            names_the_drop(story, report, "unknown_source", &lab.laptop, |report| {
                silence(report, "the laptop hears nothing", ping(&lab.laptop, &lab.pacs, 3)?);
                Ok(())
            })
        },
    )?;
    report.step(
        "The laptop takes the CT's address",
        "An address proves nothing: the CT is bound to its network card as well.",
        |report| {
            let spoof = |verb| format!("address {verb} {}/32 dev eth0", lab.ct.address);
            lab.laptop.namespace.ip(&spoof("add"))?;
            lab.laptop.namespace.ip(&format!(
                "route add {}/32 dev eth0 src {}",
                lab.pacs.address, lab.ct.address
            ))?;
            let told = names_the_drop(story, report, "binding_mac", &lab.ct, |report| {
                silence(report, "the impostor hears nothing", ping(&lab.laptop, &lab.pacs, 3)?);
                let port = connect(&lab.laptop, &lab.pacs, dicom::IMAGES)?;
                let measured = port.as_ref().err().map_or("connected", String::as_str);
                report.check("the PACS accepts no images from it", port.is_err(), measured);
                Ok(())
            });
            lab.laptop.namespace.ip(&format!("route del {}/32", lab.pacs.address))?;
            lab.laptop.namespace.ip(&spoof("del"))?;
            told?;
            let echo = dicom::echo(&lab.ct, &lab.pacs, dicom::IMAGES)?;
            let measured = echo.gist("C-ECHO answered");
            report.check("the real CT goes on working", echo.succeeded(), measured);
            Ok(())
        },
    )?;
    report.step(
        "Known machines try what nobody has allowed",
        "Malware on the CT looks for an open door; a curious office PC looks for the CT.",
        |report| {
            names_the_drop(story, report, "no_rule", &lab.ct, |report| {
                let started = Instant::now();
                let ssh = connect(&lab.ct, &lab.pacs, 22)?;
                let measured = format!("silence for {} ms", started.elapsed().as_millis());
                let silent = ssh.is_err_and(|error| error.contains("timed out"));
                report.check("the CT reaches no SSH at the PACS", silent, &measured);
                Ok(())
            })?;
            lab.office.knows(&lab.ct)?;
            lab.ct.knows(&lab.office)?;
            names_the_drop(story, report, "no_rule", &lab.office, |report| {
                silence(
                    report,
                    "the office PC does not see the CT",
                    ping(&lab.office, &lab.ct, 3)?,
                );
                Ok(())
            })
        },
    )
}

fn silence(report: &mut Report, claim: &str, (sent, answered): (u32, u32)) {
    let measured = format!("{answered} of {sent} pings answered");
    report.check(claim, sent > 0 && answered == 0, &measured);
}
