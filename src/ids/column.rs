//! Finds the column of IDs by its name.

/// Why a column was not found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum NoColumn {
    /// No column has a matching name.
    Missing,
    /// The names at these two positions match equally well.
    Ambiguous(usize, usize),
}

/// Returns the position of the column with a name. An exact match comes before one that differs in case, `_`, `-` and
/// spaces.
pub(crate) fn find_column<'n, N: Iterator<Item = &'n str>>(
    wanted: &str,
    names: impl Fn() -> N,
) -> Result<usize, NoColumn> {
    let wanted = wanted.trim();
    let only = |is_match: &dyn Fn(&str) -> bool| {
        let mut matches = names()
            .enumerate()
            .filter(|(_, name)| is_match(name.trim()))
            .map(|(position, _)| position);
        match (matches.next(), matches.next()) {
            (Some(first), Some(second)) => Err(NoColumn::Ambiguous(first, second)),
            (first, _) => first.ok_or(NoColumn::Missing),
        }
    };
    // Of `id` and `ID`, the one that is written as requested is meant.
    match only(&|name| name == wanted) {
        Err(NoColumn::Missing) => only(&|name| is_same_name(name, wanted)),
        found => found,
    }
}

/// Whether two names differ in case, `_`, `-` and white space only.
pub(crate) fn is_same_name(one: &str, other: &str) -> bool {
    if one.is_ascii() && other.is_ascii() {
        // Each line of a list of IDs is compared with several names, so the common case has to be fast.
        ascii_letters(one).eq(ascii_letters(other))
    } else {
        letters(one).eq(letters(other))
    }
}

fn letters(name: &str) -> impl Iterator<Item = char> {
    name.chars()
        .filter(|character| is_letter(*character))
        .flat_map(char::to_lowercase)
}

fn ascii_letters(name: &str) -> impl Iterator<Item = u8> {
    name.bytes()
        .filter(|byte| is_letter(char::from(*byte)))
        .map(|byte| byte.to_ascii_lowercase())
}

fn is_letter(character: char) -> bool {
    !matches!(character, '_' | '-') && !character.is_whitespace()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_exact_name_wins_and_two_others_are_ambiguous() {
        let find = |wanted, names: &[&str]| find_column(wanted, || names.iter().copied());
        for name in [
            "task_id",
            "Task ID",
            "Task_ID",
            "taskId",
            "TASK-ID",
            " task_id ",
        ] {
            assert_eq!(find("task_id", &["x", name]), Ok(1), "{name}");
        }
        assert_eq!(find("task_id", &["taskId", "task_id"]), Ok(1));
        assert_eq!(
            find("task_id", &["taskId", "x", "Task ID"]),
            Err(NoColumn::Ambiguous(0, 2))
        );
        assert_eq!(
            find("task_id", &["task_id", "task_id"]),
            Err(NoColumn::Ambiguous(0, 1))
        );
        assert_eq!(find("task_id", &["task", "id"]), Err(NoColumn::Missing));
        assert_eq!(find("", &["task_id"]), Err(NoColumn::Missing));
    }

    #[test]
    fn names_of_ascii_are_compared_like_all_others() {
        // U+212A is the Kelvin sign, whose lower case is the ASCII letter.
        assert!(is_same_name("tas\u{212a}-ID", "task_id"));
        for (one, other) in [("A\u{b} b", "a_B"), ("a", "ab"), ("_", ""), ("a1", "A2")] {
            let expected = letters(one).eq(letters(other));
            assert_eq!(is_same_name(one, other), expected, "{one:?}, {other:?}");
        }
    }
}
