//! Arbitrary tasks from a string of bytes: the structure of a task, with every kind of damage at every position. The
//! same bytes give the same task, fewer bytes a smaller one, and no bytes the smallest, so that shrinking the bytes
//! shrinks the task. Property tests and fuzzing share this file.

/// The ID of every task made here.
pub(crate) const TASK_ID: &str = "task";

/// Maximum nesting of unexpected values, unless one is chosen for its depth.
const MAX_LEVELS: usize = 5;

/// Levels of a value that is chosen for its depth. Recursive parsers do not accept as many.
const DEEP_LEVELS: usize = 300;

/// Elements of a list that is chosen for its length.
const LONG: usize = 300;

/// Bytes of text after which nothing is added, since lists of lists grow fast.
const MAX_BYTES: usize = 64 << 10;

const STRINGS: [&str; 29] = [
    r#""a""#,
    r#""\\N""#,
    r#""""#,
    r#""007""#,
    r#""null""#,
    r#""[]""#,
    r#""{}""#,
    r#"" a ""#,
    r#""a,b;\"c\"\r\nd\te""#,
    r#""\u0000""#,
    r#""\u2028\u2029""#,
    r#""\ud800""#,
    r#""\udc00a""#,
    r#""a\ud83d""#,
    r#""\ud83d\ude00""#,
    r#""😀é漢""#,
    r#""\u0061\/\\\b\f""#,
    r#""1e400""#,
    r#""true""#,
    r##""#a""##,
    r#""=1+1""#,
    r#""\u001f""#,
    r#""\uFFFF\ufeff""#,
    r#""completed""#,
    r#""file""#,
    r#""workspace_container""#,
    r#""rubric_rating""#,
    r#""rubric_criteria""#,
    r#""labeled_text""#,
];

const NUMBERS: [&str; 27] = [
    "0",
    "1",
    "-0",
    "-0.0",
    "3.0",
    "1e2",
    "1E-7",
    "0.1",
    "-1.5",
    "1e400",
    "-1e400",
    "1e-400",
    "0e99999999999999999999",
    "1e99999999999999999999",
    "123456789012345678901234567890",
    "-98765432109876543210.0",
    "9007199254740993",
    "9223372036854775807",
    "9223372036854775808",
    "-9223372036854775808",
    "2147483648",
    "0.1000000000000000055511151231257827021181583404541015625",
    "0.10000000000000000555",
    "5e-324",
    "1.7976931348623157e308",
    "100000000000000000000000e-23",
    "4.35",
];

const TIMES: [&str; 20] = [
    r#""2026-01-31T12:00:00Z""#,
    r#""2026-01-31T12:00:00.5Z""#,
    r#""2026-01-31T12:00:00.250Z""#,
    r#""2026-01-31T12:00:00.000Z""#,
    r#""2026-01-31T12:00:00.000001Z""#,
    r#""2026-01-31T12:00:00.1234567Z""#,
    r#""1969-12-31T23:59:59.9999999Z""#,
    r#""2026-01-31T12:00:00+02:00""#,
    r#""2026-01-31T12:00:00-00:00""#,
    r#""2026-01-31t12:00:00z""#,
    r#""2026-01-31 12:00:00Z""#,
    r#""2026-01-31T12:00:00""#,
    r#""2026-02-30T12:00:00Z""#,
    r#""2016-12-31T23:59:60Z""#,
    r#""0001-01-01T00:00:00Z""#,
    r#""0000-01-01T00:00:00Z""#,
    r#""9999-12-31T23:59:59.999999Z""#,
    r#""9999-12-31T23:59:59-01:00""#,
    r#""2026-01-31T12:00:00\u005a""#,
    r#""1769860800""#,
];

const BASE64: [&str; 6] = [
    r#""aGVsbG8=""#,
    r#""""#,
    r#""aGVsbG8""#,
    r#""aGVsbG9=""#,
    r#""aGVs bG8=""#,
    r#""\u0061GVsbG8=""#,
];

