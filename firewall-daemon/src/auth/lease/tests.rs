use firewall_common::{Addr, Port};
use firewall_policy::model::Authentication;

use super::*;

const HOSTAPD: Source = Source::Dot1x(0);
const MINUTE: Duration = Duration::from_secs(60);
const CT: Mac = Mac([2, 0, 0, 0, 1, 1]);
const MR: Mac = Mac([2, 0, 0, 0, 1, 2]);

fn subject(name: &str, slot: u32, authentication: Authentication, mac: Option<Mac>) -> Subject {
    Subject {
        name: name.into(),
        slot: NodeSlot(slot),
        identity: format!("{name}.example").into(),
        authentication,
        mac,
        port: Port(0),
        addresses: vec![Addr::from(std::net::IpAddr::from([10, 20, 0, 11]))],
        criticality: Criticality::TimeCritical,
        binding: 7,
    }
}

fn register() -> Register {
    let mut register = Register::default();
    register.enter(subject("ct", 1, Authentication::Dot1x, Some(CT)));
    register.enter(subject("mr", 2, Authentication::Dot1x, Some(MR)));
    register.enter(subject("pacs", 3, Authentication::Lease, None));
    register
}

fn leases(grace: Duration) -> Leases {
    let mut leases = Leases::new(Terms { length: [MINUTE; 3], grace: [grace; 3] });
    assert_eq!(leases.adopt(register()), []);
    leases
}

fn proof(identity: &str, mac: Mac, session: &str) -> Proof {
    Proof {
        source: HOSTAPD,
        identity: identity.to_owned(),
        mac: Some(mac),
        address: None,
        session: session.to_owned(),
        length: None,
        chain: None,
    }
}

fn ct() -> Proof {
    proof("ct.example", CT, "a")
}

