//! What people read when a policy is wrong: one snapshot for each code.

use firewall_common::Port;
use firewall_policy::{
    Capacity, Code, Diagnostic, Diagnostics, Ports, SequentialSlots, Severity, Sources, Style,
    compile, resolve,
};

const BASE: &str = r#"version = 1

[subnetwork.radiology]
port = "inside"
vlan = 120
networks = ["10.20.0.0/24", "fd00:20::/64"]

[subnetwork.hospital]
port = "outside"
networks = ["10.0.0.0/16"]
routers = ["02:00:5e:00:00:fe"]

[node.ct-1]
subnetwork = "radiology"
addresses = ["10.20.0.11", "fd00:20::11"]
mac = "02:00:00:20:00:11"
roles = ["modality"]

[node.pacs]
subnetwork = "hospital"
addresses = ["10.0.5.20"]
roles = ["archive"]

[application.dicom]
tcp = ["104", "11112"]

[[allow]]
name = "images"
from = ["radiology/modality"]
to = ["pacs"]
applications = ["dicom"]
"#;

/// A bridge with one pair of ports, and a port of its own.
fn gateway() -> Ports {
    let ports = [("inside", Some(Port(1))), ("outside", Some(Port(0))), ("lab", None)];
    Ports::paired(ports.map(|(name, peer)| (name.to_owned(), peer)))
}

fn found(sources: &Sources) -> Diagnostics {
    match resolve(sources, &gateway()) {
        Ok(resolved) => resolved.warnings,
        Err(found) => found,
    }
}

/// The base with `old` replaced by `new`, and a second file.
fn sources(old: &str, new: &str, second: &str) -> Sources {
    assert!(BASE.contains(old));
    let first = BASE.replacen(old, new, 1);
    Sources::from_texts([("10-base.toml", first.as_str()), ("20-more.toml", second)])
}

macro_rules! complaints {
    ($($test:ident: $code:ident, $sources:expr;)+) => {
        $(
            #[test]
            fn $test() {
                let sources = $sources;
                let found = found(&sources);
                let codes: Vec<Code> = found.iter().map(|diagnostic| diagnostic.code).collect();
                let text = found.render(&sources, Style::Plain);
                assert_eq!(codes, [Code::$code], "{text}");
                insta::assert_snapshot!(stringify!($test), text);
            }
        )+

        const SHOWN: &[Code] = &[$(Code::$code,)+ Code::Capacity];
    };
}

fn more(second: &str) -> Sources {
    sources("", "", second)
}

fn instead(old: &str, new: &str) -> Sources {
    sources(old, new, "")
}

