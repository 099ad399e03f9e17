//! The daemon dies; the firewall does not.

use std::time::Duration;

use anyhow::{Context as _, Result};

use super::Story;
use super::probe::ping;
use crate::demo::report::{Report, bytes};
use crate::demo::{dicom, interrupt};

pub(super) fn tell(story: &mut Story, report: &mut Report) -> Result<()> {
    let Story { lab, gateway, images, .. } = story;
    report.step(
        "The daemon is killed in the middle of a transfer",
        "Nobody in radiology notices: the kernel goes on with the last policy.",
        |report| {
            let image = images.first().context("no image")?;
            let arrived = || dicom::arrived(lab, dicom::STUDIES);
            let mut study = dicom::stream(lab, dicom::STUDIES, image)?;
            let told = (|| {
                let start = arrived()?;
                interrupt::until(Duration::from_secs(30), || Ok(arrived()? > start + 2_000_000))?;
                let counted = gateway.ledger()?.received();
                let id = gateway.kill()?;
                let then = arrived()?;
                interrupt::pause(Duration::from_secs(1))?;
                let now = arrived()?.saturating_sub(then);
                let measured = format!("{} in 1 s after SIGKILL of {id}", bytes(now));
                report.check("the study goes on without the daemon", now > 0, &measured);
                let (sent, answered) = ping(&lab.laptop, &lab.pacs, 3)?;
                let measured = format!("{answered} of {sent} pings answered");
                report.check("the laptop still hears nothing", answered == 0, &measured);
                let said = gateway.cordon(&["status"])?;
                let code = format!("exit code {}", said.code.unwrap_or(-1));
                report.check("the CLI says what is the matter", said.code == Some(3), &code);
                report.show(&said.stderr);

                let then = arrived()?;
                let took = gateway.start_again()?;
                let measured = format!("answers after {} ms", took.as_millis());
                report.check("a new daemon takes over", true, &measured);
                let since = gateway.ledger()?.received();
                let measured = format!("{counted} frames then, {since} now");
                report.check("it has adopted the counters", since >= counted, &measured);
                let flows = gateway.ask(&["flows"])?;
                let flows = flows["flows"].as_array().cloned().unwrap_or_default();
                let known = flows.iter().any(|flow| flow["application_port"] == dicom::STUDIES);
                report.check("and the live flow", known, &format!("{} flows", flows.len()));
                interrupt::pause(Duration::from_millis(500))?;
                let now = arrived()?.saturating_sub(then);
                let goes_on = now > 0 && study.is_running()?;
                let measured = format!("{} since the restart began", bytes(now));
                report.check("the study has not been interrupted", goes_on, &measured);
                Ok(())
            })();
            study.kill()?;
            told
        },
    )
}
