//! What was unexpected in a list: counts, their keys in the JSON summary, and their text for people. Pure.

/// What was unexpected in a list.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ListAnomalies {
    /// Tasks that appeared twice in one pass.
    pub repeated_tasks: u64,
    /// Tasks that appeared only in a later pass.
    pub late_tasks: u64,
    /// Empty pages with more pages after them.
    pub empty_pages: u64,
    /// Tokens that the API refused.
    pub refused_tokens: u64,
    /// Tokens that led back.
    pub loops: u64,
    /// Elements that are not tasks.
    pub unfit_tasks: u64,
    /// Pages that were too large or too slow.
    pub large_pages: u64,
}

impl ListAnomalies {
    /// All counts, with their keys in the JSON summary.
    pub fn parts(&self) -> [(&'static str, u64); 7] {
        [
            ("repeated tasks", self.repeated_tasks),
            ("late tasks", self.late_tasks),
            ("empty pages", self.empty_pages),
            ("refused tokens", self.refused_tokens),
            ("loops", self.loops),
            ("elements that are no task", self.unfit_tasks),
            ("pages that were too large or too slow", self.large_pages),
        ]
    }

    /// All counts that are not zero, as text for people.
    pub fn texts(&self) -> Vec<String> {
        let parts = self.parts().into_iter().filter(|(_, count)| *count > 0);
        parts.map(|(key, count)| anomaly_text(key, count)).collect()
    }

    /// The sum of all counts.
    pub fn count(&self) -> u64 {
        self.parts().iter().map(|(_, count)| count).sum()
    }
}

/// `1 loop`, `2 expired tokens`: the count of an anomaly, by its key in the JSON summary.
pub fn anomaly_text(key: &str, count: u64) -> String {
    let (one, many) = match key {
        "repeated tasks" => ("repeated task", "repeated tasks"),
        "late tasks" => ("task that appeared late", "tasks that appeared late"),
        "empty pages" => ("empty page", "empty pages"),
        "refused tokens" => ("expired token", "expired tokens"),
        "loops" => ("loop", "loops"),
        "elements that are no task" => {
            ("element that is not a task", "elements that are not tasks")
        }
        "pages that were too large or too slow" => (
            "page that was too large or too slow",
            "pages that were too large or too slow",
        ),
        other => (other, other),
    };
    format!("{count} {}", if count == 1 { one } else { many })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_anomaly_has_a_singular_and_a_plural() {
        for (key, _) in ListAnomalies::default().parts() {
            let (one, many) = (anomaly_text(key, 1), anomaly_text(key, 2));
            assert_ne!(one.strip_prefix("1 "), many.strip_prefix("2 "), "{key}");
        }
        let anomalies = ListAnomalies {
            loops: 1,
            unfit_tasks: 3,
            ..ListAnomalies::default()
        };
        assert_eq!(
            anomalies.texts(),
            ["1 loop", "3 elements that are not tasks"]
        );
    }
}
