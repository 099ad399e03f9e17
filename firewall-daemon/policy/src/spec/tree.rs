//! A TOML document as a tree, and TOML's rules of what may be defined where.

use std::borrow::Cow;

use foldhash::HashMap;

use super::{At, Text};
use crate::diagnostic::Span;
use crate::model::Few;

/// A value of any type that TOML has.
#[derive(Debug)]
pub(super) enum Value<'a> {
    Text(Cow<'a, str>),
    Integer(Integer<'a>),
    Float,
    /// As it is written.
    Date(&'a str),
    Flag(bool),
    List(List<'a>),
    /// The tables of `[[key]]`.
    Tables(Vec<At<Value<'a>>>),
    Table(Fields<'a>),
}

/// A whole number.
#[derive(Debug)]
pub(super) struct Integer<'a> {
    /// None if it has more than 64 bits.
    pub(super) value: Option<i64>,
    pub(super) written: &'a str,
}

impl<'a> Value<'a> {
    /// What it is, with its article.
    pub(super) fn type_name(&self) -> &'static str {
        match self {
            Self::Text(_) => "a text",
            Self::Integer(_) => "an integer",
            Self::Float => "a number",
            Self::Flag(_) => "true or false",
            Self::Date(_) => "a date",
            Self::List(_) | Self::Tables(_) => "a list",
            Self::Table(_) => "a table",
        }
    }

    fn table(&mut self) -> Option<&mut Fields<'a>> {
        match self {
            Self::Table(fields) => Some(fields),
            Self::Tables(tables) => tables.last_mut()?.value.table(),
            Self::Text(_)
            | Self::Integer(_)
            | Self::Float
            | Self::Date(_)
            | Self::Flag(_)
            | Self::List(_) => None,
        }
    }
}

/// The items of `[ ]`.
#[derive(Debug)]
pub(super) enum List<'a> {
    /// Texts and nothing else, none of them empty: nearly every list of a policy, in a form that
    /// needs no other.
    Texts(Few<Text<'a>>),
    Mixed(Vec<At<Value<'a>>>),
}

impl<'a> List<'a> {
    pub(super) fn push(&mut self, item: At<Value<'a>>) {
        let At { value, span } = item;
        match (&mut *self, value) {
            (Self::Texts(texts), Value::Text(value)) if !value.is_empty() => {
                texts.push(At { value, span });
            }
            (Self::Texts(_), value) => {
                let mut list = std::mem::take(self).into_items();
                list.push(At { value, span });
                *self = Self::Mixed(list);
            }
            (Self::Mixed(list), value) => list.push(At { value, span }),
        }
    }

    pub(super) fn into_items(self) -> Vec<At<Value<'a>>> {
        match self {
            Self::Texts(texts) => {
                let texts = texts.iter().cloned();
                texts.map(|At { value, span }| At { value: Value::Text(value), span }).collect()
            }
            Self::Mixed(list) => list,
        }
    }
}

impl Default for List<'_> {
    fn default() -> Self {
        Self::Texts(Few::default())
    }
}

/// How a table came to be, which says what may still be added to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Origin {
    /// `[a.b]`, or the document itself: no dotted key from elsewhere.
    Header,
    /// The `a` of `[a.b]`: it may still get a header of its own.
    Passed,
    /// The `a` of `a.b = 1`: more dotted keys, and no header.
    Dotted,
    /// `{ }`: nothing.
    Inline,
}

/// Why a key cannot be entered.
#[derive(Debug)]
pub(super) enum Conflict<'a> {
    /// It stands there already.
    Twice(Text<'a>),
    /// It should lead to a table, and this stands there.
    NoTable(Text<'a>, &'static str),
}

/// A key and its value.
pub(super) type Field<'a> = (Text<'a>, At<Value<'a>>);

/// What one table says, in the order of the text.
#[derive(Debug)]
pub(super) struct Fields<'a> {
    list: Vec<Field<'a>>,
    /// Where in the list each key stands, once there are many.
    places: Option<Box<HashMap<Cow<'a, str>, usize>>>,
    origin: Origin,
}

