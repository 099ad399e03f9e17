//! A node that has no lease yet reaches the gateway through its guarded port to get one, and
//! nothing else: the real daemon as a router, with `cordon-node` behind one of its ports.
#![expect(clippy::unwrap_used, reason = "helpers of tests panic like tests")]

use std::{fs, io, net::TcpStream, time::Duration};

use firewall_tests::gateway::{
    Gateway, binary, measured,
    policy::NEAR,
    router::{INSIDE, PACS, images, rule, through},
};
use firewall_tests::packet::{Packet, payload, udp};

const PATIENCE: Duration = Duration::from_secs(20);
const PORT: u16 = 7447;

struct Bench(Gateway);

impl Bench {
    fn new() -> Self {
        let roles = "roles = [\"modality\"]\n";
        let lease = format!("{roles}authentication = \"lease\"\nidentity = \"ct-1.example\"\n");
        let enrolment = format!("[application.enrolment]\ntcp = [\"{PORT}\", \"22\"]\n");
        let rule = rule("enrolment", "ct-1", "gateway", &["enrolment"]);
        let policy = images().replacen(roles, &lease, 1) + &enrolment + &rule;
        let mut gateway = Gateway::prepare_router(&policy);
        let pki = gateway.lab().directory().join("pki");
        let file = |name: &str| pki.join(name);
        let mtls = format!(
            "[authentication.mtls]\nlisten = \"{}:{PORT}\"\nca = {:?}\ncrl = {:?}\n\
             certificate = {:?}\nkey = {:?}\nlease = \"60s\"\n",
            INSIDE.v4,
            file("ca.crt"),
            file("crl.pem"),
            file("gateway.crt"),
            file("gateway.key")
        );
        let config = fs::read_to_string(gateway.config_path()).unwrap();
        gateway.write_config(&(config + &mtls));
        let directory = pki.to_str().unwrap();
        let run = |arguments: &[&str]| {
            gateway.cordon(&[&["pki", "--directory", directory], arguments].concat()).done()
        };
        run(&["init"]);
        run(&["issue", "ct-1", "--identity", "ct-1.example"]);
        gateway.restart();
        Self(gateway)
    }

    fn prove(&self) -> firewall_tests::lab::Process {
        let lab = self.0.lab();
        let pki = lab.directory().join("pki");
        let issued = |ending: &str| {
            let mut files = fs::read_dir(pki.join("nodes")).unwrap().flatten();
            files.find(|file| file.path().extension().is_some_and(|found| found == ending))
        };
        let (certificate, key) = (issued("crt").unwrap().path(), issued("key").unwrap().path());
        let text = format!(
            "gateway = \"{}:{PORT}\"\nidentity = \"ct-1.example\"\nca = {:?}\n\
             certificate = {certificate:?}\nkey = {key:?}\n",
            INSIDE.v4,
            pki.join("ca.crt")
        );
        let config = lab.directory().join("node.toml");
        fs::write(&config, text).unwrap();
        let mut command = lab.near().command(binary("cordon-node"));
        command.arg("--config").arg(config);
        let mut node = lab.process("node", command);
        node.wait_for_log("a lease of 60 s", PATIENCE);
        node
    }

    fn log() -> Packet {
        let [headers, _] = through(&NEAR, &INSIDE, &PACS);
        headers / udp(40_000, 514) / payload(b"a log")
    }

    /// What becomes of a frame that a rule permits.
    fn drops(&self) -> Vec<(String, String, u64)> {
        let before = self.0.glance();
        self.0.lab().near().port().send(&Self::log());
        std::thread::sleep(Duration::from_millis(20));
        self.0.drops_since(&before)
    }
}

#[test]
fn a_node_gets_its_lease_through_the_port_that_guards_it() {
    let bench = Bench::new();
    let lab = bench.0.lab();
    let dropped = |reason: &str| vec![("inside".to_owned(), reason.to_owned(), 1)];
    assert_eq!(bench.drops(), dropped("no_lease"));
    // Not even what else a rule lets it reach on the gateway.
    let address = |port: u16| (INSIDE.v4.parse::<std::net::Ipv4Addr>().unwrap(), port).into();
    let connect = move |port: u16| {
        TcpStream::connect_timeout(&address(port), Duration::from_millis(300)).map(drop)
    };
    let refused = lab.near().run(|| connect(22)).unwrap_err();
    assert_eq!(refused.kind(), io::ErrorKind::TimedOut, "{refused}");
    let node = bench.prove();
    assert_eq!(bench.drops(), []);
    let refused = lab.near().run(|| connect(22)).unwrap_err();
    assert_eq!(refused.kind(), io::ErrorKind::ConnectionRefused, "{refused}");
    drop(node);
    measured("a lease through the guarded port");
}