complaints! {
    text_that_is_not_toml_is_refused: Syntax, more("[node.mr-1\n");
    a_policy_without_a_version_is_refused: MissingVersion, instead("version = 1\n", "");
    an_unknown_version_is_refused: UnsupportedVersion, instead("version = 1", "version = 2");
    an_unknown_key_is_refused: UnknownKey, instead("mac = ", "adress = \"x\"\nmac = ");
    an_unknown_table_is_refused: UnknownKey, more("[[alow]]\nname = \"x\"\n");
    a_missing_key_is_refused: MissingKey, instead("applications = [\"dicom\"]\n", "applications = [\"dicom\"]\n[[expect]]\nto = \"pacs\"\napplication = \"dicom\"\nverdict = \"pass\"\n");
    a_value_of_the_wrong_type_is_refused: WrongType, instead("\"11112\"", "11112");
    a_text_in_the_place_of_a_list_is_refused: WrongType, instead("[\"archive\"]", "\"archive\"");
    an_empty_list_is_refused: Empty, instead("[\"archive\"]", "[]");
    a_value_that_stands_twice_is_noticed: Repeated, instead("\"11112\"", "\"104\"");
    a_network_within_another_of_its_subnetwork_is_noticed: Repeated, instead("\"10.0.0.0/16\"", "\"10.0.0.0/16\", \"10.0.5.0/24\"");
    a_name_of_64_bytes_is_refused: InvalidName, instead("\"images\"", &format!("\"{}\"", "i".repeat(64)));
    a_name_with_a_slash_is_refused: InvalidName, instead("\"archive\"", "\"arch/ive\"");
    a_name_with_a_control_character_is_refused: InvalidName, instead("\"images\"", "\"im\\u001bages\"");
    a_role_called_any_is_refused: ReservedRole, instead("\"archive\"", "\"any\"");
    text_that_is_no_address_is_refused: InvalidAddress, instead("10.0.5.20", "10.0.5");
    a_multicast_address_is_refused: InvalidAddress, instead("\"10.0.5.20\"", "\"10.0.5.20\", \"224.0.0.1\"");
    a_v4_mapped_address_is_refused: InvalidAddress, instead("10.0.5.20", "::ffff:10.0.5.20");
    the_broadcast_address_of_a_network_is_refused: InvalidAddress, instead("10.0.5.20", "10.0.255.255");
    a_network_with_host_bits_is_refused: InvalidNetwork, instead("10.0.0.0/16", "10.0.5.0/16");
    an_address_in_the_place_of_a_network_is_refused: InvalidNetwork, instead("10.20.0.0/24\", ", "10.20.0.0/24\", \"10.20.7.7\", ");
    a_network_that_holds_v4_mapped_addresses_is_refused: InvalidNetwork, instead("\"10.0.0.0/16\"", "\"10.0.0.0/16\", \"::/0\"");
    a_multicast_network_is_refused: InvalidNetwork, instead("\"10.0.0.0/16\"", "\"10.0.0.0/16\", \"239.0.0.0/8\"");
    a_group_mac_is_refused: InvalidMac, instead("02:00:00:20:00:11", "03:00:00:20:00:11");
    a_zero_mac_is_refused: InvalidMac, instead("02:00:00:20:00:11", "00-00-00-00-00-00");
    text_that_is_no_mac_is_refused: InvalidMac, instead("02:00:00:20:00:11", "02:00:00-20:00:11");
    vlan_0_is_refused: InvalidVlan, instead("120", "0");
    vlan_4095_is_refused: InvalidVlan, instead("120", "4095");
    a_reversed_port_range_is_refused: InvalidPorts, instead("\"11112\"", "\"2765-2762\"");
    port_0_is_refused: InvalidPorts, instead("\"11112\"", "\"0\"");
    an_icmp_message_other_than_echo_is_refused: UnknownIcmp, instead("tcp = ", "icmp = [\"redirect\"]\ntcp = ");
    an_extension_header_that_never_passes_is_refused: InvalidExtensionHeader, instead("vlan = 120", "vlan = 120\nextension_headers = [\"hop-by-hop\", \"routing\"]");
    an_unknown_way_to_treat_fragments_is_refused: InvalidFragments, instead("vlan = 120", "vlan = 120\nfragments = \"pass\"");
    an_unknown_criticality_is_refused: InvalidCriticality, instead("vlan = 120", "vlan = 120\ncriticality = \"high\"");
    an_unknown_authentication_is_refused: InvalidAuthentication, instead("mac = ", "authentication = \"dot1x\"\nmac = ");
    an_identity_with_a_control_character_is_refused: InvalidIdentity, instead("mac = ", "authentication = \"lease\"\nidentity = \"ct\\u001b\"\nmac = ");
    an_identity_that_nobody_asks_for_is_refused: InvalidIdentity, instead("mac = ", "identity = \"ct-1\"\nmac = ");
    a_node_that_authenticates_as_nobody_is_refused: MissingKey, instead("mac = ", "authentication = \"802.1x\"\nmac = ");
    a_node_that_authenticates_without_a_mac_is_refused: MissingKey, more("[node.ris]\nsubnetwork = \"hospital\"\naddresses = [\"10.0.5.21\"]\nauthentication = \"802.1x\"\nidentity = \"ris\"\n");
    an_identity_of_two_nodes_is_refused: DuplicateIdentity, sources("mac = ", "authentication = \"lease\"\nmac = ", "[node.ris]\nsubnetwork = \"hospital\"\naddresses = [\"10.0.5.21\"]\nauthentication = \"lease\"\nidentity = \"ct-1\"\n");
    a_verdict_other_than_pass_and_drop_is_refused: InvalidVerdict, more("[[expect]]\nfrom = \"ct-1\"\nto = \"pacs\"\napplication = \"dicom\"\nverdict = \"allow\"\n");
    a_selector_with_two_slashes_is_refused: InvalidSelector, instead("radiology/modality", "radiology/modality/ct");
    a_name_defined_in_two_files_is_refused: DuplicateName, more("[application.dicom]\ntcp = [\"105\"]\n");
    a_name_defined_twice_in_one_file_is_refused: DuplicateName, more("[application.x]\ntcp = [\"1\"]\n\n[application.x]\ntcp = [\"2\"]\n\n[[allow]]\nname = \"x\"\nfrom = [\"ct-1\"]\nto = [\"pacs\"]\napplications = [\"x\"]\n");
    a_key_that_stands_twice_is_refused: DuplicateName, instead("vlan = 120", "vlan = 120\nvlan = 121");
    two_rules_of_one_name_are_refused: DuplicateName, more("[[allow]]\nname = \"images\"\nfrom = [\"pacs\"]\nto = [\"ct-1\"]\napplications = [\"dicom\"]\n");
    an_address_of_two_nodes_is_refused: DuplicateAddress, more("[node.ris]\nsubnetwork = \"hospital\"\naddresses = [\"10.0.5.20\"]\n");
    a_mac_of_two_nodes_is_refused: DuplicateMac, more("[node.mr-1]\nsubnetwork = \"radiology\"\naddresses = [\"10.20.0.12\"]\nmac = \"02-00-00-20-00-11\"\n");
    a_node_with_a_routers_mac_is_refused: DuplicateMac, instead("02:00:00:20:00:11", "02:00:5e:00:00:fe");
    an_unknown_subnetwork_is_refused: UnknownSubnetwork, instead("subnetwork = \"hospital\"", "subnetwork = \"hopsital\"");
    an_unknown_node_is_refused: UnknownNode, instead("to = [\"pacs\"]", "to = [\"pasc\"]");
    a_subnetwork_in_the_place_of_a_node_is_refused: UnknownNode, instead("to = [\"pacs\"]", "to = [\"hospital\"]");
    an_unknown_application_is_refused: UnknownApplication, instead("[\"dicom\"]", "[\"dicom\", \"dicom-tls\"]");
    an_unknown_port_is_refused: UnknownPort, instead("\"outside\"", "\"outsid\"");
    a_role_that_no_node_has_is_refused: EmptySelector, instead("radiology/modality", "radiology/modalities");
    an_address_outside_its_subnetwork_is_refused: AddressOutsideSubnetwork, instead("10.0.5.20", "10.1.5.20");
    overlapping_subnetworks_on_one_port_and_vlan_are_refused: OverlappingSubnetworks, more("[subnetwork.lab]\nport = \"outside\"\nnetworks = [\"10.0.9.0/24\"]\n[node.lab]\nsubnetwork = \"lab\"\naddresses = [\"10.0.9.9\"]\nmac = \"02:00:00:00:09:09\"\n");
    overlapping_any_networks_behind_one_port_are_refused: OverlappingAny, more("[subnetwork.lab]\nport = \"outside\"\nvlan = 9\nnetworks = [\"10.0.9.0/24\"]\n[[allow]]\nname = \"x\"\nfrom = [\"ct-1\"]\nto = [\"lab/any\", \"hospital/any\"]\napplications = [\"dicom\"]\n");
    nine_routers_are_refused: TooManyRouters, instead("routers = [", &format!("routers = [{}", (1..9).map(|byte| format!("\"02:00:5e:00:00:0{byte}\", ")).collect::<String>()));
    nine_prefix_lengths_are_refused: TooManyPrefixLengths, sources("\"10.0.0.0/16\"", &format!("\"10.0.0.0/16\", {}", (17..25).map(|length| format!("\"10.{length}.0.0/{length}\", ")).collect::<String>()), "[[allow]]\nname = \"x\"\nfrom = [\"ct-1\"]\nto = [\"hospital/any\"]\napplications = [\"dicom\"]\n");
    an_application_without_a_port_is_refused: EmptyApplication, instead("tcp = [\"104\", \"11112\"]\n", "");
    a_rule_within_a_subnetwork_is_refused: WithinSubnetwork, instead("to = [\"pacs\"]", "to = [\"pacs\", \"ct-1\"]");
    an_expectation_within_a_subnetwork_is_refused: WithinSubnetwork, more("[[expect]]\nfrom = \"ct-1\"\nto = \"ct-1\"\napplication = \"dicom\"\nverdict = \"drop\"\n");
    a_rule_between_ports_of_no_pair_is_refused: NoWay, instead("\"outside\"", "\"lab\"");
    an_expectation_that_the_rules_do_not_meet_is_refused: ExpectationFailed, more("[[expect]]\nfrom = \"pacs\"\nto = \"ct-1\"\napplication = \"dicom\"\nverdict = \"pass\"\n");
    an_expected_drop_that_would_pass_is_refused: ExpectationFailed, more("[[expect]]\nfrom = \"ct-1\"\nto = \"pacs\"\napplication = \"dicom\"\nverdict = \"drop\"\n");
    any_address_as_a_source_is_noticed: AnySource, instead("radiology/modality", "radiology/any");
    an_unused_application_is_noticed: UnusedApplication, more("[application.hl7]\ntcp = [\"2575\"]\n");
    a_subnetwork_without_nodes_is_noticed: EmptySubnetwork, more("[subnetwork.lab]\nport = \"lab\"\nnetworks = [\"10.9.0.0/24\"]\n");
    a_node_known_by_its_address_only_is_noticed: AddressOnly, instead("mac = \"02:00:00:20:00:11\"\n", "");
    several_gateways_are_noticed: AmbiguousGateway, more("[subnetwork.lab]\nport = \"outside\"\nvlan = 9\nnetworks = [\"10.9.0.0/24\"]\nrouters = [\"02:00:5e:00:00:09\"]\n[[allow]]\nname = \"x\"\nfrom = [\"ct-1\"]\nto = [\"lab/any\"]\napplications = [\"dicom\"]\n");
    the_256th_subnetwork_is_refused: TooManySubnetworks, more(&format!("{}[[allow]]\nname = \"x\"\nfrom = [\"ct-1\"]\nto = [{}]\napplications = [\"dicom\"]\n", many_subnetworks(), (0..254).map(|index| format!("\"s{index}/any\",")).collect::<String>()));
}

