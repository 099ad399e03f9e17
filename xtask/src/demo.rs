//! `cargo xtask demo`: the firewall at work between a radiology and a hospital, in network
//! namespaces, with real DICOM and HL7. Every sentence of the story is measured and checked.

mod dicom;
mod dot1x;
mod gateway;
mod hl7;
mod interrupt;
mod lab;
mod ledger;
mod namespace;
mod process;
mod report;
mod story;

use std::process::ExitCode;

use anyhow::{Context as _, Result, bail};

use self::report::Report;
use self::story::Story;
use crate::{build, setup};

#[derive(clap::Args)]
pub(crate) struct Options {
    /// Leaves the laboratory running at the end and says how to play with it
    #[arg(long)]
    keep: bool,
    /// Takes down what `--keep` has left running, and what killed demonstrations have left
    #[arg(long, conflicts_with = "keep")]
    down: bool,
    /// Takes the programs that were built before
    #[arg(long)]
    no_build: bool,
    #[command(subcommand)]
    part: Option<Part>,
}

/// What the demonstration starts inside its machines.
#[derive(clap::Subcommand)]
enum Part {
    /// Plays a RIS: acknowledges HL7 messages
    #[command(hide = true)]
    Hl7Listen,
    /// Plays a workstation: sends an HL7 message
    #[command(hide = true)]
    Hl7Send { to: std::net::IpAddr },
}

/// Tells the story and checks every sentence of it.
pub(crate) fn run(options: &Options) -> Result<ExitCode> {
    let Options { keep, down, no_build, part } = options;
    match part {
        Some(Part::Hl7Listen) => return hl7::listen().map(|()| ExitCode::SUCCESS),
        Some(Part::Hl7Send { to }) => {
            let (code, message) = hl7::report(*to, "R4712")?;
            println!("{code} for message {message}");
            return Ok(ExitCode::SUCCESS);
        }
        None => {}
    }
    if !crate::process::is_root() {
        bail!("the demonstration makes network namespaces and loads a program, which needs root");
    }
    if *down {
        let gone = lab::down()?;
        println!("{} laboratories taken down", gone.len());
        return Ok(ExitCode::SUCCESS);
    }
    if !no_build {
        setup::run()?;
        build::run(&build::Options::default())?;
    }
    interrupt::watch()?;
    process::adopt()?;
    println!("Building a hospital out of network namespaces ...");
    let mut story = Story::set().context("the laboratory cannot be set up")?;
    let mut report = Report::new();
    story.tell(&mut report)?;
    let good = report.summary();
    if *keep {
        invite(&story);
        story.lab.keep()?;
    }
    Ok(if good { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Says how to play with a laboratory that is kept.
fn invite(story: &Story) {
    let (lab, directory) = (story.lab.name(), story.lab.directory().display());
    let (gateway, ct) = (story.lab.gateway.name(), story.lab.ct.namespace.name());
    let (laptop, pacs) = (story.lab.laptop.namespace.name(), story.lab.pacs.address);
    println!(
        "\nThe laboratory {lab} is kept. Its machines are in `ip netns`; everything else is in\n\
         {directory}: policies, logs, images, archive. Try\n\n\
         \x20 alias cordon='{directory}/cordon --config {directory}/cordon.toml'\n\
         \x20 cordon status\n\
         \x20 cordon events --follow\n\
         \x20 cordon stop-all --reason exercise; cordon resume --reason over\n\
         \x20 cordon explain ct-1 pacs ssh --policy {directory}/policies\n\
         \x20 $EDITOR {directory}/policies/10-rules.toml; cordon reload\n\n\
         \x20 ip netns exec {ct} ping {pacs}\n\
         \x20 ip netns exec {ct} echoscu -v {pacs} 104\n\
         \x20 ip netns exec {ct} storescu -v --required {pacs} 104 {directory}/images/1.dcm\n\
         \x20 ip netns exec {workstation} {xtask} demo hl7-send {ris}\n\
         \x20 ip netns exec {laptop} ping -c 3 {pacs}\n\
         \x20 nsenter --net=/run/netns/{gateway} {directory}/cordond --config {directory}/cordon.toml\n\n\
         The last one starts the daemon anew after you have killed it. In the end,\n\n\
         \x20 cargo xtask demo --down",
        workstation = story.lab.workstation.namespace.name(),
        xtask = crate::workspace::target().join("debug/xtask").display(),
        ris = story.lab.ris.address,
    );
}
