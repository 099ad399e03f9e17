//! One TOML table: hands out its values by key, and complains about what is missing, of another
//! type or left over.

use std::cell::RefCell;

use super::tree::{Field, Integer, List, Value};
use super::{At, Text, Texts};
use crate::diagnostic::{Code, Diagnostic, Span, quote};
use crate::suggest::did_you_mean;

/// No table has more.
const MOST_KEYS: usize = 11;

/// The keys that were asked for.
#[derive(Default)]
struct Known {
    list: [&'static str; MOST_KEYS],
    count: usize,
}

impl Known {
    fn push(&mut self, key: &'static str) {
        if let Some(place) = self.list.get_mut(self.count) {
            *place = key;
            self.count += 1;
        }
    }

    fn keys(&self) -> &[&'static str] {
        self.list.get(..self.count).unwrap_or_default()
    }
}

pub(crate) struct Table<'a, 'f> {
    /// What the table is, with its article.
    what: &'static str,
    /// Where it begins.
    pub(crate) span: Span,
    fields: Vec<Field<'a>>,
    known: Known,
    found: &'f RefCell<Vec<Diagnostic>>,
}

impl<'a, 'f> Table<'a, 'f> {
    pub(crate) fn new(
        what: &'static str,
        span: Span,
        fields: Vec<Field<'a>>,
        found: &'f RefCell<Vec<Diagnostic>>,
    ) -> Self {
        Self { what, span, fields, known: Known::default(), found }
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
        let value = self.required(key)?;
        self.expect_text(key, value)
    }

    pub(crate) fn texts(&mut self, key: &'static str) -> Option<Texts<'a>> {
        let value = self.take(key)?;
        self.expect_texts(key, value)
    }

    pub(crate) fn required_texts(&mut self, key: &'static str) -> Option<Texts<'a>> {
        let value = self.required(key)?;
        self.expect_texts(key, value)
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
    ) -> impl Iterator<Item = (Text<'a>, Self)> + use<'a, 'f> {
        let found = self.found;
        let list = self.take(key).and_then(|At { value, span }| {
            if let Value::Table(fields) = value {
                return Some(fields.into_list());
            }
            let help = format!("write `[{key}.NAME]`");
            self.wrong_type(key, "a table of tables", &value, span, Some(help));
            None
        });
        list.into_iter().flatten().filter_map(move |(name, At { value, span })| {
            if let Value::Table(fields) = value {
                let table = Self::new(what, name.span, fields.into_list(), found);
                return Some((name, table));
            }
            let help = format!("{what} is a table: `[{key}.NAME]`");
            found.borrow_mut().push(wrong_type(&name.value, "a table", &value, span, Some(help)));
            None
        })
    }

    /// The tables in `[[key]]`.
    pub(crate) fn array(
        &mut self,
        key: &'static str,
        what: &'static str,
    ) -> impl Iterator<Item = Self> + use<'a, 'f> {
        let found = self.found;
        let help = move || Some(format!("{what} begins with `[[{key}]]`"));
        let list = self.take(key).and_then(|At { value, span }| match value {
            Value::List(list) => Some(list.into_items()),
            Value::Tables(tables) => Some(tables),
            Value::Text(_)
            | Value::Integer(_)
            | Value::Float
            | Value::Date(_)
            | Value::Flag(_)
            | Value::Table(_) => {
                self.wrong_type(key, "a list of tables", &value, span, help());
                None
            }
        });
        list.into_iter().flatten().filter_map(move |At { value, span }| {
            if let Value::Table(fields) = value {
                return Some(Self::new(what, span, fields.into_list(), found));
            }
            let diagnostic = wrong_type(key, "a list of tables", &value, span, help());
            found.borrow_mut().push(diagnostic);
            None
        })
    }

    /// Every key that nobody asked for is unknown. Returns the list of fields, empty now, for the
    /// next table.
    pub(crate) fn finish(self) -> Vec<Field<'a>> {
        let Self { what, mut fields, known, found, span: _ } = self;
        let known = known.keys();
        for (key, _) in fields.drain(..) {
            let message = format!("{what} has no key {}", quote(&key.value));
            let mut diagnostic = Diagnostic::at(Code::UnknownKey, key.span, message);
            let keys = known.iter().copied();
            let help = did_you_mean(&key.value, keys, found.borrow().len());
            diagnostic.help =
                Some(help.unwrap_or_else(|| format!("its keys are {}", known.join(", "))));
            found.borrow_mut().push(diagnostic);
        }
        fields
    }

    fn take(&mut self, key: &'static str) -> Option<At<Value<'a>>> {
        self.known.push(key);
        let index = self.fields.iter().position(|(name, _)| name.value == key)?;
        Some(self.fields.swap_remove(index).1)
    }

    fn required(&mut self, key: &'static str) -> Option<At<Value<'a>>> {
        let value = self.take(key);
        if value.is_none() {
            let message = format!("{} needs the key `{key}`", self.what);
            self.report(Diagnostic::at(Code::MissingKey, self.span, message));
        }
        value
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

    fn expect_texts(&self, key: &str, At { value, span }: At<Value<'a>>) -> Option<Texts<'a>> {
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

    fn wrong_type(
        &self,
        key: &str,
        expected: &str,
        value: &Value<'_>,
        span: Span,
        help: Option<String>,
    ) {
        self.report(wrong_type(key, expected, value, span, help));
    }
}

fn wrong_type(
    key: &str,
    expected: &str,
    value: &Value<'_>,
    span: Span,
    help: Option<String>,
) -> Diagnostic {
    let message = format!("{} takes {expected}, not {}", quote(key), value.type_name());
    Diagnostic { help, ..Diagnostic::at(Code::WrongType, span, message) }
}
