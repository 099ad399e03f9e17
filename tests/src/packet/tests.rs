use super::*;

const A: Mac = Mac::local(1);
const B: Mac = Mac::local(2);

fn unhex(text: &str) -> Vec<u8> {
    let digits: Vec<u32> = text.chars().filter_map(|digit| digit.to_digit(16)).collect();
    digits.chunks(2).map(|pair| u8_of((pair[0] * 16 + pair[1]) as usize)).collect()
}

fn assert_bytes(packet: &Packet, expected: &str) {
    assert_eq!(hex(&packet.bytes()), hex(&unhex(expected)));
}

#[test]
fn an_arp_request_is_what_a_linux_host_sends() {
    assert_bytes(
        &(eth(A, Mac::BROADCAST) / arp_request(A, "10.0.0.1", "10.0.0.2")),
        "ffffffffffff 020000000001 0806 0001 0800 06 04 0001
         020000000001 0a000001 000000000000 0a000002",
    );
}

#[test]
fn an_ipv4_header_has_the_checksum_of_the_textbook() {
    let header = ipv4("192.168.0.1", "192.168.0.199").dont_fragment().protocol(17);
    assert_bytes(
        &(header / payload([0; 95])),
        &format!("45000073 00004000 4011b861 c0a80001 c0a800c7 {}", "00".repeat(95)),
    );
}

#[test]
fn a_tcp_syn_is_laid_out_with_lengths_and_checksums() {
    // Checksums worked out with an independent implementation.
    let packet = eth(A, B)
        / vlan(7).priority(5)
        / ipv4("10.20.0.11", "10.0.5.20").identification(0x1234).dont_fragment()
        / tcp(40000, 104).syn().seq(0x0102_0304).window(64240).option(2, [0x05, 0xb4]);
    assert_bytes(
        &packet,
        "020000000002 020000000001 8100 a007 0800
         4500002c 12344000 40060f66 0a14000b 0a000514
         9c400068 01020304 00000000 6002faf0 e3540000 020405b4",
    );
}

#[test]
fn a_udp_datagram_over_ipv6_has_a_checksum_over_its_pseudo_header() {
    let packet = ipv6("fd00:20::11", "fd00:20::12") / udp(53, 1024) / payload(b"abc");
    assert_bytes(
        &packet,
        "60000000 000b 11 40 fd000020000000000000000000000011 fd000020000000000000000000000012
         00350400 000b 3cdc 616263",
    );
}

#[test]
fn a_checksum_verifies_itself() {
    let data = payload(b"odd");
    let v4 = ipv4("10.0.0.1", "10.0.0.2") / tcp(1, 2).ack().options([1, 1, 1]) / data.clone();
    let v6 = ipv6("fd00::1", "fd00::2") / echo_request(7, 1) / data;
    let (v4, v6) = (v4.bytes(), v6.bytes());
    let segment = v4.len() - 20;
    let pseudo = [&v4[12..20], &[0, 6], &u16_of(segment).to_be_bytes()].concat();
    assert_eq!(internet_checksum(&[&v4[..20]]), 0);
    assert_eq!(internet_checksum(&[&pseudo, &v4[20..]]), 0);
    let pseudo = [&v6[8..40], &[0, 0, 0, u8_of(v6.len() - 40), 0, 0, 0, 58]].concat();
    assert_eq!(internet_checksum(&[&pseudo, &v6[40..]]), 0);
}

#[test]
fn a_udp_checksum_that_comes_out_as_zero_is_sent_as_ones() {
    let with = |data: u16| ipv4("0.0.0.0", "0.0.0.0") / udp(0, 0) / payload(data.to_be_bytes());
    let sum = !internet_checksum(&[&[0, 17, 0, 10, 0, 10]]);
    assert_eq!(with(!sum).bytes()[26..28], [0xff, 0xff]);
    assert_ne!(with(0).bytes()[26..28], [0xff, 0xff]);
}

