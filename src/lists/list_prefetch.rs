//! Fetches lists instead of single tasks, as the planner says: samples, then lists; what remains is fetched with single
//! requests. Before pages are trusted, a task is fetched both ways and compared.

use std::collections::{HashMap, HashSet};
use std::sync::{Mutex, MutexGuard};

use futures::{FutureExt as _, StreamExt as _, TryStreamExt as _, stream};
use tokio::sync::mpsc;

use crate::api::body_check::{ListedTask, TaskLists, TaskPage, fingerprint, lists_of};
use crate::api::error::FetchError;
use crate::api::list_request::{ListSource, PAGE_TASKS};
use crate::api::memory_budget::MemoryShare;
use crate::api::task_response::TaskResponse;
use crate::event::Event;
use crate::fetch::fetcher::Fetcher;
use crate::fetch::stats::add;
use crate::fetch::task_result::FetchedTask;
use crate::fetch::wanted::WantedTasks;
use crate::lists::compare::PageComparer;
use crate::lists::comparison::Fingerprint;
use crate::lists::list_planner::{ListCandidate, ListPlan, ListPlanner, spread};
use crate::lists::page_cursor::{CursorStep, PageCursor};
use crate::lists::page_fetch::fetch_page;
use crate::plural::plural;
use crate::threads::lock;

/// What the lists of one run share.
struct Prefetch<'l> {
    fetcher: &'l Fetcher<'l>,
    wanted: &'l WantedTasks<'l>,
    sink: &'l mpsc::Sender<FetchedTask>,
    planner: Mutex<ListPlanner>,
    /// Positions that a list has given, including those that are not stored yet.
    taken: Mutex<HashSet<usize>>,
    /// Fingerprints of tasks that were fetched with single requests, by their positions.
    known: Mutex<HashMap<usize, Fingerprint>>,
    comparer: PageComparer<'l>,
}

