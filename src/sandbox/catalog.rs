//! The tasks that the sandbox serves, by ID and in lists. Pure.

use bytes::Bytes;

use crate::json::document::Document;
use crate::json::parser::Parser;
use crate::sandbox::fixture::{Fixture, TaskGroup};
use crate::sandbox::generate::{batch_object, project_object};
use crate::sandbox::naming::{
    DetailOptions, GeneratorOptions, MIXED_BATCHES, PROJECTS, batch_name, id_of, number_of,
    project_name,
};

/// The number of the last task in lists if the number of tasks has no limit.
const LISTED_TASKS: u64 = 1_000;

/// Where tasks come from.
#[derive(Debug)]
pub(crate) enum Catalog {
    /// A file.
    Fixture(Fixture),
    /// The generator. `last` is the number of the last task; `None` for no limit.
    Generated {
        recipe: GeneratorOptions,
        last: Option<u64>,
    },
}

/// What a list has the tasks of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum GroupKind {
    Project,
    Batch,
    Delivery,
}

/// The tasks of a list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum ListMembers {
    Project(u64),
    Batch(u64),
    /// The tasks of a project, batch or delivery of a file, by its ID.
    Named {
        kind: GroupKind,
        id: String,
    },
}

impl Catalog {
    /// Returns a task by its ID.
    pub(crate) fn task(&self, task_id: &str, details: DetailOptions) -> Option<Bytes> {
        match self {
            Self::Fixture(source) => Some(source.get(task_id)?.body.clone()),
            Self::Generated { last, .. } => {
                let number: u64 = task_id.strip_prefix("task_")?.parse().ok()?;
                let exists = last.is_none_or(|last| number <= last);
                exists.then(|| self.generate(task_id, number, details))
            }
        }
    }

    /// Returns a task of a list by its number.
    pub(crate) fn listed(&self, number: u64, details: DetailOptions) -> Option<Bytes> {
        match self {
            Self::Fixture(source) => {
                let place = usize::try_from(number.checked_sub(1)?).ok()?;
                Some(source.tasks.get(place)?.body.clone())
            }
            Self::Generated { .. } => {
                Some(self.generate(&format!("task_{number}"), number, details))
            }
        }
    }

    fn generate(&self, task_id: &str, number: u64, details: DetailOptions) -> Bytes {
        let Self::Generated { recipe, .. } = self else {
            return Bytes::new();
        };
        Bytes::from(recipe.task(task_id, number, details))
    }

    /// The number of the last task in lists.
    fn last(&self) -> u64 {
        match self {
            Self::Fixture(source) => source.tasks.len() as u64,
            Self::Generated { last, .. } => last.unwrap_or(LISTED_TASKS),
        }
    }

    /// Finds a list by its ID or name.
    pub(crate) fn find(&self, kind: GroupKind, by_id: bool, wanted: &str) -> Option<ListMembers> {
        match self {
            Self::Fixture(_) => {
                let group = self.groups(kind).into_iter();
                let mut found = group.filter(|group| group.is(by_id, wanted));
                let id = found.next()?.id.clone();
                Some(ListMembers::Named { kind, id })
            }
            Self::Generated { recipe, .. } => {
                let (count, word): (u64, _) = match kind {
                    GroupKind::Batch => (self.batches(recipe), "batch"),
                    GroupKind::Project => (PROJECTS, "project"),
                    GroupKind::Delivery => (PROJECTS, "delivery"),
                };
                let number = if by_id {
                    number_of(word, wanted).filter(|number| *number < count)?
                } else {
                    let name = if kind == GroupKind::Batch {
                        batch_name
                    } else {
                        project_name
                    };
                    (0..count).find(|number| name(*number) == wanted)?
                };
                Some(match kind {
                    GroupKind::Batch => ListMembers::Batch(number),
                    GroupKind::Project | GroupKind::Delivery => ListMembers::Project(number),
                })
            }
        }
    }

    fn batches(&self, recipe: &GeneratorOptions) -> u64 {
        match recipe.batch_size {
            Some(size) => self.last().div_ceil(size.max(1)),
            None => MIXED_BATCHES,
        }
    }

    /// The projects or batches of a file. Its deliveries have the names of projects.
    fn groups(&self, kind: GroupKind) -> Vec<&TaskGroup> {
        let Self::Fixture(source) = self else {
            return Vec::new();
        };
        let mut groups: Vec<&TaskGroup> = Vec::new();
        for task in &source.tasks {
            let group = match kind {
                GroupKind::Batch => &task.batch,
                GroupKind::Project | GroupKind::Delivery => &task.project,
            };
            if let Some(group) = group
                && groups.iter().all(|known| known.id != group.id)
            {
                groups.push(group);
            }
        }
        groups
    }