const ODD_KEYS: [&str; 22] = [
    r#""new_key""#,
    r#""""#,
    r#""a/b""#,
    r#""a~b""#,
    r#""a.b""#,
    r#""A_b""#,
    r#""__proto__""#,
    r#""extra""#,
    r#""path""#,
    r#""id""#,
    r#""type""#,
    r#""value""#,
    r#""content""#,
    r#""text""#,
    r#""name""#,
    r#""metadata""#,
    r#""annotations""#,
    r#""\ud800""#,
    r#""\u0069d""#,
    r#""\u0000""#,
    r#""workspace_token""#,
    r#""😀""#,
];

const LETTERS: [&str; 8] = ["a", "b", "c", "x", "y", "z", "ä", "_"];

const DIGITS: [&str; 10] = ["0", "1", "2", "3", "4", "5", "6", "7", "8", "9"];

const ANNOTATION_TYPES: [&str; 6] = [
    r#""integer""#,
    r#""file""#,
    r#""workspace_container""#,
    r#""rubric_rating""#,
    r#""rubric_criteria""#,
    r#""category""#,
];

const LABELS: [&str; 3] = [r#"["low","high"]"#, r#"["","\ud83d\ude00"]"#, r#"["one"]"#];

/// Possible values: flat and nested ones, and one that an annotation has.
const POSSIBLE_VALUES: [&str; 4] = [
    r#"["a",2]"#,
    r#"[["x",2.0]]"#,
    "[true,false]",
    r#"["a","a"]"#,
];

/// Values that are among the possible ones.
const LABELED_VALUES: [&str; 4] = [r#""a""#, "2", "2.0", "false"];

/// The type of a known key's value.
#[derive(Clone, Copy)]
enum Kind {
    Text,
    Number,
    Bool,
    Time,
    Texts,
    Base64,
    /// Any value.
    Any,
    /// An ID, or an object.
    Entity(&'static Shape),
    Part(&'static Shape),
    AnnotationType,
    /// Labels that may match the possible values.
    Labels,
    PossibleValues,
    List(&'static Shape),
    /// A file, a list of files, a workspace, or any other value.
    Value,
}

type Shape = &'static [(&'static str, Kind)];

const TASK: Shape = &[
    ("project", Kind::Entity(&PROJECT)),
    ("batch", Kind::Entity(&BATCH)),
    ("status", Kind::Text),
    ("created_at", Kind::Time),
    ("completed_at", Kind::Time),
    ("metadata", Kind::Any),
    ("threads", Kind::List(&THREAD)),
    ("errors", Kind::List(&ERROR)),
    ("sensitive_content_reports", Kind::List(&ERROR)),
];
const PROJECT: Shape = &[
    ("id", Kind::Text),
    ("name", Kind::Text),
    ("created_at", Kind::Time),
    ("types", Kind::Texts),
    ("models", Kind::Texts),
];
const BATCH: Shape = &[
    ("id", Kind::Text),
    ("name", Kind::Text),
    ("project", Kind::Entity(&PROJECT)),
    ("status", Kind::Text),
    ("created_at", Kind::Time),
    ("completed_at", Kind::Time),
    ("callback", Kind::Text),
    ("metadata", Kind::Any),
];
const ERROR: Shape = &[("type", Kind::Text), ("message", Kind::Text)];
const THREAD: Shape = &[
    ("id", Kind::Text),
    ("turns", Kind::List(&TURN)),
    ("submissions", Kind::List(&SUBMISSION)),
    ("annotations", Kind::List(&ANNOTATION)),
];
const SUBMISSION: Shape = &[("submitted_at", Kind::Time), ("contributor_id", Kind::Text)];
const TURN: Shape = &[
    ("id", Kind::Text),
    ("messages", Kind::List(&MESSAGE)),
    ("annotations", Kind::List(&ANNOTATION)),
    ("rubrics", Kind::List(&RUBRIC)),
];
const RUBRIC: Shape = &[
    ("criteria_definitions", Kind::List(&CRITERION)),
    ("max_total_score", Kind::Number),
];
const CRITERION: Shape = &[
    ("id", Kind::Text),
    ("criterion", Kind::Text),
    ("weight", Kind::Number),
    ("annotations", Kind::List(&ANNOTATION)),
];
const MESSAGE: Shape = &[
    ("role", Kind::Text),
    ("content", Kind::Part(&CONTENT)),
    ("source_id", Kind::Text),
    ("model_parameters", Kind::Part(&MODEL_PARAMETERS)),
    ("annotations", Kind::List(&ANNOTATION)),
    ("rubric_evaluations", Kind::List(&EVALUATION)),
];
const CONTENT: Shape = &[
    ("text", Kind::Text),
    ("reference_texts", Kind::List(&REFERENCE_TEXT)),
    ("attachments", Kind::List(&FILE)),
    ("chunks", Kind::List(&CHUNK)),
    ("reasoning", Kind::List(&REASONING)),
];
const MODEL_PARAMETERS: Shape = &[
    ("model", Kind::Text),
    ("temperature", Kind::Number),
    ("max_completion_tokens", Kind::Number),
    ("top_p", Kind::Number),
    ("top_k", Kind::Number),
];
const REFERENCE_TEXT: Shape = &[
    ("content", Kind::Text),
    ("category", Kind::Text),
    ("url", Kind::Text),
];
const REASONING: Shape = &[("content", Kind::Text)];
const CHUNK: Shape = &[
    ("type", Kind::Text),
    ("annotations", Kind::List(&ANNOTATION)),
    ("text", Kind::Text),
];
const EVALUATION: Shape = &[
    ("criteria_evaluations", Kind::List(&CRITERION_EVALUATION)),
    ("annotations", Kind::List(&ANNOTATION)),
    ("total_score", Kind::Number),
    ("percentage", Kind::Number),
];
const CRITERION_EVALUATION: Shape = &[
    ("criterion_definition_id", Kind::Text),
    ("score", Kind::Number),
    ("annotations", Kind::List(&ANNOTATION)),
];
const FILE: Shape = &[
    ("content", Kind::Base64),
    ("mime_type", Kind::Text),
    ("scale_url", Kind::Text),
    ("url", Kind::Text),
    ("name", Kind::Text),
    ("file_size_in_bytes", Kind::Number),
    ("duration", Kind::Number),
    ("transcript", Kind::Text),
    ("transcript_url", Kind::Text),
    ("transcript_start", Kind::Number),
    ("transcript_end", Kind::Number),
];
const WORKSPACE: Shape = &[
    ("workspace_id", Kind::Text),
    ("workspace_config", Kind::Any),
    ("output_files", Kind::List(&WORKSPACE_FILE)),
    ("stdout_output", Kind::Part(&STREAM)),
    ("stderr_output", Kind::Part(&STREAM)),
    ("test_stdout_output", Kind::Part(&STREAM)),
];
const WORKSPACE_FILE: Shape = &[
    ("file_name", Kind::Text),
    ("scale_url", Kind::Text),
    ("url", Kind::Text),
    ("file_language", Kind::Text),
    ("file_content", Kind::Text),
];
const STREAM: Shape = &[
    ("content", Kind::Text),
    ("url", Kind::Text),
    ("scale_url", Kind::Text),
];
const RATING: Shape = &[
    ("score", Kind::Number),
    ("weight", Kind::Number),
    ("justification", Kind::Text),
];
const ANNOTATION: Shape = &[
    ("id", Kind::Text),
    ("key", Kind::Text),
    ("type", Kind::AnnotationType),
    ("title", Kind::Text),
    ("description", Kind::Text),
    ("labels", Kind::Labels),
    ("possible_values", Kind::PossibleValues),
    ("value", Kind::Value),
    ("not_applicable", Kind::Bool),
    ("cannot_assess", Kind::Bool),
    ("metadata", Kind::Part(&ANNOTATION_METADATA)),
    ("justification", Kind::Text),
];
const ANNOTATION_METADATA: Shape = &[("criteria", Kind::Entity(&ANNOTATION_CRITERIA))];
const ANNOTATION_CRITERIA: Shape = &[("id", Kind::Text), ("type", Kind::AnnotationType)];

/// Takes choices from bytes. All are 0 after the last byte.
struct Choices<'b> {
    bytes: std::slice::Iter<'b, u8>,
}

impl Choices<'_> {
    fn below(&mut self, count: usize) -> usize {
        usize::from(self.bytes.next().copied().unwrap_or_default()) % count
    }

    fn of<'s>(&mut self, pool: &[&'s str]) -> &'s str {
        pool[self.below(pool.len())]
    }
}

