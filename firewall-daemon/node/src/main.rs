//! `cordon-node`: proves to the gateway that this node is what it says, and keeps proving it.

use std::error::Error;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::thread;
use std::time::Duration;

use clap::Parser;
use firewall_node::backoff::Backoff;
use firewall_node::client::{Client, ClientError};
use firewall_node::sentence;
use firewall_node::settings::{DEFAULT_PATH, Settings};
use nix::sys::signal::{SigSet, Signal};

/// Obtains a lease from a Cordon gateway, by this node's certificate, and renews it at a third of its
/// length. SIGTERM ends the lease and the program.
#[derive(Parser)]
#[command(name = "cordon-node", version, about)]
struct Arguments {
    /// The configuration file.
    #[arg(long, value_name = "FILE", default_value = DEFAULT_PATH)]
    config: PathBuf,
}

fn main() -> ExitCode {
    let Arguments { config } = Arguments::parse();
    let told = match told_to_end() {
        Ok(told) => told,
        Err(error) => return failed(&error),
    };
    let settings = match Settings::load(&config) {
        Ok(settings) => settings,
        Err(error) => return failed(&error),
    };
    // What is wrong with the files at the start is the administrator's to mend; later, a certificate
    // is perhaps just being replaced.
    if let Err(error) = Client::new(&settings) {
        return failed(&error);
    }
    let mut backoff = Backoff::default();
    loop {
        match keep(&settings, &told, &mut backoff) {
            Ok(()) => return ExitCode::SUCCESS,
            Err(error) => eprintln!("cordon-node: {}", sentence(&error)),
        }
        if sleep(&told, backoff.wait()) {
            return ExitCode::SUCCESS;
        }
    }
}

/// Connects, and renews until told to end. The files are read for every connection: certificates run
/// out, and are replaced before.
fn keep(
    settings: &Settings,
    told: &Receiver<()>,
    backoff: &mut Backoff,
) -> Result<(), ClientError> {
    let (mut connection, mut length) = Client::new(settings)?.connect()?;
    eprintln!("cordon-node: a lease of {} s from {}", length.as_secs(), settings.gateway);
    backoff.reset();
    while !sleep(told, (length / 3).max(Duration::from_secs(1))) {
        length = connection.renew()?;
    }
    connection.bye()
}

/// Sleeps; whether it was told to end meanwhile.
fn sleep(told: &Receiver<()>, time: Duration) -> bool {
    match told.recv_timeout(time) {
        Ok(()) | Err(RecvTimeoutError::Disconnected) => true,
        Err(RecvTimeoutError::Timeout) => false,
    }
}

/// A thread that waits for SIGTERM and SIGINT, which nobody else hears.
fn told_to_end() -> nix::Result<Receiver<()>> {
    let mut signals = SigSet::empty();
    signals.add(Signal::SIGTERM);
    signals.add(Signal::SIGINT);
    signals.thread_block()?;
    let (sender, receiver) = mpsc::channel();
    thread::spawn(move || while signals.wait().is_ok() && sender.send(()).is_ok() {});
    Ok(receiver)
}

fn failed(error: &dyn Error) -> ExitCode {
    eprintln!("cordon-node: {}", sentence(error));
    ExitCode::FAILURE
}
