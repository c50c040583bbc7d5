//! An object's members, sorted into those that have a column and the rest.
//!
//! [`Fields`] looks at every member once. [`Fit`] then takes each known member into its column's
//! type; what does not fit, and what nobody knows, ends in the row's `extra` (rules 3, 4 and 12).
//! Depends on `json` and `tables::Drift`.

use std::borrow::Cow;
use std::collections::HashSet;

use crate::flatten::time;
use crate::json::text::{Text, write_json_string};
use crate::json::value::{Key, TextList, Value};
use crate::tables::schema_drift::{Drift, DriftKind};

/// A key that the tables know, and its column.
pub(crate) type Known = (&'static str, &'static str);

/// Stands where objects of some sources have no such key. It has no column, and matches no key, not
/// even the empty one.
pub(crate) const NO_KEY: Known = ("", "");

/// The value of one known key.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Field<'d> {
    key: &'static str,
    column: &'static str,
    /// `None` when the key is absent or null, which count as equal (rule 2).
    pub(crate) value: Option<Value<'d>>,
}

/// Sorts an object's members: the known ones in the order of `known`, the rest into a [`Fit`].
///
/// Of a duplicate key the last one counts.
pub(crate) fn sort<'d, const N: usize>(
    object: Value<'d>,
    table: &'static str,
    known: &'static [Known; N],
) -> ([Field<'d>; N], Fit<'d>) {
    let mut fields = known.map(|(key, column)| Field {
        key,
        column,
        value: None,
    });
    let mut fit = Fit {
        table,
        members: Vec::new(),
        drifts: Vec::new(),
    };
    // The API writes keys in one order, nearly always that of `known`: the search begins behind the
    // last hit, and finds at once.
    let mut expected = 0;
    for (key, value) in object.members() {
        let found = (expected..N).chain(0..expected).find(|at| {
            fields
                .get(*at)
                .is_some_and(|field| key.is(field.key) && field.column != NO_KEY.1)
        });
        let value = Some(value).filter(|value| !value.is_null());
        match found.and_then(|at| fields.get_mut(at).map(|field| (at, field))) {
            Some((at, field)) => {
                field.value = value;
                expected = at + 1;
            }
            None => fit.unknown(key, value),
        }
    }
    (fields, fit)
}

/// What goes to `extra`.
#[derive(Debug)]
enum Member<'d> {
    /// A key that has no column; `None` when a later duplicate is null.
    Unknown(Key<'d>, Option<Value<'d>>),
    /// A known key, with its value as received.
    Known(&'static str, Value<'d>),
    /// A known key, with an object made of what is left of its value.
    Rest(&'static str, String),
}

/// Takes fields into columns and gathers what does not fit. Nothing is allocated while all fits.
#[derive(Debug)]
pub(crate) struct Fit<'d> {
    table: &'static str,
    members: Vec<Member<'d>>,
    drifts: Vec<(Cow<'static, str>, DriftKind)>,
}

impl<'d> Fit<'d> {
    fn unknown(&mut self, key: Key<'d>, value: Option<Value<'d>>) {
        self.members.push(Member::Unknown(key, value));
    }

    /// Sends a known key to `extra` because its value does not fit.
    pub(crate) fn misfit(&mut self, field: Field<'d>) {
        if let Some(value) = field.value {
            self.members.push(Member::Known(field.key, value));
            self.drifts
                .push((Cow::Borrowed(field.column), DriftKind::Misfit));
        }
    }

    /// Keeps a known key in `extra`, as the contract wants it, without calling it drift.
    pub(crate) fn keep(&mut self, field: Field<'d>) {
        if let Some(value) = field.value {
            self.members.push(Member::Known(field.key, value));
        }
    }

    /// Notes a documented column with an undocumented value.
    pub(crate) fn unless_known(&mut self, field: Field<'d>, documented: &[&str]) {
        if let Some(text) = field.value.and_then(|value| value.text())
            && !documented.iter().any(|known| text == **known)
        {
            self.drifts
                .push((Cow::Borrowed(field.column), DriftKind::UnknownValue));
        }
    }

    fn fitting<T>(&mut self, field: Field<'d>, take: impl Fn(Value<'d>) -> Option<T>) -> Option<T> {
        let taken = field.value.and_then(take);
        if taken.is_none() {
            self.misfit(field);
        }
        taken
    }

    /// A string column.
    pub(crate) fn text(&mut self, field: Field<'d>) -> Option<Text<'d>> {
        self.fitting(field, |value| value.text())
    }

    /// A 64-bit integer column.
    pub(crate) fn int64(&mut self, field: Field<'d>) -> Option<i64> {
        self.fitting(field, |value| value.number()?.to_i64())
    }

    /// A column of doubles (rule 13).
    pub(crate) fn float64(&mut self, field: Field<'d>) -> Option<f64> {
        self.fitting(field, |value| value.number()?.exact_f64())
    }

    /// A boolean column.
    pub(crate) fn boolean(&mut self, field: Field<'d>) -> Option<bool> {
        self.fitting(field, |value| value.boolean())
    }

    /// A column of lists of strings.
    pub(crate) fn text_list(&mut self, field: Field<'d>) -> Option<TextList<'d>> {
        self.fitting(field, |value| value.text_list())
    }

    /// A time. A text that the column would not give back is kept in `extra` beside it (rule 9).
    pub(crate) fn time(&mut self, field: Field<'d>) -> Option<i64> {
        let time = self.fitting(field, |value| time::parse(&value.text()?.decode()))?;
        if !time.canonical {
            self.keep(field);
        }
        Some(time.micros)
    }

    /// A list of objects, which are rows of a child table: their number and themselves.
    pub(crate) fn objects(&mut self, field: Field<'d>) -> Objects<'d> {
        let list = self.fitting(field, objects);
        Objects {
            list,
            count: list.map(|list| count(list.len())),
        }
    }

    /// Puts what is left of a nested object that has no row of its own: nothing when the object is
    /// absent or all of it has columns (rule 12).
    pub(crate) fn nested(&mut self, field: Field<'d>, has_columns: bool, mut rest: Self) {
        let present = field.value.is_some_and(|value| value.is_object());
        let written = rest.write();
        self.drifts
            .extend(rest.drifts.into_iter().map(|(name, kind)| match kind {
                // Of a misfit the column is named, which is one of the row's own.
                DriftKind::UnknownKey => (Cow::Owned(format!("{}.{name}", field.key)), kind),
                _ => (name, kind),
            }));
        match written {
            Some(text) => self.members.push(Member::Rest(field.key, text)),
            None if present && !has_columns => {
                self.members.push(Member::Rest(field.key, "{}".to_owned()));
            }
            None => {}
        }
    }

    /// The text of `extra`, or null; counts the drift.
    pub(crate) fn finish(mut self, drift: &mut Drift, task_id: &str) -> Option<String> {
        if self.members.is_empty() && self.drifts.is_empty() {
            return None;
        }
        let text = self.write();
        for (column, kind) in self.drifts {
            drift.count(self.table, &column, kind, task_id);
        }
        text
    }

    /// Writes the members as an object and notes the unknown ones as drift.
    fn write(&mut self) -> Option<String> {
        drop_duplicates(&mut self.members);
        let mut text = String::new();
        for member in &self.members {
            text.push(if text.is_empty() { '{' } else { ',' });
            match member {
                Member::Unknown(key, value) => {
                    text.push_str(key.raw());
                    text.push(':');
                    text.push_str(value.map_or("null", |value| value.raw()));
                    let name = key
                        .text()
                        .map_or_else(|| key.raw().to_owned(), |text| text.to_string());
                    self.drifts.push((Cow::Owned(name), DriftKind::UnknownKey));
                }
                Member::Known(key, value) => {
                    write_json_string(key, &mut text);
                    text.push(':');
                    text.push_str(value.raw());
                }
                Member::Rest(key, rest) => {
                    write_json_string(key, &mut text);
                    text.push(':');
                    text.push_str(rest);
                }
            }
        }
        if text.is_empty() {
            return None;
        }
        text.push('}');
        Some(text)
    }
}

/// Of unknown keys that occur twice keeps the last, and none whose last value is null.
fn drop_duplicates(members: &mut Vec<Member<'_>>) {
    let mut seen = HashSet::new();
    let mut keep: Vec<bool> = members
        .iter()
        .rev()
        .map(|member| match member {
            Member::Unknown(key, value) => {
                let name = key
                    .text()
                    .map_or(Cow::Borrowed(key.raw()), |text| text.decode());
                // A key with a lone surrogate is compared as it is written, quotes included, so that
                // it equals no other.
                seen.insert((key.text().is_some(), name)) && value.is_some()
            }
            _ => true,
        })
        .collect();
    members.retain(|_| keep.pop().unwrap_or(true));
}

/// The value, when it is a list of objects.
pub(crate) fn objects(value: Value<'_>) -> Option<Value<'_>> {
    (value.kind() == crate::json::document::Kind::Array
        && value.elements().all(|element| element.is_object()))
    .then_some(value)
}

/// A list of objects, or nothing.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Objects<'d> {
    list: Option<Value<'d>>,
    /// Their number; null when the key is absent or is no list of objects (rule 6).
    pub(crate) count: Option<i32>,
}

impl<'d> Objects<'d> {
    /// The objects.
    pub(crate) fn iter(&self) -> impl Iterator<Item = Value<'d>> + use<'d> {
        self.list.into_iter().flat_map(|list| list.elements())
    }
}

/// A count or an index as its column holds it. Bodies are bounded to 1 GiB, so no list is longer.
pub(crate) fn count(count: usize) -> i32 {
    i32::try_from(count).unwrap_or(i32::MAX)
}
