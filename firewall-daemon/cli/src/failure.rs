//! Why a command did not do it: an exit code, one plain sentence and a hint.

use std::fmt::Write as _;
use std::io::{self, IsTerminal, Write as _};
use std::path::Path;
use std::process::ExitCode;

use firewall_control::{ClientError, Diagnostic, ErrorBody, ErrorCode};
use firewall_daemon::config::ConfigError;

use crate::human::clean;
use crate::paint::Paint;
use crate::pins;

/// What the exit code says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Exit {
    /// Refused or failed.
    Refused = 1,
    /// Wrong usage or invalid input.
    Invalid = 2,
    /// The daemon is not reachable.
    Unreachable = 3,
}

#[derive(Debug)]
pub(crate) enum Failure {
    /// To be told.
    Told(Told),
    /// Whoever read our answer has enough; no reason to complain.
    NobodyReads,
}

#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Told {
    pub(crate) exit: Exit,
    pub(crate) sentence: String,
    pub(crate) hint: Option<String>,
    /// Shown before the sentence: a policy's diagnostics.
    pub(crate) details: String,
}

impl Failure {
    pub(crate) fn new(exit: Exit, sentence: impl Into<String>) -> Self {
        Self::with_hint(exit, sentence, None)
    }

    pub(crate) fn with_hint(exit: Exit, sentence: impl Into<String>, hint: Option<String>) -> Self {
        Self::Told(Told { exit, sentence: sentence.into(), hint, details: String::new() })
    }

    /// A failed call, with what the pins say if nobody answered.
    pub(crate) fn of_client(error: ClientError, pins: &Path) -> Self {
        match error {
            ClientError::Unreachable { ref source, .. } => Self::with_hint(
                Exit::Unreachable,
                format!("{error} ({}); {}", cause(source), pins::sentence(pins)),
                Some(
                    "start it with `systemctl start cordond`; `cordon stop-all --direct` stops \
                     without it"
                        .to_owned(),
                ),
            ),
            ClientError::Refused { body, .. } => Self::of_body(*body),
            ClientError::Protocol(ref source) => {
                Self::new(Exit::Refused, format!("{error}: {source}"))
            }
        }
    }

    fn of_body(body: ErrorBody) -> Self {
        let ErrorBody { error, hint, code, diagnostics } = body;
        let exit = match code {
            ErrorCode::BadRequest | ErrorCode::TooLarge | ErrorCode::InvalidPolicy => Exit::Invalid,
            ErrorCode::Forbidden
            | ErrorCode::NotFound
            | ErrorCode::MethodNotAllowed
            | ErrorCode::Timeout
            | ErrorCode::Conflict
            | ErrorCode::Internal
            | ErrorCode::Busy => Exit::Refused,
        };
        let details = diagnostics.iter().map(detail).collect();
        Self::Told(Told { exit, sentence: error, hint, details })
    }

    /// Tells the operator.
    pub(crate) fn report(self) -> ExitCode {
        match self {
            Self::Told(told) => {
                let text = told.render(Paint::new(io::stderr().is_terminal()));
                // There is nobody else to tell.
                let _ = io::stderr().lock().write_all(text.as_bytes());
                ExitCode::from(told.exit as u8)
            }
            Self::NobodyReads => ExitCode::SUCCESS,
        }
    }
}

impl Told {
    pub(crate) fn render(&self, paint: Paint) -> String {
        let Self { exit: _, sentence, hint, details } = self;
        let mut text = details.clone();
        // Writing to a string does not fail.
        let _ = writeln!(text, "{} {}", paint.bad("error:"), clean(sentence));
        if let Some(hint) = hint {
            let _ = writeln!(text, "{} {}", paint.bold("hint:"), clean(hint));
        }
        text
    }
}

/// A diagnostic as the daemon rendered it, or in one line.
pub(crate) fn detail(diagnostic: &Diagnostic) -> String {
    let Diagnostic { severity, code, message, file, line, column: _, help, rendered } = diagnostic;
    if let Some(rendered) = rendered {
        let lines = rendered.trim_end().lines().map(clean);
        return lines.fold(String::new(), |text, line| text + &line + "\n") + "\n";
    }
    let place = match (file, line) {
        (Some(file), Some(line)) => format!("{file}:{line}: "),
        (Some(file), None) => format!("{file}: "),
        (None, _) => String::new(),
    };
    let help = help.as_ref().map(|help| format!(" ({help})")).unwrap_or_default();
    clean(&format!("{place}{severity}[{code}]: {message}{help}")) + "\n"
}

/// Without the number that the standard library adds.
fn cause(error: &io::Error) -> String {
    let text = error.to_string();
    text.split(" (os error").next().unwrap_or_default().to_lowercase()
}

impl From<ConfigError> for Failure {
    fn from(error: ConfigError) -> Self {
        let sentence = match &error {
            ConfigError::Read { source, .. } => format!("{error}: {}", cause(source)),
            ConfigError::Invalid { .. } => error.to_string(),
        };
        Self::with_hint(Exit::Invalid, sentence, error.hint())
    }
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        if error.kind() == io::ErrorKind::BrokenPipe {
            Self::NobodyReads
        } else {
            Self::new(Exit::Refused, format!("cannot write the answer: {}", cause(&error)))
        }
    }
}
