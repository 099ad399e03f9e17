//! What is wrong with a policy: a stable code, a place in a file, and what to do about it.

mod render;

use std::ops::Range;

use serde::Serialize;

use crate::source::Sources;
pub use render::{Style, render};

/// Whether a diagnostic keeps the policy from being loaded.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Severity {
    /// The policy is refused.
    Error,
    /// The policy may be loaded; someone should look.
    Warning,
}

macro_rules! codes {
    ($($(#[$doc:meta])* $variant:ident = $text:literal $severity:ident,)+) => {
        /// What is wrong, by a name that never changes.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum Code { $($(#[$doc])* $variant,)+ }

        impl Code {
            /// Every code.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)+];

            /// Its stable name.
            pub const fn name(self) -> &'static str {
                match self { $(Self::$variant => $text,)+ }
            }

            /// Whether it refuses the policy.
            pub const fn severity(self) -> Severity {
                match self { $(Self::$variant => Severity::$severity,)+ }
            }
        }
    };
}

codes! {
    /// Not TOML.
    Syntax = "syntax" Error,
    /// No file says which version of the language it is written in.
    MissingVersion = "missing-version" Error,
    /// A version of the language that this program does not know.
    UnsupportedVersion = "unsupported-version" Error,
    /// A key that the language does not have.
    UnknownKey = "unknown-key" Error,
    /// A key that must be there is not.
    MissingKey = "missing-key" Error,
    /// A value of another type than the key takes.
    WrongType = "wrong-type" Error,
    /// A list or text that must not be empty is.
    Empty = "empty" Error,
    /// A list says the same twice.
    Repeated = "repeated" Warning,
    /// A name that is too long or has characters names must not have.
    InvalidName = "invalid-name" Error,
    /// A role called `any` or `*`.
    ReservedRole = "reserved-role" Error,
    /// Not an address, or one that no host may have.
    InvalidAddress = "invalid-address" Error,
    /// Not a network, or one with host bits.
    InvalidNetwork = "invalid-network" Error,
    /// Not a MAC address, or a group or zero address.
    InvalidMac = "invalid-mac" Error,
    /// Not a VLAN identifier.
    InvalidVlan = "invalid-vlan" Error,
    /// Not a port or a range of ports.
    InvalidPorts = "invalid-ports" Error,
    /// A kind of ICMP message that applications cannot name.
    UnknownIcmp = "unknown-icmp" Error,
    /// Not one of ZVEI's three levels.
    InvalidCriticality = "invalid-criticality" Error,
    /// Not a way to authenticate.
    InvalidAuthentication = "invalid-authentication" Error,
    /// An identity that is too long or has characters identities must not have.
    InvalidIdentity = "invalid-identity" Error,
    /// Neither `pass` nor `drop`.
    InvalidVerdict = "invalid-verdict" Error,
    /// An IPv6 extension header that no subnetwork can let by.
    InvalidExtensionHeader = "invalid-extension-header" Error,
    /// Neither `drop` nor `track`.
    InvalidFragments = "invalid-fragments" Error,
    /// Neither a node nor `SUBNETWORK/...`.
    InvalidSelector = "invalid-selector" Error,
    /// A name is defined twice.
    DuplicateName = "duplicate-name" Error,
    /// An address belongs to two nodes.
    DuplicateAddress = "duplicate-address" Error,
    /// A MAC address is claimed twice.
    DuplicateMac = "duplicate-mac" Error,
    /// Two nodes prove themselves as the same.
    DuplicateIdentity = "duplicate-identity" Error,
    /// No subnetwork has that name.
    UnknownSubnetwork = "unknown-subnetwork" Error,
    /// No node has that name.
    UnknownNode = "unknown-node" Error,
    /// No application has that name.
    UnknownApplication = "unknown-application" Error,
    /// The gateway has no port of that name.
    UnknownPort = "unknown-port" Error,
    /// A selector that matches no node.
    EmptySelector = "empty-selector" Error,
    /// A node's address lies in none of its subnetwork's networks.
    AddressOutsideSubnetwork = "address-outside-subnetwork" Error,
    /// Two subnetworks on one port and VLAN have addresses in common.
    OverlappingSubnetworks = "overlapping-subnetworks" Error,
    /// Two subnetworks selected with `/any` behind one port have addresses in common.
    OverlappingAny = "overlapping-any" Error,
    /// More routers in a subnetwork than the gateway can hold.
    TooManyRouters = "too-many-routers" Error,
    /// More distinct prefix lengths among `/any` networks than a lookup may try.
    TooManyPrefixLengths = "too-many-prefix-lengths" Error,
    /// More subnetworks than the gateway can hold.
    TooManySubnetworks = "too-many-subnetworks" Error,
    /// An application without any port.
    EmptyApplication = "empty-application" Error,
    /// A rule or an expectation between nodes of one subnetwork.
    WithinSubnetwork = "within-subnetwork" Error,
    /// A rule between subnetworks that do not lie behind the two ports of a pair.
    NoWay = "no-way" Error,
    /// The rules do not do what the policy expects of them.
    ExpectationFailed = "expectation-failed" Error,
    /// More entries than the gateway's capacity.
    Capacity = "capacity" Error,
    /// A rule that any address of a subnetwork may use.
    AnySource = "any-source" Warning,
    /// An application that no rule uses.
    UnusedApplication = "unused-application" Warning,
    /// A subnetwork that neither has nodes nor is selected with `/any`.
    EmptySubnetwork = "empty-subnetwork" Warning,
    /// A node that is known by its address only.
    AddressOnly = "address-only" Warning,
    /// Nodes with more than one router across the gateway.
    AmbiguousGateway = "ambiguous-gateway" Warning,
}

impl std::fmt::Display for Code {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str(self.name())
    }
}

