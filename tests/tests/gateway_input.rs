//! What the daemon cannot work with: it says so in one sentence, and touches nothing.
#![expect(clippy::unwrap_used, reason = "helpers of tests panic like tests")]

use std::{
    fs,
    os::unix::{fs::PermissionsExt, process::CommandExt},
    process::Command,
};

use firewall_tests::{
    gateway::{
        Ended, Gateway, Stream, binary,
        policy::{FAR, images},
    },
    runner::{attach_xdp, load_xdp},
};

/// A gateway in force without its daemon, and a transfer that goes on.
fn orphaned() -> (Gateway, Stream) {
    let mut gateway = Gateway::start(&images());
    let stream = Stream::open(gateway.lab().near(), gateway.lab().far(), FAR.v4, 104);
    gateway.kill();
    (gateway, stream)
}

#[test]
fn a_broken_policy_at_the_start_leaves_the_one_before_in_force() {
    let (mut gateway, stream) = orphaned();
    for bad in ["version = 2\n", "version = 1\n[nodes.x]\n", "\u{0}", "version = 1\n[[allow]]\n"] {
        gateway.policy(bad);
        let ended = gateway.daemon_fails();
        ended.refused(2, "");
        assert!(ended.errors.contains("policy.toml:"), "{}", ended.errors);
        stream.assert_flows();
    }
    fs::remove_dir_all(gateway.lab().directory().join("policies")).unwrap();
    gateway.daemon_fails().refused(2, "policies");
    stream.assert_flows();
    fs::create_dir(gateway.lab().directory().join("policies")).unwrap();
    gateway.policy(&images());
    gateway.restart();
    stream.assert_flows();
}

#[test]
fn a_configuration_that_makes_no_sense_is_refused_before_anything_is_touched() {
    let (gateway, stream) = orphaned();
    let good = gateway.config_text();
    for (bad, code, words) in [
        (good.replace("mode = \"bridge\"", "mode = \"hub\""), 2, "hub"),
        (good.replace("[capacity]\n", "[capacity]\nports = 3\n"), 2, "ports"),
        (good.replace("nodes = 256", "nodes = 0"), 2, "nodes"),
        (good.replace("interface = \"inside\"", "interface = \"eth7\""), 1, "eth7"),
        (good.replace("group = \"root\"", "group = \"nobody-has-this\""), 1, "nobody-has-this"),
        (good.replace("127.0.0.1:9618", "192.0.2.1:9618"), 1, "192.0.2.1"),
    ] {
        assert_ne!(bad, good);
        gateway.write_config(&bad);
        gateway.daemon_fails().refused(code, words);
        stream.assert_flows();
    }
    fs::remove_file(gateway.config_path()).unwrap();
    gateway.daemon_fails().refused(2, "cordon.toml");
    stream.assert_flows();
}

#[test]
fn a_directory_for_pins_that_is_in_no_bpf_file_system_is_refused() {
    let gateway = Gateway::prepare(&images());
    let (good, pins) = (gateway.config_text(), gateway.pins());
    let elsewhere = gateway.lab().directory().join("pins");
    let pins = pins.to_str().unwrap();
    gateway.write_config(&good.replace(pins, elsewhere.to_str().unwrap()));
    gateway.daemon_fails().refused(1, "not in a BPF file system");
    assert!(!elsewhere.exists());
    gateway.write_config(&good.replace(pins, "/nowhere/at/all"));
    gateway.daemon_fails().refused(1, "/nowhere");
}

#[test]
fn pins_that_others_could_write_to_are_refused() {
    let (gateway, stream) = orphaned();
    fs::set_permissions(gateway.pins(), fs::Permissions::from_mode(0o777)).unwrap();
    gateway.daemon_fails().refused(1, "open to others");
    stream.assert_flows();
}

