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
    let Authentication { length, grace, hostapd } = config.authentication;
    assert_eq!(length.map(|length| length.as_secs()), [1800, 3600, 7200]);
    assert_eq!((grace.map(|grace| grace.as_secs()), hostapd), ([0; 3], Vec::new()));
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
            problem(&format!("{MINIMAL}[authentication.grace]\nreal-time = \"25h\"")),
            (11, Problem::Duration { text: name("25h"), minimum: 0 }),
        ),
        (
            problem(&format!("{MINIMAL}[authentication.lease]\nplanned = \"4s\"")),
            (11, Problem::Duration { text: name("4s"), minimum: 5 }),
        ),
        (problem(&format!("{MINIMAL}[control]\ngroup = \" \"")), (11, Problem::NoGroup)),
    ];
    for (found, expected) in rows {
        assert_eq!(found, expected);
        assert!(found.1.hint().is_some(), "{found:?}");
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
