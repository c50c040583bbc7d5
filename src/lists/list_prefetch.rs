//! Lists in place of single requests, as `thrift` says: samples, lists, and what remains is asked for singly.
//! Before pages are trusted, a task is got both ways and compared. Depends on `compare`, `thrift`,
//! `walk` and `pages`.

use std::collections::{HashMap, HashSet};
use std::sync::{Mutex, MutexGuard};

use bytes::Bytes;
use futures::{FutureExt as _, StreamExt as _, TryStreamExt as _, stream};
use tokio::sync::mpsc;

use crate::api::body_check::{Belongs, Listed};
use crate::api::error::FetchError;
use crate::api::list_request::PAGE_TASKS;
use crate::event::Event;
use crate::fetch::fetcher::{Engine, Wanted};
use crate::fetch::options::{Delivery, Fetched, Outcome};
use crate::fetch::stats::add;
use crate::lists::compare::Comparer;
use crate::lists::comparison::Fingerprint;
use crate::lists::list_planner::{Candidate, Thrift, spread};
use crate::lists::page_cursor::{Step, Walk};
use crate::threads;

/// What the lists of one run share.
struct Lists<'l> {
    wanted: &'l dyn Wanted,
    sink: &'l mpsc::Sender<Delivery>,
    thrift: Mutex<Thrift>,
    /// Positions that a list has given, also those that are not kept yet.
    taken: Mutex<HashSet<usize>>,
    /// Fingerprints of tasks that were asked for singly, by their positions.
    known: Mutex<HashMap<usize, Fingerprint>>,
    comparer: Comparer,
}

/// Plain numbers and sets, whole whatever happened to a thread.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    threads::lock(mutex)
}

impl Lists<'_> {
    fn thrift(&self) -> MutexGuard<'_, Thrift> {
        lock(&self.thrift)
    }

    /// Positions of the IDs that wait.
    fn waiting(&self) -> Vec<usize> {
        let positions = 0..self.wanted.ids();
        positions
            .filter(|position| self.wanted.is_waiting(*position))
            .collect()
    }
}

