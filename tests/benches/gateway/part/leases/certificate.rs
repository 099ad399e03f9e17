//! Certificates of `cordon pki`, shown by `cordon-node`.

use firewall_tests::management::Management;

use super::traffic::{Traffic, now};
use super::{END, row};
use crate::Effort;
use crate::report::Report;
use crate::statistics::Samples;

pub(super) fn measure(effort: Effort, report: &mut Report) {
    let network = Management::new();
    let traffic = Traffic::start(network.gateway.lab());
    let mut samples = Samples::default();
    for round in 0..effort.pick(3, 20) {
        if round > 0 {
            network.pki(&["issue", "ct-1", "--identity", "ct-1.example"]);
        }
        let _node = network.node(&format!("node-{round}"), "a lease of");
        traffic.begins(now());
        let begun = now();
        network.pki(&["revoke", "ct-1"]);
        samples.push(traffic.ends(begun));
    }
    row(report, "mutual TLS, cordon pki revoke started to last frame", &samples, END);
}
