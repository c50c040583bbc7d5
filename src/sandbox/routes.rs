//! The API's endpoints: parses requests and finds what they name.

use std::collections::BTreeMap;
use std::sync::Mutex;

use bytes::Bytes;
use hyper::{StatusCode, Uri};
use percent_encoding::percent_decode_str;

use crate::sandbox::catalog::{Catalog, GroupKind, ListMembers};
use crate::sandbox::config::SandboxConfig;
use crate::sandbox::error::SandboxError;
use crate::sandbox::fixture;
use crate::sandbox::naming::{DetailOptions, GeneratorOptions};
use crate::sandbox::pagination::{ListQuery, MAX_TASKS, Paginator};
use crate::threads;

/// A request, parsed.
#[derive(Debug)]
pub(crate) struct SandboxRequest {
    path: String,
    /// Without the repeated keys, which are in `details`.
    query: BTreeMap<String, String>,
    details: DetailOptions,
}

impl SandboxRequest {
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
            details: DetailOptions::of_query(query),
        }
    }

    fn get(&self, name: &str) -> Option<&str> {
        self.query.get(name).map(String::as_str)
    }

    /// The ID, if the request is for a single task.
    pub(crate) fn task_id(&self) -> Option<&str> {
        (self.path == "/v2/task").then(|| self.get("task_id"))?
    }
}

/// The body or error for a request.
#[derive(Debug)]
pub(crate) enum RouteResult {
    Body(Bytes),
    Error(StatusCode, &'static str),
}

/// The status and text of an error.
type RouteError = (StatusCode, &'static str);

/// All endpoints.
#[derive(Debug)]
pub(crate) struct Routes {
    catalog: Catalog,
    pages: Mutex<Paginator>,
}

impl Routes {
    pub(crate) fn new(config: &SandboxConfig) -> Result<Self, SandboxError> {
        let catalog = match &config.from {
            Some(path) => Catalog::Fixture(fixture::read(path)?),
            None => Catalog::Generated {
                recipe: GeneratorOptions {
                    seed: config.seed,
                    drift: config.drift,
                    batch_size: config.batch_size,
                },
                last: config.tasks,
            },
        };
        Ok(Self {
            catalog,
            pages: Mutex::new(Paginator::new(config.list_faults.clone())),
        })
    }

    /// Responds to a request. `number` counts requests from the start of the server.
    pub(crate) fn respond(&self, request: &SandboxRequest, number: u64) -> RouteResult {
        let found = match request.path.as_str() {
            "/v2/task" => self.task(request),
            "/v2/tasks" => self.tasks(request, number),
            "/v2/delivery" => self.delivery(request, number),
            "/v2/batches" => self.batches(request),
            "/v2/projects" => Ok(self.objects("projects", GroupKind::Project)),
            "/v2/deliveries" => Ok(self.deliveries()),
            _ => Err((StatusCode::NOT_FOUND, "no such endpoint")),
        };
        found.map_or_else(
            |(status, text)| RouteResult::Error(status, text),
            RouteResult::Body,
        )
    }

    fn task(&self, request: &SandboxRequest) -> Result<Bytes, RouteError> {
        let required = (StatusCode::BAD_REQUEST, "task_id is required");
        let task_id = request.get("task_id").ok_or(required)?;
        self.catalog
            .task(task_id, request.details)
            .ok_or((StatusCode::NOT_FOUND, "task not found"))
    }

    fn tasks(&self, request: &SandboxRequest, number: u64) -> Result<Bytes, RouteError> {
        let names = [
            ("batch_id", GroupKind::Batch, true),
            ("batch_name", GroupKind::Batch, false),
            ("project_id", GroupKind::Project, true),
            ("project_name", GroupKind::Project, false),
        ];
        let mut given = names
            .into_iter()
            .filter_map(|(name, kind, by_id)| Some((kind, by_id, request.get(name)?)));
        let (Some((kind, by_id, name)), None) = (given.next(), given.next()) else {
            let text = "one of project_id, project_name, batch_id and batch_name is required";
            return Err((StatusCode::BAD_REQUEST, text));
        };
        let unknown = match kind {
            GroupKind::Batch => "batch not found",
            GroupKind::Project | GroupKind::Delivery => "project not found",
        };
        let members = self.catalog.find(kind, by_id, name);
        let members = members.ok_or((StatusCode::NOT_FOUND, unknown))?;
        self.page(request, &members, number, "")
    }

    fn delivery(&self, request: &SandboxRequest, number: u64) -> Result<Bytes, RouteError> {
        let required = (StatusCode::BAD_REQUEST, "delivery_id is required");
        let id = request.get("delivery_id").ok_or(required)?;
        let members = self.catalog.find(GroupKind::Delivery, true, id);
        let members = members.ok_or((StatusCode::NOT_FOUND, "delivery not found"))?;
        let delivery = self.catalog.delivery(&members);
        self.page(
            request,
            &members,
            number,
            &format!("\"delivery\":{delivery},"),
        )
    }

    fn page(
        &self,
        request: &SandboxRequest,
        members: &ListMembers,
        number: u64,
        first: &str,
    ) -> Result<Bytes, RouteError> {
        let bad = |text| (StatusCode::BAD_REQUEST, text);
        let limit = match request.get("limit") {
            None => MAX_TASKS,
            Some(text) => text
                .parse()
                .ok()
                .filter(|limit| (1..=MAX_TASKS).contains(limit))
                .ok_or(bad("limit must be from 1 to 100"))?,
        };
        let is_delivery = !first.is_empty();
        let list = format!("{is_delivery} {members:?}");
        let wanted = ListQuery {
            list: &list,
            members,
            // Only completed tasks are delivered.
            status: request.get("status").or(is_delivery.then_some("completed")),
            completed_after: request.get("completed_after"),
            completed_before: request.get("completed_before"),
            limit,
            token: request.get("next_token"),
            details: request.details,
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

    fn batches(&self, request: &SandboxRequest) -> Result<Bytes, RouteError> {
        let mut batches = self.catalog.objects(GroupKind::Batch);
        if let Some(project) = request.get("project_id") {
            batches.retain(|(of, _)| of == project);
        }
        let bad = (StatusCode::BAD_REQUEST, "next_token is not valid");
        let from = match request.get("next_token") {
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

    fn objects(&self, name: &str, kind: GroupKind) -> Bytes {
        let objects = self.catalog.objects(kind).into_iter();
        let objects: Vec<String> = objects.map(|(_, object)| object).collect();
        Bytes::from(format!("{{\"{name}\":[{}]}}", objects.join(",")))
    }

    fn deliveries(&self) -> Bytes {
        let deliveries = self.catalog.deliveries();
        Bytes::from(format!("{{\"deliveries\":[{}]}}", deliveries.join(",")))
    }
}
