//! The details of tasks that a request may include, which project and batch a task belongs to, and the names of these.
//! Pure.

/// The options of the generator.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct GeneratorOptions {
    pub(crate) seed: u64,
    pub(crate) drift: bool,
    /// The number of tasks of a batch, which follow each other. Without it, batches are mixed and some tasks have none.
    pub(crate) batch_size: Option<u64>,
}

/// The number of projects.
pub(crate) const PROJECTS: u64 = 5;

/// The number of batches if they are mixed.
pub(crate) const MIXED_BATCHES: u64 = 30;

impl GeneratorOptions {
    /// The number of the batch of a task, if it has one.
    pub(crate) fn batch(&self, number: u64) -> Option<u64> {
        match self.batch_size {
            Some(size) => Some(number.saturating_sub(1) / size.max(1)),
            None => (number % 7 > 1).then_some(number % MIXED_BATCHES),
        }
    }

    /// The number of the project of a task.
    pub(crate) fn project(&self, number: u64) -> u64 {
        match self.batch_size {
            Some(_) => self.batch(number).unwrap_or_default() % PROJECTS,
            None => number % PROJECTS,
        }
    }
}

/// The ID of a project, batch or delivery.
pub(crate) fn id_of(kind: &str, number: u64) -> String {
    format!("{kind}_{number:024x}")
}

/// The number in an ID.
pub(crate) fn number_of(kind: &str, id: &str) -> Option<u64> {
    let digits = id.strip_prefix(kind)?.strip_prefix('_')?;
    let number = u64::from_str_radix(digits, 16).ok()?;
    (id_of(kind, number) == id).then_some(number)
}

/// The name of a batch.
pub(crate) fn batch_name(number: u64) -> String {
    format!("Batch {number}")
}

/// The name of a project.
pub(crate) fn project_name(number: u64) -> String {
    format!("Preferences, part {number}")
}

/// The details that a request includes.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct DetailOptions {
    pub(crate) expand_project: bool,
    pub(crate) expand_batch: bool,
    pub(crate) annotation_info: bool,
    pub(crate) attachment_info: bool,
    pub(crate) model_parameters: bool,
}

impl DetailOptions {
    /// Reads the repeated keys `expand` and `opts`.
    pub(crate) fn of_query(query: &str) -> Self {
        let has = |pair: &str| query.split('&').any(|given| given == pair);
        Self {
            expand_project: has("expand=project"),
            expand_batch: has("expand=batch"),
            annotation_info: has("opts=annotation_details"),
            attachment_info: has("opts=attachment_details"),
            model_parameters: has("opts=model_parameters"),
        }
    }
}