#[test]
fn without_privileges_nothing_starts_and_nobody_commands() {
    let mut gateway = Gateway::start(&images());
    let stream = Stream::open(gateway.lab().near(), gateway.lab().far(), FAR.v4, 104);
    let open = fs::Permissions::from_mode(0o755);
    fs::set_permissions(gateway.lab().directory(), open).unwrap();
    for command in [&["status"][..], &["stop-all", "--reason", "x"], &["reload"], &["flows"]] {
        as_nobody(&gateway, "cordon", command).refused(1, "may not");
    }
    as_nobody(&gateway, "cordon", &["stop-all", "--direct", "--reason", "x"]).refused(1, "root");
    as_nobody(&gateway, "cordond", &[]).refused(1, "root");
    as_nobody(&gateway, "cordond", &["--detach-all", "--yes"]).refused(1, "root");
    stream.assert_flows();
    gateway.kill();
    as_nobody(&gateway, "cordond", &[]).refused(1, "root");
    as_nobody(&gateway, "cordon", &["status"]).refused(1, "may not");
    stream.assert_flows();
}

/// Runs a copy of the program, where nobody may reach it.
fn as_nobody(gateway: &Gateway, program: &str, arguments: &[&str]) -> Ended {
    let copy = gateway.lab().directory().join(program);
    if !copy.exists() {
        fs::copy(binary(program), &copy).unwrap();
    }
    let mut command = Command::new(copy);
    command.uid(65_534).gid(65_534).arg("--config").arg(gateway.config_path()).args(arguments);
    Ended::of(command)
}

#[test]
fn a_second_daemon_on_the_same_socket_is_turned_away() {
    let mut gateway = Gateway::start(&images());
    let stream = Stream::open(gateway.lab().near(), gateway.lab().far(), FAR.v4, 104);
    let before = gateway.status();
    gateway.daemon_fails().refused(1, "already in use");
    assert!(gateway.is_running());
    let now = gateway.status();
    assert_eq!((now.started, now.policy), (before.started, before.policy));
    stream.assert_flows();
}

#[test]
fn a_foreign_map_among_the_pins_is_not_adopted() {
    let (mut gateway, stream) = orphaned();
    let mut entries = fs::read_dir(gateway.pins()).unwrap().flatten();
    let maps = entries.find(|entry| entry.file_name().to_string_lossy().starts_with("maps-"));
    let pin = maps.unwrap().path().join("COUNTERS");
    fs::rename(&pin, gateway.pins().join("aside")).unwrap();
    let mut command = Command::new("bpftool");
    command.args(["map", "create"]).arg(&pin);
    command.args(["type", "array", "key", "4", "value", "8", "entries", "3", "name", "foreign"]);
    Ended::of(command).done();
    let ended = gateway.daemon_fails();
    ended.refused(1, "COUNTERS");
    assert!(ended.errors.contains("--detach-all --yes"), "{}", ended.errors);
    stream.assert_flows();

    fs::remove_file(&pin).unwrap();
    fs::rename(gateway.pins().join("aside"), &pin).unwrap();
    gateway.restart();
    stream.assert_flows();
}

#[test]
fn a_port_that_runs_somebody_elses_program_is_not_taken_over() {
    let gateway = Gateway::prepare(&images());
    let inside = gateway.lab().inside().index();
    // r0 = XDP_PASS; exit
    let program = load_xdp(&[(2 << 32) | 0xb7, 0x95]).unwrap();
    let foreign = gateway.lab().gateway().run(|| attach_xdp(&program, inside).unwrap());
    gateway.daemon_fails().refused(1, "another XDP program");
    drop(foreign);
}

#[test]
fn detaching_wants_to_be_asked_twice() {
    let (gateway, stream) = orphaned();
    let mut command = gateway.lab().gateway().command(binary("cordond"));
    command.arg("--config").arg(gateway.config_path()).arg("--detach-all");
    Ended::of(command).refused(2, "nothing was done");
    stream.assert_flows();
}
