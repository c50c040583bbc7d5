//! Which lists are worth reading instead of single requests, and when to stop. Pure.
//!
//! A page costs one request and gives up to a hundred tasks, but it is unknown how many of them are wanted, and how
//! long the list is. So a sample of the IDs is fetched with single requests first. It shows which lists the other tasks
//! may be in. Those lists are read as long as they gain more than they cost. Each list may lose a little before it pays
//! off, and all lists together a fixed share of the IDs: that is the most that a run can cost more than without lists.

use std::collections::{BTreeMap, HashMap};

use crate::api::body_check::TaskLists;
use crate::api::list_request::{ListFilter, ListKind, ListSource};

/// Whether lists may replace single requests.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ListPlan {
    /// Where they are expected to need fewer requests.
    Auto,
    /// Never.
    Ids,
    /// Wherever there is a list, whatever it costs.
    Lists,
}

/// Requests that may be lost on lists, as a share of the IDs. The documented limit is 5%; requests that are in flight
/// at the same time may add to it.
pub(crate) const LOSS: f64 = 0.04;

/// IDs that are fetched with single requests as a sample: the share of all (one in this many), the minimum, and the
/// maximum of the first sample.
const SAMPLE_SHARE: usize = 100;
const MIN_SAMPLE: usize = 3;
const MAX_FIRST_SAMPLE: usize = 24;

/// The maximum of later samples, while lists pay off.
const MAX_SAMPLE: usize = 512;

/// The maximum number of rounds of sampling and listing.
const MAX_ROUNDS: u32 = 100;

/// A list pays off if it gives this many times more tasks than it costs requests.
pub(crate) const PAYS: f64 = 2.0;

/// Lists that do not pay off, after which no further list is tried unless another one pays off.
const MAX_FAILURES: usize = 2;

/// Lists that are read at once before the first one has paid off.
const UNPROVEN_AT_ONCE: usize = 2;

/// Tasks per request below which the lists of batches give little, so that the list of a project may give more.
const POOR: f64 = 8.0;

/// The minimum sample of a project that says something about its batches.
const MIN_PROJECT_SAMPLE: usize = 3;

/// The share of a project's samples that are in different batches if its batches are small.
const SCATTERED: f64 = 0.7;

/// A list that may be read.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct ListCandidate {
    pub(crate) source: ListSource,
    /// Wanted tasks that it is expected to have.
    pub(crate) expected: f64,
}

/// What a list has cost and gained.
#[derive(Debug, Clone, Default)]
struct ListAccount {
    /// How much more than it gains it may cost.
    patience: f64,
    pages: f64,
    gained: f64,
    is_over: bool,
}

impl ListAccount {
    fn pays(&self) -> bool {
        self.gained >= self.pages * PAYS && self.gained > 0.0
    }
}

/// Keeps account of what lists cost and gain.
#[derive(Debug)]
pub(crate) struct ListPlanner {
    plan: ListPlan,
    /// Requests that may be lost in all.
    budget: f64,
    /// Requests for comparisons, beyond what fetching the task needs.
    compared: f64,
    lists: HashMap<ListSource, ListAccount>,
    round: u32,
    sample: usize,
    /// Tasks per request in the last round, with pages and samples counted.
    yield_of_round: f64,
    is_over: bool,
}

#[expect(clippy::cast_precision_loss, reason = "counts are far below 2^53")]
impl ListPlanner {
    pub(crate) fn new(plan: ListPlan, wanted: usize) -> Self {
        Self {
            plan,
            budget: wanted as f64 * LOSS,
            compared: 0.0,
            lists: HashMap::new(),
            round: 0,
            sample: 0,
            yield_of_round: f64::INFINITY,
            is_over: plan == ListPlan::Ids,
        }
    }

    /// How many of the waiting IDs to fetch with single requests as the next sample; `None` if no more lists are to be
    /// read.
    pub(crate) fn next_sample(&mut self, waiting: usize) -> Option<usize> {
        // The loss that is allowed is less than one page.
        let is_few = waiting as f64 * LOSS < 1.0;
        let is_too_few = match self.plan {
            ListPlan::Auto => is_few,
            // A page instead of one request gains nothing.
            ListPlan::Lists => waiting < MIN_SAMPLE,
            ListPlan::Ids => true,
        };
        if self.is_over || is_too_few || self.round >= MAX_ROUNDS {
            return None;
        }
        self.round += 1;
        let (least, most) = match self.sample {
            0 => (MIN_SAMPLE, MAX_FIRST_SAMPLE),
            sample => (MIN_SAMPLE, sample),
        };
        self.sample = (waiting / SAMPLE_SHARE).clamp(least, most.max(least));
        Some(self.sample)
    }

