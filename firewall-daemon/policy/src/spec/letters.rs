//! A file's letters, and what the parser's ranges in them say.

use std::borrow::Cow;

use toml_parser::decoder::{Encoding, ScalarKind};
use toml_parser::lexer::Token;
use toml_parser::{ErrorSink, Raw, Source, Span as Range};

use super::tree::{Integer, Value};
use super::{At, Text};
use crate::diagnostic::Span;

/// One file.
#[derive(Clone, Copy)]
pub(super) struct Letters<'a> {
    file: usize,
    pub(super) text: &'a str,
}

impl<'a> Letters<'a> {
    pub(super) const fn new(file: usize, text: &'a str) -> Self {
        Self { file, text }
    }

    /// The words.
    pub(super) fn tokens(self) -> Vec<Token> {
        Source::new(self.text).lex().into_vec()
    }

    pub(super) fn key(
        self,
        range: Range,
        encoding: Option<Encoding>,
        errors: &mut dyn ErrorSink,
    ) -> Text<'a> {
        let mut key = Cow::Borrowed("");
        self.raw(range, encoding).decode_key(&mut key, errors);
        At { value: key, span: self.span(range) }
    }

    pub(super) fn scalar(
        self,
        range: Range,
        encoding: Option<Encoding>,
        errors: &mut dyn ErrorSink,
    ) -> Value<'a> {
        let raw = self.raw(range, encoding);
        let mut text = Cow::Borrowed("");
        match raw.decode_scalar(&mut text, errors) {
            ScalarKind::String => Value::Text(text),
            ScalarKind::Boolean(flag) => Value::Flag(flag),
            ScalarKind::DateTime => Value::Date(raw.as_str()),
            ScalarKind::Float => Value::Float,
            ScalarKind::Integer(radix) => {
                let value = i64::from_str_radix(&text, radix.value()).ok();
                Value::Integer(Integer { value, written: raw.as_str() })
            }
        }
    }

    pub(super) fn comment(self, range: Range, errors: &mut dyn ErrorSink) {
        self.raw(range, None).decode_comment(errors);
    }

    pub(super) fn newline(self, range: Range, errors: &mut dyn ErrorSink) {
        self.raw(range, None).decode_newline(errors);
    }

    pub(super) fn span(self, range: Range) -> Span {
        Span::new(self.file, range.start()..range.end())
    }

    /// Before the first letter.
    pub(super) fn start(self) -> Span {
        Span::new(self.file, 0..0)
    }

    fn raw(self, range: Range, encoding: Option<Encoding>) -> Raw<'a> {
        let text = self.text.get(range.start()..range.end()).unwrap_or_default();
        Raw::new_unchecked(text, encoding, range)
    }
}
