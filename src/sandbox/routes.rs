//! The API's endpoints: what a request asks for, and what it gets. Depends on `catalog` and `pages`.

use std::collections::BTreeMap;
use std::sync::Mutex;

use bytes::Bytes;
use hyper::{StatusCode, Uri};
use percent_encoding::percent_decode_str;

use crate::sandbox::catalog::{Catalog, Kind, Members};
use crate::sandbox::config::{SandboxConfig, SandboxError};
use crate::sandbox::fixture;
use crate::sandbox::naming::{Details, Recipe};
use crate::sandbox::pagination::{MAX_TASKS, Pages, Wanted};
use crate::threads;

/// What a request asks for.
#[derive(Debug)]
pub(crate) struct Asked {
    path: String,
    /// Without the repeated keys, which are the details.
    query: BTreeMap<String, String>,
    details: Details,
}

impl Asked {
    pub(crate) fn of(uri: &Uri) -> Self {
        let query = uri.query().unwrap_or_default();
        let parts = query.split('&').filter_map(|part| part.split_once('='));
        let decode = |text: &str| percent_decode_str(text).decode_utf8_lossy().into_owned();
        Self {
            path: uri.path().to_owned(),
            query: parts
                .map(|(name, value)| (name.to_owned(), decode(value)))
                .filter(|(_, value)| !value.is_empty())
                .collect(),
            details: Details::of_query(query),
        }
    }

    fn get(&self, name: &str) -> Option<&str> {
        self.query.get(name).map(String::as_str)
    }

    /// The ID, when it is a single task that is asked for.
    pub(crate) fn task_id(&self) -> Option<&str> {
        (self.path == "/v2/task").then(|| self.get("task_id"))?
    }
}

