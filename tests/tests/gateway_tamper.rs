//! The kernel is edited behind the daemon's back: all is made as it was, and somebody is told.
#![expect(clippy::unwrap_used, reason = "helpers of tests panic like tests")]

use std::{
    fs,
    os::fd::AsFd,
    sync::atomic::Ordering::SeqCst,
    time::{Duration, Instant},
};

use firewall_common::abi::{Control, NodeState, Publication, SubnetworkState, map};
use firewall_daemon::dataplane::{
    interface::Interface,
    sys::{self, AtomicLine, LinkInfo},
};
use firewall_tests::{
    gateway::{
        Datagrams, Flood, Gateway, Watch, eventually, measured,
        policy::{FAR, NEAR, images},
        remove_pins, repeat,
    },
    packet::{Packet, payload, udp},
    runner::{action, returning},
};

const LONG: Duration = Duration::from_secs(10);
const FORBIDDEN: &[u8] = b"what no rule permits";

fn forbidden() -> Vec<Packet> {
    NEAR.to(&FAR).iter().map(|to| to / udp(40_000, 123) / payload(FORBIDDEN)).collect()
}

/// A gateway under attack.
struct Attack<'a> {
    gateway: &'a Gateway,
    inside: LinkInfo,
}

impl Attack<'_> {
    fn publish(&self, edit: impl FnOnce(&mut Publication)) {
        let mut publication = self.gateway.publication();
        edit(&mut publication);
        let control = self.gateway.words::<Control>(map::CONTROL);
        control[0].publication.store(publication.encode());
    }

    fn way_out(&self) -> Option<[u32; 2]> {
        let (ports, mut value) = (self.gateway.open_map(map::PORTS), [[0_u32; 2]]);
        // SAFETY: the key is four bytes, the value eight.
        let found = unsafe { sys::map_lookup(ports.as_fd(), &0_u32, &mut value) };
        found.is_ok().then_some(value[0])
    }

    /// The line of the active image, as its place in the map.
    fn line(&self, line: usize) -> usize {
        let image = sys::map_info(self.gateway.open_map(map::IMAGE).as_fd()).unwrap();
        self.gateway.publication().half as usize * image.max_entries as usize / 2 + line
    }

    fn stop(&self) -> u64 {
        self.gateway.words::<Control>(map::CONTROL)[0].stop.load()
    }
}

/// What somebody does; what is told of it; whether it is undone.
type Tampering = (&'static str, &'static str, fn(&Attack<'_>), fn(&Attack<'_>) -> bool);