fn many_subnetworks() -> String {
    let subnetwork = |index| {
        let (vlan, network) = (index + 1, format!("10.100.{index}.0/24"));
        format!(
            "[subnetwork.s{index}]\nport = \"outside\"\nvlan = {vlan}\nnetworks = [\"{network}\"]\n"
        )
    };
    (0..254).map(subnetwork).collect()
}

#[test]
fn a_policy_beyond_the_capacity_is_refused() {
    let applications =
        (1..=1100).map(|port| format!("[application.a{port}]\nudp = [\"{port}\"]\n"));
    let names: String = (1..=1100).map(|port| format!("\"a{port}\", ")).collect();
    let sources = more(&format!(
        "{}[[allow]]\nname = \"many\"\nfrom = [\"ct-1\"]\nto = [\"pacs\"]\napplications = [{names}]\n",
        applications.collect::<String>()
    ));
    let policy = resolve(&sources, &gateway()).unwrap().policy;
    let refused = |capacity: Capacity| {
        let error = compile(&policy, &mut SequentialSlots::new(), 1, &capacity).unwrap_err();
        Diagnostics::from(Diagnostic::from(error)).render(&sources, Style::Plain)
    };
    let texts = [
        refused(Capacity::new(2, 10, 10)),
        refused(Capacity::new(10, 1, 10)),
        refused(Capacity::new(10, 2, 10)),
        refused(Capacity { lines: 100, ..Capacity::default() }),
    ];
    insta::assert_snapshot!("a_policy_beyond_the_capacity_is_refused", texts.concat());
}

