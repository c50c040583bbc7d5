//! The head of the page: what was exported, when, and how much.

use crate::encode::format::Format;
use crate::plural::bytes_text;
use crate::publish::manifest::Manifest;
use crate::report::html::markup::{Markup, NAME_CHARS, SENTENCE_CHARS};
use crate::report::html::number_text::{count_text, share_text};
use crate::report::html::table_view::{TableView, Tile, and_more, section, shown_count, tiles};

/// List endpoints that are named.
const MAX_LISTS: usize = 8;

/// The head of the page.
pub(super) fn overview(manifest: &Manifest) -> Markup {
    let title = Markup::element("h1", "", &Markup::text("Export report"));
    let published = published_text(&manifest.run.finished_at);
    let line = Markup::text("Published ")
        .and(&Markup::data(&published, NAME_CHARS))
        .and(&Markup::text(" from "))
        .and(&Markup::data(&manifest.options.base_url, SENTENCE_CHARS));
    let head = title.and(&Markup::element("p", "class=\"lead\"", &line));
    let head = head.and(&shard(manifest)).and(&lists(manifest));
    Markup::element("header", "", &head.and(&counts(manifest)))
}

/// `2024-01-31 12:00:05 UTC`, or the text itself if it is not a time.
fn published_text(time: &str) -> String {
    match time.parse::<jiff::Timestamp>() {
        Ok(time) => time.strftime("%Y-%m-%d %H:%M:%S UTC").to_string(),
        Err(_) => time.to_owned(),
    }
}

/// Which part of a list it has, if it has not the whole.
fn shard(manifest: &Manifest) -> Markup {
    let Some(place) = &manifest.shard else {
        return Markup::default();
    };
    let of = count_text(place.list.requested);
    let line = Markup::text(&format!("Shard {} of a list of {of} task IDs", place.shard));
    Markup::element("p", "class=\"lead\"", &line)
}

fn lists(manifest: &Manifest) -> Markup {
    let lists = &manifest.options.lists;
    if lists.is_empty() {
        return Markup::default();
    }
    let mut line = Markup::text("Tasks of ");
    let shown = shown_count(lists.len(), MAX_LISTS);
    for (at, list) in lists.iter().take(shown).enumerate() {
        if at > 0 {
            line.push(&Markup::text(", "));
        }
        line.push(&Markup::data(list, SENTENCE_CHARS));
    }
    let more = and_more(lists.len(), shown, false, "list");
    line.push(&Markup::text(&format!(" {more}")));
    Markup::element("p", "class=\"lead\"", &line)
}

/// The counts of IDs.
fn counts(manifest: &Manifest) -> Markup {
    let ids = &manifest.ids;
    let all = ids.requested;
    let entries = [
        ("requested", ids.requested, "distinct task IDs"),
        ("exported", ids.exported, "in the tables"),
        ("failed", ids.failed, "not in the tables"),
        ("stale", ids.stale, "exported, last request failed"),
    ];
    tiles(entries.map(|(name, count, meaning)| Tile {
        name,
        value: count_text(count),
        meaning: match name {
            "requested" => meaning.to_owned(),
            _ => format!("{}, {meaning}", share_text(count, all)),
        },
        is_alert: count > 0 && ["failed", "stale"].contains(&name),
    }))
}

/// The tables with their rows and bytes.
pub(super) fn tables(manifest: &Manifest) -> Markup {
    let mut table = TableView::new("Tables", &["table", "rows", "size"]);
    let all = manifest.options.table_selection();
    for info in all.tables() {
        let Some((_, files)) = manifest.tables.iter().find(|(name, _)| name == info.name) else {
            continue;
        };
        let bytes = files.files.iter().map(|file| file.file.bytes).sum();
        table.rows.push(vec![
            Markup::element("code", "", &Markup::text(info.name)),
            Markup::text(&count_text(files.rows)),
            Markup::text(&bytes_text(bytes)),
        ]);
    }
    let format = match manifest.options.format {
        Format::Parquet => "Parquet",
        Format::Csv => "CSV",
    };
    section("tables", &format!("Tables ({format})"), &table.markup())
}
