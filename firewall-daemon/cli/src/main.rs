//! `cordon`: the administrator's command. A client of the control API, and of the engine where the
//! daemon is not needed.

mod command;
mod context;
mod direct;
mod failure;
mod human;
mod paint;
mod pins;
mod table;

use std::process::ExitCode;

use clap::Parser;

use crate::command::Arguments;
use crate::context::Context;
use crate::failure::Failure;

fn main() -> ExitCode {
    let Arguments { options, command } = Arguments::parse();
    let outcome = Context::new(options).and_then(|context| {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        runtime.block_on(command.run(&context))
    });
    outcome.map_or_else(Failure::report, |()| ExitCode::SUCCESS)
}