#[test]
fn every_lie_stands_where_it_was_told() {
    let header = ipv4("10.0.0.1", "10.0.0.2")
        .version(5)
        .header_words(15)
        .total_length(9)
        .flags(7)
        .fragment_offset(0x1fff)
        .ttl(0)
        .protocol(6)
        .checksum(0xdead);
    let segment = tcp(1, 2).flags(0xff).reserved(0xf).data_offset(1).checksum(0xbeef).urgent(3);
    assert_bytes(
        &(eth(A, B).ethertype(0x88cc) / header / segment),
        "020000000002 020000000001 88cc 5f000009 0000ffff 0006dead 0a000001 0a000002
         00010002 00000000 00000000 1fffffff beef0003",
    );
}

#[test]
fn tags_stack_and_each_names_the_next() {
    let stacked =
        eth(A, B) / service_vlan(100) / vlan(7).drop_eligible(true) / vlan(0).tpid(0x9100);
    assert_bytes(
        &(stacked / ipv6("::1", "::2")),
        "020000000002 020000000001 88a8 0064 8100 1007 9100 0000 86dd
         60000000 0000 3b 40 00000000000000000000000000000001 00000000000000000000000000000002",
    );
}

#[test]
fn an_llc_frame_carries_its_length() {
    let bpdu = eth(A, Mac::from("01:80:c2:00:00:00")) / llc(0x42, 0x42, 3) / payload([0; 35]);
    assert_eq!(bpdu.bytes()[12..18], [0, 38, 0x42, 0x42, 3, 0]);
    assert_eq!(bpdu.padded().bytes().len(), 60);
    let wrapped = eth(A, B) / snap() / ipv4("10.0.0.1", "10.0.0.2") / udp(1, 2);
    assert_eq!(wrapped.bytes()[12..22], [0, 36, 0xaa, 0xaa, 3, 0, 0, 0, 8, 0]);
}

#[test]
fn extension_headers_name_each_other_and_count_their_length() {
    let packet = ipv6("fd00::1", "fd00::2")
        / hop_by_hop().option(5, [0, 0])
        / destination_options().option(0x1e, [7; 7])
        / routing_header(0, 0, &["fd00::9".parse().unwrap()])
        / fragment(3, true, 0x0a0b_0c0d)
        / ah(1, 2)
        / esp(3, 4)
        / payload([0xee; 4]);
    assert_bytes(
        &packet,
        "60000000 005c 00 40 fd000000000000000000000000000001 fd000000000000000000000000000002
         3c00 05020000 0100
         2b01 1e07 07070707070707 0103000000
         2c02 0000 00000000 fd000000000000000000000000000009
         3300 0019 0a0b0c0d
         3204 0000 00000001 00000002 000000000000000000000000
         00000003 00000004 eeeeeeee",
    );
}

#[test]
fn an_echo_takes_the_family_of_its_ip_header() {
    let v4 = (ip([10, 0, 0, 1].into(), [10, 0, 0, 2].into()) / echo_request(1, 2)).bytes();
    assert_eq!((v4[9], &v4[20..28]), (1, &unhex("0800f7fc00010002")[..]));
    let v6 = (ipv6("fd00::1", "fd00::2") / echo_reply(1, 2)).bytes();
    assert_eq!((v6[6], v6[40]), (58, 129));
}

#[test]
fn a_neighbour_advertisement_carries_flags_target_and_address() {
    let packet = ipv6("fe80::1", "fe80::2").hop_limit(255)
        / neighbour_advertisement("fe80::1").target_link(A);
    assert_eq!(
        hex(&packet.bytes()[44..]),
        hex(&unhex("60000000 fe800000000000000000000000000001 0201020000000001"))
    );
    let prefix = router_advertisement().prefix("fd00::", 64).source_link(B);
    assert_eq!((ipv6("fe80::1", "ff02::1") / prefix).bytes().len(), 40 + 16 + 32 + 8);
    let lie = router_solicitation().option_of_length(1, 0, A.octets());
    assert_eq!((ipv6("fe80::1", "ff02::2") / lie).bytes()[48..50], [1, 0]);
    assert_eq!((ipv6("fe80::1", "fe80::2") / redirect("fe80::3", "fd00::4")).bytes().len(), 80);
}

