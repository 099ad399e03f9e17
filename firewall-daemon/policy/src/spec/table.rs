//! One TOML table: hands out its values by key, and complains about what is missing, of another
//! type or left over.

use std::cell::RefCell;

use super::tree::{Field, Fields, Integer, List, Value};
use super::{At, Text, Texts};
use crate::diagnostic::{Code, Diagnostic, Span, quote};
use crate::suggest::did_you_mean;

pub(crate) struct Table<'a, 'f> {
    /// What the table is, with its article.
    what: &'static str,
    /// Where it begins.
    pub(crate) span: Span,
    fields: Vec<Field<'a>>,
    known: Vec<&'static str>,
    found: &'f RefCell<Vec<Diagnostic>>,
}

impl<'a, 'f> Table<'a, 'f> {
    pub(crate) fn new(
        what: &'static str,
        span: Span,
        fields: Fields<'a>,
        found: &'f RefCell<Vec<Diagnostic>>,
    ) -> Self {
        Self { what, span, fields: fields.into_list(), known: Vec::new(), found }
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
        let texts = match value {
            Value::List(List::Texts(texts)) if texts.is_empty() => {
                self.report(
                    Diagnostic::at(Code::Empty, span, format!("`{key}` is empty"))
                        .help("name at least one, or leave the key out if it is optional"),
                );
                return None;
            }
            Value::List(List::Texts(texts)) => texts,
            Value::List(List::Mixed(list)) | Value::Tables(list) => {
                list.into_iter().filter_map(|item| self.expect_text(key, item)).collect()
            }
            Value::Text(_)
            | Value::Integer(_)
            | Value::Float
            | Value::Date(_)
            | Value::Flag(_)
            | Value::Table(_) => {
                let help = format!("put it in brackets: `{key} = [...]`");
                self.wrong_type(key, "a list of texts", &value, span, Some(help));
                return None;
            }
        };
        Some(At { value: texts, span })
    }

    pub(crate) fn required_texts(&mut self, key: &'static str) -> Option<Texts<'a>> {
        self.require(key);
        self.texts(key)
    }

    pub(crate) fn integer(&mut self, key: &'static str) -> Option<At<i64>> {
        let At { value, span } = self.take(key)?;
        let Value::Integer(Integer { value: integer, .. }) = value else {
            self.wrong_type(key, "an integer", &value, span, None);
            return None;
        };
        if integer.is_none() {
            self.wrong_type(key, "an integer of 64 bits", &value, span, None);
        }
        Some(At { value: integer?, span })
    }

    pub(crate) fn flag(&mut self, key: &'static str) -> Option<bool> {
        let At { value, span } = self.take(key)?;
        if let Value::Flag(flag) = value {
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
        let Value::Table(table) = value else {
            let help = format!("write `[{key}.NAME]`");
            self.wrong_type(key, "a table of tables", &value, span, Some(help));
            return Vec::new();
        };
        let mut tables = Vec::new();
        for (name, At { value, span }) in table.into_list() {
            if let Value::Table(table) = value {
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
        let list = match value {
            Value::List(list) => list.into_items(),
            Value::Tables(tables) => tables,
            Value::Text(_)
            | Value::Integer(_)
            | Value::Float
            | Value::Date(_)
            | Value::Flag(_)
            | Value::Table(_) => {
                self.wrong_type(key, "a list of tables", &value, span, help());
                return Vec::new();
            }
        };
        let mut tables = Vec::new();
        for At { value, span } in list {
            if let Value::Table(table) = value {
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

    fn take(&mut self, key: &'static str) -> Option<At<Value<'a>>> {
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

    fn expect_text(&self, key: &str, At { value, span }: At<Value<'a>>) -> Option<Text<'a>> {
        match value {
            Value::Text(text) if text.is_empty() => {
                let message = format!("`{key}` has an empty text");
                self.report(Diagnostic::at(Code::Empty, span, message));
                None
            }
            Value::Text(value) => Some(At { value, span }),
            Value::Integer(Integer { written, .. }) | Value::Date(written) => {
                let help = format!("put it in quotes: \"{written}\"");
                self.wrong_type(key, "a text", &value, span, Some(help));
                None
            }
            Value::Float | Value::Flag(_) | Value::List(_) | Value::Tables(_) | Value::Table(_) => {
                self.wrong_type(key, "a text", &value, span, None);
                None
            }
        }
    }

    fn wrong_type(
        &self,
        key: &str,
        expected: &str,
        value: &Value<'_>,
        span: Span,
        help: Option<String>,
    ) {
        let message = format!("{} takes {expected}, not {}", quote(key), value.type_name());
        self.report(Diagnostic { help, ..Diagnostic::at(Code::WrongType, span, message) });
    }
}
