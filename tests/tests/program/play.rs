//! Whole conversations, frame by frame as correct hosts send them, and how they go wrong.

use firewall_policy::Policy;

use crate::random::Random;
use crate::talk::{End, Kind, Sent, Syn, Talk};

/// A conversation and how far it has come.
pub(crate) struct Play {
    talk: Talk,
    script: Vec<Sent>,
    next: usize,
    bystanders: Vec<End>,
}

impl Play {
    /// That conversation, before anything is said.
    pub(crate) fn of(random: &mut Random, policy: &Policy, talk: Talk) -> Self {
        let script = match talk.kind {
            Kind::Tcp => connection(random, &talk),
            Kind::Udp | Kind::Echo | Kind::Neighbour => exchange(random, &talk),
        };
        let bystanders = talk.reporters(random, policy);
        Self { talk, script, next: 0, bystanders }
    }

    pub(crate) fn is_over(&self) -> bool {
        self.next >= self.script.len()
    }

    /// Mostly the next frame; or one that is early, late, out of place, or an error.
    pub(crate) fn next(&mut self, random: &mut Random) -> Sent {
        let last = self.script.len() - 1;
        match random.below(14) {
            0 => self.script[random.below(self.next + 1).min(last)].clone(),
            1 => self.script[random.below(self.script.len())].clone(),
            2 => self.talk.frame(random),
            3 => {
                let forth = random.once_in(4);
                let reporter = random.once_in(3).then(|| random.pick(&self.bystanders).clone());
                self.talk.error(random, forth, reporter.as_ref())
            }
            luck => {
                // Now and then one is lost on the way to the gateway.
                self.next += if luck == 4 { 2 } else { 1 };
                self.script[(self.next - 1).min(last)].clone()
            }
        }
    }
}

/// Both sequence numbers of a connection, and what was sent.
struct Wire<'t> {
    talk: &'t Talk,
    /// What each end sends next: who opens, who answers.
    next: [u32; 2],
    /// How much each end takes.
    windows: [u16; 2],
    sent: Vec<Sent>,
}

const FIN: u8 = 1;
const SYN: u8 = 2;
const RST: u8 = 4;
const PSH: u8 = 8;
const ACK: u8 = 16;

impl Wire<'_> {
    fn send(&mut self, end: usize, flags: u8, data: &[u8]) {
        self.send_with(end, flags, &[], data);
    }

    fn send_with(&mut self, end: usize, flags: u8, options: &[u8], data: &[u8]) {
        let [ours, theirs] = [self.next[end], self.next[1 - end]];
        let acknowledged = if flags & ACK == 0 { 0 } else { theirs };
        let segment = |tcp: firewall_tests::packet::Tcp| {
            let numbered = tcp.flags(flags).seq(ours).ack_number(acknowledged);
            numbered.window(self.windows[end]).options(options)
        };
        self.sent.push(self.talk.segment(end == 0, segment, data));
        let length = u32::try_from(data.len()).unwrap() + u32::from(flags & (SYN | FIN) != 0);
        self.next[end] = ours.wrapping_add(length);
    }

    fn open(&mut self, random: &mut Random, [near, far]: [&Syn; 2]) {
        self.next = [near.sequence, far.sequence];
        self.windows = [(); 2].map(|()| *random.pick(&[0xffff, 0xffff, 501, 4, 0]));
        self.send_with(0, SYN, &near.options, &[]);
        self.send_with(1, SYN | ACK, &far.options, &[]);
        self.send(0, ACK, &[]);
    }
}

fn connection(random: &mut Random, talk: &Talk) -> Vec<Sent> {
    let mut wire = Wire { talk, next: [0; 2], windows: [0; 2], sent: Vec::new() };
    wire.open(random, [&talk.near_syn, &talk.far_syn]);
    for _ in 0..random.below(6) {
        let end = random.below(2);
        wire.send(end, PSH | ACK, b"A-ASSOCIATE");
        if random.once_in(2) {
            wire.send(1 - end, ACK, &[]);
        }
    }
    let end = random.below(2);
    match random.below(6) {
        0 => wire.send(end, RST, &[]),
        1 => wire.send(end, RST | ACK, &[]),
        // It stays open.
        2 => {}
        // One sends on while the other is done.
        luck => {
            wire.send(end, FIN | ACK, if luck == 3 { b"bye" } else { &[] });
            wire.send(1 - end, ACK, &[]);
            if luck == 4 {
                wire.send(1 - end, PSH | ACK, b"more");
                wire.send(end, ACK, &[]);
            }
            wire.send(1 - end, FIN | ACK, &[]);
            wire.send(end, ACK, &[]);
            if luck == 5 {
                let [near, far] = [(); 2].map(|()| Syn::any(random));
                wire.open(random, [&near, &far]);
                wire.send(1, PSH | ACK, b"again");
            }
        }
    }
    wire.sent
}

/// Questions and answers.
fn exchange(random: &mut Random, talk: &Talk) -> Vec<Sent> {
    let turns = 1 + random.below(4);
    (0..turns).flat_map(|_| [talk.turn(true), talk.turn(false)]).collect()
}
