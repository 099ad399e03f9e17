//! One kind of frame, and the programs that get it in turns.

use crate::frames::{self, Frame};
use crate::program::Program;
use crate::statistics::Samples;

/// See the [module](self).
pub(crate) struct Case {
    pub(crate) what: &'static str,
    /// What the daemon counts it as.
    pub(crate) counted: &'static str,
    pub(crate) frame: Frame,
    pub(crate) ours: Runner,
    pub(crate) empty: Runner,
    pub(crate) filter: Option<Runner>,
    pub(crate) repeat: u32,
    /// Another service every round, so that every flow is new again.
    pub(crate) renewed: bool,
    /// At most how many times xdp-filter's time.
    pub(crate) target: Option<f64>,
}

/// A program, what it says of the frame, and the nanoseconds it took.
pub(crate) struct Runner {
    program: Program,
    returns: u32,
    pub(crate) times: Samples,
}

impl Case {
    /// Every program once, in another order than the last time.
    pub(crate) fn round(&mut self, number: u16) {
        let mut bytes = self.frame.bytes;
        if self.renewed {
            Self::renew(&mut bytes, number);
        }
        let mut runners = vec![&mut self.ours, &mut self.empty];
        runners.extend(&mut self.filter);
        if !number.is_multiple_of(2) {
            runners.reverse();
        }
        for runner in runners {
            runner.run(self.what, &bytes, self.repeat);
        }
    }

    /// Turns to another service.
    pub(crate) fn renew(frame: &mut [u8], number: u16) {
        frame[36..38].copy_from_slice(&(frames::SERVICE + 1 + number).to_be_bytes());
    }

    /// Our time without the empty program's.
    pub(crate) fn net(&self) -> Samples {
        self.ours.less(&self.empty)
    }

    /// xdp-filter's time without the empty program's.
    pub(crate) fn filter_net(&self) -> Option<Samples> {
        self.filter.as_ref().map(|filter| filter.less(&self.empty))
    }
}

impl Runner {
    pub(crate) fn new(program: &Program, returns: u32) -> Self {
        Self { program: program.clone(), returns, times: Samples::default() }
    }

    pub(crate) fn run(&mut self, what: &str, frame: &[u8], repeat: u32) {
        let (took, returned) = self.program.run(frame, repeat);
        assert_eq!(returned, self.returns, "{what}");
        self.times.push(took);
    }

    fn less(&self, empty: &Self) -> Samples {
        self.times.paired(&empty.times, |own, empty| own - empty)
    }
}
