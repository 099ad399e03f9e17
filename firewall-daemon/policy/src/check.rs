//! Everything that can be said about a policy without a gateway: what `cordon check` says.

use crate::compile::{Capacity, SequentialSlots, compile};
use crate::diagnostic::{Diagnostic, Diagnostics};
use crate::resolve::{Ports, Resolved, resolve};
use crate::source::Sources;

/// Resolves a policy and compiles it, for what only the compiler can know.
///
/// # Errors
/// Everything that is wrong with it, warnings included.
pub fn check(
    sources: &Sources,
    ports: &Ports,
    capacity: &Capacity,
) -> Result<Resolved, Diagnostics> {
    let resolved = resolve(sources, ports)?;
    match compile(&resolved.policy, &mut SequentialSlots::new(), 0, capacity) {
        Ok(_) => Ok(resolved),
        Err(error) => {
            let warnings = resolved.warnings.iter().cloned();
            Err(Diagnostics::sorted(warnings.chain([Diagnostic::from(error)]).collect()))
        }
    }
}
