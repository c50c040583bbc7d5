//! Lengths of texts, and contributors.

use crate::report::html::chart::small_histogram;
use crate::report::html::markup::{Markup, NAME_CHARS};
use crate::report::html::number_text::count_text;
use crate::report::html::table_view::{
    TableView, and_more, count_table, note, section, shown_count,
};
use crate::report::message_statistics::{LENGTH_STARTS, MessageStatistics, RoleStatistics};
use crate::report::statistics::ContributorCounts;

/// Roles that are shown.
const MAX_ROLES: usize = 10;

/// Contributors that are shown.
const MAX_CONTRIBUTORS: usize = 30;

/// Lengths of texts by role.
pub(super) fn lengths(messages: &MessageStatistics) -> Markup {
    let roles = messages.roles.by_count(|role| role.messages);
    let mut table = TableView::new(
        "Characters of messages by role",
        &[
            "role",
            "messages",
            "with text",
            "median",
            "90% within",
            "longest",
            "distribution",
        ],
    );
    for (role, statistics) in roles.iter().take(shown_count(roles.len(), MAX_ROLES)) {
        let name = Markup::optional_key(role.as_ref(), "(no role)", NAME_CHARS);
        let mut cells = vec![name];
        let characters = &statistics.characters;
        let numbers = [
            Some(statistics.messages),
            Some(characters.count()),
            characters.percentile(50),
            characters.percentile(90),
            Some(characters.largest()).filter(|_| characters.count() > 0),
        ];
        let numbers = numbers.map(|number| number.map_or_else(|| "–".to_owned(), count_text));
        cells.extend(numbers.iter().map(|number| Markup::text(number)));
        let counts = statistics.ranges.counts();
        cells.push(small_histogram(&counts, &distribution_text(statistics)));
        table.rows.push(cells);
    }
    let has_dropped = messages.roles.has_dropped();
    table.more = and_more(roles.len(), table.rows.len(), has_dropped, "role");
    let starts: Vec<String> = LENGTH_STARTS.into_iter().map(count_text).collect();
    let starts = format!(
        "Columns of the distribution begin at {} characters. Median and 90% are exact below 8,192 characters, and at most 0.025% too low above.",
        starts.join(" · ")
    );
    let content = if roles.is_empty() {
        note("No messages.")
    } else {
        table.markup().and(&note(&starts))
    };
    section("lengths", "Text lengths", &content)
}

/// The numbers of a distribution: `from 0: 3, from 10: 12`.
fn distribution_text(statistics: &RoleStatistics) -> String {
    let ranges = LENGTH_STARTS.iter().zip(statistics.ranges.counts());
    let ranges = ranges.filter(|(_, count)| *count > 0);
    let texts: Vec<String> = ranges
        .map(|(start, count)| format!("from {}: {}", count_text(*start), count_text(count)))
        .collect();
    texts.join("; ")
}

/// Submissions by contributor.
pub(super) fn contributors(contributors: &ContributorCounts, submissions: u64) -> Markup {
    let all = contributors.by_count(|count| *count);
    let rows = all
        .iter()
        .take(shown_count(all.len(), MAX_CONTRIBUTORS))
        .map(|(contributor, count)| {
            let name = Markup::optional_key(contributor.as_ref(), "(no ID)", NAME_CHARS);
            (name, **count)
        });
    let names = ["contributor", "submissions"];
    let mut table = count_table("Submissions by contributor", names, rows, submissions);
    let has_dropped = contributors.has_dropped();
    table.more = and_more(all.len(), table.rows.len(), has_dropped, "contributor");
    let content = if all.is_empty() {
        note("No submissions.")
    } else {
        table.markup()
    };
    section("contributors", "Contributors", &content)
}