impl Serialize for Code {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.name())
    }
}

/// A range of bytes in one of the [`Sources`]. There are millions, and no policy has 4 GiB: half the
/// memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Span {
    file: u32,
    start: u32,
    end: u32,
}

impl Span {
    /// From the first byte to the first behind it, in the file of that index.
    pub fn new(file: usize, Range { start, end }: Range<usize>) -> Self {
        let [file, start, end] =
            [file, start, end].map(|place| u32::try_from(place).unwrap_or(u32::MAX));
        Self { file, start, end }
    }

    /// The index of the file.
    pub const fn file(self) -> usize {
        self.file as usize
    }

    /// From the first byte to the first behind it.
    pub const fn range(self) -> Range<usize> {
        self.start as usize..self.end as usize
    }
}

/// One thing that is wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Diagnostic {
    /// What, by name.
    pub code: Code,
    /// What, in a sentence.
    pub message: String,
    /// Where; a diagnostic about the whole policy has no place.
    pub span: Option<Span>,
    /// A few words at that place.
    pub label: Option<String>,
    /// Another place that takes part, with a few words.
    pub related: Option<(Span, String)>,
    /// What to do about it.
    pub help: Option<String>,
}

impl Diagnostic {
    /// About a place.
    pub(crate) fn at(code: Code, span: Span, message: impl Into<String>) -> Self {
        Self { span: Some(span), ..Self::global(code, message) }
    }

    /// About the policy as a whole.
    pub(crate) fn global(code: Code, message: impl Into<String>) -> Self {
        let message = message.into();
        Self { code, message, span: None, label: None, related: None, help: None }
    }

    pub(crate) fn label(mut self, label: impl Into<String>) -> Self {
        self.label = Some(label.into());
        self
    }

    pub(crate) fn related(mut self, span: Span, label: impl Into<String>) -> Self {
        self.related = Some((span, label.into()));
        self
    }

