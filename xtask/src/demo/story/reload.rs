//! Policies change.

use std::fs;
use std::time::Duration;

use anyhow::{Context as _, Result};
use serde_json::Value;

use super::Story;
use crate::demo::report::{Report, bytes};
use crate::demo::{dicom, gateway, interrupt};

/// A rule for a node that nobody has declared.
const BROKEN: &str = r#"[[allow]]
name = "remote maintenance"
from = ["vendor-laptop"]
to   = ["ct-1"]
applications = ["ssh"]
"#;

pub(super) fn tell(story: &Story, report: &mut Report) -> Result<()> {
    let Story { lab, gateway, images, .. } = story;
    let (studies, rules) = gateway::STUDIES;
    report.step(
        "A rule is taken back while its transfer runs",
        "Nothing keeps talking because it was talking before.",
        |report| {
            let image = images.first().context("no image")?;
            let mut study = dicom::stream(lab, dicom::STUDIES, image)?;
            let told = (|| {
                let start = dicom::arrived(lab, dicom::STUDIES)?;
                let runs = interrupt::until(Duration::from_secs(30), || {
                    Ok(dicom::arrived(lab, dicom::STUDIES)? > start + 2_000_000)
                })?;
                let measured = bytes(dicom::arrived(lab, dicom::STUDIES)?);
                report.check("a study is on its way to the PACS", runs.is_some(), &measured);
                let revoked = gateway.ledger()?.dropped("revoked");
                fs::remove_file(gateway.policy(studies))?;
                let reload = gateway.ask(&["reload"])?;
                let then = dicom::arrived(lab, dicom::STUDIES)?;
                let removed = &reload["rules"]["removed"];
                let took = reload["took_microseconds"].as_u64().unwrap_or(0) / 1000;
                let named =
                    removed.as_array().is_some_and(|it| it.contains(&"long studies".into()));
                report.check("the reload names the rule", named, &format!("{removed}, {took} ms"));
                let cut = reload["cut_flows"].as_array().and_then(|flows| flows.first());
                let measured = cut.map_or("none".to_owned(), describe);
                let is_it = cut.is_some_and(|flow| flow["application_port"] == dicom::STUDIES);
                report.check("and the live flow that is cut", is_it, &measured);
                interrupt::pause(Duration::from_secs(1))?;
                let now = dicom::arrived(lab, dicom::STUDIES)?.abs_diff(then);
                let measured = format!("{} in 1 s", bytes(now));
                report.check("no byte of it arrives any more", now == 0, &measured);
                let counted = gateway.ledger()?.dropped("revoked") - revoked;
                let measured = format!("{counted} dropped");
                report.check("what is still sent is counted as revoked", counted > 0, &measured);
                Ok(())
            })();
            study.kill()?;
            told
        },
    )?;
    report.step(
        "Somebody saves a broken policy",
        "It is refused with the place and the cause; the policy in force stays in force.",
        |report| {
            let before = gateway.ask(&["status"])?;
            let broken = gateway.policy("40-maintenance.toml");
            fs::write(&broken, BROKEN)?;
            let refused = gateway.cordon(&["reload"]);
            fs::remove_file(&broken)?;
            let refused = refused?;
            let code =
                refused.code.map_or("no exit code".to_owned(), |it| format!("exit code {it}"));
            report.check("the reload is refused", refused.code == Some(2), &code);
            let named = refused.stderr.contains("vendor-laptop")
                && refused.stderr.contains("40-maintenance.toml");
            report.check("the cause is named", named, "vendor-laptop, 40-maintenance.toml");
            report.show(&refused.stderr);
            let after = gateway.ask(&["status"])?;
            let same = |key: &str| before["policy"][key] == after["policy"][key];
            let measured = format!("generation {}", after["policy"]["generation"]);
            report.check("nothing has changed", same("generation") && same("hash"), &measured);
            let echo = dicom::echo(&lab.ct, &lab.pacs, dicom::IMAGES)?;
            report.check("the CT goes on working", echo.succeeded(), echo.gist("C-ECHO answered"));
            fs::write(gateway.policy(studies), rules)?;
            let reload = gateway.ask(&["reload"])?;
            let added = &reload["rules"]["added"];
            let named = added.as_array().is_some_and(|it| it.contains(&"long studies".into()));
            report.check("the good policy is loaded again", named, &format!("{added} added"));
            Ok(())
        },
    )?;
    report.step(
        "The journal knows who did what",
        "Every command is recorded with its time, its author and the author's words.",
        |report| {
            let events = gateway.events()?;
            for kind in ["stop", "resume", "reload", "reload_refused"] {
                let event = events.iter().rfind(|event| event["kind"] == kind);
                let by = event.and_then(|event| event["by"]["user"].as_str());
                let measured = by.map_or_else(
                    || "not recorded".to_owned(),
                    |by| {
                        let reason = event.and_then(|event| event["reason"].as_str());
                        reason.map_or(by.to_owned(), |reason| format!("{by}: {reason}"))
                    },
                );
                report.check(&format!("{kind} is recorded"), by.is_some(), &measured);
            }
            Ok(())
        },
    )
}

fn describe(flow: &Value) -> String {
    let name = |end: &str| flow[end]["node"].as_str().unwrap_or("?").to_owned();
    format!("{} -> {} port {}", name("from"), name("to"), flow["application_port"])
}
