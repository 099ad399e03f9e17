//! Programs that are run over and over, frame by frame (`BPF_PROG_TEST_RUN`).

use std::os::fd::OwnedFd;
use std::sync::Arc;

use firewall_tests::lab::Namespace;

use crate::kernel::{self, MapKind};
use crate::traffic::{self, Steps};

/// A loaded program, and all that it needs to stay ready.
///
/// A run of a program that no interface has changes the kernel's dispatcher twice, and waits for an RCU
/// grace period each time: 20 ms (measured). So each is attached to a loopback interface that nobody
/// uses. The dispatcher holds 48 (`BPF_DISPATCHER_MAX`); share what can be shared.
#[derive(Clone, Debug)]
pub(crate) struct Program(Arc<Ready>);

#[derive(Debug)]
struct Ready {
    program: OwnedFd,
    /// An array of programs forgets them when nobody outside holds it any more.
    _next: Option<(OwnedFd, Program)>,
    _attached: Option<(OwnedFd, Namespace)>,
}

impl Program {
    /// One that is attached to an interface, for as long as it is needed.
    pub(crate) fn attached(program: OwnedFd) -> Self {
        Self(Arc::new(Ready { program, _next: None, _attached: None }))
    }

    pub(crate) fn new(program: OwnedFd) -> Self {
        Self::ready(program, None)
    }

    pub(crate) fn empty() -> Self {
        Self::new(kernel::load(&traffic::empty()))
    }

    /// One that finds another flow in every frame, and then becomes this one.
    pub(crate) fn stepping(&self, steps: Steps) -> Self {
        let counter = kernel::map(MapKind::PerCpuArray, 8, 1);
        let programs = kernel::map(MapKind::Programs, 4, 1);
        kernel::set_program(&programs, 0, &self.0.program);
        let step = kernel::load(&traffic::stepping(&counter, &programs, steps));
        Self::ready(step, Some((programs, self.clone())))
    }

    fn ready(program: OwnedFd, next: Option<(OwnedFd, Self)>) -> Self {
        const LOOPBACK: u32 = 1;
        let place = Namespace::new("bench");
        let link = place.run(|| kernel::attach_generic(&program, LOOPBACK));
        Self(Arc::new(Ready { program, _next: next, _attached: Some((link, place)) }))
    }

    /// Runs over frames that live, see [`kernel::run_live`].
    pub(crate) fn run_live(&self, frame: &[u8], interface: u32, repeat: u32) {
        kernel::run_live(&self.0.program, frame, interface, repeat);
    }

    /// The mean time of a run in ns, and what the last one returned.
    pub(crate) fn run(&self, frame: &[u8], repeat: u32) -> (f64, u32) {
        kernel::run(&self.0.program, frame, repeat)
    }
}
