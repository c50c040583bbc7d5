//! The input of the benchmarks: tasks of the sandbox, the same with long texts, or tasks from a file. The same
//! arguments always give the same bytes.

use scale_export::json::parser::Parser;
use scale_export::json::value::Value;
use scale_export::sandbox::generate::sample_task;

/// Words of the long texts; a few with escapes, quotes and letters of more than one byte.
const WORDS: [&str; 40] = [
    "the",
    "answer",
    "is",
    "that",
    "a",
    "model",
    "should",
    "first",
    "read",
    "question",
    "then",
    "compare",
    "both",
    "sides",
    "\\n\\n",
    "of",
    "it",
    "and",
    "write",
    "down",
    "why",
    "one",
    "seems",
    "better",
    "to",
    "\\\"quoted\\\"",
    "reviewer",
    "who",
    "knows",
    "subject",
    "well",
    "naïve",
    "enough",
    "not",
    "be",
    "fooled",
    "by",
    "style",
    "alone",
    "\\u2014",
];

/// Minimum bytes of a long text, and maximum bytes in addition.
const LONG: (u64, u64) = (2_000, 8_000);

/// Tasks as they come over the network, one string each.
#[derive(Debug)]
pub(crate) struct Tasks {
    /// Name of the set in results.
    pub(crate) name: &'static str,
    /// Their JSON.
    pub(crate) tasks: Vec<String>,
}

impl Tasks {
    /// Tasks of the sandbox, unchanged.
    pub(crate) fn sandbox(count: u64) -> Self {
        Self {
            name: "sandbox",
            tasks: (1..=count).map(sample_task).collect(),
        }
    }

    /// A fifth as many tasks, with long texts.
    pub(crate) fn long_texts(count: u64) -> Self {
        Self {
            name: "long texts",
            tasks: (1..=count.div_ceil(5)).map(long_task).collect(),
        }
    }

    /// Tasks of a file, one per line.
    pub(crate) fn of_lines(text: &str) -> Self {
        Self {
            name: "given",
            tasks: text.lines().map(str::to_owned).collect(),
        }
    }

    /// Total bytes.
    pub(crate) fn bytes(&self) -> u64 {
        self.tasks.iter().map(|task| task.len() as u64).sum()
    }
}

fn long_task(number: u64) -> String {
    let task = sample_task(number);
    let mut parser = Parser::default();
    // Tasks of the sandbox are JSON without white space.
    let Ok(document) = parser.parse(&task) else {
        return task;
    };
    let mut ends = Vec::new();
    ends_of_texts(document.root(), &mut ends);
    ends.sort_unstable();
    let mut state = number;
    let mut out = String::with_capacity(task.len() + ends.len() * 8_192);
    let mut from = 0;
    for end in ends {
        out.push_str(task.get(from..end).unwrap_or_default());
        let (least, more) = LONG;
        let wanted = out.len() as u64 + least + random(&mut state) % more;
        while (out.len() as u64) < wanted {
            let word = random(&mut state) % WORDS.len() as u64;
            out.push(' ');
            let word = usize::try_from(word).unwrap_or_default();
            out.push_str(WORDS.get(word).copied().unwrap_or_default());
        }
        from = end;
    }
    out.push_str(task.get(from..).unwrap_or_default());
    out
}

/// The ends of the strings under the key `text`: positions before the closing quote.
fn ends_of_texts(value: Value<'_>, ends: &mut Vec<usize>) {
    for (key, member) in value.members() {
        if key.is("text") && member.raw().starts_with('"') {
            ends.push(member.offset() + member.raw().len() - 1);
        } else {
            ends_of_texts(member, ends);
        }
    }
    for element in value.elements() {
        ends_of_texts(element, ends);
    }
}

/// Knuth's generator, which is good enough to pick words.
fn random(state: &mut u64) -> u64 {
    *state = state
        .wrapping_mul(6_364_136_223_846_793_005)
        .wrapping_add(1_442_695_040_888_963_407);
    *state >> 33
}
