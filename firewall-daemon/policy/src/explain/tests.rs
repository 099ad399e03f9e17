use firewall_common::DropReason;

use super::*;
use crate::{Capacity, Image, Ports, SequentialSlots, Sources, compile, resolve};

const POLICY: &str = r#"
version = 1
[subnetwork.radiology]
port = "inside"
vlan = 120
networks = ["10.20.0.0/24", "fd00:20::/64"]
[subnetwork.hospital]
port = "outside"
networks = ["10.0.0.0/16"]
routers = ["02:00:5e:00:00:fe"]
[node.ct-1]
subnetwork = "radiology"
addresses = ["10.20.0.11", "fd00:20::11"]
mac = "02:00:00:20:00:11"
[node.ct-2]
subnetwork = "radiology"
addresses = ["10.20.0.12"]
mac = "02:00:00:20:00:12"
authentication = "802.1x"
identity = "ct-2"
[node.v6]
subnetwork = "radiology"
addresses = ["fd00:20::66"]
mac = "02:00:00:20:00:66"
[node.pacs]
subnetwork = "hospital"
addresses = ["10.0.5.20"]
[application.dicom]
tcp = ["104", "2762-2765"]
[application.wide]
tcp = ["1-65535"]
[application.ping]
icmp = ["echo"]
[application.ntp]
udp = ["123"]
[[allow]]
name = "images to the archive"
from = ["radiology/*"]
to = ["pacs"]
applications = ["dicom", "ping", "ntp"]
"#;

fn gateway() -> (Policy, Image) {
    let sources = Sources::from_texts([("policy.toml", POLICY)]);
    let policy = resolve(&sources, &Ports::unknown()).unwrap().policy;
    let image = compile(&policy, &mut SequentialSlots::new(), 7, &Capacity::default()).unwrap();
    (policy, image)
}

fn sentences(from: &str, to: &str, application: &str) -> Vec<String> {
    let (policy, image) = gateway();
    let mut memory = Memory::running(&image);
    let question = Question::named(&policy, from, to, application).unwrap();
    let explained = explain(&policy, &image.names, &mut memory, question, Ticks(1)).unwrap();
    explained.answers.into_iter().map(|answer| answer.sentence).collect()
}

#[test]
fn an_allowed_application_names_its_rule() {
    let rule = r#"to pacs: rule "images to the archive""#;
    assert_eq!(
        sentences("ct-1", "pacs", "dicom"),
        [
            format!("ct-1 may open dicom (tcp 104) {rule}"),
            format!("ct-1 may open dicom (tcp 2762-2765) {rule}")
        ]
    );
    assert_eq!(sentences("ct-1", "pacs", "ping"), [format!("ct-1 may open ping (echo) {rule}")]);
    assert_eq!(sentences("ct-1", "pacs", "ntp"), [format!("ct-1 may open ntp (udp 123) {rule}")]);
}

#[test]
fn ports_that_fare_alike_are_told_together() {
    let starts = ["1-103", "104", "105-2761", "2762-2765", "2766-65535"];
    let told = sentences("ct-1", "pacs", "wide");
    assert_eq!(told.len(), starts.len(), "{told:?}");
    for (sentence, ports) in told.iter().zip(starts) {
        assert!(sentence.contains(&format!("(tcp {ports})")), "{sentence}");
    }
}

#[test]
fn a_refusal_names_its_reason_and_what_to_do() {
    let refused = |reason, from, to| {
        let head = format!("{from} may not open ntp (udp 123) to {to}: dropped: ");
        [format!("{head}{} — {}", DropReason::name(reason), meaning(reason))]
    };
    assert_eq!(sentences("pacs", "ct-1", "ntp"), refused(DropReason::NoRule, "pacs", "ct-1"));
    assert_eq!(sentences("ct-2", "pacs", "ntp"), refused(DropReason::NoLease, "ct-2", "pacs"));
    assert_eq!(
        sentences("ct-1", "ct-2", "ntp"),
        ["ct-1 and ct-2 lie behind the same port: nothing between them crosses the gateway"]
    );
}

#[test]
fn a_question_that_cannot_be_asked_says_why() {
    let (policy, image) = gateway();
    let error = Question::named(&policy, "ct1", "pacs", "dicom").unwrap_err();
    assert_eq!(error.to_string(), "the policy has no node `ct1`");
    assert!(error.help().unwrap().contains("ct-1"));
    let question = Question::named(&policy, "v6", "pacs", "dicom").unwrap();
    let mut memory = Memory::running(&image);
    let error = explain(&policy, &image.names, &mut memory, question, Ticks(1)).unwrap_err();
    assert_eq!(error.to_string(), "`v6` and `pacs` have no address family in common");
    assert!(port_named(&policy, "insde").unwrap_err().help().unwrap().contains("inside"));
}

#[test]
fn frames_of_a_capture_build_on_each_other() {
    let (policy, image) = gateway();
    let memory = Memory::running(&image);
    let [ct, pacs] = ["ct-1", "pacs"].map(|name| {
        end(&policy, Whom::Node(policy.node_named(name).unwrap()), Family::Ipv4).unwrap()
    });
    let told = |frame: Vec<u8>, port| {
        explain_frame(&policy, &image.names, &memory, &frame, port, Ticks(1)).sentence
    };
    let opening = || frame::opening(&ct, &pacs, Protocol::Tcp, 104).unwrap();
    let answer = || frame::answer(&ct, &pacs, Protocol::Tcp, 104).unwrap();
    let unasked = told(answer(), pacs.port);
    assert!(unasked.starts_with("tcp 10.0.5.20:104 > 10.20.0.11:49152: dropped: no_rule"));
    let rule = r#"rule "images to the archive""#;
    let opened = format!("tcp 10.20.0.11:49152 > 10.0.5.20:104: passes: opened, {rule}");
    assert_eq!(told(opening(), ct.port), opened);
    let answered = format!("tcp 10.0.5.20:104 > 10.20.0.11:49152: passes: established, {rule}");
    assert_eq!(told(answer(), pacs.port), answered);
    assert!(told(vec![0; 10], ct.port).starts_with("frame of 10 bytes: dropped: truncated"));
}
