//! An ordinary day: the firewall is there, and nobody notices. And the books at its end.

use std::fmt::Write as _;

use anyhow::Result;

use super::probe::ping;
use super::{IMAGES, Story};
use crate::demo::report::{Report, bytes};
use crate::demo::{dicom, dot1x, hl7, interrupt};

pub(super) fn tell(story: &Story, report: &mut Report) -> Result<()> {
    let Story { lab, gateway, images, armed_after } = story;
    report.step(
        "The firewall stands between radiology and hospital",
        "A cable was cut and Cordon put in between; no address was changed.",
        |report| {
            let status = gateway.ask(&["status"])?;
            let ports = status["ports"].as_array().cloned().unwrap_or_default();
            let armed = ports.iter().filter(|port| port["armed"] == true).count();
            let took = format!("after {} ms", armed_after.as_millis());
            report.check("both ports are guarded", armed == 2, &took);
            let native = ports.iter().filter(|port| port["xdp"] == "native").count();
            let measured = format!("xdp native on {native} of {}", ports.len());
            report.check("the program runs in the driver", native == 2, &measured);
            let policy = &status["policy"];
            let measured = format!("{} nodes, {} rules", policy["nodes"], policy["rules"]);
            report.check("the policy is in force", policy["armed"] == true, &measured);
            report.show(&gateway.cordon(&["status"])?.stdout);
            Ok(())
        },
    )?;
    report.step(
        "The CT sends a series to the PACS",
        "The radiographer presses `send`; the images are in the archive.",
        |report| {
            let (sent, answered) = ping(&lab.ct, &lab.pacs, 3)?;
            let measured = format!("{answered} of {sent} pings answered");
            report.check("the PACS can be reached from the CT", answered == sent, &measured);
            let echo = dicom::echo(&lab.ct, &lab.pacs, dicom::IMAGES)?;
            report.check(
                "C-ECHO: the PACS answers",
                echo.succeeded(),
                echo.gist("association accepted"),
            );
            let store = dicom::store(&lab.ct, &lab.pacs, dicom::IMAGES, images)?;
            report.check(
                "C-STORE: the PACS takes the series",
                store.succeeded(),
                store.gist("every image accepted"),
            );
            let (count, size) = dicom::archived(lab)?;
            let measured = format!("{count} of {IMAGES} images, {}", bytes(size));
            let complete = count == usize::from(IMAGES) && size > u64::from(IMAGES) * 512 * 512 * 2;
            report.check("the images lie in the archive", complete, &measured);
            Ok(())
        },
    )?;
    report.step(
        "The workstation sends a report to the RIS",
        "The referring physician can read the result.",
        |report| {
            let id = "R4711";
            let address = lab.ris.address.parse()?;
            let (code, of) = lab.workstation.namespace.inside(|| hl7::report(address, id))??;
            let measured = format!("{code} for message {of}");
            report.check("HL7: the RIS acknowledges", code == "AA" && of == id, &measured);
            Ok(())
        },
    )
}

/// The last chapter.
pub(super) fn tell_ledger(story: &Story, report: &mut Report) -> Result<()> {
    let Story { gateway, .. } = story;
    report.step(
        "The books balance",
        "Every frame that came in either went out or was dropped for a reason with a name.",
        |report| {
            // Until the last frames of the transfers have been counted on both sides.
            interrupt::pause(std::time::Duration::from_millis(500))?;
            let mut ledger = gateway.ledger()?;
            let mut kernel = Vec::new();
            interrupt::until(std::time::Duration::from_secs(5), || {
                ledger = gateway.ledger()?;
                let ports = ledger.ports.iter();
                kernel = ports.map(|it| counted(story, &it.name)).collect::<Result<_>>()?;
                let mut both = ledger.ports.iter().zip(&kernel);
                Ok(both.all(|(port, (seen, sent))| port.received == seen + sent))
            })?;
            for (port, (seen, sent)) in ledger.ports.iter().zip(kernel) {
                let (received, passed, dropped) = (port.received, port.passed, port.dropped());
                report.check(
                    &format!("{}: received = passed + dropped", port.name),
                    received == passed + dropped && received > 0,
                    &format!("{received} = {passed} + {dropped}"),
                );
                report.check(
                    &format!("{}: the driver has counted as many", port.name),
                    received == seen + sent,
                    &match sent {
                        0 => format!("{seen} frames given to XDP"),
                        sent => format!("{seen} frames given to XDP, {sent} sent by hostapd"),
                    },
                );
                let mut reasons = String::new();
                for (reason, count) in &port.drops {
                    writeln!(reasons, "{count:>8}  dropped on {}: {reason}", port.name)?;
                }
                report.show(&reasons);
            }
            let lost = gateway.ask(&["counters"])?["events"]["lost"].as_u64();
            report.check(
                "no event was lost",
                lost == Some(0),
                &format!("{} lost", lost.unwrap_or(0)),
            );
            report.show("The last events:");
            let events = gateway.cordon(&["events"])?.stdout;
            let lines: Vec<_> = events.lines().collect();
            report.show(&lines[lines.len().saturating_sub(8)..].join("\n"));
            Ok(())
        },
    )
}

/// The frames that the kernel gave to the program on a port, and those that hostapd sent there.
fn counted(story: &Story, port: &str) -> Result<(u64, u64)> {
    let sent = if port == "inside" { dot1x::sent(&story.lab)? } else { 0 };
    Ok((story.gateway.frames_seen_by_xdp(port)?, sent))
}
