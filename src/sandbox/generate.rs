//! Generates tasks. A task depends on the seed and its number only, and a few hundred tasks have everything that the
//! API's documentation has.

use crate::sandbox::json_writer::TaskWriter;
use crate::sandbox::naming::{
    DetailOptions, GeneratorOptions, PROJECTS, batch_name, id_of, project_name,
};
use crate::sandbox::random::{Random, sentences};

const MODELS: [&str; 4] = ["north-1-large", "north-1-small", "quill-7b", "ember-2"];
const ANNOTATION_TYPES: [&str; 12] = [
    "integer",
    "boolean",
    "text",
    "category",
    "category_multiple",
    "file",
    "workspace_container",
    "ranked_choices",
    "ranked_groups",
    "rubric_criteria",
    "rubric_rating",
    "labeled_text",
];

/// The body of `task_<number>` with all details, for measurements.
pub fn sample_task(number: u64) -> String {
    let details = DetailOptions {
        annotation_info: true,
        attachment_info: true,
        model_parameters: true,
        ..DetailOptions::default()
    };
    GeneratorOptions::default().task(&format!("task_{number}"), number, details)
}

impl GeneratorOptions {
    fn writer(&self, number: u64, details: DetailOptions) -> TaskWriter {
        TaskWriter {
            out: String::with_capacity(8_192),
            random: Random::of(self.seed, &number.to_le_bytes()),
            details,
            recipe: *self,
        }
    }

    /// The body of `task_<number>`.
    pub(crate) fn task(&self, task_id: &str, number: u64, details: DetailOptions) -> String {
        let mut writer = self.writer(number, details);
        writer.task(task_id, number);
        writer.out
    }
}

/// The object of a batch.
pub(crate) fn batch_object(number: u64) -> String {
    let mut writer = GeneratorOptions::default().writer(0, DetailOptions::default());
    writer.batch_object(number);
    writer.out
}

/// The object of a project.
pub(crate) fn project_object(number: u64) -> String {
    let mut writer = GeneratorOptions::default().writer(0, DetailOptions::default());
    writer.project_object(number);
    writer.out
}

impl TaskWriter {
    fn task(&mut self, task_id: &str, number: u64) {
        let status = match number % 20 {
            0..13 => "completed",
            13 => "completed, but reported",
            14 | 15 => "pending",
            16 => "canceled",
            17 => "error",
            18 => "deleted",
            _ if self.drifts(2) => "in_review",
            _ => "completed",
        };
        let is_reported = status.contains("reported");
        let is_completed = status == "completed" || is_reported;
        self.object(|w| {
            w.string("task_id", task_id);
            w.project(
                "project",
                w.recipe.project(number),
                w.details.expand_project,
            );
            match w.recipe.batch(number) {
                Some(batch) => w.batch(batch),
                None if number.is_multiple_of(7) => {}
                None => w.raw("batch", "null"),
            }
            w.string("status", if is_reported { "completed" } else { status });
            w.time(
                "created_at",
                usize::try_from(number % 300).unwrap_or_default(),
            );
            if is_completed {
                w.time(
                    "completed_at",
                    usize::try_from(number % 300 + 20).unwrap_or_default(),
                );
            }
            w.metadata(number);
            if !is_reported {
                let threads = if status == "completed" {
                    1 + w.random.below(5) / 4
                } else {
                    0
                };
                w.list("threads", threads, |w, _| w.thread());
            }
            if status == "error" {
                w.list("errors", 2, |w, index| {
                    let kind = ["UNSUPPORTED_LANGUAGE", "PROMPT_INFEASIBLE"].get(index);
                    w.object(|w| {
                        w.string("type", kind.copied().unwrap_or_default());
                        w.sentences("message", 1);
                        w.oddity();
                    });
                });
            }
            if is_reported {
                w.list("sensitive_content_reports", 1, |w, _| {
                    w.object(|w| {
                        w.string("type", "violence");
                        w.sentences("message", 1);
                    });
                });
            }
            w.oddity();
        });
    }

    fn metadata(&mut self, number: u64) {
        if self.drifts(9) {
            return self.raw("metadata", "[\"not\",\"an object\"]");
        }
        self.key("metadata");
        self.object(|w| {
            w.number("row", number);
            w.string("source", "sandbox");
            if w.random.one_in(3) {
                w.raw("nested", "{\"tags\":[\"a\",\"b\"],\"ratio\":0.25}");
            }
        });
        self.out.push(',');
    }

