//! The pages of lists, and their faults.

use std::collections::HashMap;
use std::str::FromStr;

use bytes::Bytes;

use crate::json::parser::Parser;
use crate::sandbox::catalog::{Catalog, ListMembers};
use crate::sandbox::naming::DetailOptions;

/// The largest and the default number of tasks of a page.
pub(crate) const MAX_TASKS: usize = 100;

/// A short page has this many times fewer tasks than requested.
const SHORTER: usize = 3;

/// A fault of lists.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ListFault {
    /// The third and every later page names the second one as the next.
    Loop,
    /// The second page is empty, and names a next one.
    EmptyPage,
    /// While a list is read for the first time, each page after the first begins with the last task of the page before
    /// it, and its own last task moves to the start of the list.
    Moving,
    /// A token expires after this many further requests.
    Expire(u64),
    /// Tasks lack their `metadata`.
    Differs,
    /// Pages have a third of the requested tasks.
    ShortPages,
    /// Each page has two elements that are not tasks.
    BadTask,
}

impl FromStr for ListFault {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Ok(match text {
            "loop" => Self::Loop,
            "empty_page" => Self::EmptyPage,
            "moving" => Self::Moving,
            "differs" => Self::Differs,
            "short_pages" => Self::ShortPages,
            "bad_task" => Self::BadTask,
            _ => {
                let requests = text.strip_prefix("expire=");
                Self::Expire(requests.and_then(|text| text.parse().ok()).ok_or(
                    "expected loop, empty_page, moving, expire=N, differs, short_pages or bad_task",
                )?)
            }
        })
    }
}

/// The start of a page.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct PageToken {
    /// The number of pages before it.
    page: u64,
    /// The number of the task before it.
    after: u64,
    /// The number of the request whose response had the token.
    issued: u64,
}

impl PageToken {
    fn read(text: &str) -> Option<Self> {
        let mut parts = text
            .split('-')
            .map(|part| u64::from_str_radix(part, 16).ok());
        let token = Self {
            page: parts.next()??,
            after: parts.next()??,
            issued: parts.next()??,
        };
        parts.next().is_none().then_some(token)
    }

    fn write(self) -> String {
        format!("{:x}-{:x}-{:x}", self.page, self.after, self.issued)
    }
}

/// A request for a page of a list.
#[derive(Debug)]
pub(crate) struct ListQuery<'w> {
    /// A text that identifies the list.
    pub(crate) list: &'w str,
    pub(crate) members: &'w ListMembers,
    pub(crate) status: Option<&'w str>,
    pub(crate) completed_after: Option<&'w str>,
    pub(crate) completed_before: Option<&'w str>,
    pub(crate) limit: usize,
    pub(crate) token: Option<&'w str>,
    pub(crate) details: DetailOptions,
}

/// Makes pages. Remembers which tasks have moved.
#[derive(Debug, Default)]
pub(crate) struct Paginator {
    faults: Vec<ListFault>,
    /// For each list, the tasks that have moved to its start.
    moved: HashMap<String, Vec<u64>>,
    /// For each list, the next page at which a task moves.
    moves_at: HashMap<String, u64>,
}

impl Paginator {
    pub(crate) fn new(faults: Vec<ListFault>) -> Self {
        Self {
            faults,
            ..Self::default()
        }
    }

    fn has(&self, fault: ListFault) -> bool {
        self.faults.contains(&fault)
    }

