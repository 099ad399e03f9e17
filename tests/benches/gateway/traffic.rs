//! Where frames come from and where they end: XDP programs on the outer ends of the veth pairs.

use std::os::fd::OwnedFd;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use firewall_tests::lab::Link;
use nix::sched::{CpuSet, sched_setaffinity};
use nix::unistd::Pid;

use crate::assembler::{
    Assembler, Condition, Helper, R0, R1, R2, R3, R4, R6, R7, R8, R9, R10, Register, Width,
};
use crate::frames::{FRAME, Frame};
use crate::kernel::{self, MapKind};
use crate::program::Program;

const XDP_DROP: i32 = 1;
const XDP_PASS: i32 = 2;
const XDP_TX: i32 = 3;

/// Sends frames out of one interface as fast as they can be made. The frames take turns; those that
/// stand for many flows also count through their source ports.
#[derive(Debug)]
pub(crate) struct Generator {
    program: Program,
    /// [`Sent`] of every CPU.
    counter: OwnedFd,
    link: Link,
    index: u32,
}

/// What a generator notes: how many frames it has made, and the `CLOCK_MONOTONIC` of the first and the
/// last batch, in ns.
type Sent = [u64; 3];

/// The kernel makes live frames in batches of that many (`NAPI_POLL_WEIGHT`), and lets each batch be
/// worked off before the next.
const BATCH: u32 = 64;

impl Generator {
    /// As many frames as a power of two.
    pub(crate) fn new(link: &Link, frames: &[Frame]) -> Self {
        let counter = kernel::map(MapKind::PerCpuArray, 24, 1);
        let program = Program::new(kernel::load(&generator(&counter, frames)));
        Self { program, counter, link: link.clone(), index: link.index() }
    }

    /// Sends that many frames, some batches of them, from that CPU; how long they took. What the
    /// kernel takes to begin and to end does not count.
    pub(crate) fn send(&self, cpu: usize, count: u32) -> Duration {
        let mut sent: Vec<Sent> = kernel::read_per_cpu(&self.counter);
        sent.iter_mut().for_each(|[_, first, last]| [*first, *last] = [0; 2]);
        kernel::write_per_cpu(&self.counter, &sent);
        let before = sent[cpu][0];
        self.link.namespace().run(|| {
            pin(cpu);
            self.burst(count);
        });
        let [after, first, last] = kernel::read_per_cpu(&self.counter)[cpu];
        let batch = u64::from(BATCH);
        let marked = (after - 1) / batch * batch - before.next_multiple_of(batch);
        #[expect(clippy::cast_precision_loss, reason = "a few million frames")]
        let marked = marked as f64;
        Duration::from_nanos(last - first).mul_f64(f64::from(count) / marked)
    }

    /// Sends bursts of that many frames until told to end.
    pub(crate) fn send_until(&self, cpu: usize, burst: u32, end: &AtomicBool) {
        self.link.namespace().run(|| {
            pin(cpu);
            while !end.load(Ordering::Relaxed) {
                self.burst(burst);
            }
        });
    }

    fn burst(&self, count: u32) {
        self.program.run_live(&[0; FRAME], self.index, count);
    }
}

/// Does that on one CPU, as what counts by CPU must: the kernel may move a long run to another. In a
/// thread of its own: a daemon inherits the CPUs of the thread that starts it.
pub(crate) fn on_cpu<T: Send>(cpu: usize, act: impl FnOnce() -> T + Send) -> T {
    let work = || {
        pin(cpu);
        act()
    };
    let done = std::thread::scope(|scope| scope.spawn(work).join());
    done.unwrap_or_else(|panic| std::panic::resume_unwind(panic))
}

fn pin(cpu: usize) {
    let mut set = CpuSet::new();
    set.set(cpu).unwrap();
    sched_setaffinity(Pid::from_raw(0), &set).unwrap();
}

