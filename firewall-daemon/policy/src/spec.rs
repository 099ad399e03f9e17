//! The policy as it is written: every name and value with its place, nothing checked but the form.

mod letters;
mod plain;
mod reader;
mod table;
mod tree;

use std::borrow::Cow;
use std::cell::RefCell;

use crate::diagnostic::{Code, Diagnostic, Span};
use crate::model::Few;
use crate::parallel::each;
use crate::source::Sources;
use letters::Letters;
use reader::Document;
use table::Table;
use toml_parser::lexer::Token;
use tree::Field;

/// A value and its place.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct At<T> {
    pub(crate) value: T,
    pub(crate) span: Span,
}

/// Text of the sources.
pub(crate) type Text<'a> = At<Cow<'a, str>>;
/// A list of texts; the span is the whole list's.
pub(crate) type Texts<'a> = At<Few<Text<'a>>>;

/// What one file says, in the order of the text. What is absent here was either left out or already
/// complained about.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Spec<'a> {
    pub(crate) subnetworks: Vec<SubnetworkSpec<'a>>,
    pub(crate) nodes: Vec<NodeSpec<'a>>,
    pub(crate) applications: Vec<ApplicationSpec<'a>>,
    pub(crate) rules: Vec<RuleSpec<'a>>,
    pub(crate) expectations: Vec<ExpectationSpec<'a>>,
}

/// `[subnetwork.NAME]`
#[derive(Debug, PartialEq)]
pub(crate) struct SubnetworkSpec<'a> {
    pub(crate) name: Text<'a>,
    pub(crate) description: Option<Text<'a>>,
    pub(crate) organisation: Option<Text<'a>>,
    pub(crate) responsible: Option<Text<'a>>,
    pub(crate) criticality: Option<Text<'a>>,
    pub(crate) port: Option<Text<'a>>,
    pub(crate) vlan: Option<At<i64>>,
    pub(crate) networks: Option<Texts<'a>>,
    pub(crate) routers: Option<Texts<'a>>,
    pub(crate) extension_headers: Option<Texts<'a>>,
    pub(crate) fragments: Option<Text<'a>>,
}

/// `[node.NAME]`
#[derive(Debug, PartialEq)]
pub(crate) struct NodeSpec<'a> {
    pub(crate) name: Text<'a>,
    pub(crate) inventory: Option<Box<InventorySpec<'a>>>,
    pub(crate) subnetwork: Option<Text<'a>>,
    pub(crate) kind: Option<Text<'a>>,
    pub(crate) addresses: Option<Texts<'a>>,
    pub(crate) mac: Option<Text<'a>>,
    pub(crate) roles: Option<Texts<'a>>,
    pub(crate) authentication: Option<Text<'a>>,
    pub(crate) identity: Option<Text<'a>>,
}

/// What people are told of a node.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct InventorySpec<'a> {
    pub(crate) description: Option<Text<'a>>,
    pub(crate) organisation: Option<Text<'a>>,
    pub(crate) responsible: Option<Text<'a>>,
}

impl<'a> InventorySpec<'a> {
    /// None if it says nothing.
    fn boxed(self) -> Option<Box<Self>> {
        (self != Self::default()).then(|| Box::new(self))
    }
}

/// `[application.NAME]`
#[derive(Debug, PartialEq)]
pub(crate) struct ApplicationSpec<'a> {
    pub(crate) name: Text<'a>,
    pub(crate) description: Option<Text<'a>>,
    pub(crate) tcp: Option<Texts<'a>>,
    pub(crate) udp: Option<Texts<'a>>,
    pub(crate) icmp: Option<Texts<'a>>,
    /// It has no key that could name a port, malformed ones included.
    pub(crate) is_empty: bool,
}

/// `[[allow]]`
#[derive(Debug, PartialEq)]
pub(crate) struct RuleSpec<'a> {
    pub(crate) span: Span,
    pub(crate) name: Option<Text<'a>>,
    pub(crate) description: Option<Text<'a>>,
    pub(crate) from: Option<Texts<'a>>,
    pub(crate) to: Option<Texts<'a>>,
    pub(crate) applications: Option<Texts<'a>>,
    pub(crate) essential: bool,
}

/// `[[expect]]`
#[derive(Debug, PartialEq)]
pub(crate) struct ExpectationSpec<'a> {
    pub(crate) span: Span,
    pub(crate) from: Option<Text<'a>>,
    pub(crate) to: Option<Text<'a>>,
    pub(crate) application: Option<Text<'a>>,
    pub(crate) verdict: Option<Text<'a>>,
}

/// What reading the form found.
pub(crate) struct Read<'a> {
    /// File by file, in name order.
    pub(crate) specs: Vec<Spec<'a>>,
    pub(crate) found: Vec<Diagnostic>,
    /// Some file is not TOML: names may be missing, so nothing can be said about references.
    pub(crate) is_broken: bool,
}

/// Below so many bytes a thread costs more than it saves.
const WORTH_A_THREAD: usize = 64 * 1024;

/// Reads every file, large ones side by side.
pub(crate) fn read(sources: &Sources) -> Read<'_> {
    let size: usize = sources.files().iter().map(|source| source.text.len()).sum();
    let parts =
        each(sources.files(), size >= WORTH_A_THREAD, |file, source| part(file, &source.text));
    let mut read = Read { specs: Vec::new(), found: Vec::new(), is_broken: false };
    let mut is_versioned = false;
    for part in parts {
        let Part { spec, found, is_broken, is_versioned: says_version } = part;
        read.specs.push(spec);
        read.found.extend(found);
        read.is_broken |= is_broken;
        is_versioned |= says_version;
    }
    if !is_versioned && !read.is_broken {
        let place = Span::new(0, 0..0);
        read.found.push(
            Diagnostic::at(Code::MissingVersion, place, "the policy does not say its version")
                .help("start the first file with `version = 1`"),
        );
    }
    read
}

