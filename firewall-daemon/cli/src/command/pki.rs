//! `cordon pki`

use std::path::PathBuf;

use clap::{Args, Subcommand};
use firewall_node::sentence;
use firewall_pki::{Authority, Issued, PkiError, Validity};
use jiff::Timestamp;

use crate::context::Context;
use crate::failure::{Exit, Failure};
use crate::paint::Paint;
use crate::table::{Table, cell, maybe};

/// A small certification authority, for sites that have none
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  \
    cordon pki init\n  \
    cordon pki issue ws-1 --identity ws-1.radiology.example\n  \
    cordon pki revoke ws-1")]
pub(crate) struct Arguments {
    /// Where the authority lies
    #[arg(long, value_name = "DIR", default_value = "/etc/cordon/pki")]
    directory: PathBuf,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Makes the authority, and the gateway's certificate
    Init {
        /// For how long
        #[arg(long, value_name = "COUNT", default_value_t = 3650)]
        days: u32,
    },
    /// Makes a key and a certificate for a node
    Issue {
        /// The node's name in the policy
        node: String,
        /// The node's `identity` in the policy [default: its name]
        #[arg(long, value_name = "NAME")]
        identity: Option<String>,
        /// For how long
        #[arg(long, value_name = "COUNT", default_value_t = 397)]
        days: u32,
    },
    /// Revokes every certificate of a node; the gateway ends its lease within a second
    Revoke {
        /// The node's name in the policy
        node: String,
    },
    /// Shows what was issued
    List,
}

pub(crate) fn run(arguments: Arguments, context: &Context) -> Result<(), Failure> {
    let Arguments { directory, command } = arguments;
    match command {
        Command::Init { days } => {
            Authority::init(&directory, days)?;
            context.answer(&directory, |directory, _| {
                format!("The authority is in {}; ca.key is its secret.\n", directory.display())
            })
        }
        Command::Issue { node, identity, days } => {
            let identity = identity.as_ref().unwrap_or(&node);
            let mut authority = Authority::open(&directory)?;
            let files = authority.issue(&node, identity, Validity::days(days))?;
            context.answer(&files, |(certificate, key), _| {
                let (certificate, key) = (certificate.display(), key.display());
                format!(
                    "{certificate}\n{key}\nTake both and ca.crt to the node, the key in secret.\n"
                )
            })
        }
        Command::Revoke { node } => {
            let revoked = Authority::open(&directory)?.revoke(&node)?;
            context.answer(&revoked, |revoked, paint| render(revoked, paint))
        }
        Command::List => {
            let authority = Authority::open(&directory)?;
            context.answer(&authority.issued(), |issued, paint| render(issued, paint))
        }
    }
}

fn render(issued: &[Issued], paint: Paint) -> String {
    let mut table = Table::new(["node", "identity", "serial", "issued", "expires", "revoked"]);
    for Issued { node, identity, serial, issued, expires, revoked } in issued {
        table.push([
            cell(node),
            cell(identity),
            cell(serial),
            cell(moment(*issued)),
            cell(moment(*expires)),
            maybe(revoked.map(moment)),
        ]);
    }
    table.render(paint)
}

fn moment(seconds: i64) -> String {
    Timestamp::from_second(seconds).unwrap_or_default().to_string()
}

impl From<PkiError> for Failure {
    fn from(error: PkiError) -> Self {
        let (exit, hint) = match &error {
            PkiError::Exists { .. } => (Exit::Refused, Some("name another with --directory")),
            PkiError::Unfinished { .. } => {
                let hint = "it has issued nothing: move its files away, or name another directory \
                            with --directory, and run `cordon pki init` again";
                (Exit::Refused, Some(hint))
            }
            PkiError::Name { .. } | PkiError::Days { .. } => (Exit::Invalid, None),
            PkiError::Unknown { .. } => (Exit::Refused, Some("`cordon pki list` shows them all")),
            PkiError::Index(_) | PkiError::Make(_) => (Exit::Refused, None),
            PkiError::Io { .. } => {
                (Exit::Refused, Some("`cordon pki init` makes an authority; run it as root"))
            }
        };
        let sentence = sentence(&error);
        Self::with_hint(exit, sentence, hint.map(str::to_owned))
    }
}
