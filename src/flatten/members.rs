//! The members of an object: those that have a column, and the others, which go to `extra`.
//!
//! The rules that comments name are those of `docs/tables.md`.

use std::borrow::Cow;
use std::collections::HashSet;

use crate::flatten::time;
use crate::json::kind::JsonKind;
use crate::json::text::{Text, write_json_string};
use crate::json::value::{JsonKey, TextList, Value};
use crate::tables::schema_drift::{Drift, DriftKind};
use crate::tables::table::Table;

/// A key that the tables know, and its column.
pub(crate) type KeyColumn = (&'static str, &'static str);

/// For a member that objects of some sources do not have. It matches no key, not even the empty one.
pub(crate) const NO_KEY: KeyColumn = ("", "");

/// The value of one known key.
#[derive(Debug, Clone, Copy)]
pub(crate) struct KnownMember<'d> {
    key: &'static str,
    column: &'static str,
    /// `None` when the key is absent or its value is null, which count as equal (rule 2).
    pub(crate) value: Option<Value<'d>>,
}

/// Binds the known members of an object to names, and the builder of the row's `extra` to another name.
///
/// ```text
/// bind_members!(object, Table::Threads, extra, {
///     id: "id" => "thread_id",      // key "id", column `thread_id`
///     status: "status",             // key and column have the same name
///     name: (NAME),                 // a `KeyColumn`
/// });
/// ```
///
/// Keys in the order in which the API writes them are found fastest.
macro_rules! bind_members {
    (@known $key:literal) => {
        ($key, $key)
    };
    (@known $key:literal => $column:literal) => {
        ($key, $column)
    };
    (@known ($known:expr)) => {
        $known
    };
    ($object:expr, $table:expr, $extra:ident, {
        $($name:ident: $key:tt $(=> $column:literal)?),+ $(,)?
    }) => {
        let ([$($name),+], mut $extra) = $crate::flatten::members::match_members(
            $object,
            $table,
            &[$($crate::flatten::members::bind_members!(@known $key $(=> $column)?)),+],
        );
    };
}

pub(crate) use bind_members;