    /// The lists to try next, the most promising first, from the lists that a sample of the waiting tasks belongs to.
    pub(crate) fn candidates(
        &mut self,
        sample: &[TaskLists],
        waiting: usize,
    ) -> Vec<ListCandidate> {
        let mut counts: BTreeMap<(ListKind, &str), usize> = BTreeMap::new();
        let mut batches: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
        for belongs in sample {
            match (&belongs.project, &belongs.batch) {
                // A batch is shorter than its project, so the project is a candidate for tasks without a batch only.
                (Some(project), None) => {
                    *counts.entry((ListKind::Project, project)).or_default() += 1;
                }
                (_, Some(batch)) => *counts.entry((ListKind::Batch, batch)).or_default() += 1,
                (None, None) => {}
            }
            if let (Some(project), Some(batch)) = (&belongs.project, &belongs.batch) {
                batches.entry(project).or_default().push(batch);
            }
        }
        if self.yield_of_round < POOR {
            // If batches are small, their project may have the right size.
            for (project, mut batches) in batches {
                let count = batches.len();
                batches.sort_unstable();
                batches.dedup();
                if count >= MIN_PROJECT_SAMPLE && batches.len() as f64 >= count as f64 * SCATTERED {
                    counts.insert((ListKind::Project, project), count);
                }
            }
        }
        let share = |count: usize| count as f64 / sample.len().max(1) as f64;
        let mut candidates: Vec<ListCandidate> = counts
            .into_iter()
            .map(|((kind, name), count)| ListCandidate {
                source: ListSource {
                    kind,
                    name: name.to_owned(),
                    filter: ListFilter::default(),
                },
                expected: waiting as f64 * share(count),
            })
            .filter(|candidate| !self.lists.contains_key(&candidate.source))
            .collect();
        candidates.sort_by(|one, other| other.expected.total_cmp(&one.expected));
        if candidates.is_empty() {
            self.is_over = true;
        }
        let distinct = candidates.len() as f64 >= sample.len() as f64 * SCATTERED;
        if distinct && self.round > 1 {
            // With many lists, it takes a larger sample to find them.
            self.sample = (self.sample * 2).min(MAX_SAMPLE);
        }
        candidates
    }

    /// Starts the account of a list.
    pub(crate) fn begin(&mut self, candidate: &ListCandidate) {
        let patience = (candidate.expected * LOSS).max(1.0);
        let account = ListAccount {
            patience,
            ..ListAccount::default()
        };
        self.lists.insert(candidate.source.clone(), account);
    }

    /// How many lists may be read at once.
    pub(crate) fn max_parallel(&self, concurrency: usize) -> usize {
        if self.is_over {
            0
        } else if self.plan == ListPlan::Lists || self.lists.values().any(ListAccount::pays) {
            concurrency
        } else {
            UNPROVEN_AT_ONCE.min(concurrency)
        }
    }

    /// Whether one more page of a list may be requested. If so, its cost is booked.
    pub(crate) fn book_page(&mut self, source: &ListSource) -> bool {
        let lost = self.lost();
        let failed = self
            .lists
            .values()
            .filter(|list| list.is_over && !list.pays());
        let is_hopeless =
            failed.count() >= MAX_FAILURES && !self.lists.values().any(ListAccount::pays);
        let Some(account) = self.lists.get_mut(source) else {
            return false;
        };
        let may = self.plan == ListPlan::Lists
            || (!self.is_over
                && !is_hopeless
                && lost + 1.0 <= self.budget
                && account.pages + 1.0 - account.gained <= account.patience);
        if may {
            // Before the request, so that pages in flight count.
            account.pages += 1.0;
        } else {
            account.is_over = true;
        }
        may
    }

