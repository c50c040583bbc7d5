//! Words that `STYLE.md` replaces do not appear in texts that people read.

use std::fs;
use std::path::Path;

use crate::support::{files_below, root};

/// Files and directories that are searched: prose of Markdown files, comments and strings of Rust files, and the whole
/// text of all others.
const SEARCHED: &[&str] = &[
    "CHANGELOG.md",
    "CONTRIBUTING.md",
    "Makefile",
    "benches",
    "README.md",
    "docs",
    "examples",
    "fuzz/targets",
    "packaging",
    "python",
    "src",
    "tests/consumers",
    "tests/distributed",
    "tests/image",
    "tests/it",
    "tests/lakehouse",
    "tests/python",
];

/// Files whose strings are generated text, names that programs parse, or the phrases to avoid.
const DATA: &[&str] = &[
    "src/lists/anomalies.rs",
    "src/sandbox/random.rs",
    "src/tables/schema_drift.rs",
    "tests/it/report/snapshots/it__report__report.snap",
    "tests/it/style.rs",
];

/// What to avoid, and what to write. `|` separates alternatives of a word. Phrases with a common right use are left to
/// people who review.
const AVOIDED: &[(&str, &str)] = &[
    ("anew", "rebuild, regenerate"),
    ("made again", "rebuilt"),
    ("is|are|was|were|been|being answered", "responds, rejects"),
    ("answered|answers with|429", "responds with"),
    ("server|api answers", "responds"),
    ("ask|asks|asked|asking for|again", "request, fetch, retry"),
    ("objected|objection|objections", "reject, rate-limit, 429"),
    ("told", "reported, logged, printed"),
    ("is|are said", "reported, logged, printed"),
    ("prove|proves|proved|proven|proof|proofs", "verify"),
    (
        "foreign file|files",
        "files that scale-export did not create",
    ),
    ("lists of the api", "list endpoints"),
    ("stand-in|stand-ins", "mock server"),
    ("trusted authority|authorities", "CA certificates"),
    ("further attempt|attempts", "retries"),
    ("misfit|misfits", "type mismatch"),
    ("double's|doubles'", "float64"),
    ("column|columns of doubles", "float64"),
    ("shortest print|prints", "shortest decimal that round-trips"),
    ("is|are no", "is not a"),
    (
        "requests|responses|tasks|rows|bytes|mb|times|one a second|minute|line",
        "per second, per line",
    ),
    (
        "instructions|bytes|kilobyte a byte|column|record|table|task",
        "per byte",
    ),
    ("whoever|nobody", "name the subject"),
    ("in place of", "instead of, for"),
    ("in the place of", "instead of, for"),
    ("of its|their own", "its, separate"),
    ("to its|their end", "completes"),
    ("by itself|themselves", "alone, automatically"),
    ("but for", "except for"),
    ("in the way of", "the bottleneck is"),
    ("kin", "say what happens"),
    ("go|goes|went along", "say what happens"),
    ("suffer|suffers", "say what happens"),
    ("could|can|was|were had", "was fetched"),
];

/// After these, "is no" is right: "there is no file", "is no larger than".
fn is_right(previous: &str, next: &str) -> bool {
    previous == "there" || next.ends_with("er") || ["more", "less"].contains(&next)
}

/// A word in lower case, or a mark that separates phrases, with its line.
struct Token {
    line: usize,
    text: String,
}

fn tokens(first_line: usize, text: &str) -> Vec<Token> {
    let mut tokens: Vec<Token> = Vec::new();
    let mut is_joined = false;
    let mut line = first_line;
    for c in text.chars() {
        let is_word = c.is_alphanumeric() || ['\'', '-', '_'].contains(&c);
        if is_word && is_joined {
            let last = tokens.last_mut().unwrap();
            last.text.extend(c.to_lowercase());
        } else if !c.is_whitespace() {
            let text = c.to_lowercase().collect();
            tokens.push(Token { line, text });
        }
        line += usize::from(c == '\n');
        is_joined = is_word;
    }
    tokens
}

/// Without code: blocks between fences, spans between backticks, and targets of links.
fn prose(text: &str) -> String {
    let mut prose = String::new();
    let mut is_fenced = false;
    for line in text.split_inclusive('\n') {
        let is_fence = line.trim_start().starts_with("```");
        is_fenced ^= is_fence;
        prose.push_str(if is_fence || is_fenced { "\n" } else { line });
    }
    let mut kept = String::new();
    let mut end = None;
    let mut previous = ' ';
    for c in prose.chars() {
        if end.is_none() {
            kept.push(c);
            end = match c {
                '`' => Some('`'),
                '(' if previous == ']' => Some(')'),
                _ => None,
            };
        } else if end == Some(c) {
            kept.push(c);
            end = None;
        } else if c == '\n' {
            // A paragraph ends what was not closed.
            end = end.filter(|_| previous != '\n');
            kept.push(c);
        }
        previous = c;
    }
    kept
}