#[test]
fn every_code_has_a_snapshot() {
    let missing: Vec<_> = Code::ALL.iter().filter(|code| !SHOWN.contains(code)).collect();
    assert!(missing.is_empty(), "{missing:?}");
}

#[test]
fn the_base_of_these_tests_is_valid() {
    let sources = more("");
    assert_eq!(found(&sources).render(&sources, Style::Plain), "");
}

#[test]
fn all_errors_of_all_files_are_shown_at_once() {
    let sources = Sources::from_texts([
        ("10-base.toml", BASE.replace("vlan = 120", "vlan = 5000").as_str()),
        (
            "20-nodes.toml",
            "[node.ct-1]\nsubnetwork = \"radiologie\"\naddresses = [\"10.20.0\"]\nmac = \"x\"\n\
             \n[node.ris]\nsubnetwork = \"hospital\"\naddresses = [\"10.0.5.20\", \"192.0.2.1\"]\n\
             colour = \"red\"\n",
        ),
        (
            "30-rules.toml",
            "[[allow]]\nfrom = [\"nobody\"]\nto = [\"ct-1\", \"hospital/nurse\"]\n\
             applications = [\"dicom\", \"telnet\"]\nessential = \"yes\"\n",
        ),
    ]);
    let found = found(&sources);
    assert!(found.has_errors());
    insta::assert_snapshot!(found.render(&sources, Style::Plain));
}