/// What it gets.
#[derive(Debug)]
pub(crate) enum Found {
    Body(Bytes),
    Error(StatusCode, &'static str),
}

/// Why it gets nothing.
type Refusal = (StatusCode, &'static str);

/// All endpoints.
#[derive(Debug)]
pub(crate) struct Api {
    catalog: Catalog,
    pages: Mutex<Pages>,
}

impl Api {
    pub(crate) fn new(config: &SandboxConfig) -> Result<Self, SandboxError> {
        let catalog = match &config.from {
            Some(path) => Catalog::Given(fixture::read(path)?),
            None => Catalog::Generated {
                recipe: Recipe {
                    seed: config.seed,
                    drift: config.drift,
                    batch_size: config.batch_size,
                },
                last: config.tasks,
            },
        };
        Ok(Self {
            catalog,
            pages: Mutex::new(Pages::new(config.list_faults.clone())),
        })
    }

    /// Answers a request, which is the `number`th.
    pub(crate) fn find(&self, asked: &Asked, number: u64) -> Found {
        let found = match asked.path.as_str() {
            "/v2/task" => self.task(asked),
            "/v2/tasks" => self.tasks(asked, number),
            "/v2/delivery" => self.delivery(asked, number),
            "/v2/batches" => self.batches(asked),
            "/v2/projects" => Ok(self.objects("projects", Kind::Project)),
            "/v2/deliveries" => Ok(self.deliveries()),
            _ => Err((StatusCode::NOT_FOUND, "no such endpoint")),
        };
        found.map_or_else(|(status, text)| Found::Error(status, text), Found::Body)
    }

    fn task(&self, asked: &Asked) -> Result<Bytes, Refusal> {
        let required = (StatusCode::BAD_REQUEST, "task_id is required");
        let task_id = asked.get("task_id").ok_or(required)?;
        self.catalog
            .task(task_id, asked.details)
            .ok_or((StatusCode::NOT_FOUND, "task not found"))
    }

    fn tasks(&self, asked: &Asked, number: u64) -> Result<Bytes, Refusal> {
        let names = [
            ("batch_id", Kind::Batch, true),
            ("batch_name", Kind::Batch, false),
            ("project_id", Kind::Project, true),
            ("project_name", Kind::Project, false),
        ];
        let mut given = names
            .into_iter()
            .filter_map(|(name, kind, by_id)| Some((kind, by_id, asked.get(name)?)));
        let (Some((kind, by_id, name)), None) = (given.next(), given.next()) else {
            let text = "one of project_id, project_name, batch_id and batch_name is required";
            return Err((StatusCode::BAD_REQUEST, text));
        };
        let unknown = match kind {
            Kind::Batch => "batch not found",
            Kind::Project | Kind::Delivery => "project not found",
        };
        let members = self.catalog.find(kind, by_id, name);
        let members = members.ok_or((StatusCode::NOT_FOUND, unknown))?;
        self.page(asked, &members, number, "")
    }

    fn delivery(&self, asked: &Asked, number: u64) -> Result<Bytes, Refusal> {
        let required = (StatusCode::BAD_REQUEST, "delivery_id is required");
        let id = asked.get("delivery_id").ok_or(required)?;
        let members = self.catalog.find(Kind::Delivery, true, id);
        let members = members.ok_or((StatusCode::NOT_FOUND, "delivery not found"))?;
        let delivery = self.catalog.delivery(&members);
        self.page(
            asked,
            &members,
            number,
            &format!("\"delivery\":{delivery},"),
        )
    }

    fn page(
        &self,
        asked: &Asked,
        members: &Members,
        number: u64,
        first: &str,
    ) -> Result<Bytes, Refusal> {
        let bad = |text| (StatusCode::BAD_REQUEST, text);
        let limit = match asked.get("limit") {
            None => MAX_TASKS,
            Some(text) => text
                .parse()
                .ok()
                .filter(|limit| (1..=MAX_TASKS).contains(limit))
                .ok_or(bad("limit must be from 1 to 100"))?,
        };
        let is_delivery = !first.is_empty();
        let list = format!("{is_delivery} {members:?}");
        let wanted = Wanted {
            list: &list,
            members,
            // What has been delivered is complete.
            status: asked.get("status").or(is_delivery.then_some("completed")),
            completed_after: asked.get("completed_after"),
            completed_before: asked.get("completed_before"),
            limit,
            token: asked.get("next_token"),
            details: asked.details,
        };
        let mut pages = threads::lock(&self.pages);
        let (tasks, next) = pages.page(&self.catalog, &wanted, number).map_err(bad)?;
        let mut body = format!("{{{first}\"tasks\":[").into_bytes();
        for (index, task) in tasks.iter().enumerate() {
            if index > 0 {
                body.push(b',');
            }
            body.extend_from_slice(task);
        }
        body.push(b']');
        if let Some(next) = next {
            body.extend_from_slice(format!(",\"next_token\":\"{next}\"").as_bytes());
        }
        body.push(b'}');
        Ok(Bytes::from(body))
    }

    fn batches(&self, asked: &Asked) -> Result<Bytes, Refusal> {
        let mut batches = self.catalog.objects(Kind::Batch);
        if let Some(project) = asked.get("project_id") {
            batches.retain(|(of, _)| of == project);
        }
        let bad = (StatusCode::BAD_REQUEST, "next_token is not valid");
        let from = match asked.get("next_token") {
            None => 0,
            Some(token) => token.parse().map_err(|_| bad)?,
        };
        let page = batches.iter().skip(from).take(MAX_TASKS);
        let page: Vec<&str> = page.map(|(_, batch)| batch.as_str()).collect();
        let end = from + page.len();
        let next = if end < batches.len() {
            format!(",\"next_token\":\"{end}\"")
        } else {
            String::new()
        };
        Ok(Bytes::from(format!(
            "{{\"batches\":[{}]{next}}}",
            page.join(",")
        )))
    }

    fn objects(&self, name: &str, kind: Kind) -> Bytes {
        let objects = self.catalog.objects(kind).into_iter();
        let objects: Vec<String> = objects.map(|(_, object)| object).collect();
        Bytes::from(format!("{{\"{name}\":[{}]}}", objects.join(",")))
    }

    fn deliveries(&self) -> Bytes {
        let deliveries = self.catalog.deliveries();
        Bytes::from(format!("{{\"deliveries\":[{}]}}", deliveries.join(",")))
    }
}
