//! The pacer against a model of a server, in simulated time.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::time::Duration;

use scale_export::pacer::controller::Pacer;
use scale_export::pacer::types::{RequestEnd, SendDecision, SentRequest, ServerQuota};
use scale_export::sandbox::limit_models::{Admission, LimitPlan, Limiter};

/// Maximum delay of a timer, as on a busy machine.
const LATENESS: f64 = 0.002;

/// Network time of a request, and of its response.
const WAY: Duration = Duration::from_micros(500);

/// A rejection is this many times faster than a response.
const QUICKER: u32 = 4;

/// The latency of an accepted request, in seconds.
#[derive(Debug, Clone, Copy)]
pub(super) enum Latency {
    Fixed(f64),
    /// Uniform between half and one and a half times this value.
    Uniform(f64),
    /// Exponential: a few requests take many times as long.
    Long(f64),
}

/// The means of twenty equal parts of the exponential distribution. These constants are the same on every machine,
/// while logarithms are not.
const EXPONENTIAL: [f64; 20] = [
    0.025, 0.078, 0.134, 0.193, 0.255, 0.322, 0.393, 0.470, 0.554, 0.645, 0.745, 0.856, 0.982,
    1.125, 1.292, 1.494, 1.746, 2.086, 2.609, 3.996,
];

/// A server and a client.
#[derive(Debug, Clone)]
pub(super) struct Scene {
    pub(super) plan: LimitPlan,
    pub(super) latency: Latency,
    pub(super) retry_after: Option<Duration>,
    /// Whether the server sends its quota in headers.
    pub(super) tells_quota: bool,
    pub(super) concurrency: usize,
    pub(super) time: Duration,
    /// Uptime of the server when the client starts.
    pub(super) offset: Duration,
    pub(super) seed: u64,
}

impl Scene {
    /// The plan in the time of the server's clock.
    fn server_plan(&self) -> LimitPlan {
        let mut plan = self.plan.clone();
        for (at, _) in &mut plan.changes {
            *at += self.offset;
        }
        let others = plan.other_clients.iter_mut().map(|other| &mut other.span);
        for span in others.chain(&mut plan.outages) {
            span.from += self.offset;
            span.until += self.offset;
        }
        plan
    }
}

/// Counts of a second.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Second {
    pub(super) sent: u32,
    pub(super) accepted: u32,
    pub(super) rejected: u32,
    /// Requests during an outage of the server.
    pub(super) away: u32,
}

/// An event at a point in time.
#[derive(Debug, Clone, Copy)]
enum Event {
    Arrive(SentRequest),
    /// The server has the response.
    Ready,
    RequestEnd(SentRequest, RequestEnd, Option<ServerQuota>),
}

struct Simulation<'s> {
    scene: &'s Scene,
    pacer: Pacer,
    limiter: Limiter,
    random: fastrand::Rng,
    /// Future events by number, and a queue of their times, earliest first.
    events: Vec<Event>,
    queue: BinaryHeap<Reverse<(Duration, usize)>>,
    seconds: Vec<Second>,
    under_way: usize,
}

/// Runs a scene. Returns the counts of each second, and the final pacer.
pub(super) fn run(scene: &Scene, pacer: Pacer) -> (Vec<Second>, Pacer) {
    let seconds = usize::try_from(scene.time.as_secs()).unwrap();
    let mut simulation = Simulation {
        scene,
        pacer,
        limiter: Limiter::new(scene.server_plan()),
        random: fastrand::Rng::with_seed(scene.seed),
        events: Vec::new(),
        queue: BinaryHeap::new(),
        seconds: vec![Second::default(); seconds],
        under_way: 0,
    };
    // The next time at which the sender checks the pacer. `None` while it waits for a response.
    let mut wake = Some(Duration::ZERO);
    loop {
        let next = simulation.queue.peek().map(|Reverse((at, _))| *at);
        match wake.filter(|wake| next.is_none_or(|next| *wake <= next)) {
            Some(now) if now >= scene.time => break,
            Some(now) => wake = simulation.send(now),
            None => {
                let Some(Reverse((now, event))) = simulation.queue.pop() else {
                    break;
                };
                if now >= scene.time {
                    break;
                }
                if simulation.happen(now, simulation.events[event]) {
                    wake = Some(wake.map_or(now, |wake| wake.min(now)));
                }
            }
        }
    }
    (simulation.seconds, simulation.pacer)
}

impl Simulation<'_> {
    /// Sends a request if the pacer allows it. Returns when to check again.
    fn send(&mut self, now: Duration) -> Option<Duration> {
        if self.under_way >= self.scene.concurrency {
            return None;
        }
        match self.pacer.take(now) {
            SendDecision::Now(sent) => {
                self.under_way += 1;
                self.second(now).sent += 1;
                self.at(now + WAY, Event::Arrive(sent));
                Some(now)
            }
            SendDecision::At(due) => {
                let late = self.random.f64() * LATENESS;
                Some(due.max(now) + Duration::from_secs_f64(late))
            }
            SendDecision::AfterResponse => None,
        }
    }

    /// Handles an event. Returns whether it was a response.
    fn happen(&mut self, now: Duration, event: Event) -> bool {
        match event {
            Event::Arrive(sent) => {
                let there = now + self.scene.offset;
                let admission = self.limiter.arrive(there);
                let quota = self.limiter.quota(there).filter(|_| self.scene.tells_quota);
                let quota = quota.map(|quota| ServerQuota {
                    left: quota.left,
                    // Headers have whole seconds only.
                    reset: Duration::from_secs_f64(quota.reset.as_secs_f64().ceil()),
                });
                let (took, response) = match admission {
                    Admission::Admitted(wait) => {
                        self.second(now).accepted += 1;
                        let took = wait + self.latency();
                        self.at(now + took, Event::Ready);
                        (took, RequestEnd::Accepted)
                    }
                    Admission::Rejected => {
                        self.second(now).rejected += 1;
                        (
                            self.latency() / QUICKER,
                            RequestEnd::RateLimited(self.scene.retry_after),
                        )
                    }
                    Admission::Away => {
                        self.second(now).away += 1;
                        (self.latency() / QUICKER, RequestEnd::Failed)
                    }
                };
                self.at(now + took + WAY, Event::RequestEnd(sent, response, quota));
                false
            }
            Event::Ready => {
                self.limiter.leave();
                false
            }
            Event::RequestEnd(sent, response, quota) => {
                self.under_way -= 1;
                self.pacer.end(sent, now, response, quota.as_slice());
                true
            }
        }
    }

    fn at(&mut self, at: Duration, event: Event) {
        self.queue.push(Reverse((at, self.events.len())));
        self.events.push(event);
    }

    fn second(&mut self, now: Duration) -> &mut Second {
        let index = usize::try_from(now.as_secs()).unwrap();
        &mut self.seconds[index]
    }

    fn latency(&mut self) -> Duration {
        let share = self.random.f64();
        let seconds = match self.scene.latency {
            Latency::Fixed(seconds) => seconds,
            Latency::Uniform(mean) => mean * (0.5 + share),
            Latency::Long(mean) => {
                let part = self.random.usize(..EXPONENTIAL.len());
                mean * EXPONENTIAL[part]
            }
        };
        Duration::from_secs_f64(seconds)
    }
}
