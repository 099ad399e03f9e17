//! The kernel that a router's program asks for its routes. Every subnetwork that random policies have
//! gets an interface, which stands for whatever port and tag the policy in force gives it; not every
//! kernel has VLAN devices.

use std::collections::{BTreeMap, HashMap};
use std::fmt::Write;
use std::fs;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::OnceLock;

use firewall_common::abi::Attachment;
use firewall_common::{Mac, Port, Vlan};
use firewall_daemon::dataplane::interface::Interface;
use firewall_policy::Policy;
use firewall_tests::lab::{Lab, Link};
use firewall_tests::oracle::{self, Route, Surroundings};
use firewall_tests::packet::Mac as Own;

use crate::gateway::{Gateway, PORTS};
use crate::random::Random;
use crate::router::own_addresses;

/// The subnetworks, and what their interfaces are called.
const SUBNETWORKS: [(&str, &str); 7] = [
    ("s0", "net0"),
    ("s1", "net1"),
    ("s2", "net2"),
    ("s3", "net3"),
    ("s4", "net4"),
    ("s5", "net5"),
    ("wide", "wide"),
];

/// How many of them are numbered.
const NUMBERED: usize = 6;

/// The MAC of a port.
pub(crate) fn mac(port: u16) -> Mac {
    Mac([2, 0, 0, 0, 0xf0, port.to_be_bytes()[1]])
}

/// A router among these routes, that knows no flow.
pub(crate) fn gateway(flows: u32) -> Gateway {
    addressed(Gateway::routing(flows, prepare))
}

/// The same, where a node may open no more than [`limits`](crate::gateway::limits) say.
pub(crate) fn limited(flows: u32) -> Gateway {
    addressed(Gateway::limited_routing(flows, prepare))
}

fn prepare(lab: &Lab) {
    KERNEL.get_or_init(|| Kernel::new(lab));
}

fn addressed(gateway: Gateway) -> Gateway {
    for address in own_addresses() {
        gateway.trial.add_local(address.into()).unwrap();
    }
    gateway
}

/// As it is when every cable is where that policy has it; now and then one is not.
pub(crate) fn surroundings(random: &mut Random, policy: &Policy) -> Surroundings {
    let kernel = KERNEL.get().unwrap();
    let ports = (0..).take(PORTS.len()).map(|port| {
        let mtu = *random.pick(&[1500, 1500, 1500, 1500, 1500, 1500, 100, 60]);
        oracle::Port { mac: mac(port).0, mtu }
    });
    let ports = ports.collect();
    let mut interfaces: BTreeMap<_, _> = SUBNETWORKS
        .iter()
        .enumerate()
        .filter_map(|(number, (name, _))| {
            let subnetwork = policy.subnetwork(policy.subnetwork_named(name)?);
            Some((number, (subnetwork.port.0, subnetwork.vlan.0)))
        })
        .collect();
    if random.once_in(8) {
        let places: Vec<_> = interfaces.values().copied().collect();
        interfaces.insert(random.below(NUMBERED), *random.pick(&places));
    }
    if random.once_in(16) {
        interfaces.remove(&random.below(NUMBERED));
    }
    Surroundings {
        own: own_addresses().collect(),
        ports,
        interfaces,
        routes: kernel.routes.clone(),
        neighbours: kernel.neighbours.clone(),
    }
}

/// Tells the program.
pub(crate) fn impose(gateway: &Gateway, surroundings: &Surroundings) {
    let kernel = KERNEL.get().unwrap();
    for (port, oracle::Port { mac, mtu }) in (0..).map(Port).zip(&surroundings.ports) {
        gateway.trial.set_port(port, Mac(*mac), *mtu as u64);
    }
    let interfaces: HashMap<_, _> = surroundings
        .interfaces
        .iter()
        .map(|(number, (port, vlan))| {
            (kernel.indices[*number], Attachment::new(Port(*port), Vlan(*vlan)))
        })
        .collect();
    gateway.trial.set_interfaces(&interfaces).unwrap();
}

/// The index of an interface that stands for that port, with whatever tag.
pub(crate) fn interface(surroundings: &Surroundings, port: u16) -> Option<u32> {
    let number = surroundings.interfaces.iter().find(|(_, place)| place.0 == port)?.0;
    Some(KERNEL.get()?.indices[*number])
}

