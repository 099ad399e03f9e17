//! cordond: reads policies, guards the data plane, answers operators.
//!
//! Arrows point down: `main > daemon > {control, events, metrics, report, candidate} > dataplane`.
//! Only [`dataplane`] knows the kernel, only [`daemon`] holds it mutably.

pub mod auth;
pub mod candidate;
pub mod config;
pub mod control;
pub mod daemon;
pub mod dataplane;
pub mod events;
pub mod fault;
pub mod metrics;
pub mod priority;
pub mod report;