/// Up to so many keys, looking at them all is faster.
const FEW: usize = 16;

impl<'a> Fields<'a> {
    pub(super) const fn new(origin: Origin) -> Self {
        Self { list: Vec::new(), places: None, origin }
    }

    pub(super) fn into_list(self) -> Vec<Field<'a>> {
        self.list
    }

    /// Enters a key that must be new.
    pub(super) fn enter(
        &mut self,
        key: Text<'a>,
        value: At<Value<'a>>,
    ) -> Result<usize, Conflict<'a>> {
        match self.find(&key.value) {
            Some(_) => Err(Conflict::Twice(key)),
            None => Ok(self.push(key, value)),
        }
    }

    /// The place of the table that a key leads to on the way of a header or a dotted key, made if
    /// there is none.
    pub(super) fn step(&mut self, key: Text<'a>, made: Origin) -> Result<usize, Conflict<'a>> {
        let Some(place) = self.find(&key.value) else {
            let table = At { value: Value::Table(Self::new(made)), span: key.span };
            return Ok(self.push(key, table));
        };
        if let Some(fields) = self.at(place) {
            return if fields.opens(made) { Ok(place) } else { Err(Conflict::Twice(key)) };
        }
        let stands = self.list.get(place).map_or("", |(_, at)| at.value.type_name());
        Err(Conflict::NoTable(key, stands))
    }

    /// The place of the table that a header is for, and whether the header is its first.
    pub(super) fn head(
        &mut self,
        key: Text<'a>,
        span: Span,
    ) -> Result<(usize, bool), Conflict<'a>> {
        let Some(place) = self.find(&key.value) else {
            let table = Value::Table(Self::new(Origin::Header));
            return Ok((self.push(key, At { value: table, span }), true));
        };
        let Some((name, At { value: Value::Table(fields), span: header })) =
            self.list.get_mut(place)
        else {
            return Err(Conflict::Twice(key));
        };
        let is_first = fields.origin == Origin::Passed;
        if is_first {
            fields.origin = Origin::Header;
            (*name, *header) = (key, span);
        }
        Ok((place, is_first))
    }

    /// The place of the tables that `[[key]]` adds one to.
    pub(super) fn append(&mut self, key: Text<'a>, span: Span) -> Result<usize, Conflict<'a>> {
        let table = At { value: Value::Table(Self::new(Origin::Header)), span };
        let Some(place) = self.find(&key.value) else {
            return Ok(self.push(key, At { value: Value::Tables(vec![table]), span }));
        };
        let Some((_, At { value: Value::Tables(tables), .. })) = self.list.get_mut(place) else {
            return Err(Conflict::Twice(key));
        };
        tables.push(table);
        Ok(place)
    }

    /// The table at a place, the last one if there are several.
    pub(super) fn at(&mut self, place: usize) -> Option<&mut Self> {
        self.list.get_mut(place)?.1.value.table()
    }

    /// Whether the way of a header or a dotted key may lead through here.
    fn opens(&mut self, made: Origin) -> bool {
        let is_dotted = made == Origin::Dotted;
        match self.origin {
            Origin::Inline => false,
            Origin::Header => !is_dotted,
            Origin::Dotted => true,
            Origin::Passed => {
                self.origin = made;
                true
            }
        }
    }

    fn find(&self, key: &str) -> Option<usize> {
        match &self.places {
            Some(places) => places.get(key).copied(),
            None => self.list.iter().position(|(known, _)| known.value == key),
        }
    }

    fn push(&mut self, key: Text<'a>, value: At<Value<'a>>) -> usize {
        let Self { list, places, origin: _ } = self;
        let place = list.len();
        if let Some(places) = places {
            places.insert(key.value.clone(), place);
        }
        list.push((key, value));
        if place == FEW {
            let keys = list.iter().enumerate().map(|(place, (key, _))| (key.value.clone(), place));
            *places = Some(Box::new(keys.collect()));
        }
        place
    }
}
