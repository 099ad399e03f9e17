//! `cordon explain`

use std::fmt::Write as _;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use clap::Args;
use firewall_common::Ticks;
use firewall_daemon::candidate;
use firewall_policy::explain::pcap::{self, PcapError, Record};
use firewall_policy::explain::{
    ExplainError, Explanation, FrameExplanation, Memory, Question, explain, explain_frame,
    port_named,
};
use firewall_policy::{
    Capacity, Diagnostic, Diagnostics, Image, Policy, Ports, SequentialSlots, Severity, Sources,
    Style, compile, resolve,
};
use serde::Serialize;

use crate::context::Context;
use crate::failure::{Exit, Failure, Told};
use crate::human::{clean, count};
use crate::paint::Paint;

/// Runs the decision on a policy and names the rule that allows something, or why it is dropped
///
/// Works without daemon and without root: it reads the policy directory, takes every node for
/// authenticated and nothing for stopped. With --packet it decides over the frames of a capture, in
/// their order and with their times.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  \
                        cordon explain ct-1 pacs dicom\n  \
                        cordon explain --packet refused.pcap --port inside")]
pub(crate) struct Arguments {
    /// The node that would open the connection
    #[arg(value_name = "FROM", required_unless_present = "packet")]
    from: Option<String>,
    /// The node that it would be opened to
    #[arg(value_name = "TO", required_unless_present = "packet")]
    to: Option<String>,
    /// The application
    #[arg(value_name = "APPLICATION", required_unless_present = "packet")]
    application: Option<String>,
    /// A capture of Ethernet frames (pcap) to decide over instead
    #[arg(
        long,
        value_name = "PCAP",
        requires = "port",
        conflicts_with_all = ["from", "to", "application"]
    )]
    packet: Option<PathBuf>,
    /// The gateway's port that the captured frames came in on
    #[arg(long, value_name = "NAME", requires = "packet")]
    port: Option<String>,
    /// The policy directory [default: the configuration's, or /etc/cordon/policies]
    #[arg(long, value_name = "DIR")]
    policy: Option<PathBuf>,
}

/// Where the policies are unless a configuration says otherwise.
const DEFAULT_POLICY: &str = "/etc/cordon/policies";

/// What `--json` prints for a question.
#[derive(Debug, Serialize)]
struct Explained {
    #[serde(flatten)]
    explanation: Explanation,
    /// The nodes that were taken for authenticated.
    assumed_authenticated: Vec<String>,
}

/// What `--json` prints for a capture.
#[derive(Debug, Serialize)]
struct Capture {
    frames: Vec<Captured>,
}

#[derive(Debug, Serialize)]
struct Captured {
    /// Counted from 1, as Wireshark does.
    number: usize,
    /// Bytes on the wire.
    length: u32,
    /// Bytes that the capture kept, if it cut the frame.
    #[serde(skip_serializing_if = "Option::is_none")]
    kept: Option<usize>,
    #[serde(flatten)]
    explanation: FrameExplanation,
}

pub(crate) fn run(arguments: &Arguments, context: &Context) -> Result<(), Failure> {
    let Arguments { from, to, application, packet, port, policy: directory } = arguments;
    let config = context.named_config()?;
    let configured = config.as_ref().map(|config| config.policy.directory.as_path());
    let directory = directory.as_deref().or(configured).unwrap_or(Path::new(DEFAULT_POLICY));
    let ports =
        config.as_ref().map_or_else(Ports::unknown, |config| candidate::ports(&config.gateway));
    let (policy, image) = load(directory, &ports)?;
    let mut memory = Memory::running(&image);
    for node in image.names.nodes() {
        memory.grant(node.slot, FOR_EVER);
    }
    match (packet, port, from, to, application) {
        (Some(file), Some(port), ..) => {
            let port = port_named(&policy, port)?;
            let bytes = fs::read(file).map_err(|error| unreadable(file, &error))?;
            let records = pcap::read(&bytes).map_err(|error| no_capture(file, error))?;
            let start = records.first().map(|record| record.time).unwrap_or_default();
            let explained = records.iter().zip(1..).map(|(record, number)| {
                let elapsed = record.time.saturating_sub(start).as_millis();
                let now = Ticks(START.saturating_add(u64::try_from(elapsed).unwrap_or(u64::MAX)));
                let frame = restored(record);
                let names = &image.names;
                Captured {
                    number,
                    length: record.length,
                    kept: record.is_cut().then_some(record.frame.len()),
                    explanation: explain_frame(&policy, names, &memory, &frame, port, now),
                }
            });
            context.answer(&Capture { frames: explained.collect() }, render_capture)
        }
        (_, _, Some(from), Some(to), Some(application)) => {
            let question = Question::named(&policy, from, to, application)?;
            let explanation = explain(&policy, &image.names, &mut memory, question, Ticks(START))?;
            let nodes = [question.from, question.to].map(|whom| whom.node(&policy));
            let leased = nodes.iter().flatten().filter(|node| node.authentication.needs_lease());
            let assumed_authenticated = leased.map(|node| node.name.to_string()).collect();
            context.answer(&Explained { explanation, assumed_authenticated }, render)
        }
        // The parser lets nothing else by.
        _ => Err(Failure::new(Exit::Invalid, "name FROM, TO and APPLICATION, or --packet")),
    }
}

