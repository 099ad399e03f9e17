//! One TOML table: hands out its values by key, and complains about what is missing, of another
//! type or left over.

use std::cell::RefCell;

use toml::Spanned;
use toml::de::{DeArray, DeTable, DeValue};

use super::{At, Text, Texts, type_name};
use crate::diagnostic::{Code, Diagnostic, Span, quote};
use crate::suggest::did_you_mean;

pub(crate) struct Table<'a, 'f> {
    /// What the table is, with its article.
    what: &'static str,
    /// Where it begins.
    pub(crate) span: Span,
    fields: Vec<(Text<'a>, At<DeValue<'a>>)>,
    known: Vec<&'static str>,
    found: &'f RefCell<Vec<Diagnostic>>,
}

impl<'a, 'f> Table<'a, 'f> {
    pub(crate) fn new(
        what: &'static str,
        span: Span,
        table: DeTable<'a>,
        found: &'f RefCell<Vec<Diagnostic>>,
    ) -> Self {
        let fields = fields(span.file, table);
        Self { what, span, fields, known: Vec::new(), found }
    }

    pub(crate) fn report(&self, diagnostic: Diagnostic) {
        self.found.borrow_mut().push(diagnostic);
    }

    pub(crate) fn has(&self, key: &str) -> bool {
        self.fields.iter().any(|(name, _)| name.value == key)
    }

