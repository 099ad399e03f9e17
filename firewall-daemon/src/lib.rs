//! .
pub mod config;
pub mod control;
pub mod dataplane;
pub mod metrics;
