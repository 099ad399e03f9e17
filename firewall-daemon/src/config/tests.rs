use std::time::Duration;

use super::*;

const MINIMAL: &str = r#"
[gateway]
mode = "bridge"
pairs = [["inside", "outside"]]
[port.outside]
interface = "eth2"
xdp = "generic"
[port.inside]
interface = "eth1"
"#;

fn parse(text: &str) -> Result<Config, ConfigError> {
    text.parse()
}

/// The line and the problem of a configuration that makes no sense.
fn problem(text: &str) -> (usize, Problem) {
    match parse(text).unwrap_err() {
        ConfigError::Invalid { line, problem, .. } => (line, problem),
        ConfigError::Read { .. } => panic!("nothing was read"),
    }
}

fn swap(from: &str, to: &str) -> (usize, Problem) {
    assert!(MINIMAL.contains(from), "{from}");
    problem(&MINIMAL.replace(from, to))
}

#[test]
fn what_is_missing_has_its_default() {
    let config = parse(MINIMAL).unwrap();
    assert_eq!(config.state.directory, Path::new("/var/lib/cordon"));
    assert_eq!(config.control.socket, Path::new("/run/cordon/control.sock"));
    assert_eq!(config.control.group, "cordon");
    assert_eq!(config.metrics.listen.to_string(), "127.0.0.1:9618");
    assert_eq!(config.policy.directory, Path::new("/etc/cordon/policies"));
    assert_eq!(config.bpf.directory, Path::new("/sys/fs/bpf/cordon"));
    let Authentication { length, grace, hostapd, radius, mtls } = config.authentication;
    assert_eq!(length.map(|length| length.as_secs()), [1800, 3600, 7200]);
    assert_eq!((grace.map(|grace| grace.as_secs()), hostapd), ([0; 3], Vec::new()));
    assert_eq!((radius, mtls), (None, None));
    assert_eq!(config.capacity, Capacity { nodes: 65536, rules: 65536, flows: 262_144 });
}

#[test]
fn ports_are_numbered_as_they_appear_in_pairs() {
    let gateway = parse(MINIMAL).unwrap().gateway;
    let names: Vec<_> = gateway.ports().map(|(index, port)| (index.0, &*port.name)).collect();
    assert_eq!(names, [(0, "inside"), (1, "outside")]);
    assert_eq!(gateway.port("outside"), Some(PortIndex(1)));
    assert_eq!(gateway.port("backside"), None);
    let modes: Vec<_> = gateway.ports().map(|(_, port)| port.xdp).collect();
    assert_eq!(modes, [Xdp::Native, Xdp::Generic]);
    assert_eq!(gateway.peer(PortIndex(0)), Some(PortIndex(1)));
    assert_eq!(gateway.peer(PortIndex(3)), Some(PortIndex(2)));
}

const ROUTER: &str = r#"
[gateway]
mode = "router"
[port.trunk]
interface = "eth2"
[port.inside]
interface = "eth1"
"#;

#[test]
fn a_router_has_its_ports_in_the_order_of_their_names_and_no_pairs() {
    let gateway = parse(ROUTER).unwrap().gateway;
    let names: Vec<_> = gateway.ports().map(|(index, port)| (index.0, &*port.name)).collect();
    assert_eq!(names, [(0, "inside"), (1, "trunk")]);
    assert_eq!(gateway.mode(), Mode::Router);
    assert_eq!(gateway.way(PortIndex(0)), Way::Router);
    let paired = ROUTER.replace("\"router\"", "\"router\"\npairs = [[\"inside\", \"trunk\"]]");
    assert_eq!(problem(&paired), (4, Problem::PairsOfRouter));
    assert_eq!(problem("[gateway]\nmode = \"router\"\n"), (1, Problem::NoPorts));
}