/// Finds the known members of an object, in the order of `known`, and gives the others to an [`ExtraBuilder`]. Of a
/// duplicate key the last one counts.
pub(crate) fn match_members<'d, const N: usize>(
    object: Value<'d>,
    table: Table,
    known: &[KeyColumn; N],
) -> ([KnownMember<'d>; N], ExtraBuilder<'d>) {
    let mut members = known.map(|(key, column)| KnownMember {
        key,
        column,
        value: None,
    });
    let mut extra = ExtraBuilder {
        table,
        members: Vec::new(),
        drifts: Vec::new(),
        text: String::new(),
    };
    // The API writes keys in one order, nearly always that of `known`. The search starts after the last hit, and
    // nearly always ends there.
    let mut expected = 0;
    for (key, value) in object.members() {
        let plain = key.as_plain();
        let is = |known| plain.map_or_else(|| key.is(known), |plain| plain == known);
        let position = (expected..N).chain(0..expected).find(|position| {
            members
                .get(*position)
                .is_some_and(|member| is(member.key) && member.column != NO_KEY.1)
        });
        // A null replaces an earlier duplicate, so it is not skipped here.
        let value = Some(value).filter(|value| !value.is_null());
        match position.and_then(|at| members.get_mut(at).map(|member| (at, member))) {
            Some((position, member)) => {
                member.value = value;
                expected = position + 1;
            }
            None => extra.members.push(ExtraMember::Unknown(key, value)),
        }
    }
    (members, extra)
}

/// A member of `extra`.
#[derive(Debug)]
enum ExtraMember<'d> {
    /// A key that has no column. The value is `None` when a later duplicate is null.
    Unknown(JsonKey<'d>, Option<Value<'d>>),
    /// A known key with its value as received.
    Known(&'static str, Value<'d>),
    /// A known key with an object of those members of its value that have no column.
    Rest(&'static str, String),
}

/// Takes members into columns, and builds `extra` from what does not fit. Allocates nothing while everything fits.
#[derive(Debug)]
pub(crate) struct ExtraBuilder<'d> {
    table: Table,
    members: Vec<ExtraMember<'d>>,
    drifts: Vec<(Cow<'static, str>, DriftKind)>,
    /// The text of `extra`, once it is written.
    text: String,
}

impl<'d> ExtraBuilder<'d> {
    /// Puts a known key into `extra` because its value does not have the column's type.
    pub(crate) fn put_mismatch(&mut self, member: KnownMember<'d>) {
        if let Some(value) = member.value {
            self.members.push(ExtraMember::Known(member.key, value));
            self.drifts
                .push((Cow::Borrowed(member.column), DriftKind::TypeMismatch));
        }
    }

    /// Puts a known key into `extra` where the rules want it there. That is not drift.
    pub(crate) fn keep(&mut self, member: KnownMember<'d>) {
        if let Some(value) = member.value {
            self.members.push(ExtraMember::Known(member.key, value));
        }
    }

    /// Counts a text that is not one of the documented values of its column as drift.
    pub(crate) fn check_documented(&mut self, member: KnownMember<'d>, documented: &[&str]) {
        if let Some(text) = member.value.and_then(|value| value.text())
            && !documented.iter().any(|known| text == **known)
        {
            self.drifts
                .push((Cow::Borrowed(member.column), DriftKind::UnknownValue));
        }
    }

    fn take<T>(
        &mut self,
        member: KnownMember<'d>,
        convert: impl Fn(Value<'d>) -> Option<T>,
    ) -> Option<T> {
        let taken = member.value.and_then(convert);
        if taken.is_none() {
            self.put_mismatch(member);
        }
        taken
    }

    /// The value of a string column.
    pub(crate) fn text(&mut self, member: KnownMember<'d>) -> Option<Text<'d>> {
        self.take(member, |value| value.text())
    }

    /// The value of a 64-bit integer column.
    pub(crate) fn int64(&mut self, member: KnownMember<'d>) -> Option<i64> {
        self.take(member, |value| value.number()?.to_i64())
    }

    /// The value of a float64 column (rule 13).
    pub(crate) fn float64(&mut self, member: KnownMember<'d>) -> Option<f64> {
        self.take(member, |value| value.number()?.exact_f64())
    }

    /// The value of a boolean column.
    pub(crate) fn boolean(&mut self, member: KnownMember<'d>) -> Option<bool> {
        self.take(member, |value| value.boolean())
    }

    /// The value of a column of string lists.
    pub(crate) fn text_list(&mut self, member: KnownMember<'d>) -> Option<TextList<'d>> {
        self.take(member, |value| value.text_list())
    }

    /// The value of a timestamp column, in microseconds since 1970. A text that cannot be rebuilt from the column is
    /// kept in `extra` too (rule 9).
    pub(crate) fn time(&mut self, member: KnownMember<'d>) -> Option<i64> {
        let time = self.take(member, |value| time::parse(&value.text()?.decode()))?;
        if !time.is_canonical {
            self.keep(member);
        }
        Some(time.micros)
    }

    /// A list of objects, which are rows of a child table.
    pub(crate) fn objects(&mut self, member: KnownMember<'d>) -> Objects<'d> {
        let list = self.take(member, objects);
        Objects {
            list,
            count: list.map(|list| count(list.len())),
        }
    }

    /// Puts those members of a nested object without a row that have no column into `extra`: nothing when the object is
    /// absent or all of its members have columns (rule 12). A value that is not an object is a type mismatch.
    pub(crate) fn put_nested(
        &mut self,
        member: KnownMember<'d>,
        has_columns: bool,
        mut rest: Self,
    ) {
        if member.value.is_some_and(|value| !value.is_object()) {
            self.put_mismatch(member);
            return;
        }
        // Before its drift is taken over, since writing notes unknown keys.
        rest.write();
        self.drifts
            .extend(rest.drifts.into_iter().map(|(name, kind)| match kind {
                // A type mismatch is reported under its column, which is one of the row's own.
                DriftKind::UnknownKey => (Cow::Owned(format!("{}.{name}", member.key)), kind),
                _ => (name, kind),
            }));
        if !rest.text.is_empty() {
            self.members.push(ExtraMember::Rest(member.key, rest.text));
        } else if member.value.is_some() && !has_columns {
            self.members
                .push(ExtraMember::Rest(member.key, "{}".to_owned()));
        }
    }

    /// The text of `extra`, or `None` where everything has a column. Counts the drift.
    pub(crate) fn finish(&mut self, drift: &mut Drift, task_id: &str) -> Option<&str> {
        // An unknown value of a column is drift without a member.
        if self.members.is_empty() && self.drifts.is_empty() {
            return None;
        }
        self.write();
        for (column, kind) in &self.drifts {
            drift.count(self.table, column, *kind, task_id);
        }
        Some(self.text.as_str()).filter(|text| !text.is_empty())
    }

    /// Writes the members as an object into `text`, which stays empty without any, and notes the unknown ones as drift.
    fn write(&mut self) {
        if self.members.is_empty() {
            return;
        }
        drop_duplicates(&mut self.members);
        let text = &mut self.text;
        for member in &self.members {
            text.push(if text.is_empty() { '{' } else { ',' });
            match member {
                ExtraMember::Unknown(key, value) => {
                    text.push_str(key.raw());
                    text.push(':');
                    text.push_str(value.map_or("null", |value| value.raw()));
                    let name = key
                        .text()
                        .map_or_else(|| key.raw().to_owned(), |text| text.decode().into_owned());
                    self.drifts.push((Cow::Owned(name), DriftKind::UnknownKey));
                }
                ExtraMember::Known(key, value) => {
                    write_json_string(key, text);
                    text.push(':');
                    text.push_str(value.raw());
                }
                ExtraMember::Rest(key, rest) => {
                    write_json_string(key, text);
                    text.push(':');
                    text.push_str(rest);
                }
            }
        }
        if !text.is_empty() {
            text.push('}');
        }
    }
}

/// Keeps the last of unknown keys that occur twice, and none whose last value is null.
fn drop_duplicates(members: &mut Vec<ExtraMember<'_>>) {
    let mut seen = HashSet::new();
    let mut keep: Vec<bool> = members
        .iter()
        // From the end, so that the last duplicate is the first one that is seen.
        .rev()
        .map(|member| match member {
            ExtraMember::Unknown(key, value) => {
                let name = key
                    .text()
                    .map_or(Cow::Borrowed(key.raw()), |text| text.decode());
                // A key with a lone surrogate is compared as it is written, quotes included, so that it equals no other.
                seen.insert((key.text().is_some(), name)) && value.is_some()
            }
            _ => true,
        })
        .collect();
    members.retain(|_| keep.pop().unwrap_or(true));
}

/// The value, when it is a list of objects.
pub(crate) fn objects(value: Value<'_>) -> Option<Value<'_>> {
    (value.kind() == JsonKind::Array && value.elements().all(|element| element.is_object()))
        .then_some(value)
}

/// A list of objects, or nothing.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Objects<'d> {
    list: Option<Value<'d>>,
    /// The number of objects; null when the key is absent or its value is not a list of objects (rule 6).
    pub(crate) count: Option<i32>,
}

impl<'d> Objects<'d> {
    /// The objects.
    pub(crate) fn iter(&self) -> impl Iterator<Item = Value<'d>> + use<'d> {
        self.list.into_iter().flat_map(|list| list.elements())
    }
}

/// A count or an index as its column holds it. Bodies have at most 1 GiB, so no list is longer.
pub(crate) fn count(count: usize) -> i32 {
    i32::try_from(count).unwrap_or(i32::MAX)
}