const TAMPERINGS: [Tampering; 15] = [
    (
        "the link is detached",
        "took the program away from inside",
        |attack| {
            let link = sys::open_pin(&attack.gateway.link_pin("inside")).unwrap();
            sys::link_detach(link.as_fd()).unwrap();
        },
        |attack| attack.gateway.runs("inside", &attack.inside),
    ),
    (
        "the program is replaced",
        "in the place of ours on inside",
        |attack| {
            let link = sys::open_pin(&attack.gateway.link_pin("inside")).unwrap();
            sys::link_update(link.as_fd(), returning(action::PASS).unwrap().as_fd()).unwrap();
        },
        |attack| attack.gateway.runs("inside", &attack.inside),
    ),
    (
        "the image's header is edited",
        "line 0 of the image",
        |attack| {
            let image = attack.gateway.words::<AtomicLine>(map::IMAGE);
            image[attack.line(0)].0[0].fetch_xor(1, SeqCst);
        },
        // The half that was edited is not in force any more.
        |attack| attack.gateway.cordon(&["status", "--check"]).out.contains("line 0 of the image"),
    ),
    (
        "a line of the image is edited",
        "line 77 of the image",
        |attack| {
            let image = attack.gateway.words::<AtomicLine>(map::IMAGE);
            image[attack.line(77)].0[5].fetch_xor(1 << 40, SeqCst);
        },
        |attack| attack.gateway.cordon(&["status", "--check"]).out.contains("line 77 of the image"),
    ),
    (
        "the policy is disarmed",
        "which policy is in force",
        |attack| attack.publish(|publication| publication.armed = false),
        |attack| attack.gateway.publication().armed,
    ),
    (
        "an older generation comes back",
        "which policy is in force",
        |attack| attack.publish(|publication| publication.generation.0 -= 1),
        |attack| {
            attack.gateway.status().health.iter().any(|check| {
                check.name == "guard" && check.sentence.contains("which policy is in force")
            })
        },
    ),
    (
        "a way out is led elsewhere",
        "frames for inside went to the interface",
        |attack| {
            let outside = attack.gateway.lab().outside().index();
            let ports = attack.gateway.open_map(map::PORTS);
            let set = || {
                // SAFETY: the key is four bytes, the value eight.
                unsafe { sys::map_update(ports.as_fd(), &0_u32, &[outside, 0]) }
            };
            attack.gateway.lab().gateway().run(set).unwrap();
        },
        |attack| attack.way_out() == Some([attack.inside.interface, 0]),
    ),
    (
        "a way out is taken away",
        "frames for inside had no way out",
        |attack| {
            let ports = attack.gateway.open_map(map::PORTS);
            // SAFETY: the key is four bytes.
            assert!(unsafe { sys::map_delete(ports.as_fd(), &0_u32) }.unwrap());
        },
        |attack| attack.way_out() == Some([attack.inside.interface, 0]),
    ),
    (
        "a link's pin is removed",
        "the pin of inside's link",
        |attack| fs::remove_file(attack.gateway.link_pin("inside")).unwrap(),
        |attack| attack.gateway.runs("inside", &attack.inside),
    ),
    (
        "a map's pin is another map's",
        "pins of maps were gone or others': CONTROL",
        |attack| {
            let other = attack.gateway.open_map(map::NODES);
            let pin = attack.gateway.map_pin(map::CONTROL);
            fs::remove_file(&pin).unwrap();
            sys::pin(other.as_fd(), &pin).unwrap();
        },
        |attack| {
            let pinned = sys::open_pin(&attack.gateway.map_pin(map::CONTROL));
            let info = pinned.and_then(|pinned| sys::map_info(pinned.as_fd()));
            info.is_ok_and(|info| info.value_size == 64)
        },
    ),
    (
        "all pins are removed",
        "pins of maps were gone or others': CONTROL, IMAGE",
        |attack| remove_pins(&attack.gateway.pins()),
        |attack| {
            let pins = attack.gateway.pins();
            let links = fs::read_dir(pins.join("links")).map(Iterator::count);
            links.is_ok_and(|links| links == 2) && attack.gateway.map_pin(map::PORTS).exists()
        },
    ),
    (
        "the card is told to hide tags",
        "inside was made to hide VLAN tags",
        |attack| attack.gateway.lab().inside().feature("rxvlan", true),
        |attack| !attack.gateway.lab().inside().has_feature("rx-vlan-offload"),
    ),
    (
        "the port takes its own frames only",
        "frames for its own MAC only",
        |attack| attack.gateway.lab().inside().promiscuous(false),
        |attack| {
            attack.gateway.lab().gateway().run(|| {
                Interface::new("inside").switches().is_ok_and(|switches| switches.promiscuous)
            })
        },
    ),
    (
        "the stop of everything is lifted",
        "lifted the stop of everything",
        |attack| {
            attack.gateway.stop(None, true);
            attack.gateway.words::<Control>(map::CONTROL)[0].stop.store(0);
        },
        |attack| attack.stop() == 2,
    ),
    (
        "a stop and an isolation are lifted",
        "lifted the isolation of ct-1",
        |attack| {
            attack.gateway.stop(Some("radiology"), false);
            attack.gateway.isolate("ct-1");
            let subnetworks = attack.gateway.words::<SubnetworkState>(map::SUBNETWORKS);
            assert_eq!(subnetworks.iter().map(|state| state.stop.load()).sum::<u64>(), 1);
            subnetworks.iter().for_each(|state| state.stop.store(0));
            let nodes = attack.gateway.words::<NodeState>(map::NODES);
            assert_eq!(nodes.iter().filter(|state| state.is_isolated()).count(), 1);
            nodes.iter().for_each(|state| state.set_isolated(false));
        },
        |attack| {
            let subnetworks = attack.gateway.words::<SubnetworkState>(map::SUBNETWORKS);
            let nodes = attack.gateway.words::<NodeState>(map::NODES);
            subnetworks.iter().any(|state| state.stop.load() == 1)
                && nodes.iter().any(NodeState::is_isolated)
        },
    ),
];

#[test]
fn what_somebody_edits_in_the_kernel_is_undone_and_told() {
    let mut gateway = Gateway::prepare(&images());
    let (leaked, times) = (Watch::start(gateway.lab().far(), FORBIDDEN), repeat(1));
    for (what, words, tamper, is_undone) in TAMPERINGS {
        let mut slowest = Duration::ZERO;
        for _ in 0..times {
            gateway.restart();
            let lab = gateway.lab();
            let flood = Flood::start(lab.near(), &forbidden());
            let datagrams = Datagrams::exchange(lab.near(), lab.far(), (NEAR.v4, FAR.v4), 514);
            assert!(eventually(LONG, || datagrams.answered() > 2), "{what}: nothing flows");
            let looked = || gateway.check("guard").0 == "ok";
            assert!(eventually(LONG, looked), "{what}: {:?}", gateway.status().health);
            let attack = Attack { gateway: &gateway, inside: gateway.link("inside").unwrap() };
            let begun = Instant::now();
            tamper(&attack);
            assert!(eventually(LONG, || is_undone(&attack)), "{what}: it is not undone");
            slowest = slowest.max(begun.elapsed());
            assert!(eventually(LONG, || gateway.told("tamper", words) == 1), "{what}");
            assert!(eventually(LONG, || warned(&gateway, words)), "{:?}", gateway.status().health);
            lift_stops(&gateway);
            let count = datagrams.answered();
            assert!(eventually(LONG, || datagrams.answered() > count + 2), "{what}: closed");
            assert_eq!(gateway.told("tamper", words), 1, "{what}: told again");
            datagrams.end();
            flood.end();
            gateway.stop_daemon();
        }
        measured(format_args!("{what}: undone after {slowest:?} at most, of {times}"));
    }
    assert_eq!(leaked.end(), 0, "forbidden frames passed");
}

fn warned(gateway: &Gateway, words: &str) -> bool {
    let ended = gateway.cordon(&["status", "--check"]);
    ended.code == Some(0) && ended.out.contains("repaired") && ended.out.contains(words)
}

fn lift_stops(gateway: &Gateway) {
    gateway.resume(None);
    gateway.resume(Some("radiology"));
    gateway.release("ct-1");
}