static KERNEL: OnceLock<Kernel> = OnceLock::new();

/// What the kernel was told once and for all.
struct Kernel {
    indices: Vec<u32>,
    routes: Vec<Route>,
    neighbours: BTreeMap<(usize, IpAddr), [u8; 6]>,
}

impl Kernel {
    fn new(lab: &Lab) -> Self {
        let indices = SUBNETWORKS.iter().zip(1..).map(|((_, name), number)| {
            let end = format!("{name}-end");
            let near = (lab.gateway(), *name, Own::local(0x100 + number));
            let (link, _) = Link::pair(near, (lab.gateway(), &end, Own::local(0x200 + number)));
            link.sysctl("ipv6", "disable_ipv6", "0");
            lab.gateway().run(|| Interface::new(name).forward()).unwrap();
            link.index()
        });
        let indices = indices.collect();
        let mut kernel = Self { indices, routes: Vec::new(), neighbours: BTreeMap::new() };
        for number in 0..NUMBERED {
            kernel.network(number);
        }
        kernel.route("10.0.0.0/8", Some(NUMBERED), None);
        kernel
            .neighbours
            .insert((NUMBERED, Ipv4Addr::new(10, 9, 0, 13).into()), [2, 0, 0, 1, 9, 13]);
        kernel.tell(lab);
        kernel
    }

    /// Hosts that are known and hosts that are not, hosts behind a router, hosts to whom a longer
    /// prefix leads elsewhere or nowhere.
    fn network(&mut self, number: usize) {
        let byte = u8::try_from(number).unwrap();
        let here = Some(number);
        self.route(&format!("10.{number}.0.0/16"), here, None);
        self.route(&format!("10.{number}.0.6/31"), here, Some(&format!("10.{number}.0.200")));
        self.route(&format!("10.{number}.0.10/31"), Some((number + 1) % NUMBERED), None);
        self.route(&format!("10.{number}.0.12/32"), None, None);
        // Nobody routes the last one's.
        if number + 1 < NUMBERED {
            self.route(&format!("fd00:{number}::/64"), here, None);
            self.route(
                &format!("fd00:{number}::6/127"),
                here,
                Some(&format!("fd00:{number}::200")),
            );
            self.route(&format!("fd00:{number}::a/127"), Some((number + 1) % NUMBERED), None);
        }
        for host in (1..=20_u8).filter(|host| host % 5 != 4).chain([200]) {
            let mac = [2, 0, 0, 1, byte, host];
            let four = Ipv4Addr::new(10, byte, 0, host);
            let host = if host == 200 { 0x200 } else { u16::from(host) };
            let six = Ipv6Addr::new(0xfd00, byte.into(), 0, 0, 0, 0, 0, host);
            self.neighbours.insert((number, four.into()), mac);
            self.neighbours.insert((number, six.into()), mac);
        }
        if number.is_multiple_of(2) {
            let six = Ipv6Addr::new(0xfd00, byte.into(), 0, 0, 0, 0, 0, 0x1300);
            self.neighbours.insert((number, six.into()), [2, 0, 0, 2, byte, 13]);
        }
    }

    fn route(&mut self, network: &str, interface: Option<usize>, via: Option<&str>) {
        let via = via.map(|via| via.parse().unwrap());
        self.routes.push(Route { network: network.parse().unwrap(), interface, via });
    }

    fn tell(&self, lab: &Lab) {
        let mut batch = String::new();
        for Route { network, interface, via } in &self.routes {
            let via = via.map(|via| format!(" via {via}")).unwrap_or_default();
            match interface {
                Some(interface) => {
                    let (_, name) = SUBNETWORKS[*interface];
                    writeln!(batch, "route add {network}{via} dev {name}").unwrap();
                }
                None => writeln!(batch, "route add blackhole {network}").unwrap(),
            }
        }
        for ((interface, address), mac) in &self.neighbours {
            let ((_, name), mac) = (SUBNETWORKS[*interface], Mac(*mac));
            writeln!(batch, "neighbour add {address} lladdr {mac} dev {name} nud permanent")
                .unwrap();
        }
        let file = lab.directory().join("routes");
        fs::write(&file, batch).unwrap();
        let said = lab.gateway().command("ip").arg("-batch").arg(&file).output().unwrap();
        assert!(said.status.success(), "{said:?}");
    }
}
