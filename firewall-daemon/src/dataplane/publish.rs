//! How an image comes into force: at once, or not at all.

use std::io;
use std::sync::atomic::Ordering::SeqCst;

use firewall_common::Generation;
use firewall_common::abi::Publication;
use firewall_common::image::Line;
use firewall_policy::Names;

use super::stop::Stopper;
use super::{DataPlane, sys};
use crate::fault::{self, Step};

/// Why an image was not activated; the one before stays in force.
#[derive(Debug, thiserror::Error)]
pub enum ActivateError {
    /// The image does not fit.
    #[error("the policy needs {lines} lines, and the maps hold {capacity}")]
    Capacity {
        /// Lines of the image.
        lines: usize,
        /// Lines of one half.
        capacity: usize,
    },
    /// The kernel did not say when the last readers of the idle half were gone.
    #[error("cannot wait for the programs that still read the idle half: {0}")]
    Barrier(#[source] io::Error),
    /// What was written is not what is there.
    #[error("line {line} of the image does not read back as it was written")]
    ReadBack {
        /// Which line.
        line: usize,
    },
}

impl DataPlane {
    /// Publishes an image: fills the idle half with plain stores, reads it back, then one store
    /// makes it the active one. A frame is decided under the old image or the new, never a mixture.
    pub fn activate(
        &mut self,
        image: Vec<Line>,
        names: &Names,
        stopper: &Stopper,
    ) -> Result<Generation, ActivateError> {
        let published = self.publish(&image, names, stopper)?;
        self.kept.image(image, published);
        Ok(published.generation)
    }

    /// Waits until no program reads the idle half any more, so that the next activation need not: a
    /// grace period takes 5 to 15 ms.
    ///
    /// # Errors
    /// Those of the system call; then the next activation waits.
    pub fn drain(&mut self) -> io::Result<()> {
        let published = self.publication();
        sys::synchronize()?;
        self.drained = Some(published);
        Ok(())
    }

    pub(super) fn publish(
        &self,
        image: &[Line],
        names: &Names,
        stopper: &Stopper,
    ) -> Result<Publication, ActivateError> {
        let (lines, capacity) = (image.len(), self.maps.lines);
        let half = 1 - self.publication().half as usize;
        let idle = self.maps.image.get(half * capacity..(half + 1) * capacity);
        let Some(idle) = idle.filter(|idle| lines <= idle.len()) else {
            return Err(ActivateError::Capacity { lines, capacity });
        };
        // Programs that still read this half, from before the last activation.
        let is_drained = self.drained == Some(self.publication());
        fault::at(Step::AwaitReaders)
            .and_then(|()| if is_drained { Ok(()) } else { sys::synchronize() })
            .map_err(ActivateError::Barrier)?;
        for (place, line) in idle.iter().zip(image) {
            fault::before(Step::FillLine);
            for (word, value) in place.0.iter().zip(line.0) {
                word.store(value, std::sync::atomic::Ordering::Relaxed);
            }
        }
        fault::at(Step::ReadBackImage).map_err(|_| ActivateError::ReadBack { line: 0 })?;
        for (number, (place, line)) in idle.iter().zip(image).enumerate() {
            if place.0.iter().zip(line.0).any(|(word, value)| word.load(SeqCst) != value) {
                return Err(ActivateError::ReadBack { line: number });
            }
        }
        fault::before(Step::EnforceStops);
        stopper.enforce(names);
        fault::before(Step::Publish);
        let half = u32::try_from(half).unwrap_or(0);
        let publish = |word| {
            let Generation(generation) = Publication::decode(word).generation;
            let generation = Generation(generation.wrapping_add(1));
            Some(Publication { half, armed: true, generation }.encode())
        };
        let word = &self.maps.control().publication;
        // The closure never refuses.
        let _ = word.atomic().fetch_update(SeqCst, SeqCst, publish);
        fault::before(Step::Published);
        Ok(Publication { half, armed: true, ..self.publication() })
    }
}
