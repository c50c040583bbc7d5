//! All tasks that there are, by themselves and in lists. Pure. Depends on `generate`, `recipe` and `source`.

use bytes::Bytes;

use crate::json::document::{Document, Parser};
use crate::sandbox::fixture::{Group, Source};
use crate::sandbox::generate::{batch_object, project_object};
use crate::sandbox::naming::{
    Details, MIXED_BATCHES, PROJECTS, Recipe, batch_name, id_of, number_of, project_name,
};

/// The last task of lists when there is no last one.
const LISTED_TASKS: u64 = 1_000;

/// The tasks.
#[derive(Debug)]
pub(crate) enum Catalog {
    /// Those of a file.
    Given(Source),
    /// Generated ones.
    Generated { recipe: Recipe, last: Option<u64> },
}

/// What a list is a list of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Project,
    Batch,
    Delivery,
}

/// Which tasks stand in a list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Members {
    Project(u64),
    Batch(u64),
    /// By the ID or the name, in a file.
    Named {
        kind: Kind,
        id: String,
    },
}

impl Catalog {
    /// A task by its ID.
    pub(crate) fn task(&self, task_id: &str, details: Details) -> Option<Bytes> {
        match self {
            Self::Given(source) => Some(source.get(task_id)?.body.clone()),
            Self::Generated { last, .. } => {
                let number: u64 = task_id.strip_prefix("task_")?.parse().ok()?;
                let exists = last.is_none_or(|last| number <= last);
                exists.then(|| self.generate(task_id, number, details))
            }
        }
    }

    /// A task of a list, by its number.
    pub(crate) fn listed(&self, number: u64, details: Details) -> Option<Bytes> {
        match self {
            Self::Given(source) => {
                let place = usize::try_from(number.checked_sub(1)?).ok()?;
                Some(source.tasks.get(place)?.body.clone())
            }
            Self::Generated { .. } => {
                Some(self.generate(&format!("task_{number}"), number, details))
            }
        }
    }

    fn generate(&self, task_id: &str, number: u64, details: Details) -> Bytes {
        let Self::Generated { recipe, .. } = self else {
            return Bytes::new();
        };
        Bytes::from(recipe.task(task_id, number, details))
    }

    /// Number of the last task in any list.
    fn last(&self) -> u64 {
        match self {
            Self::Given(source) => source.tasks.len() as u64,
            Self::Generated { last, .. } => last.unwrap_or(LISTED_TASKS),
        }
    }

    /// Finds a list by its ID or name.
    pub(crate) fn find(&self, kind: Kind, by_id: bool, wanted: &str) -> Option<Members> {
        match self {
            Self::Given(_) => {
                let group = self.groups(kind).into_iter();
                let mut found = group.filter(|group| group.is(by_id, wanted));
                let id = found.next()?.id.clone();
                Some(Members::Named { kind, id })
            }
            Self::Generated { recipe, .. } => {
                let (count, word): (u64, _) = match kind {
                    Kind::Batch => (self.batches(recipe), "batch"),
                    Kind::Project => (PROJECTS, "project"),
                    Kind::Delivery => (PROJECTS, "delivery"),
                };
                let number = if by_id {
                    number_of(word, wanted).filter(|number| *number < count)?
                } else {
                    let name = if kind == Kind::Batch {
                        batch_name
                    } else {
                        project_name
                    };
                    (0..count).find(|number| name(*number) == wanted)?
                };
                Some(match kind {
                    Kind::Batch => Members::Batch(number),
                    Kind::Project | Kind::Delivery => Members::Project(number),
                })
            }
        }
    }

    fn batches(&self, recipe: &Recipe) -> u64 {
        match recipe.batch_size {
            Some(size) => self.last().div_ceil(size.max(1)),
            None => MIXED_BATCHES,
        }
    }