/// The result of requesting the next page of a list.
enum NextPage<'b> {
    Page(TaskPage, MemoryShare<'b>),
    /// Another request for the page is worth trying.
    Retry,
    /// The list is not read any further, for this reason.
    End(&'static str),
}

/// Fetches from lists what takes fewer requests that way, and hands it over. The other tasks still wait.
pub async fn prefetch(
    fetcher: &Fetcher<'_>,
    plan: ListPlan,
    wanted: &WantedTasks<'_>,
    sink: &mpsc::Sender<FetchedTask>,
) -> Result<(), FetchError> {
    let prefetch = Prefetch {
        fetcher,
        wanted,
        sink,
        planner: Mutex::new(ListPlanner::new(plan, wanted.count)),
        taken: Mutex::default(),
        known: Mutex::default(),
        comparer: PageComparer::new(fetcher.events),
    };
    if prefetch.planner().is_over() {
        return Ok(());
    }
    prefetch.run().await
}

impl Prefetch<'_> {
    fn planner(&self) -> MutexGuard<'_, ListPlanner> {
        lock(&self.planner)
    }

    async fn run(&self) -> Result<(), FetchError> {
        loop {
            let waiting: Vec<usize> = self.wanted.waiting().collect();
            let Some(size) = self.planner().next_sample(waiting.len()) else {
                return Ok(());
            };
            let sample = spread(&waiting, size);
            let size = sample.len();
            let lists = self.sample(sample).await?;
            let left = waiting.len() - size;
            let candidates = self.planner().candidates(&lists, left);
            let (pages, tasks) = self.read_lists(candidates).await?;
            self.planner().end_round(size, pages, tasks);
            // Kept for one round, so that their number does not grow with that of the tasks.
            lock(&self.known).clear();
        }
    }

    /// Fetches some IDs with single requests, and reads which lists their tasks belong to.
    async fn sample(&self, positions: Vec<usize>) -> Result<Vec<TaskLists>, FetchError> {
        let lists: Vec<Option<TaskLists>> = stream::iter(positions)
            .map(|position| self.single(position).map(|got| got.map(|(lists, _)| lists)))
            .buffer_unordered(self.fetcher.concurrency())
            .try_collect()
            .await?;
        Ok(lists.into_iter().flatten().collect())
    }

    /// Fetches one ID with a single request and hands the result over. Returns the lists of its task, and its
    /// fingerprint, if there is a task.
    async fn single(
        &self,
        position: usize,
    ) -> Result<(Option<TaskLists>, Option<Fingerprint>), FetchError> {
        let Some(task_id) = self.wanted.ids.get(position) else {
            return Ok((None, None));
        };
        let (result, attempts, _share) = self.fetcher.fetch(task_id).await?;
        let mut seen = (None, None);
        if let Ok(TaskResponse { body, .. }) = &result {
            let fingerprint = fingerprint(body);
            lock(&self.known).insert(position, fingerprint);
            seen = (Some(lists_of(body)), Some(fingerprint));
        }
        lock(&self.taken).insert(position);
        self.fetcher
            .hand_over(self.sink, (position, task_id), attempts, result)
            .await?;
        Ok(seen)
    }

    /// Reads lists side by side, few until one has paid off. Returns their pages, and the tasks that these gave.
    async fn read_lists(
        &self,
        candidates: Vec<ListCandidate>,
    ) -> Result<(usize, usize), FetchError> {
        let mut candidates = candidates.into_iter();
        let mut running = stream::FuturesUnordered::new();
        let mut all = (0, 0);
        loop {
            while running.len() < self.planner().max_parallel(self.fetcher.concurrency())
                && let Some(candidate) = candidates.next()
            {
                self.planner().begin(&candidate);
                running.push(self.read_list(candidate));
            }
            match running.next().await {
                Some(read) => {
                    let (pages, tasks) = read?;
                    all = (all.0 + pages, all.1 + tasks);
                }
                None => return Ok(all),
            }
        }
    }

    /// Reads one list as long as it pays off. Returns its pages, and the tasks that these gave.
    async fn read_list(&self, candidate: ListCandidate) -> Result<(usize, usize), FetchError> {
        let source = candidate.source;
        let mut cursor = PageCursor::once(source.clone());
        let (mut pages, mut tasks) = (0, 0);
        let why = loop {
            if !self.planner().book_page(&source) {
                break "more pages are not worth their requests";
            }
            let (page, _share) = match self.next_page(&mut cursor, &source).await? {
                NextPage::Page(page, share) => (page, share),
                NextPage::Retry => continue,
                NextPage::End(why) => break why,
            };
            add(&self.fetcher.counters.pages, 1);
            pages += 1;
            let step = cursor.take(&page);
            self.compare_with_single(&page.tasks).await?;
            if self.planner().is_over() {
                break "the run stopped using lists";
            }
            let gained = self.take_page(page.tasks).await?;
            self.planner().book_gain(&source, gained);
            tasks += gained;
            if step != CursorStep::Next {
                break "the list is complete";
            }
        };
        self.planner().end(&source);
        self.fetcher.events.send(Event::Detail(format!(
            "{source}: {} from {}; {why}",
            plural(tasks as u64, "task"),
            plural(pages as u64, "page")
        )));
        Ok((pages, tasks))
    }

    /// Fetches the next page of a list.
    async fn next_page(
        &self,
        cursor: &mut PageCursor,
        source: &ListSource,
    ) -> Result<NextPage<'_>, FetchError> {
        let report = |message: &str| {
            let text = format!("could not list {source}: {message}");
            self.fetcher.events.send(Event::Detail(text));
        };
        match fetch_page(self.fetcher, cursor.request()).await {
            Ok(Ok((page, share))) => Ok(NextPage::Page(page, share)),
            Ok(Err(failed)) => match cursor.fail(failed.error.fault) {
                CursorStep::Next => Ok(NextPage::Retry),
                CursorStep::Done | CursorStep::NoSuchList | CursorStep::Failed => {
                    report(&failed.error.message);
                    Ok(NextPage::End("the next page could not be fetched"))
                }
            },
            // A key that may not list may still read single tasks. If not, those requests show it.
            Err(FetchError::Refused { message, .. }) => {
                self.planner().stop();
                report(&message);
                Ok(NextPage::End("the key may not read it"))
            }
            Err(error) => Err(error),
        }
    }

    /// Compares tasks of a page with single requests: those that are known both ways, and one of each new shape.
    async fn compare_with_single(&self, page: &[ListedTask]) -> Result<(), FetchError> {
        let ids = self.wanted.ids;
        for task in page {
            let position = ids.position(&task.response.task_id);
            let known = position.and_then(|position| lock(&self.known).get(&position).copied());
            if let Some(known) = known {
                self.comparer.judge(task, known);
            }
        }
        let may = |task: &ListedTask| {
            let position = self.wanted.waiting_position(&task.response.task_id);
            position.is_some() && self.planner().may_compare()
        };
        let single = async |task: &ListedTask| {
            let Some(position) = ids.position(&task.response.task_id) else {
                return Ok(None);
            };
            self.planner().book_comparison();
            Ok(self.single(position).await?.1)
        };
        self.comparer.compare_page(page, false, may, single).await?;
        if self.comparer.lock().differs() {
            self.planner().stop();
        }
        Ok(())
    }

    /// Hands over those tasks of a page that are wanted. Returns how many.
    async fn take_page(&self, page: Vec<ListedTask>) -> Result<usize, FetchError> {
        let wanted = page.into_iter().filter_map(|task| {
            // A task that was not compared is fetched with a single request in the end.
            let is_covered = self.comparer.lock().covers(&task);
            let position = self.wanted.waiting_position(&task.response.task_id)?;
            // A task may be on two pages, or in two lists, before its result is stored.
            let is_new = is_covered && lock(&self.taken).insert(position);
            is_new.then_some((position, task.response))
        });
        let wanted: Vec<(usize, TaskResponse)> = wanted.collect();
        let count = wanted.len();
        stream::iter(wanted)
            .map(async |(position, response)| {
                self.fetcher.count_task(&response);
                add(&self.fetcher.counters.from_lists, 1);
                let task_id = self.wanted.ids.get(position).unwrap_or_default();
                self.fetcher
                    .hand_over(self.sink, (position, task_id), 1, Ok(response))
                    .await
            })
            // All tasks of a page at once, since each waits until it is stored.
            .buffer_unordered(PAGE_TASKS as usize)
            .try_for_each(async |()| Ok(()))
            .await?;
        Ok(count)
    }
}
