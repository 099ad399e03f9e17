//! The gateway's counters.

use std::collections::BTreeMap;

use anyhow::{Context as _, Result};
use serde_json::Value;

/// Frames by port, verdict and reason.
pub(super) struct Ledger {
    pub(super) ports: Vec<Port>,
}

/// What one port received, and what became of it.
pub(super) struct Port {
    pub(super) name: String,
    pub(super) received: u64,
    pub(super) passed: u64,
    pub(super) drops: BTreeMap<String, u64>,
}

impl Ledger {
    pub(super) fn read(counters: &Value) -> Result<Self> {
        let ports = counters["ports"].as_array().context("counters without ports")?;
        let ports = ports.iter().map(Port::read).collect::<Option<_>>();
        Ok(Self { ports: ports.context("a port's counters cannot be read")? })
    }

    /// How many frames were dropped for this reason, on all ports.
    pub(super) fn dropped(&self, reason: &str) -> u64 {
        self.ports.iter().filter_map(|port| port.drops.get(reason)).sum()
    }

    pub(super) fn received(&self) -> u64 {
        self.ports.iter().map(|port| port.received).sum()
    }
}

impl Port {
    fn read(port: &Value) -> Option<Self> {
        let mut passed = 0;
        let mut drops = BTreeMap::new();
        for count in port["verdicts"].as_array()? {
            let packets = count["packets"].as_u64()?;
            if count["verdict"] == "pass" {
                passed += packets;
            } else if packets > 0 {
                drops.insert(count["reason"].as_str()?.to_owned(), packets);
            }
        }
        let name = port["port"].as_str()?.to_owned();
        Some(Self { name, received: port["received"]["packets"].as_u64()?, passed, drops })
    }

    /// The sum of its drops.
    pub(super) fn dropped(&self) -> u64 {
        self.drops.values().sum()
    }
}