    /// Projects, batches or, named as the projects, deliveries of a file.
    fn groups(&self, kind: Kind) -> Vec<&Group> {
        let Self::Given(source) = self else {
            return Vec::new();
        };
        let mut groups: Vec<&Group> = Vec::new();
        for task in &source.tasks {
            let group = match kind {
                Kind::Batch => &task.batch,
                Kind::Project | Kind::Delivery => &task.project,
            };
            if let Some(group) = group
                && groups.iter().all(|known| known.id != group.id)
            {
                groups.push(group);
            }
        }
        groups
    }

    /// The numbers of a list's tasks behind this one, in order.
    pub(crate) fn behind<'c>(
        &'c self,
        members: &'c Members,
        number: u64,
    ) -> Box<dyn Iterator<Item = u64> + 'c> {
        let last = self.last();
        let behind = number + 1..=last;
        let Self::Generated { recipe, .. } = self else {
            return Box::new(behind.filter(|number| self.is_member(members, *number)));
        };
        match (members, recipe.batch_size) {
            // One after the other: no task of another batch need be looked at.
            (Members::Batch(batch), Some(size)) => {
                let first = batch.saturating_mul(size) + 1;
                let end = batch.saturating_add(1).saturating_mul(size).min(last);
                Box::new(first.max(number + 1)..=end)
            }
            _ => Box::new(behind.filter(|number| self.is_member(members, *number))),
        }
    }

    fn is_member(&self, members: &Members, number: u64) -> bool {
        match (self, members) {
            (Self::Given(source), Members::Named { kind, id }) => {
                let place = usize::try_from(number.saturating_sub(1)).unwrap_or(usize::MAX);
                let group = source.tasks.get(place).and_then(|task| match kind {
                    Kind::Batch => task.batch.as_ref(),
                    Kind::Project | Kind::Delivery => task.project.as_ref(),
                });
                group.is_some_and(|group| group.id == *id)
            }
            (Self::Generated { recipe, .. }, Members::Batch(batch)) => {
                recipe.batch(number) == Some(*batch)
            }
            (Self::Generated { recipe, .. }, Members::Project(project)) => {
                recipe.project(number) == *project
            }
            _ => false,
        }
    }

    /// All projects or batches, as JSON, with the ID of the project of each.
    pub(crate) fn objects(&self, kind: Kind) -> Vec<(String, String)> {
        match self {
            Self::Given(_) => {
                let groups = self.groups(kind).into_iter();
                let object = |group: &Group| {
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
                Kind::Batch => (0..self.batches(recipe))
                    .map(|batch| (id_of("project", batch % PROJECTS), batch_object(batch)))
                    .collect(),
                Kind::Project | Kind::Delivery => (0..PROJECTS)
                    .map(|project| (id_of("project", project), project_object(project)))
                    .collect(),
            },
        }
    }

    /// A delivery, as JSON: the completed tasks of a project.
    pub(crate) fn delivery(&self, members: &Members) -> String {
        let (id, project) = match members {
            Members::Project(number) | Members::Batch(number) => {
                (id_of("delivery", *number), id_of("project", *number))
            }
            Members::Named { id, .. } => (id.clone(), id.clone()),
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
        let members: Vec<Members> = match self {
            Self::Given(_) => {
                let groups = self.groups(Kind::Delivery).into_iter();
                let named = |group: &Group| Members::Named {
                    kind: Kind::Delivery,
                    id: group.id.clone(),
                };
                groups.map(named).collect()
            }
            Self::Generated { .. } => (0..PROJECTS).map(Members::Project).collect(),
        };
        members
            .iter()
            .map(|members| self.delivery(members))
            .collect()
    }

    fn is_completed(&self, number: u64) -> bool {
        let Some(task) = self.listed(number, Details::default()) else {
            return false;
        };
        let mut parser = Parser::default();
        let document = parser.parse(std::str::from_utf8(&task).unwrap_or_default());
        let status =
            |document: Document<'_>| Some(document.root().get("status")?.text()? == *"completed");
        document.ok().and_then(status).unwrap_or_default()
    }
}