    fn project(&mut self, key: &str, number: u64, expand: bool) {
        if !expand {
            return self.string(key, &id_of("project", number));
        }
        self.key(key);
        self.project_object(number);
        self.out.push(',');
    }

    fn project_object(&mut self, number: u64) {
        self.object(|w| {
            w.string("id", &id_of("project", number));
            w.string("name", &project_name(number));
            w.string("created_at", "2023-11-07T05:31:56Z");
            w.raw("types", "[\"RLHF: Pref Ranking\",\"Evals\"]");
            w.raw("models", "[\"north-1-large\",\"quill-7b\"]");
        });
    }

    fn batch(&mut self, number: u64) {
        if !self.details.expand_batch {
            return self.string("batch", &id_of("batch", number));
        }
        self.key("batch");
        self.batch_object(number);
        self.out.push(',');
    }

    fn batch_object(&mut self, number: u64) {
        self.object(|w| {
            w.string("id", &id_of("batch", number));
            w.string("name", &batch_name(number));
            w.project("project", number % PROJECTS, number.is_multiple_of(2));
            w.string("created_at", "2023-12-01T00:00:00.500Z");
            w.string("status", "in_progress");
            w.raw("metadata", "{\"priority\":1}");
            w.string("callback", "https://callback.example.com/hook");
        });
    }

    fn thread(&mut self) {
        self.object(|w| {
            w.id("id", "thread");
            let turns = 1 + w.random.below(3);
            w.list("turns", turns, |w, _| w.turn());
            if w.random.one_in(2) {
                w.list("submissions", 1, |w, index| {
                    w.object(|w| {
                        w.time("submitted_at", index);
                        w.id("contributor_id", "contributor");
                        w.oddity();
                    });
                });
            }
            w.annotations(4);
            w.oddity();
        });
    }

    fn turn(&mut self) {
        self.object(|w| {
            w.id("id", "turn");
            let answers = 1 + w.random.below(2);
            let has_rubric = w.random.one_in(4);
            w.list("messages", answers + 1, |w, index| {
                w.message(index, has_rubric);
            });
            w.annotations(3);
            if has_rubric {
                w.list("rubrics", 1, |w, _| w.rubric());
            } else if w.drifts(10) {
                w.raw("rubrics", "{\"not\":\"a list\"}");
            }
            w.oddity();
        });
    }

    fn message(&mut self, index: usize, has_rubric: bool) {
        let role = match index {
            0 if self.random.one_in(8) => "system",
            0 => "user",
            _ if self.drifts(15) => "tool",
            _ if self.random.one_in(10) => "function",
            _ => "assistant",
        };
        self.object(|w| {
            w.string("role", role);
            w.key("content");
            w.object(TaskWriter::content);
            w.out.push(',');
            w.id("source_id", "source");
            if role == "assistant" {
                if w.details.model_parameters {
                    w.model_parameters();
                }
                w.annotations(2);
                if has_rubric {
                    w.list("rubric_evaluations", 1, |w, _| w.rubric_evaluation());
                }
            } else if w.random.one_in(3) {
                w.raw("annotations", "[]");
            }
            w.oddity();
        });
    }

    fn content(&mut self) {
        if self.random.one_in(25) {
            return;
        }
        let length = 2 + self.random.below(8);
        self.sentences("text", length);
        if self.random.one_in(6) {
            self.list("reference_texts", 1, |w, _| {
                w.object(|w| {
                    w.sentences("content", 2);
                    w.string("category", "reference_answer");
                    w.string("url", "https://example.com/a?b=c");
                });
            });
        }
        if self.random.one_in(6) {
            self.list("attachments", 3, Self::file);
        }
        if self.random.one_in(6) {
            self.list("chunks", 2, |w, _| {
                w.object(|w| {
                    w.string("type", "text");
                    w.sentences("text", 1);
                    w.annotations(2);
                });
            });
        }
        if self.random.one_in(6) {
            self.list("reasoning", 2, |w, _| {
                w.object(|w| w.sentences("content", 2));
            });
        }
        self.oddity();
    }

    fn model_parameters(&mut self) {
        let model = self.random.pick(&MODELS).unwrap_or_default();
        let odd = self.drifts(10);
        self.key("model_parameters");
        self.object(|w| {
            w.string("model", model);
            w.raw("temperature", if odd { "\"warm\"" } else { "0.7" });
            w.raw(
                "max_completion_tokens",
                if odd { "9223372036854775808" } else { "1024" },
            );
            let top_p = if w.random.one_in(2) { "1" } else { "0.95" };
            w.raw("top_p", top_p);
            w.number("top_k", 40);
            w.oddity();
        });
        self.out.push(',');
    }

