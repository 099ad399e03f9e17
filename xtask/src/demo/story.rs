//! What happens in the hospital, in this order.

mod attacks;
mod crash;
mod daily;
mod probe;
mod proof;
mod reload;
mod stop;

use std::path::PathBuf;
use std::time::Duration;

use anyhow::Result;

use super::gateway::Gateway;
use super::lab::Lab;
use super::report::Report;
use super::{dicom, dot1x, hl7};
use crate::demo::process::Service;

/// Everybody on stage.
pub(super) struct Story {
    pub(super) lab: Lab,
    pub(super) gateway: Gateway,
    images: Vec<PathBuf>,
    armed_after: Duration,
}

/// How many images a series has here.
const IMAGES: u16 = 4;

impl Story {
    /// Builds the hospital, starts its services, and then the firewall.
    pub(super) fn set() -> Result<Self> {
        let lab = Lab::new()?;
        let images = dicom::make_images(lab.directory(), IMAGES)?;
        dicom::serve(&lab)?;
        let mut listener = lab.ris.namespace.command("/proc/self/exe");
        listener.args(["demo", "hl7-listen"]);
        Service::start(listener, &lab.directory().join("hl7.log"))?;
        dicom::wait_for(&lab.ris.namespace, hl7::PORT)?;
        let (gateway, armed_after) = Gateway::start(&lab)?;
        dot1x::serve(&lab, &gateway)?;
        Ok(Self { lab, gateway, images, armed_after })
    }

    /// Tells it all; an error if somebody has asked for the end.
    pub(super) fn tell(&mut self, report: &mut Report) -> Result<()> {
        daily::tell(self, report)?;
        attacks::tell(self, report)?;
        proof::tell(self, report)?;
        stop::tell(self, report)?;
        reload::tell(self, report)?;
        crash::tell(self, report)?;
        daily::tell_ledger(self, report)
    }
}