    pub(crate) fn text(&mut self, key: &'static str) -> Option<Text<'a>> {
        let value = self.take(key)?;
        self.expect_text(key, value)
    }

    pub(crate) fn required_text(&mut self, key: &'static str) -> Option<Text<'a>> {
        self.require(key);
        self.text(key)
    }

    pub(crate) fn texts(&mut self, key: &'static str) -> Option<Texts<'a>> {
        let At { value, span } = self.take(key)?;
        let DeValue::Array(array) = value else {
            let help = format!("put it in brackets: `{key} = [...]`");
            self.wrong_type(key, "a list of texts", &value, span, Some(help));
            return None;
        };
        if array.is_empty() {
            self.report(
                Diagnostic::at(Code::Empty, span, format!("`{key}` is empty"))
                    .help("name at least one, or leave the key out if it is optional"),
            );
            return None;
        }
        let items = located_array(span.file, array);
        let texts = items.into_iter().filter_map(|item| self.expect_text(key, item)).collect();
        Some(At { value: texts, span })
    }

    pub(crate) fn required_texts(&mut self, key: &'static str) -> Option<Texts<'a>> {
        self.require(key);
        self.texts(key)
    }

    pub(crate) fn integer(&mut self, key: &'static str) -> Option<At<i64>> {
        let At { value, span } = self.take(key)?;
        let DeValue::Integer(integer) = &value else {
            self.wrong_type(key, "an integer", &value, span, None);
            return None;
        };
        let Ok(value) = i64::from_str_radix(integer.as_str(), integer.radix()) else {
            self.wrong_type(key, "an integer of 64 bits", &value, span, None);
            return None;
        };
        Some(At { value, span })
    }

    pub(crate) fn flag(&mut self, key: &'static str) -> Option<bool> {
        let At { value, span } = self.take(key)?;
        if let DeValue::Boolean(flag) = value {
            return Some(flag);
        }
        self.wrong_type(key, "true or false", &value, span, None);
        None
    }

    /// The tables in `[key.NAME]`, by name.
    pub(crate) fn tables(
        &mut self,
        key: &'static str,
        what: &'static str,
    ) -> Vec<(Text<'a>, Self)> {
        let Some(At { value, span }) = self.take(key) else { return Vec::new() };
        let DeValue::Table(table) = value else {
            let help = format!("write `[{key}.NAME]`");
            self.wrong_type(key, "a table of tables", &value, span, Some(help));
            return Vec::new();
        };
        let mut tables = Vec::new();
        for (name, At { value, span }) in fields(span.file, table) {
            if let DeValue::Table(table) = value {
                let table = Self::new(what, name.span, table, self.found);
                tables.push((name, table));
            } else {
                let help = format!("{what} is a table: `[{key}.NAME]`");
                self.wrong_type(&name.value, "a table", &value, span, Some(help));
            }
        }
        tables
    }

    /// The tables in `[[key]]`.
    pub(crate) fn array(&mut self, key: &'static str, what: &'static str) -> Vec<Self> {
        let Some(At { value, span }) = self.take(key) else { return Vec::new() };
        let help = || Some(format!("{what} begins with `[[{key}]]`"));
        let DeValue::Array(array) = value else {
            self.wrong_type(key, "a list of tables", &value, span, help());
            return Vec::new();
        };
        let mut tables = Vec::new();
        for At { value, span } in located_array(span.file, array) {
            if let DeValue::Table(table) = value {
                tables.push(Self::new(what, span, table, self.found));
            } else {
                self.wrong_type(key, "a list of tables", &value, span, help());
            }
        }
        tables
    }

    /// Every key that nobody asked for is unknown.
    pub(crate) fn finish(self) {
        let Self { what, fields, known, found, span: _ } = self;
        for (key, _) in fields {
            let message = format!("{what} has no key {}", quote(&key.value));
            let mut diagnostic = Diagnostic::at(Code::UnknownKey, key.span, message);
            let keys = known.iter().copied();
            let help = did_you_mean(&key.value, keys, found.borrow().len());
            diagnostic.help =
                Some(help.unwrap_or_else(|| format!("its keys are {}", known.join(", "))));
            found.borrow_mut().push(diagnostic);
        }
    }

    fn take(&mut self, key: &'static str) -> Option<At<DeValue<'a>>> {
        self.known.push(key);
        let index = self.fields.iter().position(|(name, _)| name.value == key)?;
        Some(self.fields.remove(index).1)
    }

    fn require(&self, key: &'static str) {
        if !self.has(key) {
            let message = format!("{} needs the key `{key}`", self.what);
            self.report(Diagnostic::at(Code::MissingKey, self.span, message));
        }
    }

    fn expect_text(&self, key: &str, At { value, span }: At<DeValue<'a>>) -> Option<Text<'a>> {
        match value {
            DeValue::String(value) if value.is_empty() => {
                let message = format!("`{key}` has an empty text");
                self.report(Diagnostic::at(Code::Empty, span, message));
                None
            }
            DeValue::String(value) => Some(At { value, span }),
            DeValue::Integer(ref integer) => {
                let help = format!("put it in quotes: \"{integer}\"");
                self.wrong_type(key, "a text", &value, span, Some(help));
                None
            }
            DeValue::Float(_)
            | DeValue::Boolean(_)
            | DeValue::Datetime(_)
            | DeValue::Array(_)
            | DeValue::Table(_) => {
                self.wrong_type(key, "a text", &value, span, None);
                None
            }
        }
    }

    fn wrong_type(
        &self,
        key: &str,
        expected: &str,
        value: &DeValue<'_>,
        span: Span,
        help: Option<String>,
    ) {
        let message = format!("{} takes {expected}, not {}", quote(key), type_name(value));
        self.report(Diagnostic { help, ..Diagnostic::at(Code::WrongType, span, message) });
    }
}

/// In the order of the text; the parser keeps them in the order of the alphabet.
fn fields<'a>(file: usize, table: DeTable<'a>) -> Vec<(Text<'a>, At<DeValue<'a>>)> {
    let fields = table.into_iter().map(|(key, value)| (located(file, key), located(file, value)));
    let mut fields: Vec<_> = fields.collect();
    fields.sort_by_key(|(key, _)| key.span);
    fields
}

fn located_array<'a>(file: usize, array: DeArray<'a>) -> Vec<At<DeValue<'a>>> {
    array.into_iter().map(|item| located(file, item)).collect()
}

fn located<T>(file: usize, spanned: Spanned<T>) -> At<T> {
    let range = spanned.span();
    At { value: spanned.into_inner(), span: Span { file, start: range.start, end: range.end } }
}
