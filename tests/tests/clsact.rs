//! The egress guard as a filter of clsact, which is how kernels before Linux 6.6 have it. Later ones
//! still can.
#![expect(clippy::unwrap_used, reason = "helpers of tests panic like tests")]

use std::{
    fs,
    net::UdpSocket,
    process::Command,
    sync::atomic::{AtomicBool, Ordering::Relaxed},
    thread,
    time::Duration,
};

use firewall_daemon::{
    candidate,
    config::Config,
    dataplane::{
        DataPlane, capacity,
        guard::{
            Look,
            finding::{Finding, Place},
        },
        hold::{self, EgressHook},
        interface::Interface,
        stop::Stopper,
        watch,
    },
};
use firewall_policy::{Image, Names};
use firewall_tests::gateway::{
    Gateway, Ledger, Watch, eventually, measured,
    policy::NEAR,
    repeat,
    router::{INSIDE, images},
};

const LONG: Duration = Duration::from_secs(10);
const FORBIDDEN: &[u8] = b"what no rule lets the gateway say";

/// A router in this process, with its egress guards in clsact.
struct Router {
    gateway: Gateway,
    config: Config,
    plane: DataPlane,
    stopper: Stopper,
    names: Names,
}

impl Router {
    fn start() -> Self {
        let gateway = Gateway::prepare_router(&images());
        gateway.lab().inside().neighbour(NEAR.v4, NEAR.mac);
        let config = Config::load(&gateway.config_path()).unwrap();
        let (plane, stopper) = open(&gateway, &config);
        let mut router = Self { gateway, config, plane, stopper, names: Names::default() };
        let Self { config, plane, stopper, .. } = &mut router;
        let (directory, capacity) = (&config.policy.directory, capacity(config));
        let read = candidate::read(directory, &config.gateway, &capacity, plane.slots(), None, &[]);
        let Image { lines, names, .. } = read.map_err(|error| error.render()).unwrap().image;
        plane.activate(lines, &names, stopper).unwrap();
        router.names = names;
        router
    }

    /// As a daemon does that is started while the programs of the one before are in force.
    fn restart(&mut self) {
        (self.plane, self.stopper) = open(&self.gateway, &self.config);
    }

    fn in_gateway<T: Send>(&self, work: impl FnOnce() -> T + Send) -> T {
        self.gateway.lab().gateway().run(work)
    }

    fn is_guarded(&self, port: usize) -> bool {
        let (_, port) = self.config.gateway.ports().nth(port).unwrap();
        let (directory, interface) = (&self.config.bpf.directory, Interface::new(&port.interface));
        self.in_gateway(|| hold::is_guarded(directory, port, &interface))
    }

    /// What the guard of the guard finds, and mends.
    #[track_caller]
    fn find(&mut self) -> Vec<Finding> {
        let Self { gateway, plane, names, stopper, .. } = self;
        let outcomes = gateway.lab().gateway().run(|| plane.guard(Look::Ports, names, stopper));
        let found = outcomes.into_iter().map(|outcome| {
            outcome.mended.unwrap();
            outcome.finding
        });
        found.collect()
    }

    fn egress_drops(&self) -> u64 {
        let drops = Ledger::of(&self.gateway.pinned_counters()).drops_since(&Ledger::default());
        let drops = drops.iter().filter(|(port, reason, _)| port == "inside" && reason == "egress");
        drops.map(|(_, _, count)| count).sum()
    }

    #[track_caller]
    fn tc(&self, arguments: &[&str]) -> String {
        let output = self.command("tc").args(arguments).output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "tc {arguments:?}: {said}");
        String::from_utf8_lossy(&output.stdout).into_owned()
    }

    fn command(&self, program: &str) -> Command {
        self.gateway.lab().gateway().command(program)
    }

    /// What the gateway's own kernel would send.
    fn socket(&self) -> UdpSocket {
        let socket = self.in_gateway(|| UdpSocket::bind((INSIDE.v4, 0))).unwrap();
        socket.connect((NEAR.v4, 514)).unwrap();
        socket
    }
}

fn open(gateway: &Gateway, config: &Config) -> (DataPlane, Stopper) {
    let open = || DataPlane::open(config, EgressHook::Clsact);
    gateway.lab().gateway().run(open).map_err(|error| error.to_string()).unwrap()
}

