use firewall_common::Generation;

use super::*;

const HELD: Holding = Holding { interface: 4, program: 30 };

fn program() -> Program {
    Program { id: 30, tag: [7; 8], maps: vec![1, 2, 3] }
}

fn sound() -> Seen {
    let switches = Switches { up: true, promiscuous: true };
    let hook = || Hook { holding: HELD, is_pinned: true, program: program() };
    Seen {
        interface: Some(Device { index: 4, mtu: 1500, stripping: VlanStripping::Off, switches }),
        hooks: [hook(), hook()],
        ways_out: [Some([4, 0]); 2],
        peer: Some(("eth2".to_owned(), 1500)),
    }
}

fn wanted<'a>(program: &'a Program, maps: &'a [u32]) -> Wanted<'a> {
    Wanted { hooks: [(HELD, program); 2], maps, promiscuous: true }
}

fn found(edit: impl FnOnce(&mut Seen)) -> Vec<Finding> {
    let mut seen = sound();
    edit(&mut seen);
    of_port(&wanted(&program(), &[1, 3]), &seen)
}

fn device(seen: &mut Seen) -> &mut Device {
    seen.interface.as_mut().unwrap()
}

#[test]
fn nothing_is_found_where_all_is_as_it_was_made() {
    assert_eq!(found(|_| {}), []);
    assert_eq!(found(|seen| device(seen).stripping = VlanStripping::Absent), []);
}

#[test]
fn what_somebody_changed_is_found_and_nothing_else() {
    let stripping = VlanStripping::On;
    assert_eq!(found(|seen| device(seen).stripping = stripping), [Finding::VlanStripping]);
    assert_eq!(found(|seen| device(seen).switches.up = false), [Finding::Down]);
    let deaf = |seen: &mut Seen| device(seen).switches.promiscuous = false;
    assert_eq!(found(deaf), [Finding::NotPromiscuous]);
    for (hook, place) in [(0, Place::Ingress), (1, Place::Egress)] {
        let edit = |edit: fn(&mut Hook)| found(|seen| edit(&mut seen.hooks[hook]));
        assert_eq!(edit(|hook| hook.is_pinned = false), [Finding::LinkPin { place }]);
        assert_eq!(edit(|hook| hook.program.id = 31), [Finding::OtherMaps]);
        assert_eq!(edit(|hook| hook.program.tag = [8; 8]), [Finding::OtherMaps]);
        assert_eq!(edit(|hook| hook.program.maps = vec![1, 2]), [Finding::OtherMaps]);
        let replaced = edit(|hook| hook.holding.program = 77);
        assert_eq!(replaced, [Finding::Replaced { place, program: 77 }]);
        let detached = edit(|hook| hook.holding.interface = 0);
        assert_eq!(detached, [Finding::Detached { place }]);
    }
    for map in 0..2 {
        for way_out in [None, Some([5, 0]), Some([4, 77])] {
            let expected = [Finding::WayOut { found: way_out }];
            assert_eq!(found(|seen| seen.ways_out[map] = way_out), expected);
        }
    }
}

#[test]
fn a_port_whose_frames_leave_by_a_narrower_one_is_found_and_not_the_narrower_one() {
    let (peer, peer_mtu) = ("eth2".to_owned(), 1500);
    let narrower = Finding::Narrower { mtu: 9000, peer, peer_mtu };
    assert_eq!(found(|seen| device(seen).mtu = 9000), [narrower]);
    assert_eq!(found(|seen| device(seen).mtu = 1400), []);
    assert_eq!(found(|seen| seen.peer = None), []);
}

#[test]
fn a_program_that_never_used_our_maps_is_found() {
    let (seen, own) = (sound(), program());
    let found = of_port(&wanted(&own, &[1, 4]), &seen);
    assert_eq!(found, [Finding::OtherMaps, Finding::OtherMaps]);
}

#[test]
fn an_interface_that_is_gone_or_made_again_is_one_finding() {
    let gone = |seen: &mut Seen| {
        for hook in &mut seen.hooks {
            hook.holding.interface = 0;
        }
        seen.ways_out = [None; 2];
        seen.interface = None;
    };
    assert_eq!(found(gone), [Finding::Missing]);
    let renamed = found(|seen| seen.interface = None);
    assert_eq!(renamed, [Finding::Renamed { index: 4 }]);
    let again = |seen: &mut Seen| {
        gone(seen);
        let switches = Switches { up: false, promiscuous: false };
        seen.interface =
            Some(Device { index: 6, mtu: 9000, stripping: VlanStripping::On, switches });
    };
    assert_eq!(found(again), [Finding::Recreated { before: 4, now: 6 }]);
}

#[test]
fn a_publication_may_only_go_on() {
    let word =
        |half, armed, generation| Publication { half, armed, generation: Generation(generation) };
    let check = |wanted, seen| of_publication(wanted, seen).is_none();
    assert!(check(word(1, true, 5), word(1, true, 5)));
    assert!(check(word(1, true, 5), word(1, true, 6)), "a stop was ordered");
    assert!(check(word(1, true, u32::MAX), word(1, true, 0)), "the generation wraps");
    assert!(!check(word(1, true, 5), word(0, true, 5)), "the other half");
    assert!(!check(word(1, true, 5), word(1, false, 5)), "disarmed");
    assert!(!check(word(1, true, 5), word(1, true, 4)), "a generation that is over");
}
