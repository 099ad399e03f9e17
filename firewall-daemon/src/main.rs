//! `cordond`: the daemon.

use std::io::IsTerminal;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

use clap::Parser;
use firewall_control::EventKind;
use firewall_daemon::config::{self, Config};
use firewall_daemon::control::{self, Listener};
use firewall_daemon::daemon::routes::Surroundings;
use firewall_daemon::daemon::{Daemon, ReloadError, leases};
use firewall_daemon::dataplane;
use firewall_daemon::dataplane::watch::{self, Watch};
use firewall_daemon::metrics::{self, Snapshot};
use firewall_daemon::priority;
use firewall_node::sentence;
use tokio::signal::unix::{SignalKind, signal};
use tracing_subscriber::EnvFilter;
use tracing_subscriber::prelude::*;

/// Guards the ports of a gateway: lets through only what the policy allows between authenticated
/// nodes.
///
/// Runs in the foreground. Ending it, by SIGTERM or by SIGKILL, leaves enforcement in place: the
/// program stays attached and goes on with the last policy and the last stop.
#[derive(Parser)]
#[command(version, about)]
struct Arguments {
    /// The configuration file.
    #[arg(long, value_name = "FILE", default_value = config::DEFAULT_PATH)]
    config: PathBuf,
    /// Takes enforcement away: detaches the program from every port and forgets flows and counters.
    /// A bridge that is not guarded carries nothing; a router's ports are told to stop forwarding
    /// first. The latch stays. Asks for --yes.
    #[arg(long)]
    detach_all: bool,
    /// Do it, without being asked again.
    #[arg(long, requires = "detach_all")]
    yes: bool,
}

/// Why the daemon ended: a sentence, a hint, an exit code.
struct Ending {
    sentence: String,
    hint: Option<String>,
    code: u8,
}

const FAILED: u8 = 1;
const INVALID: u8 = 2;

pub(crate) fn main() -> ExitCode {
    let arguments = Arguments::parse();
    log();
    let result = if arguments.detach_all { detach_all(&arguments) } else { run(&arguments) };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(Ending { sentence, hint, code }) => {
            eprintln!("cordond: {sentence}");
            if let Some(hint) = hint {
                eprintln!("hint: {hint}");
            }
            ExitCode::from(code)
        }
    }
}

/// To the journal when systemd has connected us to it, otherwise to stderr.
fn log() {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("info"));
    let registry = tracing_subscriber::registry().with(filter);
    if std::env::var_os("JOURNAL_STREAM").is_some()
        && let Ok(journal) = tracing_journald::layer()
    {
        registry.with(journal).init();
        return;
    }
    let stderr = tracing_subscriber::fmt::layer()
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal())
        .with_target(false);
    registry.with(stderr).init();
}

fn load(path: &std::path::Path) -> Result<Config, Ending> {
    Config::load(path).map_err(|error| {
        let hint = error.hint();
        Ending { sentence: sentence(&error), hint, code: INVALID }
    })
}

fn failed(error: &dyn std::error::Error, hint: Option<String>) -> Ending {
    Ending { sentence: sentence(error), hint, code: FAILED }
}

fn needs_root() -> Result<(), Ending> {
    if nix::unistd::geteuid().is_root() {
        return Ok(());
    }
    Err(Ending {
        sentence: "cordond must be started as root".to_owned(),
        hint: Some("it loads and attaches a kernel program; use systemd, or sudo".to_owned()),
        code: FAILED,
    })
}

fn detach_all(arguments: &Arguments) -> Result<(), Ending> {
    let config = load(&arguments.config)?;
    needs_root()?;
    if !arguments.yes {
        return Err(Ending {
            sentence: "this takes enforcement away; nothing was done".to_owned(),
            hint: Some("say --detach-all --yes if that is what you want".to_owned()),
            code: INVALID,
        });
    }
    if Listener::is_served(&config.control) {
        return Err(Ending {
            sentence: "cordond runs, and would guard the ports again; nothing was done".to_owned(),
            hint: Some("end it first, with `systemctl stop cordond`".to_owned()),
            code: FAILED,
        });
    }
    let ports = dataplane::hold::detach_all(&config)
        .map_err(|error| failed(&error, Some("look into the [bpf] directory".to_owned())))?;
    let uid = nix::unistd::getuid();
    tracing::warn!(%uid, ?ports, "enforcement was taken away on purpose");
    if ports.is_empty() {
        println!("There was no enforcement to take away.");
    } else {
        println!("Enforcement was taken away from {}; the latch is kept.", ports.join(", "));
    }
    Ok(())
}

fn run(arguments: &Arguments) -> Result<(), Ending> {
    let config = load(&arguments.config)?;
    needs_root()?;
    priority::raise();
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(4)
        .enable_all()
        .build()
        .map_err(|error| failed(&error, None))?;
    runtime.block_on(serve(config))
}

