//! The big red button.

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};

use super::Story;
use crate::demo::report::{Report, bytes};
use crate::demo::{dicom, interrupt};

/// Longer than any frame is on its way, shorter than clients wait.
const WATCHED: Duration = Duration::from_secs(2);
/// TCP doubles its waiting time with every retransmission.
const RECOVERY: Duration = Duration::from_secs(30);

pub(super) fn tell(story: &Story, report: &mut Report) -> Result<()> {
    let Story { lab, gateway, images, .. } = story;
    report.step(
        "Stop everything, in the middle of a transfer",
        "Malware in the house: one command cuts radiology off. Urgent images still go through.",
        |report| {
            let image = images.first().context("no image")?;
            let arrived = |port| dicom::arrived(lab, port);
            let mut study = dicom::stream(lab, dicom::STUDIES, image)?;
            let mut urgent = dicom::stream(lab, dicom::URGENT, image)?;
            let told = (|| {
                let both = interrupt::until(RECOVERY, || {
                    Ok(arrived(dicom::STUDIES)?.min(arrived(dicom::URGENT)?) > 2_000_000)
                })?;
                let measured = bytes(arrived(dicom::STUDIES)?);
                report.check("a study is on its way to the PACS", both.is_some(), &measured);

                let asked = Instant::now();
                let stop = gateway.ask(&["stop-all", "--reason", "malware in the house"])?;
                let answered = asked.elapsed();
                let (study_then, urgent_then) = (arrived(dicom::STUDIES)?, arrived(dicom::URGENT)?);
                let took = stop["took_microseconds"].as_u64().unwrap_or(u64::MAX);
                report.check(
                    "the stop is on disk and in the kernel",
                    stop["latched"] == "ordinary" && stop["effective"] == "ordinary",
                    &format!("{took} µs; the command took {} ms", answered.as_millis()),
                );
                interrupt::pause(WATCHED)?;
                let study_now = arrived(dicom::STUDIES)?.abs_diff(study_then);
                let seconds = WATCHED.as_secs();
                let measured = format!("{} in {seconds} s", bytes(study_now));
                report.check("no byte of the study arrives any more", study_now == 0, &measured);
                let urgent_now = arrived(dicom::URGENT)?.saturating_sub(urgent_then);
                let measured = format!("{} in {seconds} s", bytes(urgent_now));
                report.check("urgent images go on without a break", urgent_now > 0, &measured);
                let echo = dicom::echo(&lab.ct, &lab.pacs, dicom::URGENT)?;
                let measured = echo.gist("C-ECHO answered");
                report.check("a new urgent association opens", echo.succeeded(), measured);
                let echo = dicom::echo(&lab.ct, &lab.pacs, dicom::IMAGES)?;
                let measured = if echo.succeeded() { "C-ECHO answered" } else { "no answer" };
                report.check("an ordinary one does not", !echo.succeeded(), measured);

                gateway.ask(&["resume", "--reason", "false alarm"])?;
                let again =
                    interrupt::until(RECOVERY, || Ok(arrived(dicom::STUDIES)? > study_then))?;
                let measured = again.map_or("nothing arrives".to_owned(), |after| {
                    format!("on the same association, {} ms after `resume`", after.as_millis())
                });
                report.check("after `resume` the study continues", again.is_some(), &measured);
                let alive = study.is_running()? && urgent.is_running()?;
                let measured = if alive { "both still send" } else { "one has ended" };
                report.check("no client has lost its connection", alive, measured);
                Ok(())
            })();
            study.kill()?;
            urgent.kill()?;
            told
        },
    )
}
