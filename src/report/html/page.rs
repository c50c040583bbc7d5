//! The page as a whole. It has no script and loads nothing, and its policy forbids both.

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use sha2::{Digest as _, Sha256};

use crate::publish::manifest::Manifest;
use crate::report::html::markup::{Markup, NAME_CHARS};
use crate::report::html::overview;
use crate::report::html::problem_sections::{drift, failures, kinds, problems};
use crate::report::html::question_sections::{labels, questions};
use crate::report::html::score_sections::{rubrics, scores};
use crate::report::html::table_view::{note, section};
use crate::report::html::task_sections::{durations, tasks};
use crate::report::html::text_sections::{contributors, lengths};
use crate::report::statistics::Statistics;
use crate::tables::selection::TableSelection;
use crate::tables::table::Table;

const STYLE: &str = include_str!("style.css");

/// The start of every page. It identifies a file as a report.
pub const PAGE_START: &str = "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><meta name=\"generator\" content=\"scale-export report\">";

/// Sections with their links, in the order of the page.
const LINKS: [(&str, &str); 11] = [
    ("tasks", "Tasks"),
    ("durations", "Time"),
    ("questions", "Questions"),
    ("labels", "Labels"),
    ("scores", "Scores"),
    ("rubrics", "Rubrics"),
    ("lengths", "Text lengths"),
    ("failures", "Failures"),
    ("drift", "Drift"),
    (CONTRIBUTORS, "Contributors"),
    ("tables", "Tables"),
];

/// The section that is left out by default.
const CONTRIBUTORS: &str = "contributors";

/// What the page is made of.
#[derive(Debug, Clone, Copy)]
pub struct ReportPage<'p> {
    /// The manifest of the export.
    pub manifest: &'p Manifest,
    /// The statistics of its tables.
    pub statistics: &'p Statistics,
    /// Whether contributors are shown.
    pub has_contributors: bool,
}

impl ReportPage<'_> {
    /// The HTML document.
    pub fn html(&self) -> String {
        let body = self.body();
        let hash = BASE64_STANDARD.encode(Sha256::digest(STYLE));
        let policy = format!(
            "default-src 'none'; style-src 'sha256-{hash}'; base-uri 'none'; form-action 'none'"
        );
        [
            PAGE_START,
            "<meta http-equiv=\"Content-Security-Policy\" content=\"",
            &policy,
            "\"><meta name=\"viewport\" content=\"width=device-width, initial-scale=1\"><meta name=\"color-scheme\" content=\"light dark\"><title>Export report</title><style>",
            STYLE,
            "</style></head>\n<body>",
            body.as_str(),
            "</body></html>\n",
        ]
        .concat()
    }

    fn body(&self) -> Markup {
        let sections = [
            self.of(Table::Tasks, "tasks", "Tasks", |all| tasks(&all.tasks)),
            self.of(
                Table::Tasks,
                "durations",
                "Time from creation to completion",
                |all| durations(&all.tasks.durations),
            ),
            self.of(Table::Annotations, "questions", "Questions", |all| {
                questions(&all.questions)
            }),
            self.of(Table::Annotations, "labels", "Labels by question", |all| {
                labels(&all.questions)
            }),
            self.of(
                Table::Annotations,
                "scores",
                "Scores by question and model",
                |all| scores(&all.questions, self.is_joined(Table::Messages)),
            ),
            self.of(
                Table::CriterionEvaluations,
                "rubrics",
                "Rubric scores by criterion and model",
                |all| {
                    let has_texts = self.is_joined(Table::RubricCriteria);
                    rubrics(&all.rubrics, has_texts, self.is_joined(Table::Messages))
                },
            ),
            self.of(Table::Messages, "lengths", "Text lengths", |all| {
                lengths(&all.messages)
            }),
            self.problems(),
            drift(&self.manifest.drift),
            self.contributors(),
            overview::tables(self.manifest),
        ];
        let main = Markup::element("main", "", &sections.into_iter().collect());
        let tool = &self.manifest.tool;
        let footer = Markup::text("Export written by ")
            .and(&Markup::data(
                &format!("{} {}", tool.name, tool.version),
                NAME_CHARS,
            ))
            .and(&Markup::text(&format!(
                ", schema {}; report by scale-export {}.",
                self.manifest.schema_version,
                env!("CARGO_PKG_VERSION")
            )));
        overview::overview(self.manifest)
            .and(&self.links())
            .and(&main)
            .and(&Markup::element("footer", "", &footer))
    }

    fn links(&self) -> Markup {
        let links = LINKS.into_iter();
        let links = links.filter(|(id, _)| *id != CONTRIBUTORS || self.has_contributors);
        let links = links.map(|(id, name)| {
            let link = Markup::element("a", &format!("href=\"#{id}\""), &Markup::text(name));
            Markup::element("li", "", &link)
        });
        let list = Markup::element("ul", "", &links.collect());
        Markup::element("nav", "aria-label=\"Sections\"", &list)
    }

    fn exported(&self) -> TableSelection {
        self.manifest.options.table_selection()
    }

    /// Whether rows of a table were found by those that refer to them.
    fn is_joined(&self, table: Table) -> bool {
        let exported = self.exported();
        exported.contains(table) && exported.contains(Table::Tasks)
    }

    /// A section about a table, or that the table was not exported.
    fn of(
        &self,
        table: Table,
        id: &str,
        title: &str,
        render: impl FnOnce(&Statistics) -> Markup,
    ) -> Markup {
        if self.exported().contains(table) {
            return render(self.statistics);
        }
        section(id, title, &not_exported(table))
    }

    fn rows(&self, table: Table) -> u64 {
        let mut tables = self.manifest.tables.iter();
        let found = tables.find(|(name, _)| name == table.name());
        found.map_or(0, |(_, files)| files.rows)
    }

    fn problems(&self) -> Markup {
        let kinds_of = |table, counts, caption| {
            if self.exported().contains(table) {
                kinds(caption, counts, self.rows(table))
            } else {
                not_exported(table)
            }
        };
        let statistics = self.statistics;
        problems([
            ("Failed IDs", failures(&statistics.failures)),
            (
                "Errors of tasks",
                kinds_of(Table::Errors, &statistics.errors, "Errors of tasks by type"),
            ),
            (
                "Reports of sensitive content",
                kinds_of(
                    Table::SensitiveContentReports,
                    &statistics.reports,
                    "Reports of sensitive content by type",
                ),
            ),
        ])
    }

    fn contributors(&self) -> Markup {
        if !self.has_contributors {
            return Markup::default();
        }
        self.of(Table::Submissions, CONTRIBUTORS, "Contributors", |all| {
            contributors(&all.contributors, self.rows(Table::Submissions))
        })
    }
}

fn not_exported(table: Table) -> Markup {
    let name = table.name();
    note(&format!("The table {name} was not exported (--tables)."))
}
