//! Tables and sections of the page.

use crate::report::html::chart::bar;
use crate::report::html::markup::Markup;
use crate::report::html::number_text::{count_text, share_text, thousandths};

/// A section with its heading. `id` is the target of its link.
pub(super) fn section(id: &str, title: &str, content: &Markup) -> Markup {
    let heading = Markup::element("h2", "", &Markup::text(title));
    let attributes = format!("id=\"{id}\"");
    Markup::element("section", &attributes, &heading.and(content))
}

/// A paragraph of the program.
pub(super) fn note(text: &str) -> Markup {
    Markup::element("p", "class=\"note\"", &Markup::text(text))
}

/// A part of a section with its heading.
pub(super) fn part(title: &str, content: &Markup) -> Markup {
    Markup::element("h3", "", &Markup::text(title)).and(content)
}

/// A number that stands out.
pub(super) struct Tile {
    pub(super) name: &'static str,
    pub(super) value: String,
    /// What the number is, in a few words.
    pub(super) meaning: String,
    /// Whether the number needs attention.
    pub(super) is_alert: bool,
}

/// A row of tiles.
pub(super) fn tiles<const N: usize>(tiles: [Tile; N]) -> Markup {
    let tiles = tiles.map(|tile| {
        let name = Markup::element("dt", "", &Markup::text(tile.name));
        let value = Markup::element("dd", "class=\"big\"", &Markup::text(&tile.value));
        let mut content = name.and(&value);
        if !tile.meaning.is_empty() {
            let meaning = Markup::text(&tile.meaning);
            content.push(&Markup::element("dd", "class=\"muted\"", &meaning));
        }
        let class = if tile.is_alert {
            "class=\"tile alert\""
        } else {
            "class=\"tile\""
        };
        Markup::element("div", class, &content)
    });
    Markup::element("dl", "class=\"tiles\"", &tiles.into_iter().collect())
}

/// A table. The first cell of each row is its heading.
#[derive(Debug, Default)]
pub(super) struct TableView {
    /// What is in the table, for people who do not see it. It also identifies the table.
    pub(super) caption: String,
    /// Headings of the columns.
    pub(super) headings: Vec<Markup>,
    /// Columns of text beside the first one, which are not aligned as numbers.
    pub(super) texts: &'static [usize],
    /// The cells, each a row with as many as there are headings.
    pub(super) rows: Vec<Vec<Markup>>,
    /// What the table does not show; empty if it shows all.
    pub(super) more: String,
}

impl TableView {
    /// An empty table.
    pub(super) fn new(caption: &str, headings: &[&str]) -> Self {
        Self {
            caption: caption.to_owned(),
            headings: headings.iter().map(|text| Markup::text(text)).collect(),
            ..Self::default()
        }
    }

    /// The table, which scrolls if it is too wide.
    pub(super) fn markup(&self) -> Markup {
        let class = |column: usize| {
            if self.texts.contains(&column) {
                "class=\"t\""
            } else {
                ""
            }
        };
        let headings = self.headings.iter().enumerate();
        let headings = headings.map(|(column, heading)| {
            let attributes = format!("scope=\"col\" {}", class(column));
            match heading.as_str() {
                // Beside a bar, which needs no heading.
                "" => Markup::element("td", "", heading),
                _ => Markup::element("th", attributes.trim_end(), heading),
            }
        });
        let head = Markup::element("tr", "", &headings.collect());
        let rows = self.rows.iter().map(|cells| {
            let cells = cells.iter().enumerate().map(|(column, cell)| match column {
                0 => Markup::element("th", "scope=\"row\"", cell),
                _ => Markup::element("td", class(column), cell),
            });
            Markup::element("tr", "", &cells.collect())
        });
        let caption = Markup::element("caption", "", &Markup::text(&self.caption));
        let table = caption
            .and(&Markup::element("thead", "", &head))
            .and(&Markup::element("tbody", "", &rows.collect()));
        let table = Markup::element("table", "", &table);
        let table = Markup::element("div", "class=\"scroll\"", &table);
        table.and(&more(&self.more))
    }
}

/// What a list does not show; nothing if it shows all.
pub(super) fn more(text: &str) -> Markup {
    if text.is_empty() {
        return Markup::default();
    }
    Markup::element("p", "class=\"more\"", &Markup::text(text))
}

/// How many of a list are shown where `most` are the limit: a line that says "and 1 more" takes as much room as the one.
pub(super) fn shown_count(all: usize, most: usize) -> usize {
    if all == most + 1 { all } else { all.min(most) }
}

/// `and 12 more questions`; `at least` if not all are known. Empty if all are shown.
pub(super) fn and_more(all: usize, shown: usize, has_dropped: bool, noun: &str) -> String {
    let more = all.saturating_sub(shown);
    let count = count_text(more as u64);
    let plural = if more == 1 && !has_dropped { "" } else { "s" };
    match (more, has_dropped) {
        (0, false) => String::new(),
        (_, false) => format!("and {count} more {noun}{plural}"),
        (0, true) => format!("and more {noun}{plural}"),
        (_, true) => format!("and more than {count} more {noun}{plural}"),
    }
}

/// A count with its bar and its share of a total, for the cells of a row.
pub(super) fn shared_count(count: u64, total: u64) -> [Markup; 3] {
    [
        bar(thousandths(count, total)),
        Markup::text(&count_text(count)),
        Markup::text(&share_text(count, total)),
    ]
}

/// A table of counts with bars and shares of a total.
pub(super) fn count_table(
    caption: &str,
    [what, counted]: [&str; 2],
    rows: impl IntoIterator<Item = (Markup, u64)>,
    total: u64,
) -> TableView {
    let mut table = TableView::new(caption, &[what, "", counted, "share"]);
    for (name, count) in rows {
        let mut cells = vec![name];
        cells.extend(shared_count(count, total));
        table.rows.push(cells);
    }
    table
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_never_hides_exactly_one() {
        for (all, shown, more) in [
            (0, 0, ""),
            (4, 4, ""),
            (5, 5, ""),
            (6, 4, "and 2 more labels"),
        ] {
            assert_eq!(shown_count(all, 4), shown, "{all}");
            assert_eq!(and_more(all, shown, false, "label"), more, "{all}");
        }
    }
}
