//! Builds the tree of a document from the parser's events.

#[cfg(test)]
mod tests;

use toml_parser::decoder::Encoding;
use toml_parser::lexer::Token;
use toml_parser::parser::{EventReceiver, parse_document};
use toml_parser::{ErrorSink, Expected, ParseError, Span as Range};

use super::letters::Letters;
use super::tree::{Conflict, Fields, List, Origin, Value};
use super::{At, Text};
use crate::diagnostic::{Code, Diagnostic, Span, quote};

/// So many lists and tables within each other, and so many keys on the way to a value; an attacker's
/// ten thousand would exhaust the stack.
const DEEPEST: usize = 80;

/// One file.
pub(super) struct Document<'a> {
    pub(super) fields: Fields<'a>,
    pub(super) found: Vec<Diagnostic>,
    /// It is not TOML: the fields are not all there. A name that is defined twice does not hide what
    /// else is wrong.
    pub(super) is_broken: bool,
}

pub(super) fn read<'a>(letters: Letters<'a>, tokens: &[Token]) -> Document<'a> {
    let mut reader = Reader {
        letters,
        fields: Fields::new(Origin::Header),
        places: Vec::new(),
        table: Table::New,
        header: Range::default(),
        keys: Vec::new(),
        open: Vec::new(),
        found: Vec::new(),
    };
    let mut errors = Vec::new();
    parse_document(tokens, &mut reader, &mut errors);
    let Reader { fields, mut found, .. } = reader;
    let is_broken = !errors.is_empty();
    found.extend(errors.iter().map(|error| {
        let range = error.unexpected().unwrap_or_default();
        let range = Range::new_unchecked(range.start(), range.end().max(range.start()));
        Diagnostic::at(Code::Syntax, letters.span(range), sentence(error))
    }));
    Document { fields, found, is_broken }
}

/// The parser's words, on one line.
fn sentence(error: &ParseError) -> String {
    let description = error.description().replace('\n', " ");
    let Some(expected) = error.expected() else { return description };
    let expected: Vec<_> = expected
        .iter()
        .map(|expected| match expected {
            Expected::Literal("\n") => "newline".to_owned(),
            Expected::Literal("`") => "'`'".to_owned(),
            Expected::Literal(text) if text.chars().all(|one| one.is_ascii_control()) => {
                format!("`{}`", text.escape_debug())
            }
            Expected::Literal(text) => format!("`{text}`"),
            Expected::Description(text) => (*text).to_owned(),
            _ => "something else".to_owned(),
        })
        .collect();
    match expected.as_slice() {
        [] => format!("{description}, expected nothing"),
        expected => format!("{description}, expected {}", expected.join(", ")),
    }
}

struct Reader<'a> {
    letters: Letters<'a>,
    fields: Fields<'a>,
    /// The way from the document to the table of the last header.
    places: Vec<usize>,
    table: Table,
    /// Where the last header begins.
    header: Range,
    /// The keys on the way to the value that comes next; those of an outer table stand before.
    keys: Vec<Text<'a>>,
    /// The lists and inline tables that have begun, from the outermost.
    open: Vec<Open<'a>>,
    found: Vec<Diagnostic>,
}

/// What is known of the table of the last header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Table {
    New,
    /// Its header stands twice: so will its keys, and the header is the one to show.
    Repeated,
    /// It has no place.
    Lost,
}

/// A list or an inline table that has begun.
struct Open<'a> {
    start: Range,
    /// How many keys lead to it.
    keys: usize,
    inside: Inside<'a>,
}