    /// A file: inline, an image or audio.
    fn file(&mut self, index: usize) {
        let details = self.details.attachment_info;
        self.object(|w| {
            w.id("scale_url", "scaledata://sandbox/file");
            if !details {
                return;
            }
            match index % 3 {
                0 => {
                    w.string("name", "note.txt");
                    w.string("mime_type", "text/plain");
                    let invalid = w.drifts(4);
                    w.string(
                        "content",
                        if invalid {
                            "not base64!"
                        } else {
                            "QSBub3RlIG9uIHRoZSByaXZlci4="
                        },
                    );
                }
                1 => {
                    w.string("name", "river.png");
                    w.string("mime_type", "image/png");
                    w.number("file_size_in_bytes", 9_007_199_254_740_993_u64);
                }
                _ => {
                    w.string("mime_type", "audio/mpeg");
                    w.number("duration", "12.5");
                    w.sentences("transcript", 1);
                    w.string("transcript_url", "https://example.com/transcript");
                    w.number("transcript_start", 0);
                    w.number("transcript_end", "12.48");
                }
            }
            w.string("url", "https://files.example.com/x?signature=abc");
        });
    }

    /// A list of up to `most` annotations.
    fn annotations(&mut self, most: usize) {
        if self.drifts(20) {
            return self.raw("annotations", "null");
        }
        let count = self.random.below(most + 1);
        self.list("annotations", count, |w, _| w.annotation());
    }

    fn annotation(&mut self) {
        let kind = self.random.pick(&ANNOTATION_TYPES).unwrap_or_default();
        let shown = if self.drifts(15) { "emoji" } else { kind };
        let details = self.details.annotation_info;
        self.object(|w| {
            w.id("id", "an");
            w.string("key", &format!("{kind}_check"));
            w.string("type", shown);
            if details {
                w.string("title", "How good is it?");
                w.string("description", "Think of the whole answer, not of its first line.");
            }
            w.key("value");
            w.value(kind);
            w.out.push(',');
            if details {
                match kind {
                    "integer" => {
                        w.raw("labels", "[\"poor\",\"fair\",\"good\"]");
                        let nested = w.random.one_in(2);
                        w.raw("possible_values", if nested { "[[1,2,3]]" } else { "[1,2,3]" });
                    }
                    "category" => {
                        w.raw("labels", "[\"First\",\"Second\"]");
                        w.raw("possible_values", "[\"a\",\"b\"]");
                    }
                    _ => {}
                }
                if w.random.one_in(3) {
                    w.sentences("justification", 2);
                }
                if w.random.one_in(5) {
                    w.raw("not_applicable", "false");
                    w.raw("cannot_assess", if w.recipe.drift { "\"no\"" } else { "true" });
                }
                match w.random.below(4) {
                    0 => w.raw("metadata", "{\"criteria\":\"overall_quality\"}"),
                    1 => w.raw(
                        "metadata",
                        "{\"criteria\":{\"id\":\"an_of_the_criterion\",\"key\":\"quality\",\"type\":\"text\",\"value\":\"x\"}}",
                    ),
                    _ => {}
                }
            }
            w.oddity();
        });
    }

    /// A value of the annotation type or, with drift, sometimes of another.
    fn value(&mut self, kind: &str) {
        const ODD: [&str; 8] = [
            "\"007\"",
            "4.5",
            "[]",
            "{}",
            "null",
            "123456789012345678901234567890",
            "[1,\"a\"]",
            "\"\\ud800\"",
        ];
        if self.drifts(8) {
            let odd = self.random.pick(&ODD).unwrap_or_default();
            self.out.push_str(odd);
            return;
        }
        match kind {
            "integer" => {
                let value = 1 + self.random.below(3);
                self.out.push_str(&value.to_string());
            }
            "boolean" => self.out.push_str("true"),
            "text" => sentences(&mut self.random, 2, &mut self.out),
            "category" => self.out.push_str("\"b\""),
            "category_multiple" | "ranked_choices" => {
                self.out.push_str("[\"a\",\"b, or \\\"c\\\"\"]");
            }
            "ranked_groups" => self.out.push_str("[[\"a\"],[\"b\",\"c\"]]"),
            "labeled_text" => self
                .out
                .push_str("[{\"label\":\"claim\",\"text\":\"It rains.\"}]"),
            "file" if self.random.one_in(2) => self.file(0),
            "file" => {
                self.out.push('[');
                self.file(0);
                self.out.push(',');
                self.file(1);
                self.out.push(']');
            }
            "rubric_criteria" => self.out.push_str("{\"weight\":2.5,\"other\":\"kept\"}"),
            "rubric_rating" => {
                self.out
                    .push_str("{\"score\":4,\"color\":\"green\",\"justification\":\"clear\"}");
            }
            _ => self.workspace(),
        }
    }