/// Pages are recycled as the last owner left them, so every run writes the whole frame.
fn generator(counter: &OwnedFd, frames: &[Frame]) -> Vec<u64> {
    assert!(frames.len().is_power_of_two());
    let turns = frames.len().trailing_zeros().cast_signed();
    let mut code = Assembler::default();
    let short = packet(&mut code, R7);
    let missing = element(&mut code, counter);
    code.load(Width::Double, R6, R0, 0).copy(R2, R6).add(R2, 1);
    code.store(Width::Double, R0, 0, R2);
    mark(&mut code);
    let mut written = Vec::new();
    for (turn, frame) in (0..).zip(frames) {
        code.copy(R2, R6).and(R2, (1 << turns) - 1);
        let other = code.jump_if(R2, Condition::Unequal, turn);
        write(&mut code, frame, turns);
        written.push(code.jump());
        code.land(other);
    }
    written.into_iter().for_each(|jump| code.land(jump));
    code.set(R0, XDP_TX).exit();
    code.land(short);
    code.land(missing);
    code.set(R0, XDP_DROP).exit();
    code.finish()
}

/// Notes the time of a batch in the [`Sent`] that r0 points to; r6 is the count.
fn mark(code: &mut Assembler) {
    code.copy(R9, R0).copy(R2, R6).and(R2, i32::try_from(BATCH - 1).unwrap());
    let within = code.jump_if(R2, Condition::Unequal, 0);
    code.call(Helper::KtimeGetNs).store(Width::Double, R9, 16, R0);
    code.load(Width::Double, R2, R9, 8);
    let later = code.jump_if(R2, Condition::Unequal, 0);
    code.store(Width::Double, R9, 8, R0);
    code.land(within);
    code.land(later);
}

/// Writes a frame to where r7 points; r6 is the count.
fn write(code: &mut Assembler, frame: &Frame, turns: i32) {
    for (word, at) in frame.bytes.as_chunks::<8>().0.iter().zip((0..).step_by(8)) {
        code.set_wide(R4, u64::from_le_bytes(*word)).store(Width::Double, R7, at, R4);
    }
    let Some(varied) = frame.varied else { return };
    code.copy(R8, R6).shift_right(R8, turns);
    if let Some(address) = varied.address {
        spread(code, address);
    }
    code.and(R8, i32::from(varied.flows - 1));
    code.copy(R2, R8).add(R2, varied.first.into()).big_endian(R2);
    code.store(Width::Half, R7, varied.port_at, R2);
    if let Some(at) = varied.balanced_at {
        // What the port gains, the payload loses: the checksum stays right.
        code.set(R2, varied.first.into()).subtract(R2, R8).big_endian(R2);
        code.store(Width::Half, R7, at, R2);
    }
}

/// Takes the lowest bits of r8 for the address of the frame that r7 points to.
fn spread(code: &mut Assembler, address: AddressStep) {
    let AddressStep { at, first, bits, identification } = address;
    code.copy(R3, R8).and(R3, (1 << bits) - 1).shift_right(R8, bits);
    // What the address gains, the identification loses.
    code.set(R2, identification.into()).subtract(R2, R3).big_endian(R2);
    code.store(Width::Half, R7, IDENTIFICATION_AT, R2);
    code.add(R3, first.into()).big_endian(R3).store(Width::Half, R7, at, R3);
}

/// Counts the frames that reach an interface, and ends them there. Anything shorter goes on.
#[derive(Debug)]
pub(crate) struct Sink {
    counts: OwnedFd,
    _link: OwnedFd,
}

/// What has come to a sink.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Arrived {
    /// Frames.
    pub(crate) frames: u64,
    /// `CLOCK_MONOTONIC` of the last, in ns; 0 where the sink keeps no time.
    pub(crate) last: u64,
}

/// Whether a sink notes when frames come: 31 ns a frame (measured).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Timing {
    None,
    LastFrame,
}

impl Sink {
    pub(crate) fn new(link: &Link, timing: Timing) -> Self {
        let counts = kernel::map(MapKind::PerCpuArray, 16, 1);
        let program = kernel::load(&sink(&counts, timing));
        let index = link.index();
        let attached = link.namespace().run(|| kernel::attach(&program, index));
        Self { counts, _link: attached }
    }

    pub(crate) fn arrived(&self) -> Arrived {
        let all = kernel::read_per_cpu::<2>(&self.counts);
        all.into_iter().fold(Arrived::default(), |sum, [frames, last]| Arrived {
            frames: sum.frames + frames,
            last: sum.last.max(last),
        })
    }
}