    /// Returns the tasks of a page and the token of the next one, or why the token is refused. `request` is the number
    /// of the request.
    pub(crate) fn page(
        &mut self,
        catalog: &Catalog,
        wanted: &ListQuery<'_>,
        request: u64,
    ) -> Result<(Vec<Bytes>, Option<String>), &'static str> {
        let token = match wanted.token {
            None => PageToken::default(),
            Some(text) => PageToken::read(text).ok_or("next_token is not valid")?,
        };
        let has_expired = self.faults.iter().any(|fault| {
            matches!(fault, ListFault::Expire(requests) if wanted.token.is_some() && request > token.issued + requests)
        });
        if has_expired {
            return Err("next_token has expired");
        }
        let next = |after| PageToken {
            page: token.page + 1,
            after,
            issued: request,
        };
        if self.has(ListFault::EmptyPage) && token.page == 1 {
            return Ok((Vec::new(), Some(next(token.after).write())));
        }
        let limit = if self.has(ListFault::ShortPages) {
            wanted.limit.div_ceil(SHORTER)
        } else {
            wanted.limit
        };
        // Tasks that moved to the start of the list are on its first page only.
        let moved = self.moved.get(wanted.list).cloned().unwrap_or_default();
        let first: &[u64] = if token.page == 0 { &moved } else { &[] };
        let rest = catalog.behind(wanted.members, token.after);
        let rest = rest.filter(|number| !moved.contains(number));
        let mut parser = Parser::default();
        // One task more than fits shows that there is a next page.
        let mut found: Vec<(u64, Bytes)> = first
            .iter()
            .copied()
            .chain(rest)
            .filter_map(|number| Some((number, catalog.listed(number, wanted.details)?)))
            .filter(|(_, task)| is_wanted(wanted, task, &mut parser))
            .take(limit + first.len() + 1)
            .collect();
        let has_more = found.len() > limit + first.len();
        found.truncate(limit + first.len());
        if self.has(ListFault::Moving) && token.page > 0 {
            self.shift(catalog, wanted, token, &mut found);
        }
        let after = found
            .iter()
            .map(|(number, _)| *number)
            .filter(|number| !moved.contains(number));
        let after = after.max().unwrap_or(token.after);
        let mut tasks: Vec<Bytes> = found.into_iter().map(|(_, task)| task).collect();
        if self.has(ListFault::Differs) {
            tasks = tasks.iter().map(without_metadata).collect();
        }
        if self.has(ListFault::BadTask) {
            tasks.push(Bytes::from_static(b"null"));
            tasks.push(Bytes::from_static(br#"{"id":"no task"}"#));
        }
        let mut next = has_more.then(|| next(after));
        // The third page leads back to the second one, so the pages have no end.
        if self.has(ListFault::Loop) && token.page >= 2 {
            let list = catalog.behind(wanted.members, 0);
            let second = list.take(limit).last().unwrap_or_default();
            next = Some(PageToken {
                page: 1,
                after: second,
                issued: 0,
            });
        }
        Ok((tasks, next.map(PageToken::write)))
    }

    /// Moves a task of a page. That happens once for each page, so that the second reading of a list is stable.
    fn shift(
        &mut self,
        catalog: &Catalog,
        wanted: &ListQuery<'_>,
        token: PageToken,
        found: &mut Vec<(u64, Bytes)>,
    ) {
        let list = wanted.list.to_owned();
        let at = self.moves_at.entry(list.clone()).or_insert(1);
        if token.page < *at {
            return;
        }
        *at = token.page + 1;
        if let Some((number, _)) = found.pop() {
            self.moved.entry(list).or_default().push(number);
        }
        if let Some(task) = catalog.listed(token.after, wanted.details) {
            found.insert(0, (token.after, task));
        }
    }
}

/// Whether a task passes the filters. Times are compared as text, which is right for UTC.
fn is_wanted(wanted: &ListQuery<'_>, task: &Bytes, parser: &mut Parser) -> bool {
    if wanted
        .status
        .or(wanted.completed_after)
        .or(wanted.completed_before)
        .is_none()
    {
        return true;
    }
    let text = std::str::from_utf8(task).unwrap_or_default();
    let Ok(document) = parser.parse(text) else {
        return false;
    };
    let text = |key| Some(document.root().get(key)?.text()?.to_string());
    let completed = text("completed_at");
    wanted
        .status
        .is_none_or(|status| text("status").as_deref() == Some(status))
        && wanted
            .completed_after
            .is_none_or(|time| completed.as_deref().is_some_and(|at| at > time))
        && wanted
            .completed_before
            .is_none_or(|time| completed.as_deref().is_some_and(|at| at < time))
}

/// A task without its metadata.
fn without_metadata(task: &Bytes) -> Bytes {
    let Ok(serde_json::Value::Object(mut members)) = serde_json::from_slice(task) else {
        return task.clone();
    };
    members.remove("metadata");
    Bytes::from(serde_json::Value::Object(members).to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sandbox::catalog::GroupKind;
    use crate::sandbox::naming::{GeneratorOptions, id_of};

    fn catalog(batch_size: Option<u64>, last: u64) -> Catalog {
        Catalog::Generated {
            recipe: GeneratorOptions {
                batch_size,
                ..GeneratorOptions::default()
            },
            last: Some(last),
        }
    }

    /// Reads a list of `catalog`, at most 20 pages. Returns the numbers of the tasks of each page.
    fn read(
        catalog: &Catalog,
        pages: &mut Paginator,
        kind: GroupKind,
        limit: usize,
    ) -> Vec<Vec<u64>> {
        let word = if kind == GroupKind::Batch {
            "batch"
        } else {
            "project"
        };
        let members = catalog.find(kind, true, &id_of(word, 1)).unwrap();
        let mut token = None;
        let mut read = Vec::new();
        while read.len() < 20 {
            let wanted = ListQuery {
                list: word,
                members: &members,
                status: None,
                completed_after: None,
                completed_before: None,
                limit,
                token: token.as_deref(),
                details: DetailOptions::default(),
            };
            let request = read.len() as u64;
            let (tasks, next) = pages.page(catalog, &wanted, request).unwrap();
            let number = |task: &Bytes| {
                let task: serde_json::Value = serde_json::from_slice(task).ok()?;
                task["task_id"]
                    .as_str()?
                    .strip_prefix("task_")?
                    .parse()
                    .ok()
            };
            read.push(tasks.iter().filter_map(number).collect());
            token = next;
            if token.is_none() {
                break;
            }
        }
        read
    }

    #[test]
    fn a_list_has_each_of_its_tasks_once_in_order() {
        let mut pages = Paginator::default();
        let sized = catalog(Some(250), 600);
        let read_batch = read(&sized, &mut pages, GroupKind::Batch, 100);
        assert_eq!(
            read_batch.iter().map(Vec::len).collect::<Vec<_>>(),
            [100, 100, 50]
        );
        assert_eq!(read_batch.concat(), (251..=500).collect::<Vec<_>>());
        let mixed = catalog(None, 600);
        let read_batch = read(&mixed, &mut pages, GroupKind::Batch, 100).concat();
        let expected: Vec<u64> = (1..=600).filter(|n| n % 30 == 1 && n % 7 > 1).collect();
        assert_eq!(read_batch, expected);
        let project = read(&mixed, &mut pages, GroupKind::Project, 100).concat();
        assert_eq!(
            project,
            (1..=600).filter(|n| n % 5 == 1).collect::<Vec<_>>()
        );
        let project = read(&sized, &mut pages, GroupKind::Project, 100).concat();
        assert_eq!(project, (251..=500).collect::<Vec<_>>());
    }

    #[test]
    fn list_faults_change_pages() {
        let sized = catalog(Some(250), 600);
        let whole: Vec<u64> = (251..=500).collect();
        let odd = |fault| {
            read(
                &sized,
                &mut Paginator::new(vec![fault]),
                GroupKind::Batch,
                50,
            )
        };
        let loops = odd(ListFault::Loop);
        assert_eq!((loops.len(), &loops[3]), (20, &loops[1]));
        let empty = odd(ListFault::EmptyPage);
        assert_eq!((empty[1].len(), empty.concat()), (0, whole.clone()));
        let short = odd(ListFault::ShortPages);
        assert_eq!((short[0].len(), short.concat()), (17, whole.clone()));
        assert_eq!(odd(ListFault::Differs).concat(), whole);
        assert_eq!(odd(ListFault::BadTask).concat(), whole);
        // A task that moves is listed twice or not at all, until the list is stable.
        let mut moving = Paginator::new(vec![ListFault::Moving]);
        let first = read(&sized, &mut moving, GroupKind::Batch, 50).concat();
        let mut distinct = first.clone();
        distinct.sort_unstable();
        distinct.dedup();
        assert_eq!((first.len(), distinct.len()), (250, 246));
        let mut second = read(&sized, &mut moving, GroupKind::Batch, 50).concat();
        second.sort_unstable();
        assert_eq!(second, whole);
    }

    #[test]
    fn expired_and_invalid_tokens_are_refused() {
        let sized = catalog(Some(250), 600);
        let members = sized
            .find(GroupKind::Batch, true, &id_of("batch", 1))
            .unwrap();
        let mut pages = Paginator::new(vec![ListFault::Expire(2)]);
        let mut ask = |token: Option<&str>, request| {
            let wanted = ListQuery {
                list: "batch",
                members: &members,
                status: Some("completed"),
                completed_after: None,
                completed_before: None,
                limit: 10,
                token,
                details: DetailOptions::default(),
            };
            pages.page(&sized, &wanted, request)
        };
        let (tasks, next) = ask(None, 7).unwrap();
        assert_eq!(tasks.len(), 10);
        assert!(
            tasks
                .iter()
                .all(|task| String::from_utf8_lossy(task).contains("\"completed\""))
        );
        assert!(ask(next.as_deref(), 9).is_ok());
        assert_eq!(
            ask(next.as_deref(), 10).unwrap_err(),
            "next_token has expired"
        );
        for bad in ["", "x", "1-2", "1-2-3-4"] {
            assert!(ask(Some(bad), 9).is_err(), "{bad}");
        }
        assert!(
            ["loops", "expire", "expire=x"]
                .iter()
                .all(|bad| bad.parse::<ListFault>().is_err())
        );
    }
}