    pub(crate) fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }

    /// Whether it keeps the policy from being loaded.
    pub fn severity(&self) -> Severity {
        self.code.severity()
    }

    /// As machines read it.
    pub fn record(&self, sources: &Sources) -> Record {
        let place = self.span.and_then(|span| Place::of(span, sources));
        Record {
            severity: self.severity(),
            code: self.code,
            message: self.message.clone(),
            file: place.as_ref().map(|place| place.file.clone()),
            line: place.as_ref().map(|place| place.line),
            column: place.as_ref().map(|place| place.column),
            label: self.label.clone(),
            help: self.help.clone(),
        }
    }
}

/// A diagnostic as machines read it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Record {
    /// Whether it refuses the policy.
    pub severity: Severity,
    /// What, by name.
    pub code: Code,
    /// What, in a sentence.
    pub message: String,
    /// The file's name.
    pub file: Option<String>,
    /// Counted from 1.
    pub line: Option<usize>,
    /// In characters, counted from 1.
    pub column: Option<usize>,
    /// A few words at that place.
    pub label: Option<String>,
    /// What to do about it.
    pub help: Option<String>,
}

/// Where a span begins, as people count.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// The file's name.
    pub file: String,
    /// Counted from 1.
    pub line: usize,
    /// In characters, counted from 1.
    pub column: usize,
}

impl Place {
    /// Of a span in those sources.
    pub fn of(span: Span, sources: &Sources) -> Option<Self> {
        let file = sources.files().get(span.file())?;
        let before = file.text.get(..span.range().start)?;
        let start_of_line = before.rfind('\n').map_or(0, |newline| newline + 1);
        Some(Self {
            file: file.name.clone(),
            line: 1 + before.bytes().filter(|&byte| byte == b'\n').count(),
            column: 1 + before.get(start_of_line..)?.chars().count(),
        })
    }
}

/// What was found, in the order of the text.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Diagnostics(Vec<Diagnostic>);

impl Diagnostics {
    /// Sorted by place; those without one come last.
    pub(crate) fn sorted(mut found: Vec<Diagnostic>) -> Self {
        found.sort_by_key(|diagnostic| (diagnostic.span.is_none(), diagnostic.span));
        Self(found)
    }

    /// Whether any of them refuses the policy.
    pub fn has_errors(&self) -> bool {
        self.0.iter().any(|diagnostic| diagnostic.severity() == Severity::Error)
    }

    /// As machines read them.
    pub fn records(&self, sources: &Sources) -> Vec<Record> {
        self.0.iter().map(|diagnostic| diagnostic.record(sources)).collect()
    }

    /// As people read them.
    pub fn render(&self, sources: &Sources, style: Style) -> String {
        render(&self.0, sources, style)
    }
}

/// How many there are; [`Diagnostics::render`] shows them.
impl std::fmt::Display for Diagnostics {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let errors = self.0.iter().filter(|one| one.severity() == Severity::Error).count();
        let plural = |count| if count == 1 { "" } else { "s" };
        let warnings = self.0.len() - errors;
        write!(formatter, "the policy has {errors} error{}", plural(errors))?;
        match warnings {
            0 => Ok(()),
            _ => write!(formatter, " and {warnings} warning{}", plural(warnings)),
        }
    }
}

impl std::error::Error for Diagnostics {}

impl std::ops::Deref for Diagnostics {
    type Target = [Diagnostic];

    fn deref(&self) -> &[Diagnostic] {
        &self.0
    }
}

impl From<Diagnostic> for Diagnostics {
    fn from(diagnostic: Diagnostic) -> Self {
        Self(vec![diagnostic])
    }
}

/// `text` between backticks, short enough for a line and without anything a terminal would obey.
pub(crate) fn quote(text: &str) -> String {
    let mut quoted = String::with_capacity(text.len() + 2);
    quoted.push('`');
    for (index, character) in text.chars().enumerate() {
        if index == 80 {
            quoted.push_str("...");
            break;
        }
        if character.is_control() {
            quoted.extend(character.escape_default());
        } else {
            quoted.push(character);
        }
    }
    quoted.push('`');
    quoted
}