fn at(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

/// What is done in the kernel: until when which node may speak, 0 if no longer.
fn done(acts: &[Act]) -> Vec<(u32, u64)> {
    let done = acts.iter().filter_map(|act| match act {
        Act::Hold { slot, until } => Some((slot.0, until.as_secs())),
        Act::End { slot } => Some((slot.0, 0)),
        Act::Tell(_) => None,
    });
    done.collect()
}

fn reasons(acts: &[Act]) -> Vec<EndReason> {
    let reasons = acts.iter().filter_map(|act| match act {
        Act::Tell(News::Ended { reason, .. }) => Some(*reason),
        Act::Tell(_) | Act::Hold { .. } | Act::End { .. } => None,
    });
    reasons.collect()
}

#[test]
fn a_proof_grants_a_lease_and_only_its_change_is_told() {
    let mut leases = leases(Duration::ZERO);
    let acts = leases.observe(Claim::Proven(ct()), at(100));
    assert_eq!(done(&acts), [(1, 160)]);
    assert!(matches!(acts[1], Act::Tell(News::Granted { .. })), "{acts:?}");
    assert_eq!(leases.observe(Claim::Proven(ct()), at(120)), [hold(1, 180)]);
    let acts = leases.observe(Claim::Proven(proof("ct.example", CT, "b")), at(130));
    assert!(matches!(acts[1], Act::Tell(News::Renewed { .. })), "{acts:?}");
    assert_eq!(leases.progress(), (2, 1));
}

fn hold(slot: u32, seconds: u64) -> Act {
    Act::Hold { slot: NodeSlot(slot), until: at(seconds) }
}

#[test]
fn what_the_policy_does_not_name_is_refused_and_counted() {
    let other_port = Proof { source: Source::Dot1x(1), ..ct() };
    let lease = |proof| Proof { source: Source::Lease, ..proof };
    let elsewhere = Some(Addr::from(std::net::IpAddr::from([10, 20, 0, 99])));
    let pacs = lease(proof("pacs.example", CT, "a"));
    let rows = [
        (Refusal::Identity, proof("nobody", CT, "a")),
        (Refusal::Identity, proof("ct.exampl", CT, "a")),
        (Refusal::Mac, proof("ct.example", MR, "a")),
        (Refusal::Mac, Proof { mac: None, ..ct() }),
        (Refusal::Port, other_port),
        (Refusal::Authentication, lease(ct())),
        (Refusal::Authentication, proof("pacs.example", CT, "a")),
        (Refusal::Address, Proof { address: elsewhere, ..pacs }),
        (Refusal::Length, proof("ct.example", CT, &"s".repeat(254))),
    ];
    for (expected, proof) in rows {
        let mut leases = leases(Duration::ZERO);
        let acts = leases.observe(Claim::Proven(proof.clone()), at(100));
        let told =
            matches!(&acts[..], [Act::Tell(News::Refused(refused))] if refused.refusal == expected);
        assert!(told, "{proof:?}: {acts:?}");
        assert_eq!(leases.refused(expected), 1);
    }
}

#[test]
fn a_flood_of_refusals_is_counted_and_told_once_a_second() {
    let mut leases = leases(Duration::ZERO);
    let told: usize = (0..3000)
        .map(|turn| {
            let now = at(100) + Duration::from_millis(turn);
            leases.observe(Claim::Proven(proof("nobody", CT, "a")), now).len()
        })
        .sum();
    assert_eq!((told, leases.refused(Refusal::Identity)), (3, 3000));
}

#[test]
fn another_identity_on_the_same_mac_ends_the_lease_of_the_first() {
    for identity in ["mr.example", "nobody"] {
        let mut leases = leases(Duration::ZERO);
        leases.observe(Claim::Proven(ct()), at(100));
        let acts = leases.observe(Claim::Proven(proof(identity, CT, "a")), at(101));
        assert_eq!(done(&acts), [(1, 0)], "{identity}");
        assert_eq!(reasons(&acts), [EndReason::Replaced]);
    }
}

#[test]
fn who_has_a_cloned_mac_on_another_port_ends_nobodys_lease() {
    let mut leases = leases(Duration::ZERO);
    leases.observe(Claim::Proven(ct()), at(100));
    let cloned = Proof { source: Source::Dot1x(1), ..proof("mr.example", CT, "z") };
    assert_eq!(done(&leases.observe(Claim::Proven(cloned), at(101))), []);
}

#[test]
fn the_end_of_an_older_session_does_not_end_a_newer_lease() {
    let mut leases = leases(Duration::ZERO);
    leases.observe(Claim::Proven(ct()), at(100));
    leases.observe(Claim::Proven(proof("ct.example", CT, "b")), at(101));
    let end = |source, session: &str| Claim::Ended {
        source,
        whose: Whose::Session(session.to_owned()),
        reason: EndReason::Logoff,
    };
    assert_eq!(leases.observe(end(HOSTAPD, "a"), at(102)), []);
    assert_eq!(leases.observe(end(Source::Radius, "b"), at(102)), [], "another source's");
    assert_eq!(done(&leases.observe(end(HOSTAPD, "b"), at(102))), [(1, 0)]);
}

#[test]
fn a_switch_that_begins_anew_ends_the_leases_of_its_own_sessions() {
    let mut leases = leases(Duration::ZERO);
    let radius = |proof| Proof { source: Source::Radius, ..proof };
    leases.observe(Claim::Proven(radius(proof("ct.example", CT, "switch-1/a"))), at(100));
    leases.observe(Claim::Proven(radius(proof("mr.example", MR, "switch-10/a"))), at(100));
    let whose = Whose::Sessions("switch-1/".to_owned());
    let reason = EndReason::Restarted;
    let acts = leases.observe(Claim::Ended { source: Source::Radius, whose, reason }, at(101));
    assert_eq!((done(&acts), reasons(&acts)), (vec![(1, 0)], vec![reason]));
}

#[test]
fn a_node_that_proves_itself_from_its_own_address_need_not_say_its_mac() {
    let mut register = Register::default();
    register.enter(subject("ws", 1, Authentication::Lease, Some(CT)));
    let address = |last| Some(Addr::from(std::net::IpAddr::from([10, 20, 0, last])));
    let ws = Proof { source: Source::Lease, mac: None, ..proof("ws.example", CT, "a") };
    for (address, mac, expected) in [
        (address(11), None, None),
        (address(11), Some(CT), None),
        (address(11), Some(MR), Some(Refusal::Mac)),
        (address(12), None, Some(Refusal::Address)),
        (None, None, Some(Refusal::Mac)),
    ] {
        let proof = Proof { mac, address, ..ws.clone() };
        assert_eq!(register.judge(&proof).err(), expected, "{proof:?}");
    }
    let addresses: Vec<_> = register.addresses(Authentication::Lease).into_iter().collect();
    assert_eq!(addresses, [std::net::IpAddr::from([10, 20, 0, 11])]);
}

#[test]
fn a_lease_that_is_not_renewed_runs_out() {
    let mut leases = leases(Duration::ZERO);
    leases.observe(Claim::Proven(ct()), at(100));
    assert_eq!(leases.poll_timeout(), Some(at(160)));
    assert_eq!(leases.pass(at(159)), []);
    assert_eq!(reasons(&leases.pass(at(160))), [EndReason::Expired]);
    assert_eq!(leases.poll_timeout(), None);
}

#[test]
fn a_source_may_shorten_a_lease_and_never_lengthen_it() {
    let mut leases = leases(Duration::ZERO);
    let short = Proof { length: Some(at(10)), ..ct() };
    assert_eq!(done(&leases.observe(Claim::Proven(short), at(100))), [(1, 110)]);
    let long = Proof { length: Some(at(9999)), ..ct() };
    assert_eq!(done(&leases.observe(Claim::Proven(long), at(100))), [(1, 160)]);
}

#[test]
fn a_lost_source_ends_its_leases_at_once_and_no_others() {
    let mut leases = leases(Duration::ZERO);
    leases.observe(Claim::Proven(ct()), at(100));
    let radius = Proof { source: Source::Radius, ..proof("mr.example", MR, "r") };
    leases.observe(Claim::Proven(radius), at(100));
    let acts = leases.observe(Claim::SourceLost { source: HOSTAPD }, at(101));
    assert_eq!(done(&acts), [(1, 0)]);
    assert_eq!(leases.lost().collect::<Vec<_>>(), [HOSTAPD]);
    assert!(leases.of_node("mr").is_some());
}

#[test]
fn a_grace_is_counted_once_however_often_the_source_comes_and_goes() {
    let mut leases = leases(at(20));
    leases.observe(Claim::Proven(ct()), at(100));
    let lost = || Claim::SourceLost { source: HOSTAPD };
    let acts = leases.observe(lost(), at(110));
    assert_eq!(done(&acts), [(1, 130)]);
    let told = News::InGrace { node: "ct".into(), source: HOSTAPD, grace: at(20) };
    assert!(acts.contains(&Act::Tell(told)), "{acts:?}");
    for second in 111..130 {
        leases.observe(Claim::SourceBack { source: HOSTAPD }, at(second));
        assert_eq!(done(&leases.observe(lost(), at(second))), [], "{second}");
    }
    assert_eq!(reasons(&leases.pass(at(130))), [EndReason::SourceLost]);
}

#[test]
fn a_new_proof_ends_the_grace() {
    let mut leases = leases(at(20));
    leases.observe(Claim::Proven(ct()), at(100));
    leases.observe(Claim::SourceLost { source: HOSTAPD }, at(110));
    let acts = leases.observe(Claim::Proven(ct()), at(115));
    assert_eq!(done(&acts), [(1, 175)]);
    assert!(!leases.of_node("ct").unwrap().in_grace);
    assert_eq!(leases.lost().count(), 0);
}

#[test]
fn a_reload_ends_leases_of_nodes_that_are_bound_otherwise_or_gone() {
    let mut leases = leases(Duration::ZERO);
    leases.observe(Claim::Proven(ct()), at(100));
    leases.observe(Claim::Proven(proof("mr.example", MR, "b")), at(100));
    assert_eq!(leases.adopt(register()), [], "nothing has changed");
    let mut other = Register::default();
    other.enter(Subject { binding: 8, ..subject("ct", 1, Authentication::Dot1x, Some(CT)) });
    let acts = leases.adopt(other);
    assert_eq!(reasons(&acts), [EndReason::Policy; 2]);
    assert_eq!(leases.poll_timeout(), None);
}

#[test]
fn a_restart_never_lengthens_a_lease_and_ends_what_nobody_knows_of() {
    let mut before = leases(Duration::ZERO);
    before.observe(Claim::Proven(ct()), at(100));
    let restored = |standing: &dyn Fn(NodeSlot) -> Option<Duration>, now| {
        let mut after = leases(Duration::ZERO);
        done(&after.restore(before.kept(), now, |source| source == HOSTAPD, standing))
    };
    assert_eq!(restored(&|_| None, at(110)), [(1, 160)], "the maps are new");
    assert_eq!(restored(&|slot| (slot.0 == 1).then_some(at(130)), at(110)), [(1, 130)]);
    assert_eq!(restored(&|slot| (slot.0 == 1).then_some(at(900)), at(110)), [(1, 160)]);
    assert_eq!(restored(&|slot| (slot.0 == 1).then_some(at(0)), at(110)), [], "it has ended");
    assert_eq!(restored(&|_| None, at(160)), [], "it has run out meanwhile");
    let unknown = |slot: NodeSlot| (slot.0 == 2).then_some(at(900));
    assert_eq!(restored(&unknown, at(110)), [(1, 160), (2, 0)]);
    let mut after = leases(Duration::ZERO);
    assert_eq!(after.restore(before.kept(), at(110), |_| false, |_| None), [], "no such source");
}

#[test]
fn a_lease_by_certificate_is_restored_with_its_certificates_or_not_at_all() {
    let address = Some(Addr::from(std::net::IpAddr::from([10, 20, 0, 11])));
    let proof = proof("pacs.example", CT, "a");
    let chain = Some(Chain::from([vec![0x30].into()]));
    let proof = Proof { source: Source::Lease, mac: None, address, chain: chain.clone(), ..proof };
    let mut before = leases(Duration::ZERO);
    before.observe(Claim::Proven(proof), at(100));
    let standing = |slot: NodeSlot| (slot.0 == 3).then_some(at(160));
    for (chain, held, expected) in [(chain, 1, (3, 160)), (None, 0, (3, 0))] {
        let mut kept = before.kept();
        kept[0].chain = chain;
        let mut after = leases(Duration::ZERO);
        assert_eq!(done(&after.restore(kept, at(110), |_| true, standing)), [expected]);
        assert_eq!(after.certified().count(), held);
    }
}

#[test]
fn ten_thousand_leases_are_renewed_in_no_time() {
    let mut register = Register::default();
    for node in 0..10_000_u32 {
        let [_, _, high, low] = node.to_be_bytes();
        let mac = Mac([2, 0, 0, 1, high, low]);
        register.enter(subject(&format!("n{node}"), node, Authentication::Dot1x, Some(mac)));
    }
    let mut leases = Leases::new(Terms { length: [MINUTE; 3], grace: [Duration::ZERO; 3] });
    leases.adopt(register);
    for turn in 0..2 {
        let begun = std::time::Instant::now();
        for node in 0..10_000_u32 {
            let [_, _, high, low] = node.to_be_bytes();
            let mac = Mac([2, 0, 0, 1, high, low]);
            let acts = leases.observe(
                Claim::Proven(proof(&format!("n{node}.example"), mac, "s")),
                at(100 + turn),
            );
            assert_eq!(done(&acts), [(node, 160 + turn)]);
        }
        println!("measured: 10,000 proofs in {:?}", begun.elapsed());
    }
    assert_eq!(leases.progress(), (10_000, 10_000));
}

#[test]
fn a_source_is_heard_from_its_first_word_to_its_loss_and_its_grace_is_counted() {
    let mut leases = leases(MINUTE);
    assert!(!leases.is_heard(HOSTAPD));
    leases.observe(Claim::SourceBack { source: HOSTAPD }, at(100));
    assert!(leases.is_heard(HOSTAPD));
    leases.observe(Claim::Proven(ct()), at(100));
    assert_eq!((leases.count(HOSTAPD), leases.in_grace().len()), ((1, 0), 0));
    leases.observe(Claim::SourceLost { source: HOSTAPD }, at(101));
    assert!(!leases.is_heard(HOSTAPD));
    assert_eq!(leases.count(HOSTAPD), (1, 1));
    assert!(leases.in_grace().contains("ct"));
    leases.observe(Claim::Proven(ct()), at(102));
    assert!(leases.is_heard(HOSTAPD));
    assert_eq!((leases.count(HOSTAPD), leases.in_grace().len()), ((1, 0), 0));
    assert_eq!(leases.count(Source::Radius), (0, 0));
}

#[test]
fn what_a_source_itself_refuses_is_counted_and_told() {
    let mut leases = leases(Duration::ZERO);
    let refused = Refused {
        source: Source::Lease,
        identity: "ct.example".to_owned(),
        mac: None,
        address: Some(Addr::from(std::net::IpAddr::from([10, 20, 0, 11]))),
        refusal: Refusal::Certificate,
    };
    let acts = leases.observe(Claim::Refused(refused.clone()), at(100));
    assert_eq!(acts, [Act::Tell(News::Refused(refused))]);
    assert_eq!(leases.refused(Refusal::Certificate), 1);
}

#[test]
fn whom_a_source_does_not_hold_any_more_ends_unless_it_is_in_grace() {
    let mut leases = leases(at(20));
    leases.observe(Claim::Proven(ct()), at(100));
    leases.observe(Claim::Proven(proof("mr.example", MR, "b")), at(100));
    let reason = EndReason::Forgotten;
    let others = |macs| Claim::Ended { source: HOSTAPD, whose: Whose::Others(macs), reason };
    let acts = leases.observe(others(BTreeSet::from([CT])), at(101));
    assert_eq!((done(&acts), reasons(&acts)), (vec![(2, 0)], vec![reason]));
    leases.observe(Claim::SourceLost { source: HOSTAPD }, at(102));
    leases.observe(Claim::SourceBack { source: HOSTAPD }, at(103));
    assert_eq!(leases.observe(others(BTreeSet::new()), at(103)), []);
    assert_eq!(reasons(&leases.pass(at(122))), [EndReason::SourceLost]);
}