#[test]
fn a_filter_guards_what_leaves_and_a_restart_swaps_its_program_with_no_frame_unseen() {
    let mut router = Router::start();
    let seen = Watch::start(router.gateway.lab().near(), FORBIDDEN);
    let socket = router.socket();
    let before = router.egress_drops();
    socket.send(FORBIDDEN).unwrap();
    assert_eq!(router.egress_drops(), before + 1);
    assert!(router.is_guarded(0) && router.is_guarded(1));

    let (over, times) = (AtomicBool::new(false), repeat(3));
    let sent = thread::scope(|scope| {
        let talk = scope.spawn(|| {
            let mut sent = 0_u64;
            while !over.load(Relaxed) {
                let _refused = socket.send(FORBIDDEN);
                sent += 1;
            }
            sent
        });
        let mut programs = vec![router.tc(&["filter", "show", "dev", "inside", "egress"])];
        for _ in 0..times {
            router.restart();
            programs.push(router.tc(&["filter", "show", "dev", "inside", "egress"]));
        }
        over.store(true, Relaxed);
        assert!(programs.iter().all(|shown| shown.matches("cordon-guard").count() == 1));
        programs.dedup();
        assert_eq!(programs.len(), times as usize + 1, "every start has a program of its own");
        talk.join().unwrap()
    });
    assert_eq!(seen.seen(), 0, "of {sent} frames");
    // The kernel may have reported a group meanwhile.
    assert!(router.egress_drops() > before + sent, "of {sent} frames some were not seen");
    assert_eq!(router.find(), []);
    measured(format_args!("{times} programs swapped in clsact: 0 of {sent} frames unseen"));

    let directory = router.config.bpf.directory.clone();
    let ports = router.in_gateway(|| hold::detach_all(&router.config)).unwrap();
    assert_eq!(ports, ["inside", "outside"]);
    assert!(!directory.exists() && !router.is_guarded(0));
    // Where the kernel forwards IPv6 on all interfaces or on none, before Linux 6.17, the ports were
    // taken down, so that an unguarded router does not forward.
    router.gateway.lab().inside().up();
    router.gateway.lab().inside().neighbour(NEAR.v4, NEAR.mac);
    let arrives = || socket.send(FORBIDDEN).is_ok() && seen.seen() > 0;
    assert!(eventually(LONG, arrives), "it was the filter that held it back");
}

#[test]
fn a_filter_that_is_deleted_or_replaced_is_found_and_made_again() {
    let mut router = Router::start();
    assert_eq!(router.find(), []);
    let place = Place::Egress;

    router.tc(&["filter", "del", "dev", "inside", "egress"]);
    assert!(!router.is_guarded(0) && router.is_guarded(1));
    assert_eq!(router.find(), [Finding::Detached { place }]);
    assert!(router.is_guarded(0));

    router.tc(&["qdisc", "del", "dev", "inside", "clsact"]);
    assert_eq!(router.find(), [Finding::Detached { place }]);

    let egress = router.config.bpf.directory.join("egress");
    let foreign = egress.join("outside@clsact");
    let replace = ["filter", "replace", "dev", "inside", "egress", "prio", "1", "protocol", "all"];
    let with = ["handle", "0x636f7264", "bpf", "direct-action", "object-pinned"];
    router.tc(&[&replace[..], &with, &[foreign.to_str().unwrap()]].concat());
    let found = router.find();
    assert!(matches!(found[..], [Finding::Replaced { place: Place::Egress, .. }]), "{found:?}");

    fs::remove_file(egress.join("inside@clsact")).unwrap();
    assert_eq!(router.find(), [Finding::LinkPin { place }]);

    router.gateway.lab().replug("inside");
    let found = router.find();
    assert!(matches!(found[..], [Finding::Recreated { .. }]), "{found:?}");
    assert!(router.is_guarded(0));
    assert_eq!(router.find(), []);
}

#[test]
fn the_kernel_tells_at_once_of_a_filter_that_is_deleted() {
    let router = Router::start();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let open = || {
        let _inside = runtime.enter();
        watch::Watch::open(watch::PORTS)
    };
    let watch = router.in_gateway(open).unwrap();
    let is_told = |time| {
        let told = async { tokio::time::timeout(time, watch.changed()).await };
        runtime.block_on(told).is_ok_and(|told| told.is_ok())
    };
    while is_told(Duration::from_millis(200)) {}
    router.tc(&["filter", "del", "dev", "inside", "egress"]);
    assert!(is_told(LONG));
}
