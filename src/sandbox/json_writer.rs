//! Writes JSON member by member, with drift if that is on.

use crate::json::text::write_json_string;
use crate::sandbox::naming::{DetailOptions, GeneratorOptions};
use crate::sandbox::random::{Random, sentences};

/// Writes one task.
pub(crate) struct TaskWriter {
    pub(crate) out: String,
    pub(crate) random: Random,
    pub(crate) details: DetailOptions,
    pub(crate) recipe: GeneratorOptions,
}

impl TaskWriter {
    /// Writes an object around its members.
    pub(crate) fn object(&mut self, members: impl FnOnce(&mut Self)) {
        self.out.push('{');
        members(self);
        self.close('}');
    }

    /// Writes a member that is a list of `count` elements.
    pub(crate) fn list(
        &mut self,
        key: &str,
        count: usize,
        mut element: impl FnMut(&mut Self, usize),
    ) {
        self.key(key);
        self.out.push('[');
        for index in 0..count {
            element(self, index);
            self.out.push(',');
        }
        self.close(']');
        self.out.push(',');
    }

    /// Writes the closing bracket instead of the last comma.
    pub(crate) fn close(&mut self, bracket: char) {
        if self.out.ends_with(',') {
            self.out.pop();
        }
        self.out.push(bracket);
    }

    pub(crate) fn key(&mut self, key: &str) {
        write_json_string(key, &mut self.out);
        self.out.push(':');
    }

    /// Writes a member whose value is JSON text.
    pub(crate) fn raw(&mut self, key: &str, value: &str) {
        self.key(key);
        self.out.push_str(value);
        self.out.push(',');
    }

    pub(crate) fn string(&mut self, key: &str, value: &str) {
        self.key(key);
        write_json_string(value, &mut self.out);
        self.out.push(',');
    }

    pub(crate) fn number(&mut self, key: &str, value: impl std::fmt::Display) {
        self.raw(key, &value.to_string());
    }

    pub(crate) fn id(&mut self, key: &str, kind: &str) {
        let id = format!("{kind}_{}", self.random.hex());
        self.string(key, &id);
    }

    pub(crate) fn sentences(&mut self, key: &str, count: usize) {
        self.key(key);
        sentences(&mut self.random, count, &mut self.out);
        self.out.push(',');
    }

    /// Sometimes writes a member that the documentation does not have, if drift is on.
    pub(crate) fn oddity(&mut self) {
        const ODD: [&str; 10] = [
            r#""":"empty key""#,
            r#""a/b":{"c":[1,2.50]},"a~b":null"#,
            r#""__proto__":{"polluted":true}"#,
            r#""new_field":123456789012345678901234567890"#,
            r#""huge":1e400,"tiny":-0.0"#,
            r#""twice":1,"twice":2"#,
            r#""half":"\ud800 alone""#,
            r#""nul":"a\u0000b\u2028c""#,
            r#""quality":{"score":0.10,"notes":["x"]}"#,
            r#""empty":{},"none":[]"#,
        ];
        if self.recipe.drift && self.random.one_in(12) {
            let odd = self.random.pick(&ODD).unwrap_or_default();
            self.out.push_str(odd);
            self.out.push(',');
        }
    }

    /// True for about one in `one_in` calls, if drift is on.
    pub(crate) fn drifts(&mut self, one_in: usize) -> bool {
        self.recipe.drift && self.random.one_in(one_in)
    }

    pub(crate) fn time(&mut self, key: &str, day: usize) {
        let second = self.random.below(86_400);
        let (hour, minute, rest) = (second / 3_600, second / 60 % 60, second % 60);
        let date = format!(
            "2024-{:02}-{:02}T{hour:02}:{minute:02}:{rest:02}",
            day / 28 % 12 + 1,
            day % 28 + 1
        );
        let fraction = if self.random.one_in(2) { "" } else { ".359" };
        let zone = match self.random.below(12) {
            0 if self.recipe.drift => "+02:00",
            1 if self.recipe.drift => "",
            2 if self.recipe.drift => "1234567Z",
            _ => "Z",
        };
        let fraction = if zone.len() > 7 { ".1" } else { fraction };
        self.string(key, &format!("{date}{fraction}{zone}"));
    }
}