/// Any time but zero, in ticks of a millisecond.
const START: u64 = 1_000_000;
const FOR_EVER: Ticks = Ticks(u64::MAX >> 1);

fn render(told: &Explained, paint: Paint) -> String {
    let Explained { explanation, assumed_authenticated } = told;
    let mut text = String::new();
    for answer in &explanation.answers {
        let sentence = clean(&answer.sentence);
        let passes = answer.reply.as_ref().is_some_and(|reply| reply.passes());
        let sentence = if passes { sentence } else { paint.bad(sentence) };
        // Writing to a string does not fail.
        let _ = writeln!(text, "{sentence}");
    }
    if !assumed_authenticated.is_empty() {
        let nodes = clean(&assumed_authenticated.join(" and "));
        let _ = writeln!(text, "provided that {nodes} has authenticated");
    }
    text
}

fn render_capture(capture: &Capture, paint: Paint) -> String {
    let Capture { frames } = capture;
    let mut text = String::new();
    for Captured { number, length, kept, explanation } in frames {
        let sentence = clean(&explanation.sentence);
        let sentence = if explanation.outcome.passes() { sentence } else { paint.bad(sentence) };
        let _ = write!(text, "{number}: {sentence}");
        if let Some(kept) = kept {
            let _ = write!(text, " (the capture kept {kept} of {length} bytes)");
        }
        text.push('\n');
    }
    let passed = frames.iter().filter(|frame| frame.explanation.outcome.passes()).count();
    let all = count(frames.len() as u64, "frame", "frames");
    let _ = writeln!(text, "{all}, {passed} of them would pass.");
    text
}

/// With zeros where the capture cut it: the headers are there, and their lengths must fit.
fn restored(record: &Record<'_>) -> Vec<u8> {
    let mut frame = record.frame.to_vec();
    let length = usize::try_from(record.length).unwrap_or(LONGEST).min(LONGEST);
    frame.resize(frame.len().max(length), 0);
    frame
}

/// The longest packet and its link header; what says it is longer lies.
const LONGEST: usize = 65_536 + 18;

fn load(directory: &Path, ports: &Ports) -> Result<(Policy, Image), Failure> {
    let sources = Sources::read(directory)?;
    let refused = |found: Diagnostics| {
        let errors = found.iter().filter(|one| one.severity() == Severity::Error).count();
        let errors = count(errors as u64, "error", "errors");
        Failure::Told(Told {
            exit: Exit::Invalid,
            sentence: format!("the policy in {} has {errors}", directory.display()),
            hint: None,
            details: found.render(&sources, Style::Plain),
        })
    };
    let policy = resolve(&sources, ports).map_err(refused)?.policy;
    // What is thrown away needs no secret seed.
    let image = compile(&policy, &mut SequentialSlots::new(), 1, &Capacity::default());
    match image {
        Ok(image) => Ok((policy, image)),
        Err(error) => Err(refused(Diagnostics::from(Diagnostic::from(error)))),
    }
}

fn unreadable(file: &Path, error: &io::Error) -> Failure {
    Failure::new(Exit::Invalid, format!("{} cannot be read: {error}", file.display()))
}

fn no_capture(file: &Path, error: PcapError) -> Failure {
    Failure::new(Exit::Invalid, format!("{}: {error}", file.display()))
}

impl From<ExplainError> for Failure {
    fn from(error: ExplainError) -> Self {
        let hint = error.help().map(str::to_owned);
        Self::with_hint(Exit::Invalid, error.to_string(), hint)
    }
}