#[test]
fn colours_add_escape_sequences_and_nothing_else() {
    let sources = instead("10.0.5.20", "10.1.5.20");
    let found = found(&sources);
    let coloured = found.render(&sources, Style::Coloured);
    assert!(coloured.contains("\u{1b}["));
    let mut plain = String::new();
    let mut parts = coloured.split("\u{1b}[");
    plain.push_str(parts.next().unwrap());
    plain.extend(parts.map(|part| part.split_once('m').unwrap().1));
    assert_eq!(plain, found.render(&sources, Style::Plain));
}

#[test]
fn control_characters_of_a_policy_never_reach_the_terminal() {
    let sources = instead("\"images\"", "\"im\\u001b[31mages\"");
    assert!(!found(&sources).render(&sources, Style::Plain).contains('\u{1b}'));
}

#[test]
fn machines_are_told_file_line_and_column() {
    let sources = more("[node.ris]\nsubnetwork = \"hospital\"\naddresses = [\"10.1.5.21\"]\n");
    let records = found(&sources).records(&sources);
    let [record] = records.as_slice() else { panic!("{records:?}") };
    assert_eq!((record.severity, record.code), (Severity::Error, Code::AddressOutsideSubnetwork));
    assert_eq!(record.file.as_deref(), Some("20-more.toml"));
    assert_eq!((record.line, record.column), (Some(3), Some(14)));
}

#[test]
fn a_gateway_that_is_not_at_hand_has_every_port() {
    let sources = instead("\"outside\"", "\"dmz\"");
    let resolved = resolve(&sources, &Ports::unknown()).unwrap();
    assert_eq!(resolved.policy.ports(), ["inside", "dmz"]);
}

#[test]
fn a_router_has_a_way_between_all_its_ports() {
    let sources = instead("\"outside\"", "\"lab\"");
    let ports = Ports::routed(["inside", "outside", "lab"].map(str::to_owned));
    assert!(resolve(&sources, &ports).is_ok());
}