/// Comments and strings of Rust code, each with the line that it begins at. Lines of a comment are one piece.
fn pieces_of_rust(code: &str) -> Vec<(usize, String)> {
    let mut pieces: Vec<(usize, String)> = Vec::new();
    let mut comment_until = 0;
    let mut string: Option<(usize, String)> = None;
    for (number, line) in (1..).zip(code.split_inclusive('\n')) {
        let mut rest = line;
        while !rest.is_empty() {
            if let Some((begin, mut text)) = string.take() {
                let end = rest.match_indices('"').map(|(at, _)| at);
                let is_escaped = |at: &usize| {
                    let before = rest[..*at].trim_end_matches('\\').len();
                    (at - before) % 2 == 1
                };
                let mut ends = end.filter(|at| !is_escaped(at));
                if let Some(end) = ends.next() {
                    text.push_str(&rest[..end]);
                    rest = &rest[end + 1..];
                    pieces.push((begin, text));
                } else {
                    text.push_str(rest.trim_end().trim_end_matches('\\'));
                    text.push('\n');
                    string = Some((begin, text));
                    break;
                }
            } else if let Some(comment) = rest.strip_prefix("//") {
                let comment = comment.trim_start_matches(['/', '!']).trim_end();
                if comment_until == number && line.trim_start().starts_with("//") {
                    let (_, text) = pieces.last_mut().unwrap();
                    text.push('\n');
                    text.push_str(comment);
                } else {
                    pieces.push((number, comment.to_owned()));
                }
                comment_until = number + 1;
                break;
            } else {
                // A character, so that `'"'` begins no string.
                let skipped = ["'\"'", "'\\\"'"].into_iter().find(|c| rest.starts_with(c));
                if rest.starts_with('"') {
                    string = Some((number, String::new()));
                }
                let first = rest.chars().next().map_or(1, char::len_utf8);
                rest = &rest[skipped.map_or(first, str::len)..];
            }
        }
    }
    pieces
}

/// What stands at the first word, if anything is to be avoided there.
fn avoided_at(tokens: &[Token], at: usize) -> Option<(String, &'static str)> {
    let word = |at: usize| tokens.get(at).map_or("", |token| token.text.as_str());
    let found = AVOIDED.iter().find(|(phrase, _)| {
        let mut words = (at..).zip(phrase.split(' '));
        let previous = at.checked_sub(1).map_or("", word);
        words.all(|(at, words)| words.split('|').any(|known| known == word(at)))
            && !(phrase.ends_with(" no") && is_right(previous, word(at + 2)))
    });
    if let Some((phrase, instead)) = found {
        let count = phrase.split(' ').count();
        let words: Vec<&str> = (at..at + count).map(word).collect();
        return Some((words.join(" "), instead));
    }
    None
}

/// What is to be avoided in a text, as lines to print.
fn search(name: &str, text: &str) -> Vec<String> {
    let pieces = if Path::new(name).extension().is_some_and(|it| it == "rs") {
        pieces_of_rust(text)
    } else {
        vec![(1, text.to_owned())]
    };
    let mut found = Vec::new();
    for (line, piece) in pieces {
        let tokens = tokens(line, &prose(&piece));
        for (at, token) in tokens.iter().enumerate() {
            if let Some((words, instead)) = avoided_at(&tokens, at) {
                found.push(format!("{name}:{}: `{words}`: {instead}", token.line));
            }
        }
        for (line, text) in (line..).zip(piece.lines()) {
            let mut percents = text.match_indices(" %").map(|(at, _)| &text[..at]);
            if percents.any(|before| before.ends_with(|c: char| c.is_ascii_digit() || c == '}')) {
                found.push(format!(
                    "{name}:{line}: ` %`: no space before a percent sign"
                ));
            }
        }
    }
    found
}

#[test]
fn texts_follow_the_style() {
    let mut found = Vec::new();
    for searched in SEARCHED {
        let path = root().join(searched);
        let files = if path.is_dir() {
            files_below(&path)
        } else {
            vec![path]
        };
        for file in files {
            let name = file.strip_prefix(root()).unwrap().display().to_string();
            if DATA.contains(&name.as_str()) {
                continue;
            }
            if let Ok(text) = fs::read_to_string(&file) {
                found.extend(search(&name, &text));
            }
        }
    }
    assert!(found.is_empty(), "see STYLE.md:\n{}", found.join("\n"));
}

#[test]
fn every_searched_text_exists() {
    for searched in SEARCHED {
        assert!(root().join(searched).exists(), "{searched}");
    }
}

#[test]
fn every_avoided_phrase_is_found() {
    for (phrase, _) in AVOIDED {
        let words = phrase.split(' ').map(|words| words.split('|').next_back());
        let text: Vec<&str> = words.map(Option::unwrap).collect();
        assert_eq!(search("a.md", &format!("It\n{},", text.join(" "))).len(), 1);
    }
    assert_eq!(search("a.md", "3 % of `all`").len(), 1);
}

#[test]
fn the_search_reads_prose_only() {
    for text in [
        "`is no` and ``` is\nno `",
        "```text\nwas told\n```",
        "[this](docs/proof.md)",
        "there is no file; it is no larger than 5%",
        "it takes a second; the rate doubles; JSON objects",
    ] {
        assert_eq!(search("a.md", text), Vec::<String>::new(), "{text}");
    }
    let code = "let told = '\"'; // was\n// told\nlet a = \"b\\\"is \\\n no task\"; /// c\n";
    let code = format!("{code}\nlet c = \"\n\n3 %\";");
    let found = search("a.rs", &code);
    assert_eq!(found.len(), 3, "{found:?}");
    assert!(found[2].starts_with("a.rs:8: ` %`"), "{found:?}");
    assert!(found[0].starts_with("a.rs:2: `told`"), "{found:?}");
    assert!(found[1].starts_with("a.rs:3: `is no`"), "{found:?}");
}