    /// Books the wanted tasks that a page gave.
    pub(crate) fn book_gain(&mut self, source: &ListSource, tasks: usize) {
        if let Some(account) = self.lists.get_mut(source) {
            account.gained += tasks as f64;
        }
    }

    /// Whether one more comparison is within the budget. Without the first one, no list could be used.
    pub(crate) fn may_compare(&self) -> bool {
        self.plan == ListPlan::Lists || self.compared == 0.0 || self.lost() + 1.0 <= self.budget
    }

    /// Books a comparison.
    pub(crate) fn book_comparison(&mut self) {
        self.compared += 1.0;
    }

    /// The list was read, or cannot be read.
    pub(crate) fn end(&mut self, source: &ListSource) {
        if let Some(account) = self.lists.get_mut(source) {
            account.is_over = true;
        }
    }

    /// The lists do not return what single requests return.
    pub(crate) fn stop(&mut self) {
        self.is_over = true;
    }

    /// Whether no more lists are to be read.
    pub(crate) fn is_over(&self) -> bool {
        self.is_over
    }

    /// Ends a round: with the size of its sample, its pages, and the tasks that these gave.
    pub(crate) fn end_round(&mut self, sample: usize, pages: usize, tasks: usize) {
        self.yield_of_round = tasks as f64 / (sample + pages).max(1) as f64;
        // A round that gained nothing would be followed by others like it.
        if tasks <= pages && self.plan == ListPlan::Auto {
            self.is_over = true;
        }
    }

    /// What lists have cost beyond what they gained.
    fn lost(&self) -> f64 {
        let lists = self.lists.values();
        self.compared + lists.map(|list| list.pages - list.gained).sum::<f64>()
    }
}