/// The JSON text of a task.
pub(crate) fn task(bytes: &[u8]) -> String {
    let mut choices = Choices {
        bytes: bytes.iter(),
    };
    let mut members = members(&mut choices, TASK, 0);
    // The last of duplicate keys counts, and a body with another ID is rejected before flattening.
    members.push(format!(r#""task_id":"{TASK_ID}""#));
    format!("{{{}}}", members.join(","))
}

fn object(choices: &mut Choices<'_>, shape: Shape, bytes: usize) -> String {
    let members = members(choices, shape, bytes);
    format!("{{{}}}", members.join(","))
}

fn members(choices: &mut Choices<'_>, shape: Shape, bytes: usize) -> Vec<String> {
    let mut members = Vec::new();
    let mut bytes = bytes;
    for (key, kind) in shape {
        let value = match choices.below(16) {
            0..=4 => continue,
            5 => "null".to_owned(),
            6 => any(choices, MAX_LEVELS),
            // The key appears twice, spelled in one or two ways.
            7 => {
                let first = any(choices, 1);
                let spelled = format!("\\u{:04x}{}", key.as_bytes()[0], &key[1..]);
                let again = [key, spelled.as_str()][choices.below(2)].to_owned();
                members.push(format!("\"{key}\":{first}"));
                members.push(format!("\"{again}\":{}", of_kind(choices, *kind, bytes)));
                continue;
            }
            _ => of_kind(choices, *kind, bytes),
        };
        bytes += value.len();
        members.push(format!("\"{key}\":{value}"));
    }
    for _ in 0..[0, 0, 0, 0, 0, 1, 2, 3][choices.below(8)] {
        let key = choices.of(&ODD_KEYS);
        members.push(format!("{key}:{}", any(choices, 2)));
    }
    if !members.is_empty() {
        let turn = choices.below(members.len());
        members.rotate_left(turn);
    }
    members
}

fn of_kind(choices: &mut Choices<'_>, kind: Kind, bytes: usize) -> String {
    match kind {
        Kind::Text => string(choices),
        Kind::Number => number(choices),
        Kind::Bool => choices.of(&["true", "false"]).to_owned(),
        Kind::Time => choices.of(&TIMES).to_owned(),
        Kind::Texts => match choices.below(8) {
            0 => "[]".to_owned(),
            1 => format!("[{}]", array(choices, MAX_LEVELS)),
            2 => format!("[{}]", vec!["\"x\""; LONG].join(",")),
            _ => {
                let count = choices.below(4);
                let texts: Vec<_> = (0..count).map(|_| string(choices)).collect();
                format!("[{}]", texts.join(","))
            }
        },
        Kind::AnnotationType => match choices.below(4) {
            0 => string(choices),
            _ => choices.of(&ANNOTATION_TYPES).to_owned(),
        },
        Kind::Labels => match choices.below(4) {
            0 => of_kind(choices, Kind::Texts, bytes),
            _ => choices.of(&LABELS).to_owned(),
        },
        Kind::PossibleValues => match choices.below(4) {
            0 => of_kind(choices, Kind::Texts, bytes),
            _ => choices.of(&POSSIBLE_VALUES).to_owned(),
        },
        Kind::Base64 => choices.of(&BASE64).to_owned(),
        Kind::Any => any(choices, MAX_LEVELS),
        Kind::Entity(shape) => match choices.below(2) {
            0 => string(choices),
            _ => object(choices, shape, bytes),
        },
        Kind::Part(shape) => object(choices, shape, bytes),
        Kind::List(shape) => {
            let count = match choices.below(16) {
                0 => 0,
                1..=9 => 1,
                10..=13 => 2,
                14 => 5,
                _ => return format!("[{}]", vec!["{}"; LONG / 10].join(",")),
            };
            let mut objects = Vec::new();
            let mut bytes = bytes;
            for _ in 0..count {
                if bytes > MAX_BYTES {
                    break;
                }
                let next = object(choices, shape, bytes);
                bytes += next.len();
                objects.push(next);
            }
            if count == 5 {
                // One element has the wrong type.
                objects.push(any(choices, 1));
            }
            format!("[{}]", objects.join(","))
        }
        Kind::Value => match choices.below(10) {
            0 => string(choices),
            8 | 9 => choices.of(&LABELED_VALUES).to_owned(),
            1 => number(choices),
            2 => of_kind(choices, Kind::Texts, bytes),
            3 => object(choices, FILE, bytes),
            4 => of_kind(choices, Kind::List(&FILE), bytes),
            5 => object(choices, WORKSPACE, bytes),
            6 => object(choices, RATING, bytes),
            _ => any(choices, MAX_LEVELS),
        },
    }
}

fn string(choices: &mut Choices<'_>) -> String {
    match choices.below(8) {
        0 => format!("\"{}\"", "long text, ".repeat(choices.below(200))),
        1 => {
            let count = choices.below(8);
            let letters = (0..count).map(|_| choices.of(&LETTERS));
            format!("\"{}\"", letters.collect::<String>())
        }
        _ => choices.of(&STRINGS).to_owned(),
    }
}

fn number(choices: &mut Choices<'_>) -> String {
    match choices.below(4) {
        0 => choices.below(256).to_string(),
        1 => {
            let count = 1 + choices.below(40);
            let digits: String = (0..count).map(|_| choices.of(&DIGITS)).collect();
            let fraction = ["", ".0", ".5", ".30000000000000004"][choices.below(4)];
            let exponent = ["", "e3", "E+10", "e-320"][choices.below(4)];
            format!("1{digits}{fraction}{exponent}")
        }
        _ => choices.of(&NUMBERS).to_owned(),
    }
}

fn array(choices: &mut Choices<'_>, levels: usize) -> String {
    let count = choices.below(4);
    let elements: Vec<_> = (0..count).map(|_| any(choices, levels - 1)).collect();
    elements.join(",")
}

/// Any JSON value.
fn any(choices: &mut Choices<'_>, levels: usize) -> String {
    match choices.below(16) {
        0 => "null".to_owned(),
        1 => "true".to_owned(),
        2 => "[]".to_owned(),
        3 => "{}".to_owned(),
        4..=6 => number(choices),
        10 if levels > 0 => {
            let (open, close) = [("[", "]"), ("{\"\":", "}")][choices.below(2)];
            format!(
                "{}{}{}",
                open.repeat(DEEP_LEVELS),
                number(choices),
                close.repeat(DEEP_LEVELS)
            )
        }
        11 if levels > 0 => format!("[{}]", vec!["0"; LONG].join(",")),
        12 | 13 if levels > 0 => format!("[{}]", array(choices, levels)),
        14 | 15 if levels > 0 => {
            let count = choices.below(4);
            let members: Vec<_> = (0..count)
                .map(|_| {
                    let key = choices.of(&ODD_KEYS);
                    format!("{key}:{}", any(choices, levels - 1))
                })
                .collect();
            format!("{{{}}}", members.join(","))
        }
        _ => string(choices),
    }
}