#[test]
fn an_icmp_error_quotes_the_ip_header_and_eight_bytes() {
    let original = eth(A, B)
        / vlan(7)
        / ipv4("10.0.0.1", "10.0.0.2").options([7, 3, 4])
        / udp(1000, 2000)
        / payload(b"secret");
    let error = ipv4("10.0.0.9", "10.0.0.1") / icmp_unreachable(&original.clone().padded_to(90));
    let bytes = error.bytes();
    assert_eq!(hex(&bytes[28..]), hex(&original.bytes()[18..18 + 24 + 8]));
    assert_eq!(bytes[20..22], [3, 3]);
    assert_eq!(internet_checksum(&[&bytes[20..]]), 0);
    let too_big = ipv4("10.0.0.9", "10.0.0.1") / icmp_packet_too_big(&original, 1400);
    assert_eq!(hex(&too_big.bytes()[20..22]), "0304");
    assert_eq!(hex(&too_big.bytes()[24..28]), "00000578");
}

#[test]
fn an_icmpv6_error_quotes_as_much_as_fits_the_minimum_mtu() {
    let original = eth(A, B) / ipv6("fd00::1", "fd00::2") / udp(1, 2) / payload([9; 1300]);
    let error = (ipv6("fd00::9", "fd00::1") / icmp_packet_too_big(&original, 1280)).bytes();
    assert_eq!((error.len(), error[40], &error[44..48]), (1280, 2, &[0, 0, 5, 0][..]));
    assert_eq!(error[48..], original.bytes()[14..14 + 1232]);
    let short = eth(A, B) / ipv6("fd00::1", "fd00::2") / udp(1, 2);
    let error = ipv6("fd00::9", "fd00::1") / icmp_time_exceeded(&short.padded_to(200));
    assert_eq!(error.bytes().len(), 48 + 48);
}

#[test]
fn fragments_hold_the_whole_packet_between_them() {
    let data: Vec<u8> = (0..100).collect();
    let whole = eth(A, B) / ipv4("10.0.0.1", "10.0.0.2") / udp(1, 2) / payload(&data);
    let fragments = whole.fragments(48, 77);
    let bytes: Vec<Vec<u8>> = fragments.iter().map(Packet::bytes).collect();
    let joined: Vec<u8> = bytes.iter().flat_map(|fragment| fragment[34..].to_vec()).collect();
    assert_eq!(joined, whole.bytes()[34..]);
    let fields: Vec<&[u8]> = bytes.iter().map(|fragment| &fragment[18..24]).collect();
    assert_eq!(fields[0], [0, 77, 0x20, 0, 64, 17]);
    assert_eq!(fields[1], [0, 77, 0x20, 6, 64, 17]);
    assert_eq!(fields[2], [0, 77, 0, 12, 64, 17]);

    let whole = ipv6("fd00::1", "fd00::2") / udp(1, 2) / payload(&data);
    let second = whole.fragments(56, 77).pop().unwrap().bytes();
    assert_eq!(hex(&second[40..48]), "11000038 0000004d");
    assert_eq!(second[48..], whole.bytes()[96..]);
}

#[test]
fn a_finished_frame_can_be_cut_patched_and_followed() {
    let frame = eth(A, B) / ipv4("10.0.0.1", "10.0.0.2") / udp(1, 2);
    assert_eq!(frame.clone().truncated(20).bytes().len(), 20);
    assert_eq!(frame.clone().patched(0, [0xff; 6]).bytes()[..6], [0xff; 6]);
    assert_eq!(frame.trailing(b"tail").bytes()[42..], *b"tail");
}

#[test]
fn a_tunnel_names_what_it_carries() {
    let inner = ipv4("10.0.0.1", "10.0.0.2") / udp(1, 2);
    let outer = || ipv4("192.0.2.1", "192.0.2.2");
    assert_eq!((outer() / inner.clone()).bytes()[9], 4);
    assert_eq!((outer() / ipv6("::1", "::2")).bytes()[9], 41);
    let gre = (outer() / gre() / inner).bytes();
    assert_eq!((gre[9], &gre[20..24]), (47, &[0, 0, 8, 0][..]));
}