/// This many items, evenly spread over a slice.
pub(crate) fn spread<T: Copy>(all: &[T], count: usize) -> Vec<T> {
    let count = count.min(all.len());
    // Neighbors in a list of IDs often belong to the same batch.
    let places = (0..count).map(|index| index * all.len() / count);
    places.filter_map(|place| all.get(place).copied()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    /// A server: for each batch, which of its tasks are wanted, in the order of its list.
    struct Server {
        batches: Vec<Vec<bool>>,
        batches_per_project: usize,
    }

    /// The requests that a run needs, with everything else left out.
    fn run(plan: ListPlan, server: &Server) -> usize {
        let mut waiting: Vec<(usize, usize)> = Vec::new();
        for (batch, tasks) in server.batches.iter().enumerate() {
            let wanted = tasks.iter().enumerate().filter(|(_, wanted)| **wanted);
            waiting.extend(wanted.map(|(task, _)| (batch, task)));
        }
        // In an order that is unrelated to the batches.
        waiting.sort_by_key(|(batch, task)| (batch * 7_919 + task * 104_729) % 999_983);
        let mut planner = ListPlanner::new(plan, waiting.len());
        let mut requests = 0;
        let mut left: HashSet<(usize, usize)> = waiting.iter().copied().collect();
        while let Some(size) = planner.next_sample(waiting.len()) {
            let sample = spread(&waiting, size);
            requests += sample.len();
            left.retain(|task| !sample.contains(task));
            let belongs: Vec<TaskLists> = sample
                .iter()
                .map(|(batch, _)| TaskLists {
                    project: Some((batch / server.batches_per_project).to_string()),
                    batch: Some(batch.to_string()),
                })
                .collect();
            let (mut pages, mut tasks) = (0, 0);
            for candidate in planner.candidates(&belongs, left.len()) {
                if planner.max_parallel(8) == 0 {
                    break;
                }
                planner.begin(&candidate);
                let number: usize = candidate.source.name.parse().unwrap();
                let batches = match candidate.source.kind {
                    ListKind::Batch => number..number + 1,
                    _ => {
                        number * server.batches_per_project
                            ..(number + 1) * server.batches_per_project
                    }
                };
                let mut listed = batches.flat_map(|batch| {
                    (0..server.batches[batch].len()).map(move |task| (batch, task))
                });
                loop {
                    let page: Vec<_> = listed.by_ref().take(100).collect();
                    if page.is_empty() {
                        break;
                    }
                    if !planner.book_page(&candidate.source) {
                        break;
                    }
                    pages += 1;
                    let gained = page.iter().filter(|task| left.remove(task)).count();
                    planner.book_gain(&candidate.source, gained);
                    tasks += gained;
                }
                planner.end(&candidate.source);
            }
            requests += pages;
            planner.end_round(sample.len(), pages, tasks);
            waiting.retain(|task| left.contains(task));
        }
        requests + left.len()
    }

    /// This many batches of one size, with every so-manyth task wanted.
    fn batches(count: usize, size: usize, every: usize) -> Server {
        let batch: Vec<bool> = (0..size).map(|task| task % every == 0).collect();
        Server {
            batches: vec![batch; count],
            batches_per_project: count,
        }
    }

    #[test]
    fn whole_batches_are_listed() {
        // Three batches, then 100, then a thousand small ones in one project.
        for (count, size, most) in [(3, 3_334, 130), (100, 100, 400), (1_000, 10, 400)] {
            let requests = run(ListPlan::Auto, &batches(count, size, 1));
            assert!(requests <= most, "{count} batches of {size}: {requests}");
        }
        // Half of each is still far better than single requests.
        let requests = run(ListPlan::Auto, &batches(3, 6_668, 2));
        assert!(requests <= 250, "{requests}");
        let requests = run(ListPlan::Auto, &batches(1, 100, 1));
        assert!(requests <= 5, "{requests}");
    }

    #[test]
    fn scattered_ids_cost_little_more_than_one_by_one() {
        for (count, size, every) in [
            (100, 10_000, 100),
            (20, 10_000, 20),
            (10, 100_000, 1_000),
            (5, 20_000, 50),
            (10_000, 100, 100),
            (1, 2_000, 80),
        ] {
            let server = batches(count, size, every);
            let wanted = count * size.div_ceil(every);
            let requests = run(ListPlan::Auto, &server);
            assert!(
                requests * 100 <= wanted * 105,
                "{count} batches of {size}, one in {every}: {requests} for {wanted}"
            );
        }
    }

    #[test]
    fn a_list_without_wanted_tasks_at_its_start_is_read_up_to_its_allowance() {
        // The 10,000 newest of 30,000: the first 200 pages give nothing.
        let batch: Vec<bool> = (0..30_000).map(|task| task >= 20_000).collect();
        let server = Server {
            batches: vec![batch],
            batches_per_project: 1,
        };
        let requests = run(ListPlan::Auto, &server);
        assert!(requests <= 330, "{requests}");
        let server = Server {
            batches: vec![(0..300_000).map(|task| task >= 290_000).collect()],
            batches_per_project: 1,
        };
        let requests = run(ListPlan::Auto, &server);
        assert!((10_000..=10_500).contains(&requests), "{requests}");
        assert!(run(ListPlan::Lists, &server) < 3_100);
    }

    #[test]
    fn few_ids_are_fetched_with_single_requests() {
        assert_eq!(ListPlanner::new(ListPlan::Auto, 20).next_sample(20), None);
        assert_eq!(
            ListPlanner::new(ListPlan::Auto, 25).next_sample(25),
            Some(MIN_SAMPLE)
        );
        assert_eq!(
            ListPlanner::new(ListPlan::Lists, 20).next_sample(20),
            Some(MIN_SAMPLE)
        );
        assert_eq!(
            ListPlanner::new(ListPlan::Ids, 10_000).next_sample(10_000),
            None
        );
    }

    #[test]
    fn tasks_without_a_batch_are_searched_in_their_project() {
        let mut planner = ListPlanner::new(ListPlan::Auto, 1_000);
        planner.next_sample(1_000);
        let belongs = TaskLists {
            project: Some("p".into()),
            batch: None,
        };
        let candidates = planner.candidates(&[belongs, TaskLists::default()], 1_000);
        let kinds: Vec<_> = candidates
            .iter()
            .map(|candidate| (candidate.source.kind, candidate.expected))
            .collect();
        assert_eq!(kinds, [(ListKind::Project, 500.0)]);
    }

    #[test]
    fn a_sample_is_spread_evenly() {
        let all: Vec<usize> = (0..100).collect();
        assert_eq!(spread(&all, 4), [0, 25, 50, 75]);
        assert_eq!(spread(&all[..2], 4), [0, 1]);
        assert_eq!(spread::<usize>(&[], 4), Vec::<usize>::new());
    }
}