impl Engine<'_> {
    /// Gets by lists what they give for less; leaves the rest.
    pub(crate) async fn use_lists(
        &self,
        wanted: &dyn Wanted,
        sink: &mpsc::Sender<Delivery>,
    ) -> Result<(), FetchError> {
        let lists = Lists {
            wanted,
            sink,
            thrift: Mutex::new(Thrift::new(self.options.plan, wanted.count())),
            taken: Mutex::default(),
            known: Mutex::default(),
            comparer: Comparer::default(),
        };
        if lists.thrift().is_over() {
            return Ok(());
        }
        loop {
            let waiting = lists.waiting();
            let Some(size) = lists.thrift().next_sample(waiting.len()) else {
                return Ok(());
            };
            let sample = spread(&waiting, size);
            let size = sample.len();
            let belongs = self.sample(&lists, sample).await?;
            let left = waiting.len() - size;
            let candidates = lists.thrift().candidates(&belongs, left);
            let (pages, tasks) = self.read_lists(&lists, candidates).await?;
            lists.thrift().end_round(size, pages, tasks);
            lock(&lists.known).clear();
        }
    }

    /// Asks for some IDs singly; where their tasks belong.
    async fn sample(
        &self,
        lists: &Lists<'_>,
        positions: Vec<usize>,
    ) -> Result<Vec<Belongs>, FetchError> {
        let belongs: Vec<Option<Belongs>> = stream::iter(positions)
            .map(|position| {
                self.single(lists, position)
                    .map(|got| got.map(|(at, _)| at))
            })
            .buffer_unordered(self.options.concurrency.max(1))
            .try_collect()
            .await?;
        Ok(belongs.into_iter().flatten().collect())
    }

    /// Asks for one ID singly and hands it over; where it belongs, and its fingerprint, if there is a task.
    async fn single(
        &self,
        lists: &Lists<'_>,
        position: usize,
    ) -> Result<(Option<Belongs>, Option<Fingerprint>), FetchError> {
        let Some(task_id) = lists.wanted.id(position) else {
            return Ok((None, None));
        };
        let (fetched, _share) = self.fetch(position, task_id.to_owned()).await?;
        let mut seen = (None, None);
        if let Outcome::Task { body, .. } = &fetched.outcome {
            let fingerprint = self.check.fingerprint(body);
            lock(&lists.known).insert(position, fingerprint);
            seen = (Some(self.check.belongs(body)), Some(fingerprint));
        }
        lock(&lists.taken).insert(position);
        self.hand_over(lists.sink, fetched).await?;
        Ok(seen)
    }

    /// Reads lists side by side, few until one has paid; their pages, and the tasks that these gave.
    async fn read_lists(
        &self,
        lists: &Lists<'_>,
        candidates: Vec<Candidate>,
    ) -> Result<(usize, usize), FetchError> {
        let mut candidates = candidates.into_iter();
        let mut running = stream::FuturesUnordered::new();
        let mut all = (0, 0);
        loop {
            while running.len() < lists.thrift().at_once(self.options.concurrency)
                && let Some(candidate) = candidates.next()
            {
                lists.thrift().begin(&candidate);
                running.push(self.read_list(lists, candidate));
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

    /// Reads one list as long as it pays; its pages, and the tasks that these gave.
    async fn read_list(
        &self,
        lists: &Lists<'_>,
        candidate: Candidate,
    ) -> Result<(usize, usize), FetchError> {
        let source = candidate.source;
        let mut walk = Walk::once(source.clone());
        let (mut pages, mut tasks) = (0, 0);
        let why = loop {
            if !lists.thrift().pay(&source) {
                break "which does not pay";
            }
            let (page, _share) = match self.page(walk.request()).await {
                Ok(Ok(page)) => page,
                Ok(Err(failure)) => match walk.fail(failure.trouble) {
                    Step::Next => continue,
                    Step::Done | Step::NoSuchList | Step::Failed => {
                        let text = format!("{source} cannot be listed: {}", failure.message);
                        self.events.send(Event::Detail(text));
                        break "which cannot be read farther";
                    }
                },
                // A key that may not list may still ask for single tasks; if not, they tell.
                Err(FetchError::Refused { message, .. }) => {
                    lists.thrift().distrust();
                    let text = format!("{source} cannot be listed: {message}");
                    self.events.send(Event::Detail(text));
                    break "which the key may not read";
                }
                Err(error) => return Err(error),
            };
            add(&self.counters.pages, 1);
            pages += 1;
            let step = walk.take(&page);
            self.compare_with_single(lists, &page.tasks).await?;
            if lists.thrift().is_over() {
                break "which is not used";
            }
            let gained = self.take_page(lists, page.tasks).await?;
            lists.thrift().gain(&source, gained);
            tasks += gained;
            if step != Step::Next {
                break "to its end";
            }
        };
        lists.thrift().end(&source);
        self.events.send(Event::Detail(format!(
            "{source}, {why}: {pages} pages gave {tasks} tasks"
        )));
        Ok((pages, tasks))
    }

    /// Compares tasks of a page with single requests: those that are known both ways, and one of each new look.
    async fn compare_with_single(
        &self,
        lists: &Lists<'_>,
        page: &[Listed],
    ) -> Result<(), FetchError> {
        for task in page {
            let position = lists.wanted.position(&task.task_id);
            let known = position.and_then(|position| lock(&lists.known).get(&position).copied());
            if let Some(known) = known {
                self.judge_listed(&lists.comparer, task, known);
            }
        }
        let may = |task: &Listed| {
            let position = lists.wanted.position(&task.task_id);
            position.is_some_and(|position| lists.wanted.is_waiting(position))
                && lists.thrift().may_compare()
        };
        let single = async |task: &Listed| {
            let Some(position) = lists.wanted.position(&task.task_id) else {
                return Ok(None);
            };
            lists.thrift().compare();
            Ok(self.single(lists, position).await?.1)
        };
        self.compare_page(&lists.comparer, page, false, may, single)
            .await?;
        if lists.comparer.lock().differs() {
            lists.thrift().distrust();
        }
        Ok(())
    }

    /// Hands over those tasks of a page that are wanted; how many.
    async fn take_page(&self, lists: &Lists<'_>, page: Vec<Listed>) -> Result<usize, FetchError> {
        let wanted = page.into_iter().filter_map(|task| {
            let position = lists.wanted.position(&task.task_id)?;
            // What was not compared is fetched singly in the end.
            let is_new = lists.comparer.lock().covers(&task)
                && lists.wanted.is_waiting(position)
                && lock(&lists.taken).insert(position);
            is_new.then_some((position, task))
        });
        let wanted: Vec<(usize, Listed)> = wanted.collect();
        let count = wanted.len();
        stream::iter(wanted)
            .map(async |(position, task)| {
                self.count_task(&task.task_id, None);
                add(&self.counters.from_lists, 1);
                let fetched = Fetched {
                    position,
                    task_id: task.task_id,
                    attempts: 1,
                    outcome: Outcome::Task {
                        body: Bytes::from(task.body),
                        nodes: None,
                        is_final: task.is_final,
                    },
                };
                self.hand_over(lists.sink, fetched).await
            })
            .buffer_unordered(PAGE_TASKS as usize)
            .try_for_each(async |()| Ok(()))
            .await?;
        Ok(count)
    }
}
