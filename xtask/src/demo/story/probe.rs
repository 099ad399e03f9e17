//! Small questions that several chapters ask.

use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use anyhow::{Context as _, Result};

use super::Story;
use crate::demo::interrupt;
use crate::demo::lab::Host;
use crate::demo::process::finish;
use crate::demo::report::Report;

const PATIENCE: Duration = Duration::from_secs(10);

/// Pings that were sent and that were answered.
pub(super) fn ping(host: &Host, to: &Host, count: u32) -> Result<(u32, u32)> {
    let mut command = host.namespace.command("ping");
    command.args(["-n", "-q", "-i", "0.2", "-W", "1", "-c", &count.to_string(), to.address]);
    let said = finish(command, PATIENCE)?.stdout;
    let line = said.lines().find(|line| line.contains("packets transmitted"));
    let mut numbers = line.into_iter().flat_map(|line| line.split(' ')).map(str::parse);
    let mut number = || numbers.find_map(Result::ok).context("ping did not report");
    Ok((number()?, number()?))
}

/// Whether a TCP connection comes about within a second, and how the attempt ended.
pub(super) fn connect(host: &Host, to: &Host, port: u16) -> Result<Result<(), String>> {
    let address = SocketAddr::new(to.address.parse()?, port);
    let attempt = || TcpStream::connect_timeout(&address, Duration::from_secs(1)).map(drop);
    Ok(host.namespace.inside(attempt)?.map_err(|error| error.to_string()))
}

/// Does something that must end in drops of this reason: checks the counter, and that an event says
/// the same of this sender.
pub(super) fn names_the_drop(
    story: &Story,
    report: &mut Report,
    reason: &str,
    sender: &Host,
    attempt: impl FnOnce(&mut Report) -> Result<()>,
) -> Result<()> {
    let (before, first) = (story.gateway.ledger()?, story.gateway.events()?.len());
    attempt(report)?;
    let counted = story.gateway.ledger()?.dropped(reason) - before.dropped(reason);
    report.check(
        &format!("the firewall counts the frames as {reason}"),
        counted > 0,
        &format!("{counted} dropped"),
    );
    let mut told = None;
    interrupt::until(Duration::from_secs(3), || {
        let events = story.gateway.events()?;
        told = events.into_iter().skip(first).find(|event| {
            event["reason"] == reason && event["source"]["address"] == sender.address
        });
        Ok(told.is_some())
    })?;
    let measured = told.as_ref().map_or_else(
        || "no such event".to_owned(),
        |event| {
            let mac = event["source"]["mac"].as_str().unwrap_or("?");
            let port = event["port"].as_str().unwrap_or("?");
            format!("{}, {mac}, port {port}", sender.address)
        },
    );
    report.check("an event names the sender and the reason", told.is_some(), &measured);
    Ok(())
}