async fn serve(config: Config) -> Result<(), Ending> {
    // The socket first: it tells whether another daemon runs, before anything is touched.
    std::fs::create_dir_all(&config.state.directory).map_err(|error| Ending {
        sentence: format!("cannot make {}: {error}", config.state.directory.display()),
        hint: Some("set [state] directory to a writable place".to_owned()),
        code: FAILED,
    })?;
    let listener = Listener::bind(&config.control).map_err(|error| {
        let hint = error.hint();
        failed(&error, hint)
    })?;
    let page = metrics::listen(&config.metrics).await.map_err(|error| {
        failed(&error, Some("set [metrics] listen to a free address of this machine".to_owned()))
    })?;
    let policies = config.policy.directory.clone();
    // Before anything is read of the routes, so that no change is missed.
    let surroundings = Surroundings::open().map_err(deaf)?;
    let daemon = Daemon::open(config).map_err(|error| {
        let hint = error.hint();
        failed(&error, Some(hint))
    })?;
    let daemon = Arc::new(daemon);
    first_policy(&daemon, &policies)?;
    daemon.attach().map_err(|error| {
        let hint = error.hint();
        failed(&error, Some(hint))
    })?;
    let ring = daemon.ring().map_err(|error| failed(&error, None))?;
    let watch = Watch::open(watch::PORTS).map_err(deaf)?;
    daemon.events().record(EventKind::Start, |event| {
        event.message = Some(format!("cordond {} started", env!("CARGO_PKG_VERSION")));
    });
    Arc::clone(&daemon).sweep().map_err(|error| failed(&error, None))?;
    // Whoever stops waits for nothing more, not even for the guard's first look.
    tokio::spawn(control::serve(listener, Arc::clone(&daemon)));
    tokio::spawn(Arc::clone(&daemon).record_events(ring));
    tokio::spawn(Arc::clone(&daemon).guard(watch));
    let (claims, claimed) = tokio::sync::mpsc::channel(leases::CLAIMS);
    tokio::spawn(Arc::clone(&daemon).keep_leases(claimed));
    daemon.follow_hostapd(&claims);
    daemon.open_sources();
    let kept = Arc::clone(&daemon);
    tokio::spawn(Arc::clone(&daemon).follow_routes(surroundings));
    let scraped = Arc::clone(&daemon);
    tokio::spawn(metrics::serve(page, move || snapshot(Arc::clone(&scraped))));
    tokio::spawn(announce(daemon));
    until_told().await.map_err(|error| failed(&error, None))?;
    let _ = sd_notify::notify(&[sd_notify::NotifyState::Stopping]);
    drop(claims);
    tokio::task::block_in_place(|| kept.tell_disk(std::time::Duration::ZERO));
    tracing::info!("ending; enforcement stays in place");
    Ok(())
}

/// Says that it is ready once it knows how it stands.
async fn announce(daemon: Arc<Daemon>) {
    daemon.looked().await;
    // Nobody waits for it if systemd did not start us.
    let _ = sd_notify::notify(&[sd_notify::NotifyState::Ready]);
    tracing::info!("ready");
}

fn deaf(error: std::io::Error) -> Ending {
    failed(&error, Some("cordond listens to netlink (AF_NETLINK) for its ports".to_owned()))
}

fn first_policy(daemon: &Daemon, directory: &std::path::Path) -> Result<(), Ending> {
    match daemon.reload_policy() {
        Ok(report) => {
            for warning in report.warnings {
                tracing::warn!("{}", warning.message);
            }
            let took = report.took_microseconds;
            tracing::info!(
                generation = report.generation,
                took_microseconds = took,
                "{}",
                report.message
            );
            Ok(())
        }
        Err(error) => {
            let cause = match &error {
                ReloadError::Candidate(error) => error.render(),
                ReloadError::Prove(error) => error.render(),
                ReloadError::Activate(_) | ReloadError::Flows(_) => sentence(&error),
            };
            let directory = directory.display();
            let sentence = format!("the policy in {directory} was not activated: {error}\n{cause}");
            let hint = "what was in force before still is; on a fresh start nothing passes. \
                        `cordon check DIR` tries a policy without touching anything";
            Err(Ending { sentence, hint: Some(hint.to_owned()), code: INVALID })
        }
    }
}

async fn snapshot(daemon: Arc<Daemon>) -> Result<Snapshot, metrics::SnapshotError> {
    use firewall_daemon::control::Operator;
    Ok(Snapshot { status: daemon.status().await?, counters: daemon.counters().await? })
}

async fn until_told() -> std::io::Result<()> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    tokio::select! {
        _ = terminate.recv() => Ok(()),
        _ = interrupt.recv() => Ok(()),
    }
}
