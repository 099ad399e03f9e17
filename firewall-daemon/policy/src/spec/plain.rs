//! The form that nearly every file has, read without a tree: tables under a header of their own, with
//! single keys and no tables within. Where a file has another form, or anything is wrong with it, it
//! is read again as a whole: so what there is to complain of is said in one place.

#[cfg(test)]
mod tests;

use std::borrow::Cow;
use std::cell::RefCell;

use foldhash::HashSet;
use toml_parser::decoder::Encoding;
use toml_parser::lexer::Token;
use toml_parser::parser::{EventReceiver, parse_document};
use toml_parser::{ErrorSink, Span as Range};

use super::letters::Letters;
use super::table::Table;
use super::tree::{Field, List, Value};
use super::{At, Listed, Named, Part, Text, version};
use crate::diagnostic::Span;

/// What the file says; none if it must be read as a whole.
pub(super) fn read<'a>(letters: Letters<'a>, tokens: &[Token]) -> Option<Part<'a>> {
    let mut reader = Plain {
        letters,
        part: Part::default(),
        open: Open::Document,
        names: Default::default(),
        header: None,
        key: None,
        list: None,
        fields: Vec::new(),
        is_plain: true,
    };
    let mut errors = Vec::new();
    parse_document(tokens, &mut reader, &mut errors);
    reader.end_table();
    (reader.is_plain && errors.is_empty()).then_some(reader.part)
}

struct Plain<'a> {
    letters: Letters<'a>,
    part: Part<'a>,
    /// The table that what follows belongs to.
    open: Open<'a>,
    /// The tables there are, by kind: each once.
    names: [HashSet<&'a str>; Named::ALL.len()],
    header: Option<Header<'a>>,
    /// The key of the value that comes next.
    key: Option<Text<'a>>,
    /// A list that has begun.
    list: Option<(Range, List<'a>)>,
    /// What the open table says so far.
    fields: Vec<Field<'a>>,
    is_plain: bool,
}

/// What a header has opened.
enum Open<'a> {
    Document,
    Named(Named, Text<'a>),
    Listed(Listed, Span),
}

/// A header that has begun.
struct Header<'a> {
    start: Range,
    kind: Option<Text<'a>>,
    name: Option<Text<'a>>,
}

impl<'a> Plain<'a> {
    /// The open table is complete.
    fn end_table(&mut self) {
        let Self { part, fields, .. } = self;
        let found = RefCell::default();
        let mut table = |what, span| Table::new(what, span, std::mem::take(fields), &found);
        let open = std::mem::replace(&mut self.open, Open::Document);
        self.fields = match open {
            Open::Document => {
                let mut document = table("a policy", self.letters.start());
                part.is_versioned = version(&mut document);
                document.finish()
            }
            Open::Named(kind, name) => {
                let table = table(kind.what(), name.span);
                part.spec.named(kind, name, table)
            }
            Open::Listed(kind, span) => part.spec.listed(kind, table(kind.what(), span)),
        };
        self.is_plain &= found.into_inner().is_empty();
    }

    fn begin_header(&mut self, start: Range) {
        // What is not plain is not looked at any more.
        if self.is_plain {
            self.end_table();
        }
        self.header = Some(Header { start, kind: None, name: None });
    }

    /// What a header has opened; none if that is not plain.
    fn end_header(&mut self, range: Range, is_array: bool) -> Option<Open<'a>> {
        let Header { start, kind, name } = self.header.take()?;
        let (kind, span) = (kind?.value, self.letters.span(start.append(range)));
        if is_array {
            let kind = Listed::ALL.into_iter().find(|one| one.key() == kind)?;
            return name.is_none().then_some(Open::Listed(kind, span));
        }
        let kind = Named::ALL.into_iter().find(|one| one.key() == kind)?;
        let name = name?;
        let Cow::Borrowed(letters) = name.value else { return None };
        let is_new = self.names[kind as usize].insert(letters);
        is_new.then_some(Open::Named(kind, name))
    }

    fn open(&mut self, open: Option<Open<'a>>) {
        match open {
            Some(open) => self.open = open,
            None => self.is_plain = false,
        }
    }

    fn value(&mut self, value: Value<'a>, range: Range) {
        let value = At { value, span: self.letters.span(range) };
        let Self { key, list, fields, is_plain, .. } = self;
        if let Some((_, list)) = list {
            return list.push(value);
        }
        match key.take() {
            Some(key) if fields.iter().all(|(known, _)| known.value != key.value) => {
                fields.push((key, value));
            }
            Some(_) | None => *is_plain = false,
        }
    }
}

impl EventReceiver for Plain<'_> {
    fn std_table_open(&mut self, range: Range, _: &mut dyn ErrorSink) {
        self.begin_header(range);
    }

    fn std_table_close(&mut self, range: Range, _: &mut dyn ErrorSink) {
        let open = self.end_header(range, false);
        self.open(open);
    }

    fn array_table_open(&mut self, range: Range, _: &mut dyn ErrorSink) {
        self.begin_header(range);
    }

    fn array_table_close(&mut self, range: Range, _: &mut dyn ErrorSink) {
        let open = self.end_header(range, true);
        self.open(open);
    }

    fn inline_table_open(&mut self, _: Range, _: &mut dyn ErrorSink) -> bool {
        self.is_plain = false;
        false
    }

    fn array_open(&mut self, range: Range, _: &mut dyn ErrorSink) -> bool {
        self.is_plain &= self.list.replace((range, List::default())).is_none();
        self.is_plain
    }

    fn array_close(&mut self, range: Range, _: &mut dyn ErrorSink) {
        if let Some((start, list)) = self.list.take() {
            self.value(Value::List(list), start.append(range));
        }
    }

    fn simple_key(&mut self, range: Range, encoding: Option<Encoding>, errors: &mut dyn ErrorSink) {
        let key = self.letters.key(range, encoding, errors);
        let place = match &mut self.header {
            Some(Header { kind: kind @ None, .. }) => kind,
            Some(Header { name, .. }) => name,
            None => &mut self.key,
        };
        self.is_plain &= place.replace(key).is_none();
    }

    fn scalar(&mut self, range: Range, encoding: Option<Encoding>, errors: &mut dyn ErrorSink) {
        let value = self.letters.scalar(range, encoding, errors);
        self.value(value, range);
    }

    fn comment(&mut self, range: Range, errors: &mut dyn ErrorSink) {
        self.letters.comment(range, errors);
    }

    fn newline(&mut self, range: Range, errors: &mut dyn ErrorSink) {
        self.letters.newline(range, errors);
    }
}
