//! Reads the plain part of TOML that policies are written in, some thirty times as fast as a parser
//! of all of it: `[kind.NAME]` and `[[kind]]`, and keys with texts, lists of texts, whole numbers and
//! flags.
//!
//! It never complains: a file with anything else in it, a mistake above all, is left to the parser
//! of all of TOML, which says the same of a plain one. So is every file of a policy that is wrong in
//! any other way: what people read comes from there.

#[cfg(test)]
mod tests;

use std::borrow::Cow;

use super::{
    ApplicationSpec, At, ExpectationSpec, InventorySpec, NodeSpec, RuleSpec, Spec, SubnetworkSpec,
    Text, Texts,
};
use crate::diagnostic::Span;
use crate::model::Few;

/// What a plain file says, and whether it says the version; none if it is not plain.
pub(super) fn read(file: usize, text: &str) -> Option<(Spec<'_>, bool)> {
    let mut reader = Reader { file, text, place: 0 };
    let mut spec = Spec::default();
    let mut version = None;
    reader.fields(|key, value| match key {
        "version" => value.integer(&mut version),
        _ => None,
    })?;
    if version.as_ref().is_some_and(|version| version.value != 1) {
        return None;
    }
    while reader.place < text.len() {
        let start = reader.place;
        reader.take(b'[')?;
        if reader.take(b'[').is_some() {
            let kind = reader.bare()?;
            reader.take(b']')?;
            reader.take(b']')?;
            let span = reader.span(start);
            match kind {
                "allow" => spec.rules.push(reader.rule(span)?),
                "expect" => spec.expectations.push(reader.expectation(span)?),
                _ => return None,
            }
            continue;
        }
        let kind = reader.bare()?;
        reader.take(b'.')?;
        let start = reader.place;
        let name = At { value: Cow::Borrowed(reader.bare()?), span: reader.span(start) };
        reader.take(b']')?;
        match kind {
            "subnetwork" => spec.subnetworks.push(reader.subnetwork(name)?),
            "node" => spec.nodes.push(reader.node(name)?),
            "application" => spec.applications.push(reader.application(name)?),
            _ => return None,
        }
    }
    Some((spec, version.is_some()))
}

struct Reader<'a> {
    file: usize,
    text: &'a str,
    place: usize,
}