/// What one file says.
#[derive(Debug, Default, PartialEq)]
struct Part<'a> {
    spec: Spec<'a>,
    found: Vec<Diagnostic>,
    is_broken: bool,
    is_versioned: bool,
}

fn part(file: usize, text: &str) -> Part<'_> {
    // Kept to the end: freed at once, its place is taken by what stays, and the next file needs
    // another.
    let letters = Letters::new(file, text);
    let tokens = letters.tokens();
    plain::read(letters, &tokens).unwrap_or_else(|| whole(letters, &tokens))
}

/// Any file, whatever is wrong with it.
fn whole<'a>(letters: Letters<'a>, tokens: &[Token]) -> Part<'a> {
    let Document { fields, found, is_broken } = reader::read(letters, tokens);
    let mut part = Part { is_broken, ..Part::default() };
    let found = RefCell::new(found);
    if !is_broken {
        let document = Table::new("a policy", letters.start(), fields.into_list(), &found);
        part.is_versioned = document_of(document, &mut part.spec);
    }
    part.found = found.into_inner();
    part
}

fn document_of<'a>(mut document: Table<'a, '_>, spec: &mut Spec<'a>) -> bool {
    let is_versioned = version(&mut document);
    for kind in Named::ALL {
        for (name, table) in document.tables(kind.key(), kind.what()) {
            spec.named(kind, name, table);
        }
    }
    for kind in Listed::ALL {
        for table in document.array(kind.key(), kind.what()) {
            spec.listed(kind, table);
        }
    }
    document.finish();
    is_versioned
}

/// The tables `[kind.NAME]`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Named {
    Subnetwork,
    Node,
    Application,
}

impl Named {
    const ALL: [Self; 3] = [Self::Subnetwork, Self::Node, Self::Application];

    const fn key(self) -> &'static str {
        match self {
            Self::Subnetwork => "subnetwork",
            Self::Node => "node",
            Self::Application => "application",
        }
    }

    /// With its article.
    const fn what(self) -> &'static str {
        match self {
            Self::Subnetwork => "a subnetwork",
            Self::Node => "a node",
            Self::Application => "an application",
        }
    }
}

/// The tables `[[kind]]`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Listed {
    Allow,
    Expect,
}

impl Listed {
    const ALL: [Self; 2] = [Self::Allow, Self::Expect];

    const fn key(self) -> &'static str {
        match self {
            Self::Allow => "allow",
            Self::Expect => "expect",
        }
    }

    /// With its article.
    const fn what(self) -> &'static str {
        match self {
            Self::Allow => "a rule",
            Self::Expect => "an expectation",
        }
    }
}

impl<'a> Spec<'a> {
    fn named(&mut self, kind: Named, name: Text<'a>, mut table: Table<'a, '_>) -> Vec<Field<'a>> {
        match kind {
            Named::Subnetwork => self.subnetworks.push(SubnetworkSpec {
                name,
                description: table.text("description"),
                organisation: table.text("organisation"),
                responsible: table.text("responsible"),
                criticality: table.text("criticality"),
                port: table.required_text("port"),
                vlan: table.integer("vlan"),
                networks: table.required_texts("networks"),
                routers: table.texts("routers"),
                extension_headers: table.texts("extension_headers"),
                fragments: table.text("fragments"),
            }),
            Named::Node => self.nodes.push(NodeSpec {
                name,
                subnetwork: table.required_text("subnetwork"),
                kind: table.text("kind"),
                addresses: table.required_texts("addresses"),
                mac: table.text("mac"),
                roles: table.texts("roles"),
                authentication: table.text("authentication"),
                identity: table.text("identity"),
                inventory: InventorySpec {
                    description: table.text("description"),
                    organisation: table.text("organisation"),
                    responsible: table.text("responsible"),
                }
                .boxed(),
            }),
            Named::Application => {
                let is_empty = !["tcp", "udp", "icmp"].iter().any(|key| table.has(key));
                self.applications.push(ApplicationSpec {
                    name,
                    tcp: table.texts("tcp"),
                    udp: table.texts("udp"),
                    icmp: table.texts("icmp"),
                    description: table.text("description"),
                    is_empty,
                });
            }
        }
        table.finish()
    }

    fn listed(&mut self, kind: Listed, mut table: Table<'a, '_>) -> Vec<Field<'a>> {
        match kind {
            Listed::Allow => self.rules.push(RuleSpec {
                span: table.span,
                name: table.required_text("name"),
                from: table.required_texts("from"),
                to: table.required_texts("to"),
                applications: table.required_texts("applications"),
                essential: table.flag("essential").unwrap_or(false),
                description: table.text("description"),
            }),
            Listed::Expect => self.expectations.push(ExpectationSpec {
                span: table.span,
                from: table.required_text("from"),
                to: table.required_text("to"),
                application: table.required_text("application"),
                verdict: table.required_text("verdict"),
            }),
        }
        table.finish()
    }
}

/// Whether this file says a version, even a wrong one.
fn version(document: &mut Table<'_, '_>) -> bool {
    let is_versioned = document.has("version");
    if let Some(version) = document.integer("version")
        && version.value != 1
    {
        document.report(
            Diagnostic::at(
                Code::UnsupportedVersion,
                version.span,
                format!("version {} of the policy language is not known", version.value),
            )
            .help("this program reads `version = 1`"),
        );
    }
    is_versioned
}
