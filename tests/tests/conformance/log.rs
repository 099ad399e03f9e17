//! Checks 1.2 to 1.4 and 1.9, the log: what a rule permits is told with the rule's name as its flow
//! opens, what is dropped with the reason, for every attribute that decides. Of ICMP the log has the
//! protocol and the identifier of an echo, not the type and the code; frames of a flow that is open
//! are counted and not told.

use std::net::IpAddr;
use std::time::Duration;

use firewall_control::{Event, Party};
use firewall_tests::gateway::policy::{FAR, NEAR, Station};
use firewall_tests::gateway::router::{INSIDE, OUTSIDE, PACS};
use firewall_tests::gateway::{Gateway, eventually, policy, router};

use crate::fixture::*;

const LONG: Duration = Duration::from_secs(10);

/// A gateway between two ends, and whom each addresses its frames to.
struct World {
    gateway: Gateway,
    far: Station,
    gates: [Mac; 2],
}

/// A frame of the near end, or of the far one, and what the log says of it.
struct Row {
    told: Told,
    is_near: bool,
    frame: Packet,
    source: IpAddr,
    destination: IpAddr,
    protocol: &'static str,
    ports: [Option<u16>; 2],
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Told {
    /// The rule that permits it.
    Rule(&'static str),
    /// Why it is dropped.
    Reason(&'static str),
}

#[test]
fn b_1_2_to_1_4_a_bridge_logs_the_rule_or_the_reason_for_every_attribute() {
    let gateway = Gateway::start(&policy::images());
    assert_logged(&World { gateway, far: FAR, gates: [FAR.mac, NEAR.mac] });
}

#[test]
fn b_1_2_to_1_4_a_router_logs_the_rule_or_the_reason_for_every_attribute() {
    let gateway = Gateway::route(&router::images());
    assert_logged(&World { gateway, far: PACS, gates: [INSIDE.mac, OUTSIDE.mac] });
}

fn assert_logged(world: &World) {
    let lab = world.gateway.lab();
    let ports = [lab.near().port(), lab.far().port()];
    for row in world.rows() {
        ports[usize::from(!row.is_near)].send(&row.frame);
        let is_told = || world.log().iter().any(|event| row.is(event));
        assert!(eventually(LONG, is_told), "{:?} of {:?}: {:#?}", row.told, row.frame, world.log());
    }
}

impl World {
    /// As an operator reads it.
    fn log(&self) -> Vec<Event> {
        let lines = self.gateway.cordon(&["--json", "events"]).done();
        lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    fn rows(&self) -> Vec<Row> {
        let [v4, v6] = [NEAR, self.far].map(|station| station.addresses()).into_iter().fold(
            [Vec::new(), Vec::new()],
            |[mut v4, mut v6], [four, six]| {
                v4.push(four.parse().unwrap());
                v6.push(six.parse().unwrap());
                [v4, v6]
            },
        );
        let v4 = self.family(&v4, ["icmp", "10.20.0.99", "192.0.2.99"], icmp(13, 0), icmp(8, 1));
        let v6 = self.family(
            &v6,
            ["icmpv6", "fd00:20::99", "2001:db8::99"],
            icmpv6(139, 0),
            icmpv6(128, 1),
        );
        v4.into_iter().chain(v6).collect()
    }

    fn family(
        &self,
        stations: &[IpAddr],
        [ping, stranger, nowhere]: [&'static str; 3],
        another_type: Icmp,
        another_code: Icmp,
    ) -> Vec<Row> {
        use Told::{Reason, Rule};
        let [near, far] = [stations[0], stations[1]];
        let stranger: IpAddr = stranger.parse().unwrap();
        let nowhere: IpAddr = nowhere.parse().unwrap();
        let row = |told, is_near: bool, ends: [IpAddr; 2], transport: Packet, protocol, ports| {
            let [source, destination] = ends;
            let mac = if is_near { NEAR.mac } else { self.far.mac };
            let link = eth(mac, self.gates[usize::from(!is_near)]);
            let frame = link / ip(source, destination) / transport;
            Row { told, is_near, frame, source, destination, protocol, ports }
        };
        let out = |told, transport: Packet, protocol, ports| {
            row(told, true, [near, far], transport, protocol, ports)
        };
        let syn = |from: u16, to: u16| Packet::from(tcp(from, to).syn());
        let datagram = |from: u16, to: u16| udp(from, to) / payload(b"asks");
        let (none, both) = ([None; 2], |from, to| [Some(from), Some(to)]);
        let no_rule = Reason("no_rule");
        vec![
            out(Rule("images"), syn(40_001, 104), "tcp", both(40_001, 104)),
            // No rule names a source port: the log has it.
            out(Rule("images"), syn(1023, 104), "tcp", both(1023, 104)),
            out(Rule("images"), datagram(40_002, 514), "udp", both(40_002, 514)),
            out(Rule("images"), echo_request(40_003, 1).into(), ping, [Some(40_003), None]),
            // The protocol, and either port.
            out(no_rule, syn(40_004, 105), "tcp", both(40_004, 105)),
            out(no_rule, datagram(40_005, 104), "udp", both(40_005, 104)),
            out(no_rule, datagram(40_006, 515), "udp", both(40_006, 515)),
            out(Reason("transport_header"), syn(0, 104), "tcp", none),
            // The type, and the code.
            out(no_rule, another_type.into(), ping, none),
            out(no_rule, another_code.into(), ping, none),
            // The addresses.
            row(
                Reason("unknown_source"),
                true,
                [stranger, far],
                syn(40_007, 104),
                "tcp",
                both(40_007, 104),
            ),
            row(
                Reason("unknown_destination"),
                true,
                [near, nowhere],
                syn(40_008, 104),
                "tcp",
                both(40_008, 104),
            ),
            row(no_rule, false, [far, near], syn(40_009, 104), "tcp", both(40_009, 104)),
            // The port that it came in on.
            row(
                Reason("binding_port"),
                false,
                [near, far],
                syn(40_010, 104),
                "tcp",
                both(40_010, 104),
            ),
        ]
    }
}

impl Row {
    /// Whether that event is about it.
    fn is(&self, event: &Event) -> bool {
        let end = |party: &Option<Party>| {
            let party = party.as_ref();
            let address = party.and_then(|party| party.address.as_ref()?.parse::<IpAddr>().ok());
            (address, party.and_then(|party| party.port))
        };
        let ends = [(Some(self.source), self.ports[0]), (Some(self.destination), self.ports[1])];
        let told = match self.told {
            Told::Rule(rule) => event.rule.as_deref() == Some(rule),
            Told::Reason(reason) => event.rule.is_none() && event.reason.as_deref() == Some(reason),
        };
        told && event.port.as_deref() == Some(if self.is_near { "inside" } else { "outside" })
            && event.protocol.as_deref() == Some(self.protocol)
            && [end(&event.source), end(&event.destination)] == ends
    }
}