enum Value<'a> {
    Text(Text<'a>),
    Texts(Texts<'a>),
    Integer(At<i64>),
    Flag(bool),
}

impl<'a> Value<'a> {
    fn text(self, field: &mut Option<Text<'a>>) -> Option<()> {
        match self {
            Self::Text(text) => once(field, text),
            Self::Texts(_) | Self::Integer(_) | Self::Flag(_) => None,
        }
    }

    fn texts(self, field: &mut Option<Texts<'a>>) -> Option<()> {
        match self {
            Self::Texts(texts) => once(field, texts),
            Self::Text(_) | Self::Integer(_) | Self::Flag(_) => None,
        }
    }

    fn integer(self, field: &mut Option<At<i64>>) -> Option<()> {
        match self {
            Self::Integer(integer) => once(field, integer),
            Self::Text(_) | Self::Texts(_) | Self::Flag(_) => None,
        }
    }

    fn flag(self, field: &mut Option<bool>) -> Option<()> {
        match self {
            Self::Flag(flag) => once(field, flag),
            Self::Text(_) | Self::Texts(_) | Self::Integer(_) => None,
        }
    }
}

/// A key that stands twice is a mistake.
fn once<T>(field: &mut Option<T>, value: T) -> Option<()> {
    field.replace(value).is_none().then_some(())
}

impl<'a> Reader<'a> {
    fn subnetwork(&mut self, name: Text<'a>) -> Option<SubnetworkSpec<'a>> {
        let mut spec = SubnetworkSpec {
            name,
            description: None,
            organisation: None,
            responsible: None,
            criticality: None,
            port: None,
            vlan: None,
            networks: None,
            routers: None,
            extension_headers: None,
            fragments: None,
        };
        self.table(|key, value| match key {
            "description" => value.text(&mut spec.description),
            "organisation" => value.text(&mut spec.organisation),
            "responsible" => value.text(&mut spec.responsible),
            "criticality" => value.text(&mut spec.criticality),
            "port" => value.text(&mut spec.port),
            "vlan" => value.integer(&mut spec.vlan),
            "networks" => value.texts(&mut spec.networks),
            "routers" => value.texts(&mut spec.routers),
            "extension_headers" => value.texts(&mut spec.extension_headers),
            "fragments" => value.text(&mut spec.fragments),
            _ => None,
        })?;
        (spec.port.is_some() && spec.networks.is_some()).then_some(spec)
    }

    fn node(&mut self, name: Text<'a>) -> Option<NodeSpec<'a>> {
        let mut spec = NodeSpec {
            name,
            inventory: None,
            subnetwork: None,
            kind: None,
            addresses: None,
            mac: None,
            roles: None,
            authentication: None,
            identity: None,
        };
        let mut inventory = InventorySpec::default();
        self.table(|key, value| match key {
            "subnetwork" => value.text(&mut spec.subnetwork),
            "kind" => value.text(&mut spec.kind),
            "addresses" => value.texts(&mut spec.addresses),
            "mac" => value.text(&mut spec.mac),
            "roles" => value.texts(&mut spec.roles),
            "authentication" => value.text(&mut spec.authentication),
            "identity" => value.text(&mut spec.identity),
            "description" => value.text(&mut inventory.description),
            "organisation" => value.text(&mut inventory.organisation),
            "responsible" => value.text(&mut inventory.responsible),
            _ => None,
        })?;
        spec.inventory = inventory.boxed();
        (spec.subnetwork.is_some() && spec.addresses.is_some()).then_some(spec)
    }

    fn application(&mut self, name: Text<'a>) -> Option<ApplicationSpec<'a>> {
        let (mut description, mut tcp, mut udp, mut icmp) = (None, None, None, None);
        self.table(|key, value| match key {
            "description" => value.text(&mut description),
            "tcp" => value.texts(&mut tcp),
            "udp" => value.texts(&mut udp),
            "icmp" => value.texts(&mut icmp),
            _ => None,
        })?;
        let is_empty = tcp.is_none() && udp.is_none() && icmp.is_none();
        Some(ApplicationSpec { name, description, tcp, udp, icmp, is_empty })
    }

    fn rule(&mut self, span: Span) -> Option<RuleSpec<'a>> {
        let (mut name, mut description, mut essential) = (None, None, None);
        let (mut from, mut to, mut applications) = (None, None, None);
        self.table(|key, value| match key {
            "name" => value.text(&mut name),
            "from" => value.texts(&mut from),
            "to" => value.texts(&mut to),
            "applications" => value.texts(&mut applications),
            "essential" => value.flag(&mut essential),
            "description" => value.text(&mut description),
            _ => None,
        })?;
        Some(RuleSpec {
            span,
            name: Some(name?),
            description,
            from: Some(from?),
            to: Some(to?),
            applications: Some(applications?),
            essential: essential.unwrap_or(false),
        })
    }

    fn expectation(&mut self, span: Span) -> Option<ExpectationSpec<'a>> {
        let (mut from, mut to, mut application, mut verdict) = (None, None, None, None);
        self.table(|key, value| match key {
            "from" => value.text(&mut from),
            "to" => value.text(&mut to),
            "application" => value.text(&mut application),
            "verdict" => value.text(&mut verdict),
            _ => None,
        })?;
        Some(ExpectationSpec {
            span,
            from: Some(from?),
            to: Some(to?),
            application: Some(application?),
            verdict: Some(verdict?),
        })
    }

    /// What follows a header: the end of its line, and fields.
    fn table(&mut self, set: impl FnMut(&'a str, Value<'a>) -> Option<()>) -> Option<()> {
        self.end_line()?;
        self.fields(set)
    }

    /// Up to the next header, or the end.
    fn fields(&mut self, mut set: impl FnMut(&'a str, Value<'a>) -> Option<()>) -> Option<()> {
        loop {
            self.skip_lines()?;
            match self.next() {
                None | Some(b'[') => return Some(()),
                Some(_) => {}
            }
            let key = self.bare()?;
            self.skip_blanks();
            self.take(b'=')?;
            self.skip_blanks();
            let value = self.value()?;
            set(key, value)?;
            self.end_line()?;
        }
    }

    fn value(&mut self) -> Option<Value<'a>> {
        match self.next()? {
            b'"' => self.quoted().map(Value::Text),
            b'[' => self.list().map(Value::Texts),
            b'1'..=b'9' => self.integer().map(Value::Integer),
            _ => match self.bare()? {
                "true" => Some(Value::Flag(true)),
                "false" => Some(Value::Flag(false)),
                _ => None,
            },
        }
    }

    /// A text without escapes that is not empty; so it is not one of several lines either.
    fn quoted(&mut self) -> Option<Text<'a>> {
        let start = self.place;
        self.take(b'"')?;
        let rest = self.text.as_bytes().get(self.place..)?;
        let length = rest.iter().position(|&byte| matches!(byte, b'"' | b'\\') || is_odd(byte))?;
        let value =
            self.text.get(self.place..self.place + length).filter(|text| !text.is_empty())?;
        self.place += length;
        self.take(b'"')?;
        Some(At { value: Cow::Borrowed(value), span: self.span(start) })
    }

    fn list(&mut self) -> Option<Texts<'a>> {
        let start = self.place;
        self.take(b'[')?;
        let mut texts = Few::default();
        loop {
            self.skip_lines()?;
            if !texts.is_empty() && self.take(b']').is_some() {
                break;
            }
            texts.push(self.quoted()?);
            self.skip_lines()?;
            if self.take(b',').is_none() {
                self.take(b']')?;
                break;
            }
        }
        Some(At { value: texts, span: self.span(start) })
    }

    fn integer(&mut self) -> Option<At<i64>> {
        let start = self.place;
        let digits = self.bare()?;
        let is_plain = digits.len() <= 9 && digits.bytes().all(|digit| digit.is_ascii_digit());
        let value = is_plain.then(|| digits.parse().ok()).flatten()?;
        Some(At { value, span: self.span(start) })
    }

    /// A name without quotes, of one character at least.
    fn bare(&mut self) -> Option<&'a str> {
        let rest = self.text.as_bytes().get(self.place..)?;
        let is_bare = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
        let length = rest.iter().position(|&byte| !is_bare(byte)).unwrap_or(rest.len());
        let name = self.text.get(self.place..self.place + length)?;
        self.place += length;
        (!name.is_empty()).then_some(name)
    }

    fn end_line(&mut self) -> Option<()> {
        self.skip_blanks();
        self.skip_comment()?;
        match self.next() {
            None => Some(()),
            Some(_) => self.take(b'\n'),
        }
    }

    /// Blanks, comments and ends of lines.
    fn skip_lines(&mut self) -> Option<()> {
        loop {
            self.skip_blanks();
            self.skip_comment()?;
            if self.take(b'\n').is_none() {
                return Some(());
            }
        }
    }

    fn skip_comment(&mut self) -> Option<()> {
        if self.take(b'#').is_none() {
            return Some(());
        }
        let rest = self.text.as_bytes().get(self.place..)?;
        self.place += rest.iter().position(|&byte| is_odd(byte)).unwrap_or(rest.len());
        match self.next() {
            None | Some(b'\n') => Some(()),
            Some(_) => None,
        }
    }

    fn skip_blanks(&mut self) {
        while let Some(b' ' | b'\t') = self.next() {
            self.place += 1;
        }
    }

    fn take(&mut self, wanted: u8) -> Option<()> {
        (self.next()? == wanted).then(|| self.place += 1)
    }

    fn next(&self) -> Option<u8> {
        self.text.as_bytes().get(self.place).copied()
    }

    fn span(&self, start: usize) -> Span {
        Span { file: self.file, start, end: self.place }
    }
}

/// What neither a text nor a comment may hold.
fn is_odd(byte: u8) -> bool {
    byte.is_ascii_control() && byte != b'\t'
}