    fn workspace(&mut self) {
        self.object(|w| {
            w.id("workspace_id", "workspace");
            w.key("workspace_config");
            w.object(|w| {
                w.string("workspace_id", "workspace_1");
                w.string("workspace_url", "https://workspace.example.com");
                let token = format!("sandbox-token-{}", w.random.hex());
                w.string("workspace_token", &token);
                w.string("expires_at", "2024-12-31T00:00:00Z");
                w.number("inactivity_freeze_time", 600);
            });
            w.out.push(',');
            w.list("output_files", 2, |w, index| {
                w.object(|w| {
                    w.string("file_name", &format!("src/step_{index}.py"));
                    w.id("scale_url", "scaledata://workspace");
                    w.string("file_language", "python");
                    w.string("file_content", "print(\"done\")\n");
                });
            });
            w.raw(
                "stdout_output",
                "{\"content\":\"done\\n\",\"url\":\"https://files.example.com/out\"}",
            );
            w.raw("stderr_output", "{\"content\":\"\"}");
        });
    }

    fn rubric(&mut self) {
        self.object(|w| {
            w.list("criteria_definitions", 2, |w, index| {
                w.object(|w| {
                    w.string("id", &format!("criterion_{index}"));
                    w.sentences("criterion", 1);
                    w.number("weight", "0.5");
                    w.annotations(2);
                });
            });
            w.number("max_total_score", 10);
            w.oddity();
        });
    }

    fn rubric_evaluation(&mut self) {
        self.object(|w| {
            w.list("criteria_evaluations", 2, |w, index| {
                w.object(|w| {
                    w.string("criterion_definition_id", &format!("criterion_{index}"));
                    w.number("score", "3.5");
                    w.annotations(1);
                });
            });
            w.annotations(2);
            w.number("total_score", 7);
            w.number("percentage", "70.0");
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all_details() -> DetailOptions {
        DetailOptions::of_query(
            "expand=project&expand=batch&opts=annotation_details&opts=attachment_details&opts=model_parameters",
        )
    }

    #[test]
    fn the_same_number_gives_the_same_task() {
        let make = |seed| {
            let recipe = GeneratorOptions {
                seed,
                drift: true,
                batch_size: None,
            };
            recipe.task("task_7", 7, all_details())
        };
        assert_eq!(make(1), make(1));
        assert_ne!(make(1), make(2));
    }

    #[test]
    fn tasks_are_valid_json() {
        let mut parser = crate::json::parser::Parser::default();
        for number in 0..1_000 {
            let task = GeneratorOptions::default().task("task_1", number, all_details());
            serde_json::from_str::<serde_json::Value>(&task).unwrap();
            let drifting = GeneratorOptions {
                drift: true,
                ..GeneratorOptions::default()
            };
            let task = drifting.task("task_1", number, all_details());
            parser.parse(&task).unwrap();
        }
    }

    #[test]
    fn five_hundred_tasks_have_every_documented_member() {
        let all: String = (0..500)
            .map(|number| GeneratorOptions::default().task("task_1", number, all_details()))
            .collect();
        for kind in ANNOTATION_TYPES {
            assert!(all.contains(&format!("\"type\":\"{kind}\"")), "{kind}");
        }
        for part in [
            "\"pending\"",
            "\"canceled\"",
            "\"deleted\"",
            "\"errors\"",
            "sensitive_content_reports",
            "rubric_evaluations",
            "criteria_evaluations",
            "criteria_definitions",
            "chunks",
            "reasoning",
            "reference_texts",
            "submissions",
            "workspace_token",
            "\"content\":{}",
            "file_size_in_bytes",
            "transcript",
            "\"criteria\":\"",
            "\"criteria\":{",
            "\"batch\":null",
            "\"function\"",
            "\"system\"",
        ] {
            assert!(all.contains(part), "{part}");
        }
    }
}
