//! Lengths of the texts of messages, by role.

use crate::report::bounded_map::BoundedMap;
use crate::report::facts::MessageFacts;
use crate::report::histogram::Histogram;
use crate::report::merge::merge_fields;
use crate::report::quantiles::Quantiles;
use crate::report::short_text::ShortText;

/// Roles that are counted.
const MAX_ROLES: usize = 50;

/// Where the ranges of lengths begin, in characters.
pub const LENGTH_STARTS: [u64; 10] = [0, 10, 30, 100, 300, 1_000, 3_000, 10_000, 30_000, 100_000];

/// Messages of one role.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct RoleStatistics {
    /// All messages.
    pub messages: u64,
    /// Lengths of their texts in characters.
    pub characters: Quantiles,
    /// The distribution of the lengths.
    pub ranges: Histogram<{ LENGTH_STARTS.len() }>,
}

merge_fields!(RoleStatistics {
    messages,
    characters,
    ranges
});

/// Messages by role.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct MessageStatistics {
    /// All messages.
    pub messages: u64,
    /// By role.
    pub roles: BoundedMap<Option<ShortText>, RoleStatistics, MAX_ROLES>,
}

merge_fields!(MessageStatistics { messages, roles });

impl MessageStatistics {
    /// Counts a message.
    pub fn see(&mut self, message: &MessageFacts<'_>) {
        self.messages += 1;
        let Some(role) = self.roles.entry(message.role.map(ShortText::of)) else {
            return;
        };
        role.messages += 1;
        if let Some(text) = message.text {
            let characters = text.chars().count() as u64;
            role.characters.see(characters);
            role.ranges.see(&LENGTH_STARTS, characters);
        }
    }
}
