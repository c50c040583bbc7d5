//! Suggestions for misspelled names. Pure.

/// A name is near when at most one character in this many differs.
const CHARACTERS_PER_EDIT: usize = 3;

/// A shorter name does not count as the start of another.
const MIN_PREFIX: usize = 3;

/// A name that can be suggested, and other spellings that mean it.
#[derive(Debug, Clone, Default)]
pub(crate) struct KnownName {
    /// The name to suggest.
    pub(crate) name: String,
    /// Spellings that lead to it too.
    pub(crate) also: Vec<String>,
}

impl From<&str> for KnownName {
    fn from(name: &str) -> Self {
        Self {
            name: name.to_owned(),
            also: Vec::new(),
        }
    }
}

/// The nearest name, if any is near. Case does not matter, and `_` equals `-`.
pub(crate) fn nearest(
    typed: &str,
    candidates: impl IntoIterator<Item = KnownName>,
) -> Option<String> {
    let typed = normal(typed);
    let near = candidates.into_iter().filter_map(|candidate| {
        let spellings = candidate.also.iter().chain([&candidate.name]);
        let distance = spellings
            .filter_map(|spelling| near_distance(&typed, &normal(spelling)))
            .min()?;
        let of_name = edit_distance(&typed, &normal(&candidate.name));
        Some((distance, of_name, candidate.name))
    });
    // Of names that are equally near by any spelling, the one whose own name is nearer.
    near.min().map(|(_, _, name)| name)
}

/// The nearest of names without other spellings.
pub(crate) fn nearest_name<'n>(
    typed: &str,
    names: impl IntoIterator<Item = &'n str>,
) -> Option<String> {
    nearest(typed, names.into_iter().map(KnownName::from))
}

/// A hint that names the nearest name before the rest.
pub(crate) fn did_you_mean(nearest: Option<String>, rest: &str) -> String {
    match nearest {
        Some(name) => format!("did you mean `{name}`? {rest}"),
        None => rest.to_owned(),
    }
}

fn normal(name: &str) -> String {
    name.to_lowercase().replace('_', "-")
}

/// The distance of a spelling from the typed name, if it is near.
fn near_distance(typed: &str, spelling: &str) -> Option<usize> {
    let shorter = typed.len().min(spelling.len());
    // `--refr` means `--refresh`, although three letters are missing.
    let is_prefix =
        shorter >= MIN_PREFIX && (typed.starts_with(spelling) || spelling.starts_with(typed));
    if is_prefix {
        return Some(usize::from(typed != spelling));
    }
    let distance = edit_distance(typed, spelling);
    let allowed = (typed.chars().count() / CHARACTERS_PER_EDIT).max(1);
    (distance <= allowed && distance < spelling.chars().count()).then_some(distance)
}

/// The number of insertions, deletions, replacements and swaps of neighbors between two texts.
fn edit_distance(one: &str, other: &str) -> usize {
    let other: Vec<char> = other.chars().collect();
    let mut above: Vec<usize> = Vec::new();
    let mut row: Vec<usize> = (0..=other.len()).collect();
    let mut last = None;
    for (line, letter) in one.chars().enumerate() {
        let mut next = vec![line + 1];
        for (column, &wanted) in other.iter().enumerate() {
            let at =
                |row: &[usize], column: usize| row.get(column).copied().unwrap_or(usize::MAX - 1);
            let mut cost = (at(&row, column) + usize::from(letter != wanted))
                .min(at(&row, column + 1) + 1)
                .min(at(&next, column) + 1);
            let before = column.checked_sub(1).and_then(|before| other.get(before));
            // Two swapped letters are a frequent typing error, so they cost one step and not two.
            if last == Some(wanted) && before == Some(&letter) {
                cost = cost.min(at(&above, column - 1) + 1);
            }
            next.push(cost);
        }
        above = std::mem::replace(&mut row, next);
        last = Some(letter);
    }
    row.last().copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_nearest_name_is_suggested_and_none_that_is_far() {
        let options = || {
            [
                ("id", "id"),
                ("ids", "file"),
                ("ca-file", "file"),
                ("out", "dir"),
                ("timeout", "time"),
                ("retry-timeout", "time"),
                ("api-key-file", "file"),
                ("max-retries", "n"),
                ("max-failures", "n"),
            ]
            .map(|(name, value)| KnownName {
                name: name.to_owned(),
                also: vec![format!("{name}-{value}")],
            })
        };
        for (typed, expected) in [
            ("id-file", Some("ids")),
            ("ids-file", Some("ids")),
            ("output", Some("out")),
            ("out-dir", Some("out")),
            ("tiemout", Some("timeout")),
            ("max_retry", Some("max-retries")),
            ("max-failure", Some("max-failures")),
            ("cafile", Some("ca-file")),
            ("API-KEY", Some("api-key-file")),
            ("x", None),
            ("wibble", None),
        ] {
            assert_eq!(nearest(typed, options()).as_deref(), expected, "{typed}");
        }
    }

    #[test]
    fn distances() {
        for (one, other, distance) in [
            ("", "", 0),
            ("", "ab", 2),
            ("kitten", "sitting", 3),
            ("tabel", "table", 1),
            ("é", "e", 1),
        ] {
            assert_eq!(edit_distance(one, other), distance, "{one} {other}");
        }
    }

    proptest! {
        #[test]
        fn a_distance_is_symmetric_and_bounded(one in "[a-c]{0,6}", other in "[a-c]{0,6}") {
            let distance = edit_distance(&one, &other);
            prop_assert_eq!(distance, edit_distance(&other, &one));
            prop_assert_eq!(distance == 0, one == other);
            prop_assert!(distance <= one.len().max(other.len()));
        }
    }
}
