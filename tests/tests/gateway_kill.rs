//! The daemon is killed wherever it stands, again and again, under a flood.

use std::time::{Duration, Instant};

use firewall_tests::{
    gateway::{
        Flood, Gateway, Watch, eventually, measured,
        policy::{self, FAR, NEAR},
        repeat,
        router::{self, INSIDE, PACS, through},
    },
    packet::{Packet, payload, udp},
};

const LONG: Duration = Duration::from_secs(10);
const PERMITTED: &[u8] = b"a log that a rule permits";
const FORBIDDEN: &[u8] = b"what no rule permits";
/// So many kills between two starts that are waited for.
const ROUND: u32 = 10;

#[test]
fn a_bridge_whose_daemon_is_killed_anywhere_goes_on_and_stays_closed() {
    let mut gateway = Gateway::prepare(&policy::images());
    let to = NEAR.to(&FAR);
    kill_anywhere("bridge", &mut gateway, &to);
}

#[test]
fn a_router_whose_daemon_is_killed_anywhere_goes_on_and_stays_closed() {
    let mut gateway = Gateway::prepare_router(&router::images());
    let to = through(&NEAR, &INSIDE, &PACS);
    kill_anywhere("router", &mut gateway, &to);
}

fn ready_after(gateway: &mut Gateway) -> Duration {
    let begun = Instant::now();
    gateway.restart();
    begun.elapsed()
}

/// In rounds: of one half, every start adopts what is in force, and the permitted must pass all the
/// time; the other half begins with nothing in place, and with what killed starts left behind.
fn kill_anywhere(mode: &str, gateway: &mut Gateway, to: &[Packet]) {
    let frames = |port, data: &[u8]| -> Vec<_> {
        to.iter().map(|to| to.clone() / udp(40_000, port) / payload(data)).collect()
    };
    let (near, far) = (gateway.lab().near(), gateway.lab().far());
    let (seen, leaked) = (Watch::start(far, PERMITTED), Watch::start(far, FORBIDDEN));
    let permitted = Flood::start(near, &frames(514, PERMITTED));
    let forbidden = Flood::at(Flood::FAST, near, &frames(123, FORBIDDEN));
    let assert_flows = || {
        let count = seen.seen();
        assert!(eventually(LONG, || seen.seen() > count + 10), "the permitted does not flow");
    };
    let mut start = ready_after(gateway);
    assert_flows();
    gateway.kill();
    let (times, begun, mut ready) = (repeat(2 * ROUND), Instant::now(), 0);
    for turn in 0..times {
        let is_cold = turn / ROUND % 2 == 1;
        if is_cold && turn % ROUND == 0 {
            gateway.detach_all().done();
        }
        let mut daemon = gateway.launch();
        // All over the start and beyond its end, more often early, for the verifier takes long.
        let place = turn * 34 % 55;
        std::thread::sleep(start * (place * place) / (44 * 55));
        assert!(daemon.is_running(), "it ended by itself:\n{}", daemon.log());
        daemon.kill();
        ready += u32::from(daemon.log().contains("ready"));
        if !is_cold {
            assert_flows();
        } else if turn % ROUND == ROUND - 1 {
            // Anew: the machine may have more to do than before, or less.
            start = ready_after(gateway);
            assert_flows();
            gateway.kill();
        }
    }
    let took = begun.elapsed();
    gateway.restart();
    assert_flows();
    assert_eq!(gateway.cordon(&["status", "--check"]).done(), "ok\n");
    let rate = forbidden.rate();
    let (forbidden, permitted) = (forbidden.end(), permitted.end());
    assert_eq!(leaked.end(), 0, "of {forbidden} forbidden frames");
    measured(format_args!(
        "{times} times SIGKILL to the daemon of a {mode}, {ready} of them when it was ready, in \
         {took:.0?}: 0 of {forbidden} forbidden frames passed, at {rate} a second; {} of \
         {permitted} permitted ones arrived",
        seen.end()
    ));
}
