//! Random numbers and words from a seed. Pure.

use std::fmt::Write as _;

/// A small generator (splitmix64): the same seed gives the same numbers on every machine.
#[derive(Debug, Clone)]
pub(crate) struct Random(u64);

impl Random {
    /// A generator for a seed and a name.
    pub(crate) fn of(seed: u64, name: &[u8]) -> Self {
        // FNV-1a, so that similar names give different numbers.
        let hash = name.iter().fold(0xCBF2_9CE4_8422_2325_u64, |hash, byte| {
            (hash ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01B3)
        });
        let mut random = Self(hash ^ seed.wrapping_mul(0x9E37_79B9_7F4A_7C15));
        random.next();
        random
    }

    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }

    /// A uniform number below a bound.
    pub(crate) fn below(&mut self, bound: usize) -> usize {
        usize::try_from(self.next() % bound.max(1) as u64).unwrap_or_default()
    }

    /// A uniform number in 0..1.
    #[expect(clippy::cast_precision_loss, reason = "53 bits fit a double exactly")]
    pub(crate) fn share(&mut self) -> f64 {
        (self.next() >> 11) as f64 / (1_u64 << 53) as f64
    }

    /// True for one in `count` calls.
    pub(crate) fn one_in(&mut self, count: usize) -> bool {
        self.below(count) == 0
    }

    /// A random element.
    pub(crate) fn pick<'a, T: ?Sized>(&mut self, all: &[&'a T]) -> Option<&'a T> {
        all.get(self.below(all.len())).copied()
    }

    /// 24 hexadecimal digits.
    pub(crate) fn hex(&mut self) -> String {
        let mut hex = format!("{:016x}{:016x}", self.next(), self.next());
        hex.truncate(24);
        hex
    }
}

const SUBJECTS: [&str; 10] = [
    "The river",
    "A careful baker",
    "My neighbour's drone",
    "The second theorem",
    "This recipe",
    "An old lighthouse",
    "The compiler",
    "Zoë",
    "The committee",
    "Our night train",
];
const VERBS: [&str; 8] = [
    "explains",
    "quietly follows",
    "measures",
    "forgets",
    "rewrites",
    "compares",
    "paints",
    "delays",
];
const OBJECTS: [&str; 12] = [
    "three sorts of bread",
    "the \"small\" numbers",
    "a map of Łódź",
    "the proof, line by line",
    "every second wave",
    "its own shadow",
    "the café's menu",
    "a list: salt, rice, tea",
    "the answer 42",
    "two prime factors",
    "the weather in 東京",
    "a very long letter 🙂",
];
const ENDINGS: [&str; 6] = [
    ".",
    ".",
    "!",
    "?",
    " – or so it seems.",
    ";\n- first this,\n- then that.",
];

/// Writes sentences as a JSON string.
pub(crate) fn sentences(random: &mut Random, count: usize, out: &mut String) {
    let mut text = String::new();
    for index in 0..count {
        let parts = [
            random.pick(&SUBJECTS),
            random.pick(&VERBS),
            random.pick(&OBJECTS),
        ];
        let [subject, verb, object] = parts.map(Option::unwrap_or_default);
        let ending = random.pick(&ENDINGS).unwrap_or_default();
        let space = if index == 0 {
            ""
        } else if random.one_in(4) {
            "\n\n"
        } else {
            " "
        };
        // Writing to a String cannot fail.
        let _ = write!(text, "{space}{subject} {verb} {object}{ending}");
    }
    crate::json::text::write_json_string(&text, out);
}