    /// The numbers of a list's tasks after `number`, in order.
    pub(crate) fn behind<'c>(
        &'c self,
        members: &'c ListMembers,
        number: u64,
    ) -> Box<dyn Iterator<Item = u64> + 'c> {
        let last = self.last();
        let behind = number + 1..=last;
        let Self::Generated { recipe, .. } = self else {
            return Box::new(behind.filter(|number| self.is_member(members, *number)));
        };
        match (members, recipe.batch_size) {
            // The tasks of a batch follow each other, so the others need not be checked.
            (ListMembers::Batch(batch), Some(size)) => {
                let first = batch.saturating_mul(size) + 1;
                let end = batch.saturating_add(1).saturating_mul(size).min(last);
                Box::new(first.max(number + 1)..=end)
            }
            _ => Box::new(behind.filter(|number| self.is_member(members, *number))),
        }
    }

    fn is_member(&self, members: &ListMembers, number: u64) -> bool {
        match (self, members) {
            (Self::Fixture(source), ListMembers::Named { kind, id }) => {
                let place = usize::try_from(number.saturating_sub(1)).unwrap_or(usize::MAX);
                let group = source.tasks.get(place).and_then(|task| match kind {
                    GroupKind::Batch => task.batch.as_ref(),
                    GroupKind::Project | GroupKind::Delivery => task.project.as_ref(),
                });
                group.is_some_and(|group| group.id == *id)
            }
            (Self::Generated { recipe, .. }, ListMembers::Batch(batch)) => {
                recipe.batch(number) == Some(*batch)
            }
            (Self::Generated { recipe, .. }, ListMembers::Project(project)) => {
                recipe.project(number) == *project
            }
            _ => false,
        }
    }

    /// All projects or batches as JSON, with the ID of the project of each.
    pub(crate) fn objects(&self, kind: GroupKind) -> Vec<(String, String)> {
        match self {
            Self::Fixture(_) => {
                let groups = self.groups(kind).into_iter();
                let object = |group: &TaskGroup| {
                    let id = serde_json::Value::from(group.id.as_str());
                    format!(r#"{{"id":{id},"name":{id}}}"#)
                };
                groups
                    .map(|group| {
                        let json = group.object.clone().unwrap_or_else(|| object(group));
                        (group.id.clone(), json)
                    })
                    .collect()
            }
            Self::Generated { recipe, .. } => match kind {
                GroupKind::Batch => (0..self.batches(recipe))
                    .map(|batch| (id_of("project", batch % PROJECTS), batch_object(batch)))
                    .collect(),
                GroupKind::Project | GroupKind::Delivery => (0..PROJECTS)
                    .map(|project| (id_of("project", project), project_object(project)))
                    .collect(),
            },
        }
    }

    /// A delivery, as JSON: the completed tasks of a project.
    pub(crate) fn delivery(&self, members: &ListMembers) -> String {
        let (id, project) = match members {
            ListMembers::Project(number) | ListMembers::Batch(number) => {
                (id_of("delivery", *number), id_of("project", *number))
            }
            ListMembers::Named { id, .. } => (id.clone(), id.clone()),
        };
        let tasks = self
            .behind(members, 0)
            .filter(|number| self.is_completed(*number));
        serde_json::json!({
            "id": id, "name": format!("Delivery of {project}"), "task_count": tasks.count(),
            "delivered_at": "2024-06-01T00:00:00Z", "project": project,
        })
        .to_string()
    }

    /// All deliveries, as JSON.
    pub(crate) fn deliveries(&self) -> Vec<String> {
        let members: Vec<ListMembers> = match self {
            Self::Fixture(_) => {
                let groups = self.groups(GroupKind::Delivery).into_iter();
                let named = |group: &TaskGroup| ListMembers::Named {
                    kind: GroupKind::Delivery,
                    id: group.id.clone(),
                };
                groups.map(named).collect()
            }
            Self::Generated { .. } => (0..PROJECTS).map(ListMembers::Project).collect(),
        };
        members
            .iter()
            .map(|members| self.delivery(members))
            .collect()
    }

    fn is_completed(&self, number: u64) -> bool {
        let Some(task) = self.listed(number, DetailOptions::default()) else {
            return false;
        };
        let mut parser = Parser::default();
        let document = parser.parse(std::str::from_utf8(&task).unwrap_or_default());
        let status =
            |document: Document<'_>| Some(document.root().get("status")?.text()? == *"completed");
        document.ok().and_then(status).unwrap_or_default()
    }
}
