//! The egress guard against the oracle: what the gateway itself says, what it answers, and what its
//! kernel forwards because a port's program has left it to it; under the right and the wrong origin, port,
//! tag and MAC. `BPF_PROG_TEST_RUN` lets no tag lie beside a frame: all are within.

use std::net::IpAddr;

use firewall_policy::Policy;
use firewall_tests::oracle::{Exit, Judgement, Origin};

use crate::conversations::{Pair, SESSION};
use crate::fixture::{forwarded, tag};
use crate::gateway::Gateway;
use crate::mutate::mutate;
use crate::play::Play;
use crate::random::{Random, Tally, is_thorough, sessions};
use crate::router::{address, own_addresses, turn};
use crate::routes;
use crate::talk::{End, Sent, Talk};

const FLOWS: u32 = 6;

#[test]
fn the_gateways_kernel_sends_what_was_promised_and_nothing_else() {
    let start = || routes::gateway(FLOWS);
    let tally = sessions("the oracle, the egress guard", SESSION, start, session);
    let told = |reason| tally.told.get(reason).copied().unwrap_or_default();
    let rare = ["opened", "established", "related", "arp", "nd", "kernel", "egress"]
        .map(|reason| (reason, told(reason)));
    let rare: Vec<_> = rare.into_iter().filter(|(_, count)| *count < 10).collect();
    assert!(!is_thorough() || rare.is_empty(), "the frames are not varied enough: {rare:?}");
}

fn session(gateway: &mut Gateway, seed: u64, tally: &mut Tally) {
    let gateway = &*gateway;
    let random = &mut Random::new(seed ^ 0x6a2d);
    let mut pair = Pair::any(random, gateway);
    // What comes in is other tests' business.
    let mut others = Tally::default();
    let mut plays: Vec<_> = (0..6)
        .map(|_| {
            let policy = pair.policy(random);
            play(random, policy)
        })
        .collect();
    // What is left to the kernel, and the port that it came in on.
    let mut left = Vec::new();
    for _ in 0..SESSION {
        if random.once_in(40) {
            pair.act(random);
        }
        let place = random.below(plays.len());
        if plays[place].is_over() || random.once_in(60) {
            let policy = pair.policy(random);
            plays[place] = play(random, policy);
        }
        let mut sent = plays[place].next(random);
        if is_own(&sent.1) {
            // Errors about others' packets have the MAC of whoever else might tell.
            if sent.1[6..12] != routes::mac(sent.0).0
                && let Some(placed) = on_its_way(pair.policy(random), &sent.1)
            {
                sent = placed;
            }
            let origin = spoil(random, Origin::Gateway, &mut sent);
            if is_runnable(&sent.1) {
                pair.leave(seed, origin, &sent, tally);
            }
        } else {
            address(random, &mut sent.1, routes::mac(sent.0));
            if let Judgement::Passes(_, Exit::Kernel) = pair.send(seed, &sent, &mut others) {
                left.push(sent);
            }
        }
        if !left.is_empty() && !random.once_in(3) {
            let (from, frame) = left[left.len() - 1 - random.below(left.len().min(3))].clone();
            if let Some(mut sent) = on_its_way(pair.policy(random), &frame) {
                let origin = spoil(random, Origin::Port(from), &mut sent);
                if is_runnable(&sent.1) {
                    pair.leave(seed, origin, &sent, tally);
                }
            }
        }
    }
    pair.settle(seed);
}

/// Half of them with the gateway.
fn play(random: &mut Random, policy: &Policy) -> Play {
    let role = random.below(4);
    let is_peer = |talk: &Talk| {
        let (name, end) = if role == 0 { ("n1", &talk.far) } else { ("n0", &talk.near) };
        let peer = policy.node_named(name).map(|id| policy.node(id));
        peer.is_some_and(|peer| peer.addresses.iter().any(|own| IpAddr::from(*own) == end.address))
    };
    let mut talk = Talk::any(random, policy);
    // Rules for the gateway are about these two.
    for _ in 0..20 {
        if role > 1 || is_peer(&talk) {
            break;
        }
        talk = Talk::any(random, policy);
    }
    turn(random, &mut talk);
    let itself = |peer: &End, own: IpAddr| End {
        mac: firewall_tests::packet::Mac(routes::mac(peer.gateway_port).0),
        address: own,
        ..peer.clone()
    };
    let is_v4 = talk.near.address.is_ipv4();
    let own: Vec<_> = own_addresses().filter(|own| own.is_ipv4() == is_v4).collect();
    let own = *random.pick(&own);
    match role {
        0 => talk.near = itself(&talk.far, own),
        1 => talk.far = itself(&talk.near, own),
        _ => {}
    }
    Play::of(random, policy, talk)
}

/// Now and then it has come from elsewhere, leaves elsewhere, or is another frame.
fn spoil(random: &mut Random, origin: Origin, sent: &mut Sent) -> Origin {
    if random.once_in(15) {
        let port = u16::try_from(random.below(4)).unwrap();
        sent.0 = port;
        if random.once_in(2) {
            sent.1[6..12].copy_from_slice(&routes::mac(port).0);
        }
    }
    if random.once_in(20) {
        sent.1[6..12].copy_from_slice(&[2, 0, 0, 0, 6, 66]);
    }
    if random.once_in(10) {
        mutate(random, sent);
    }
    match random.below(30) {
        0 => Origin::Gateway,
        1 => Origin::Elsewhere,
        port @ 2..6 => Origin::Port(u16::try_from(port - 2).unwrap()),
        _ => origin,
    }
}

/// Whether `BPF_PROG_TEST_RUN` takes it: it refuses frames that end before their headers do (6.18).
fn is_runnable(frame: &[u8]) -> bool {
    let header = match frame.get(12..14) {
        Some([8, 0]) => 20,
        Some([0x86, 0xdd]) => 40,
        Some(_) | None => 0,
    };
    frame.len() >= 14 + header
}

/// As the kernel forwards it: from the port, and with the tag, of the network that the receiver is in.
fn on_its_way(policy: &Policy, frame: &[u8]) -> Option<Sent> {
    let [_, destination] = addresses(frame)?;
    let networks = policy.subnetworks().iter().flat_map(|subnetwork| {
        subnetwork.networks.iter().map(move |network| (subnetwork, network))
    });
    let holders = networks.filter(|(_, network)| network.contains(&destination));
    let (subnetwork, _) = holders.max_by_key(|(_, network)| network.prefix_len())?;
    let (port, vlan) = (subnetwork.port.0, subnetwork.vlan.0);
    let macs = [routes::mac(port).0, [2, 0, 0, 0, 9, 9]];
    Some((port, forwarded(frame, macs, vlan)))
}

/// Whether the gateway itself has sent it.
fn is_own(frame: &[u8]) -> bool {
    addresses(frame).is_some_and(|[source, _]| own_addresses().any(|own| own == source))
}

/// The sender's and the receiver's.
fn addresses(frame: &[u8]) -> Option<[IpAddr; 2]> {
    let start = if tag(frame) == 0 { 14 } else { 18 };
    let four = |at: usize| Some(IpAddr::from(*frame.get(start + at..)?.first_chunk::<4>()?));
    let six = |at: usize| Some(IpAddr::from(*frame.get(start + at..)?.first_chunk::<16>()?));
    match frame.get(start - 2..start)? {
        [8, 0] => Some([four(12)?, four(16)?]),
        [8, 6] => Some([four(14)?, four(24)?]),
        [0x86, 0xdd] => Some([six(8)?, six(24)?]),
        _ => None,
    }
}
