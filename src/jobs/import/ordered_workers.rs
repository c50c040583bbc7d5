//! Threads that do the same work on many items. The results come in the order of the items.

use std::collections::VecDeque;
use std::sync::Mutex;
use std::sync::mpsc::{Receiver, Sender, SyncSender, channel, sync_channel};
use std::thread::{Scope, ScopedJoinHandle};

use crate::jobs::error::ExportError;
use crate::jobs::threads::{join, spawn};
use crate::threads;

/// Items for each thread that may be worked on or wait: one in work, and one that is ready when it is done.
const ITEMS_PER_THREAD: usize = 2;

/// Bytes of items above which no more begin. One item can be larger.
const MAX_BYTES: usize = 4 << 20;

/// An item, and where its result goes.
struct QueuedItem<W, R> {
    item: W,
    result: SyncSender<R>,
}

/// The queue that the threads take items from.
pub(crate) struct ItemQueue<W, R>(Mutex<Receiver<QueuedItem<W, R>>>);

/// The items that are worked on, in their order.
pub(crate) struct OrderedWorkers<'s, W, R> {
    sender: Sender<QueuedItem<W, R>>,
    /// Where each result comes, with the bytes of the item.
    waiting: VecDeque<(Receiver<R>, usize)>,
    /// Bytes of the items that wait.
    bytes: usize,
    threads: Vec<ScopedJoinHandle<'s, ()>>,
}

/// A queue for [`OrderedWorkers::start`].
pub(crate) fn queue<W, R>() -> (QueueEnd<W, R>, ItemQueue<W, R>) {
    let (sender, receiver) = channel();
    (QueueEnd(sender), ItemQueue(Mutex::new(receiver)))
}

/// The end of a queue that items are put into.
pub(crate) struct QueueEnd<W, R>(Sender<QueuedItem<W, R>>);

impl<'s, W: Send, R: Send> OrderedWorkers<'s, W, R> {
    /// Starts the threads. Each of them makes what does its work with `worker`.
    pub(crate) fn start<'e, F: FnMut(W) -> R>(
        scope: &'s Scope<'s, 'e>,
        (end, items): (QueueEnd<W, R>, &'s ItemQueue<W, R>),
        count: usize,
        worker: &'s (impl Fn() -> F + Sync),
    ) -> Result<Self, ExportError> {
        let start = |_| {
            spawn(scope, move || {
                let mut work = worker();
                loop {
                    let next = threads::lock(&items.0).recv();
                    let Ok(QueuedItem { item, result }) = next else {
                        break;
                    };
                    // Without a receiver, the results are not wanted any more.
                    let _ = result.send(work(item));
                }
            })
        };
        Ok(Self {
            sender: end.0,
            waiting: VecDeque::new(),
            bytes: 0,
            threads: (0..count.max(1)).map(start).collect::<Result<_, _>>()?,
        })
    }

    /// Whether a result should be taken before another item is added.
    pub(crate) fn is_full(&self) -> bool {
        self.waiting.len() >= ITEMS_PER_THREAD * self.threads.len() || self.bytes >= MAX_BYTES
    }

    /// Adds an item, which has so many bytes.
    pub(crate) fn add(&mut self, item: W, bytes: usize) {
        // The result has room for one, so its thread does not wait.
        let (result, receiver) = sync_channel(1);
        self.bytes += bytes;
        self.waiting.push_back((receiver, bytes));
        // Without a thread, the receiver has no result either.
        let _ = self.sender.send(QueuedItem { item, result });
    }

    /// The result of the first item whose result was not taken, as soon as it is there. `None` if all were taken, or if a
    /// thread has panicked.
    pub(crate) fn next(&mut self) -> Option<R> {
        let (receiver, bytes) = self.waiting.pop_front()?;
        self.bytes -= bytes;
        receiver.recv().ok()
    }

    /// Ends the threads. A panic of one of them continues here.
    pub(crate) fn end(self) {
        drop(self.sender);
        self.threads.into_iter().for_each(join);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The results of numbers, each after as many milliseconds as `delay` says.
    fn squares(count: usize, delays: &[u64]) -> Vec<u64> {
        let (end, items) = queue();
        let worker = || {
            |(number, delay): (u64, u64)| {
                std::thread::sleep(std::time::Duration::from_millis(delay));
                number * number
            }
        };
        let mut found = Vec::new();
        std::thread::scope(|scope| {
            let mut workers = OrderedWorkers::start(scope, (end, &items), count, &worker).unwrap();
            for (number, delay) in (0..).zip(delays) {
                while workers.is_full() {
                    found.extend(workers.next());
                }
                workers.add((number, *delay), 1);
            }
            while let Some(square) = workers.next() {
                found.push(square);
            }
            workers.end();
        });
        found
    }

    #[test]
    fn results_come_in_the_order_of_the_items() {
        let delays: Vec<u64> = (0..40).map(|number| number * 7 % 5).collect();
        let expected: Vec<u64> = (0..40).map(|number| number * number).collect();
        for count in [0, 1, 2, 7] {
            assert_eq!(squares(count, &delays), expected, "{count}");
        }
        assert!(squares(3, &[]).is_empty());
    }

    #[test]
    fn few_items_are_in_work() {
        let (end, items) = queue::<(), ()>();
        let worker = || |()| ();
        std::thread::scope(|scope| {
            let mut workers = OrderedWorkers::start(scope, (end, &items), 1, &worker).unwrap();
            workers.add((), MAX_BYTES);
            assert!(workers.is_full());
            assert!(workers.next().is_some());
            for _ in 0..ITEMS_PER_THREAD {
                assert!(!workers.is_full());
                workers.add((), 1);
            }
            assert!(workers.is_full());
            workers.end();
        });
    }

    #[test]
    #[should_panic(expected = "of a worker")]
    fn a_panic_continues_in_the_thread_that_ends_the_workers() {
        let (end, items) = queue::<(), ()>();
        let worker = || |()| panic!("of a worker");
        std::thread::scope(|scope| {
            let mut workers = OrderedWorkers::start(scope, (end, &items), 1, &worker).unwrap();
            workers.add((), 1);
            assert!(workers.next().is_none());
            workers.end();
        });
    }
}