#[test]
fn what_makes_no_sense_is_refused_at_its_line() {
    let name = |name: &str| name.to_owned();
    let rows = [
        (swap("\"bridge\"", "\"router\""), (4, Problem::PairsOfRouter)),
        (swap("[[\"inside\", \"outside\"]]", "[]"), (2, Problem::NoPairs)),
        (swap("\"outside\"]", "\"inside\"]"), (4, Problem::PortTwice { name: name("inside") })),
        (swap("\"outside\"]", "\"dmz\"]"), (4, Problem::UnknownPort { name: name("dmz") })),
        (swap("\"eth1\"", "\"eth2\""), (6, Problem::InterfaceTwice { name: name("eth2") })),
        (swap("\"eth1\"", "\"eth 1\""), (9, Problem::InterfaceName { name: name("eth 1") })),
        (
            swap("\"eth1\"", "\"sixteen-bytes-16\""),
            (9, Problem::InterfaceName { name: name("sixteen-bytes-16") }),
        ),
        (
            problem(&format!("{MINIMAL}[port.spare]\ninterface = \"eth3\"")),
            (10, Problem::PortAlone { name: name("spare") }),
        ),
        (
            problem(&format!("{MINIMAL}[capacity]\nflows = 0")),
            (11, Problem::Capacity { what: "flows", value: 0, minimum: 1, maximum: 1 << 24 }),
        ),
        (
            problem(&format!("{MINIMAL}[limits]\nhalf_open = 0")),
            (11, Problem::Limit { what: "half_open", value: 0, maximum: 65_535 }),
        ),
        (
            problem(&format!("{MINIMAL}[limits]\nhalf_open = 9\nnew_flows = 65536")),
            (12, Problem::Limit { what: "new_flows", value: 65_536, maximum: 65_535 }),
        ),
        (
            problem(&format!("{MINIMAL}[state]\ndirectory = \"cordon\"")),
            (11, Problem::RelativePath { path: "cordon".into() }),
        ),
        (
            problem(&format!(
                "{MINIMAL}[[authentication.hostapd]]\nport = \"dmz\"\nsocket = \"/run/x\""
            )),
            (11, Problem::HostapdPort { name: name("dmz") }),
        ),
        (
            problem(&format!(
                "{MINIMAL}[[authentication.hostapd]]\nport = \"inside\"\nsocket = \"run/x\""
            )),
            (12, Problem::RelativePath { path: "run/x".into() }),
        ),
        (
            problem(&format!(
                "{MINIMAL}[authentication]\nhostapd = [{{ port = \"inside\", socket = \"/a\" }},\n{{ port = \"inside\", socket = \"/b\" }}]"
            )),
            (12, Problem::HostapdTwice { name: name("inside") }),
        ),
        (
            problem(&format!(
                "{MINIMAL}[[authentication.hostapd]]\nport = \"inside\"\nsocket = \"/x\"\nreauthenticate = \"9s\""
            )),
            (
                13,
                Problem::Duration {
                    what: "reauthenticate",
                    text: "9s".to_owned(),
                    minimum: Duration::from_secs(10),
                    maximum: Duration::from_secs(3600),
                },
            ),
        ),
        (
            problem(&format!("{MINIMAL}[authentication.grace]\nreal-time = \"25h\"")),
            (11, duration("real-time", "25h", 0)),
        ),
        (
            problem(&format!("{MINIMAL}[authentication.lease]\nplanned = \"4s\"")),
            (11, duration("planned", "4s", 5)),
        ),
        (problem(&format!("{MINIMAL}[control]\ngroup = \" \"")), (11, Problem::NoGroup)),
    ];
    for (found, expected) in rows {
        assert_eq!(found, expected);
        assert!(found.1.hint().is_some(), "{found:?}");
    }
}

fn duration(what: &'static str, text: &str, minimum: u64) -> Problem {
    let (minimum, maximum) = (Duration::from_secs(minimum), Duration::from_secs(24 * 3600));
    Problem::Duration { what, text: text.to_owned(), minimum, maximum }
}

const RADIUS: &str = r#"
[authentication.radius]
listen = "10.9.0.1:1813"
allow_remote = true
[[authentication.radius.client]]
name = "switch-1"
address = "10.9.0.7"
secret_file = "/etc/cordon/radius/switch-1"
interim = "2m"
"#;

