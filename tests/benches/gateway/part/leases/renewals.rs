//! What it costs the daemon to renew ten thousand leases a minute.

use std::fmt::Write as _;
use std::fs;
use std::thread::sleep;
use std::time::{Duration, Instant};

use firewall_tests::gateway::Gateway;
use firewall_tests::packet::Mac;
use nix::unistd::{SysconfVar, sysconf};
use serde_json::json;

use super::switch::{Status, Switch};
use crate::Effort;
use crate::report::{Report, Row, Target};

const LEASES: u32 = 10_000;
const MINUTE: Duration = Duration::from_secs(60);
/// Per cent of one processor.
const MOST: f64 = 2.0;

pub(super) fn measure(effort: Effort, report: &mut Report) {
    let mut gateway = Gateway::prepare(&policy());
    let large = gateway.config_text().replace("nodes = 256\n", "nodes = 16384\n");
    let switch = Switch::plug(&mut gateway, &large);
    for node in 0..LEASES {
        switch.says(Status::Start, &session(node), &identity(node), mac(node));
    }
    // Every 30 s renewals are written to disk: only the long run has its share of that.
    let time = effort.pick_long(MINUTE / 12, MINUTE / 4, MINUTE);
    let idle = share(&gateway, || sleep(time / 6));
    let renewals = LEASES * u32::try_from(time.as_secs() / 5).unwrap() / 12;
    let busy = share(&gateway, || {
        let begun = Instant::now();
        for node in 0..renewals {
            let due = time * node / renewals;
            sleep(due.saturating_sub(begun.elapsed()));
            switch.says(Status::Interim, &session(node), &identity(node), mac(node));
        }
    });
    let seconds = time.as_secs();
    report.row(Row {
        what: format!(
            "leases: {LEASES} renewed a minute by RADIUS, for {seconds} s, of a processor"
        ),
        ours: format!("{busy:.2} %"),
        peer: format!("without renewals: {idle:.2} %"),
        target: Target::at_most(MOST, "%", busy),
        ..Row::default()
    });
    report.samples("leases: renewals", json!({ "percent": busy, "idle_percent": idle }));
}

/// Per cent of a processor that the daemon takes while something happens.
fn share(gateway: &Gateway, act: impl FnOnce()) -> f64 {
    let (begun, before) = (Instant::now(), processor_time(gateway.daemon_id()));
    act();
    let taken = processor_time(gateway.daemon_id()) - before;
    100.0 * taken.as_secs_f64() / begun.elapsed().as_secs_f64()
}

/// In the daemon and in the kernel for it (proc(5), `utime` and `stime`).
fn processor_time(process: u32) -> Duration {
    let text = fs::read_to_string(format!("/proc/{process}/stat")).unwrap();
    let (_, fields) = text.rsplit_once(") ").unwrap();
    let ticks = fields.split(' ').skip(11).take(2).map(|field| field.parse::<u32>().unwrap());
    let second = sysconf(SysconfVar::CLK_TCK).unwrap().unwrap();
    Duration::from_secs(1) * ticks.sum::<u32>() / u32::try_from(second).unwrap()
}

fn policy() -> String {
    let mut text = String::from(
        "version = 1\n[subnetwork.ward]\nport = \"inside\"\nnetworks = [\"10.64.0.0/16\"]\n",
    );
    for node in 0..LEASES {
        let (mac, [high, low]) = (mac(node), half(node));
        writeln!(
            text,
            "[node.pump-{node}]\nsubnetwork = \"ward\"\naddresses = [\"10.64.{high}.{low}\"]\n\
             mac = \"{mac}\"\nauthentication = \"802.1x\"\nidentity = \"{}\"",
            identity(node)
        )
        .unwrap();
    }
    text
}

fn session(node: u32) -> String {
    format!("session-{node}")
}

fn identity(node: u32) -> String {
    format!("pump-{node}.ward.example")
}

fn mac(node: u32) -> Mac {
    let [high, low] = half(node);
    Mac([2, 0, 0, 1, high, low])
}

/// Neither the network's own address nor its broadcast address.
fn half(node: u32) -> [u8; 2] {
    let [_, _, high, low] = (node + 256).to_be_bytes();
    [high, low]
}