fn sink(counts: &OwnedFd, timing: Timing) -> Vec<u64> {
    let mut code = Assembler::default();
    let short = packet(&mut code, R7);
    if timing == Timing::LastFrame {
        code.call(Helper::KtimeGetNs).copy(R8, R0);
    }
    let missing = element(&mut code, counts);
    code.load(Width::Double, R2, R0, 0).add(R2, 1).store(Width::Double, R0, 0, R2);
    if timing == Timing::LastFrame {
        code.store(Width::Double, R0, 8, R8);
    }
    code.set(R0, XDP_DROP).exit();
    code.land(short);
    code.land(missing);
    code.set(R0, XDP_PASS).exit();
    code.finish()
}

/// Leaves where the frame starts in `to`; jumps away if it is too short.
fn packet(code: &mut Assembler, to: Register) -> crate::assembler::Jump {
    code.load(Width::Word, to, R1, 0).load(Width::Word, R3, R1, 4);
    code.copy(R4, to).add(R4, i32::try_from(FRAME).unwrap());
    code.jump_if_than(R4, Condition::Greater, R3)
}

/// Leaves element 0 of a map in r0; jumps away if there is none.
fn element(code: &mut Assembler, map: &OwnedFd) -> crate::assembler::Jump {
    code.store_zero(R10, -4).copy(R2, R10).add(R2, -4).map(R1, map).call(Helper::MapLookup);
    code.jump_if(R0, Condition::Equal, 0)
}

/// A program that hands every frame to the one interface in `devices`.
pub(crate) fn bare_redirect(devices: &OwnedFd) -> Vec<u64> {
    let mut code = Assembler::default();
    code.map(R1, devices).set(R2, 0).set(R3, 0).call(Helper::RedirectMap).exit();
    code.finish()
}

/// A program that does nothing.
pub(crate) fn empty() -> Vec<u64> {
    let mut code = Assembler::default();
    code.set(R0, XDP_PASS).exit();
    code.finish()
}

/// Where the number of a flow lies in an IPv4 frame.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Steps {
    /// How many flows; a power of two.
    pub(crate) flows: u32,
    pub(crate) order: Order,
    pub(crate) port_at: i16,
    /// The lowest bits lie in an address instead.
    pub(crate) address: Option<AddressStep>,
}

/// From which flow to which: odd, so that every one has its turn.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Order {
    Counted = 1,
    /// No two that lie beside each other in a table follow each other: the CPU would foresee that.
    Scattered = 0x1e37_79b1,
}

/// The lower half of an IPv4 address, and what keeps the header's checksum right.
#[derive(Clone, Copy, Debug)]
pub(crate) struct AddressStep {
    pub(crate) at: i16,
    pub(crate) first: u16,
    pub(crate) bits: i32,
    /// The identification of the first frame; it counts down.
    pub(crate) identification: u16,
}

/// Where an IPv4 frame without a tag has its identification.
const IDENTIFICATION_AT: i16 = 14 + 4;

/// A program that counts through the flows and then becomes the program in `programs`.
pub(crate) fn stepping(counter: &OwnedFd, programs: &OwnedFd, steps: Steps) -> Vec<u64> {
    let mut code = Assembler::default();
    code.copy(R6, R1);
    let short = packet(&mut code, R7);
    let missing = element(&mut code, counter);
    code.load(Width::Double, R8, R0, 0).copy(R2, R8).add(R2, 1);
    code.store(Width::Double, R0, 0, R2);
    code.multiply(R8, steps.order as i32).and(R8, i32::try_from(steps.flows - 1).unwrap());
    if let Some(address) = steps.address {
        spread(&mut code, address);
    }
    code.add(R8, crate::frames::FIRST_PORT.into()).big_endian(R8);
    code.store(Width::Half, R7, steps.port_at, R8);
    code.copy(R1, R6).map(R2, programs).set(R3, 0).call(Helper::TailCall);
    code.land(short);
    code.land(missing);
    code.set(R0, 0).exit();
    code.finish()
}