#[test]
fn a_radius_client_must_sign_and_date_its_packets_unless_told_otherwise() {
    let config = parse(&format!("{MINIMAL}{RADIUS}")).unwrap();
    let radius = config.authentication.radius.unwrap();
    assert_eq!(radius.listen.to_string(), "10.9.0.1:1813");
    let [client] = &radius.clients[..] else { panic!("{radius:?}") };
    assert_eq!(client.interim.as_secs(), 120);
    assert!(client.require_message_authenticator && client.require_event_timestamp);
}

#[test]
fn the_packaged_example_of_authentication_is_read_and_says_the_defaults() {
    let packaged = include_str!("../../packaging/cordon.toml");
    let tables = packaged.split_once("# [authentication.radius]").unwrap().1;
    let tables = tables.split_once("\n[gateway]").unwrap().0.replace("\n# ", "\n");
    let tables = format!("[authentication.radius]{}", tables.replace("\n#\n", "\n"));
    let Authentication { radius, mtls, .. } =
        parse(&format!("{MINIMAL}{tables}")).unwrap().authentication;
    let [client] = &radius.unwrap().clients[..] else { panic!("{tables}") };
    assert!(client.require_message_authenticator && client.require_event_timestamp);
    assert_eq!((client.interim.as_secs(), mtls.unwrap().lease.as_secs()), (60, 60));
}

#[test]
fn authentication_that_makes_no_sense_is_refused_at_its_line() {
    let swap = |from: &str, to: &str| {
        assert!(RADIUS.contains(from), "{from}");
        problem(&format!("{MINIMAL}{}", RADIUS.replace(from, to)))
    };
    let address = "10.9.0.1:1813".parse().unwrap();
    let again = "[[authentication.radius.client]]\nname = \"switch-1\"\naddress = \"10.9.0.8\"\n\
                 secret_file = \"/x\"\n";
    let rows = [
        (swap("allow_remote = true", ""), (12, Problem::RemoteListen { address })),
        (
            swap("switch-1\"\naddress", "\"\naddress"),
            (15, Problem::ClientName { name: String::new() }),
        ),
        (
            swap("\"/etc", "\"etc"),
            (17, Problem::RelativePath { path: "etc/cordon/radius/switch-1".into() }),
        ),
        (
            problem(&format!("{MINIMAL}{RADIUS}{again}")),
            (20, Problem::ClientTwice { what: "switch-1".to_owned() }),
        ),
        (
            problem(&format!("{MINIMAL}[authentication.radius]\nclient = []")),
            (11, Problem::NoClients),
        ),
    ];
    for (found, expected) in rows {
        assert_eq!(found, expected);
        assert!(found.1.hint().is_some(), "{found:?}");
    }
    for text in ["9s", "25h", "-1m", "soon", "60"] {
        let (line, problem) = swap("2m", text);
        assert!(matches!(problem, Problem::Duration { what: "interim", .. }), "{problem}");
        assert_eq!(line, 18);
    }
}

#[test]
fn an_unknown_key_is_refused_at_its_line() {
    let (line, problem) = swap("xdp =", "xpd =");
    assert_eq!(line, 7);
    assert!(problem.to_string().contains("xpd"), "{problem}");
}

#[test]
fn a_gateway_has_at_most_64_ports() {
    let pairs: Vec<_> = (0..33).map(|pair| format!("[\"a{pair}\", \"b{pair}\"]")).collect();
    let text = format!("[gateway]\nmode = \"bridge\"\npairs = [{}]", pairs.join(", "));
    assert_eq!(problem(&text), (1, Problem::TooManyPorts { count: 66 }));
}

#[test]
fn an_error_is_one_sentence_with_a_place() {
    let error = parse(&MINIMAL.replace("bridge", "router")).unwrap_err();
    assert_eq!(
        error.to_string(),
        "cordon.toml:4: a router has no pairs: it routes between all of its ports"
    );
    let error = Config::load(Path::new("/nowhere/cordon.toml")).unwrap_err();
    assert_eq!(error.to_string(), "cannot read the configuration /nowhere/cordon.toml");
}