enum Inside<'a> {
    List(List<'a>),
    Table(Fields<'a>),
}

impl<'a> Reader<'a> {
    /// A header has begun.
    fn begin_table(&mut self, range: Range) {
        self.header = range;
        self.table = Table::Lost;
        self.keys.clear();
        self.open.clear();
    }

    /// A header is complete.
    fn end_header(&mut self, range: Range, is_array: bool, errors: &mut dyn ErrorSink) {
        let span = self.letters.span(self.header.append(range));
        match self.find_table(span, is_array) {
            Ok(table) => self.table = table,
            Err(conflict) => self.conflict(conflict, true, errors),
        }
    }

    /// The table that the keys of a header lead to is the one that gets what follows.
    fn find_table(&mut self, span: Span, is_array: bool) -> Result<Table, Conflict<'a>> {
        let Self { fields, places, keys, .. } = self;
        places.clear();
        let mut parent = fields;
        let mut keys = keys.drain(..);
        let Some(last) = keys.next_back() else { return Ok(Table::Lost) };
        for key in keys {
            let place = parent.step(key.clone(), Origin::Passed)?;
            parent = parent.at(place).ok_or(Conflict::Twice(key))?;
            places.push(place);
        }
        if is_array {
            places.push(parent.append(last, span)?);
            return Ok(Table::New);
        }
        let (place, is_first) = parent.head(last.clone(), span)?;
        places.push(place);
        if is_first {
            return Ok(Table::New);
        }
        self.twice(&last, true);
        Ok(Table::Repeated)
    }

    fn begin(&mut self, start: Range, inside: Inside<'a>, errors: &mut dyn ErrorSink) -> bool {
        self.open.push(Open { start, keys: self.keys.len(), inside });
        let is_allowed = self.open.len() <= DEEPEST;
        if !is_allowed {
            errors.report_error(
                ParseError::new(format!("more than {DEEPEST} lists and tables within each other"))
                    .with_unexpected(start),
            );
        }
        is_allowed
    }

    fn end(&mut self, end: Range, errors: &mut dyn ErrorSink) {
        if let Some(Open { start, keys, inside }) = self.open.pop() {
            self.keys.truncate(keys);
            let value = match inside {
                Inside::List(list) => Value::List(list),
                Inside::Table(fields) => Value::Table(fields),
            };
            self.value(value, start.append(end), errors);
        }
    }

    fn value(&mut self, value: Value<'a>, range: Range, errors: &mut dyn ErrorSink) {
        let value = At { value, span: self.letters.span(range) };
        let Self { fields, places, table, keys, open, .. } = self;
        let (fields, outer) = match open.last_mut() {
            Some(Open { inside: Inside::List(list), .. }) => return list.push(value),
            Some(Open { inside: Inside::Table(fields), keys, .. }) => (Some(fields), *keys),
            None if *table == Table::Lost => (None, 0),
            None => {
                let table = places.iter().try_fold(fields, |fields, &place| fields.at(place));
                (table, 0)
            }
        };
        let mut keys = keys.drain(outer..);
        let (Some(last), Some(fields)) = (keys.next_back(), fields) else { return };
        let entered = enter(fields, keys, last, value);
        if let Err(conflict) = entered {
            self.conflict(conflict, false, errors);
        }
    }

    fn conflict(&mut self, conflict: Conflict<'a>, is_header: bool, errors: &mut dyn ErrorSink) {
        match conflict {
            Conflict::NoTable(key, stands) => {
                let std::ops::Range { start, end } = key.span.range();
                let range = Range::new_unchecked(start, end);
                let message = format!("{} is {stands}, not a table", quote(&key.value));
                errors.report_error(ParseError::new(message).with_unexpected(range));
            }
            Conflict::Twice(_) if self.table == Table::Repeated => {}
            Conflict::Twice(key) => self.twice(&key, is_header),
        }
    }

    fn twice(&mut self, key: &Text<'a>, is_header: bool) {
        let name = self.letters.text.get(key.span.range()).unwrap_or_default();
        let message = format!("{} is defined twice", quote(name));
        let help = if is_header {
            "keep one of them, or give this one another name"
        } else {
            "keep one of them"
        };
        self.found.push(Diagnostic::at(Code::DuplicateName, key.span, message).help(help));
    }
}

/// Enters a value where a dotted key leads to.
fn enter<'a>(
    mut fields: &mut Fields<'a>,
    path: impl Iterator<Item = Text<'a>>,
    last: Text<'a>,
    value: At<Value<'a>>,
) -> Result<(), Conflict<'a>> {
    for key in path {
        let place = fields.step(key.clone(), Origin::Dotted)?;
        fields = fields.at(place).ok_or(Conflict::Twice(key))?;
    }
    fields.enter(last, value).map(|_| ())
}

impl EventReceiver for Reader<'_> {
    fn std_table_open(&mut self, range: Range, _: &mut dyn ErrorSink) {
        self.begin_table(range);
    }

    fn std_table_close(&mut self, range: Range, errors: &mut dyn ErrorSink) {
        self.end_header(range, false, errors);
    }

    fn array_table_open(&mut self, range: Range, _: &mut dyn ErrorSink) {
        self.begin_table(range);
    }

    fn array_table_close(&mut self, range: Range, errors: &mut dyn ErrorSink) {
        self.end_header(range, true, errors);
    }

    fn inline_table_open(&mut self, range: Range, errors: &mut dyn ErrorSink) -> bool {
        self.begin(range, Inside::Table(Fields::new(Origin::Inline)), errors)
    }

    fn inline_table_close(&mut self, range: Range, errors: &mut dyn ErrorSink) {
        self.end(range, errors);
    }

    fn array_open(&mut self, range: Range, errors: &mut dyn ErrorSink) -> bool {
        self.begin(range, Inside::List(List::default()), errors)
    }

    fn array_close(&mut self, range: Range, errors: &mut dyn ErrorSink) {
        self.end(range, errors);
    }

    fn simple_key(&mut self, range: Range, encoding: Option<Encoding>, errors: &mut dyn ErrorSink) {
        let key = self.letters.key(range, encoding, errors);
        if self.keys.len() == DEEPEST {
            let message = format!("more than {DEEPEST} keys on the way to a value");
            errors.report_error(ParseError::new(message).with_unexpected(range));
        }
        if self.keys.len() <= DEEPEST {
            self.keys.push(key);
        }
    }

    fn scalar(&mut self, range: Range, encoding: Option<Encoding>, errors: &mut dyn ErrorSink) {
        let value = self.letters.scalar(range, encoding, errors);
        self.value(value, range, errors);
    }

    fn comment(&mut self, range: Range, errors: &mut dyn ErrorSink) {
        self.letters.comment(range, errors);
    }

    fn newline(&mut self, range: Range, errors: &mut dyn ErrorSink) {
        self.letters.newline(range, errors);
        if self.open.is_empty() {
            self.keys.clear();
        }
    }
}
