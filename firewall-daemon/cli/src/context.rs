//! What every subcommand needs: where the daemon is, and how to answer.

use std::io::{self, IsTerminal, Write};
use std::path::{Path, PathBuf};

use clap::Args;
use firewall_control::{Client, ClientError, DEFAULT_SOCKET};
use firewall_daemon::config::{Config, DEFAULT_PATH};
use serde::Serialize;

use crate::failure::Failure;
use crate::paint::Paint;

/// Where the pins are unless a configuration says otherwise.
const DEFAULT_PINS: &str = "/sys/fs/bpf/cordon";

#[derive(Debug, Args)]
pub(crate) struct Options {
    /// The daemon's control socket [default: the configuration's, or /run/cordon/control.sock]
    #[arg(long, global = true, value_name = "PATH")]
    socket: Option<PathBuf>,
    /// The daemon's configuration [default: /etc/cordon/cordon.toml]
    #[arg(long, global = true, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Answer in JSON, as the control API does
    #[arg(long, global = true)]
    json: bool,
}

#[derive(Debug)]
pub(crate) struct Context {
    client: Client,
    config: Option<PathBuf>,
    pins: PathBuf,
    json: bool,
    paint: Paint,
}

impl Context {
    pub(crate) fn new(options: Options) -> Result<Self, Failure> {
        let Options { socket, config, json } = options;
        let known = match &config {
            Some(path) => Some(Config::load(path)?),
            // Members of the group need not be able to read it.
            None => Config::load(Path::new(DEFAULT_PATH)).ok(),
        };
        let (configured, pins) = match known {
            Some(Config { control, bpf, .. }) => (control.socket, bpf.directory),
            None => (PathBuf::from(DEFAULT_SOCKET), PathBuf::from(DEFAULT_PINS)),
        };
        let client = Client::new(socket.unwrap_or(configured));
        let paint = Paint::new(io::stdout().is_terminal());
        Ok(Self { client, config, pins, json, paint })
    }

    pub(crate) const fn client(&self) -> &Client {
        &self.client
    }

    pub(crate) const fn json(&self) -> bool {
        self.json
    }

    pub(crate) const fn paint(&self) -> Paint {
        self.paint
    }

    /// The daemon's configuration, needed where the daemon is not.
    pub(crate) fn config(&self) -> Result<Config, Failure> {
        let path = self.config.as_deref().unwrap_or(Path::new(DEFAULT_PATH));
        Ok(Config::load(path)?)
    }

    /// The daemon's configuration, if it was named.
    pub(crate) fn named_config(&self) -> Result<Option<Config>, Failure> {
        self.config.as_deref().map(Config::load).transpose().map_err(Failure::from)
    }

    /// Turns what the client says into what the operator reads.
    pub(crate) fn explain(&self) -> impl Fn(ClientError) -> Failure {
        |error| Failure::of_client(error, &self.pins)
    }

    /// Writes an answer, for programs or for people.
    pub(crate) fn answer<T: Serialize>(
        &self,
        answer: &T,
        render: impl FnOnce(&T, Paint) -> String,
    ) -> Result<(), Failure> {
        let text = if self.json {
            let mut text = serde_json::to_string_pretty(answer).map_err(io::Error::from)?;
            text.push('\n');
            text
        } else {
            render(answer, self.paint)
        };
        print(&text)
    }
}

/// Writes to standard output, and says so if nobody reads it.
pub(crate) fn print(text: &str) -> Result<(), Failure> {
    let mut out = io::stdout().lock();
    out.write_all(text.as_bytes())?;
    out.flush()?;
    Ok(())
}
