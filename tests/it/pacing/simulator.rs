//! One or more pacers against a model of a server, in simulated time.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::time::Duration;

use scale_export::pacer::controller::Pacer;
use scale_export::pacer::types::{Rate, RequestEnd, SendDecision, SentRequest, ServerQuota};
use scale_export::sandbox::limit_models::{Admission, LimitPlan, Limiter, TimeSpan};

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

/// A server and its clients.
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

/// An event at a point in time, of a client.
#[derive(Debug, Clone, Copy)]
enum Event {
    Arrive(usize, SentRequest),
    /// The server has the response.
    Ready,
    RequestEnd(usize, SentRequest, RequestEnd, Option<ServerQuota>),
}

/// A process that sends requests at some times. When it starts again, its pacer has what the last one learned, and shares the
/// limit.
pub(super) struct Client {
    pacer: Pacer,
    /// When it runs.
    runs: Vec<TimeSpan>,
    began: Duration,
    /// The next time at which it checks the pacer. `None` while it waits for a response.
    wake: Option<Duration>,
    under_way: usize,
    /// The counts of each second.
    pub(super) seconds: Vec<Second>,
}

impl Client {
    pub(super) fn new(pacer: Pacer, runs: &[TimeSpan]) -> Self {
        let began = runs.first().map_or(Duration::ZERO, |run| run.from);
        Self {
            pacer,
            runs: runs.to_vec(),
            began,
            wake: Some(began),
            under_way: 0,
            seconds: Vec::new(),
        }
    }

    /// Ends the run if its time is over, and starts the next one.
    fn start_again(&mut self, now: Duration, concurrency: usize) {
        if self.runs.first().is_none_or(|run| now < run.until) {
            return;
        }
        self.runs.remove(0);
        self.wake = self.runs.first().map(|run| run.from);
        self.began = self.wake.unwrap_or(Duration::MAX);
        self.under_way = 0;
        self.pacer = Pacer::new(Rate::Learned, self.pacer.learned(), concurrency).sharing_limit();
    }
}

struct Simulation<'s> {
    scene: &'s Scene,
    limiter: Limiter,
    random: fastrand::Rng,
    /// Future events by number, and a queue of their times, earliest first.
    events: Vec<Event>,
    queue: BinaryHeap<Reverse<(Duration, usize)>>,
    clients: Vec<Client>,
}

/// Runs a scene. Returns the counts of each second, and the final pacer.
pub(super) fn run(scene: &Scene, pacer: Pacer) -> (Vec<Second>, Pacer) {
    let always = TimeSpan {
        from: Duration::ZERO,
        until: Duration::MAX,
    };
    let mut clients = run_together(scene, vec![Client::new(pacer, &[always])]);
    let client = clients.remove(0);
    (client.seconds, client.pacer)
}

/// Runs a scene with several clients, and returns them.
pub(super) fn run_together(scene: &Scene, mut clients: Vec<Client>) -> Vec<Client> {
    let seconds = usize::try_from(scene.time.as_secs()).unwrap();
    for client in &mut clients {
        client.seconds = vec![Second::default(); seconds];
    }
    let mut simulation = Simulation {
        scene,
        limiter: Limiter::new(scene.server_plan()),
        random: fastrand::Rng::with_seed(scene.seed),
        events: Vec::new(),
        queue: BinaryHeap::new(),
        clients,
    };
    loop {
        let next = simulation.queue.peek().map(|Reverse((at, _))| *at);
        let wakes = simulation.clients.iter().enumerate();
        let wake = wakes
            .filter_map(|(index, client)| Some((client.wake?, index)))
            .min();
        match wake.filter(|(wake, _)| next.is_none_or(|next| *wake <= next)) {
            Some((now, _)) if now >= scene.time => break,
            Some((now, index)) => simulation.wake(index, now),
            None => {
                let Some(Reverse((now, event))) = simulation.queue.pop() else {
                    break;
                };
                if now >= scene.time {
                    break;
                }
                simulation.happen(now, simulation.events[event]);
            }
        }
    }
    simulation.clients
}

impl Simulation<'_> {
    /// Lets a client send a request, unless its time is over.
    fn wake(&mut self, index: usize, now: Duration) {
        let client = &mut self.clients[index];
        let began = client.began;
        client.start_again(now, self.scene.concurrency);
        if client.began == began {
            self.clients[index].wake = self.send(index, now);
        }
    }

    /// Sends a request if the pacer allows it. Returns when to check again.
    fn send(&mut self, index: usize, now: Duration) -> Option<Duration> {
        let client = &mut self.clients[index];
        if client.under_way >= self.scene.concurrency {
            return None;
        }
        match client.pacer.take(now.saturating_sub(client.began)) {
            SendDecision::Now(sent) => {
                client.under_way += 1;
                self.second(index, now).sent += 1;
                self.at(now + WAY, Event::Arrive(index, sent));
                Some(now)
            }
            SendDecision::At(due) => {
                let due = due + client.began;
                let late = self.random.f64() * LATENESS;
                Some(due.max(now) + Duration::from_secs_f64(late))
            }
            SendDecision::AfterResponse => None,
        }
    }

    fn happen(&mut self, now: Duration, event: Event) {
        match event {
            Event::Arrive(index, sent) => self.arrive(now, index, sent),
            Event::Ready => self.limiter.leave(),
            Event::RequestEnd(index, sent, response, quota) => {
                let client = &mut self.clients[index];
                let sent_at = client.began.saturating_add(sent.at);
                if sent_at > now {
                    // A process that was killed has sent it.
                    return;
                }
                client.under_way -= 1;
                let passed = now.saturating_sub(client.began);
                client.pacer.end(sent, passed, response, quota.as_slice());
                client.wake = Some(client.wake.map_or(now, |wake| wake.min(now)));
            }
        }
    }

    /// Decides about a request.
    fn arrive(&mut self, now: Duration, index: usize, sent: SentRequest) {
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
                self.second(index, now).accepted += 1;
                let took = wait + self.latency();
                self.at(now + took, Event::Ready);
                (took, RequestEnd::Accepted)
            }
            Admission::Rejected => {
                self.second(index, now).rejected += 1;
                let response = RequestEnd::RateLimited(self.scene.retry_after);
                (self.latency() / QUICKER, response)
            }
            Admission::Away => {
                self.second(index, now).away += 1;
                (self.latency() / QUICKER, RequestEnd::Failed)
            }
        };
        let end = Event::RequestEnd(index, sent, response, quota);
        self.at(now + took + WAY, end);
    }

    fn at(&mut self, at: Duration, event: Event) {
        self.queue.push(Reverse((at, self.events.len())));
        self.events.push(event);
    }

    fn second(&mut self, index: usize, now: Duration) -> &mut Second {
        let second = usize::try_from(now.as_secs()).unwrap();
        &mut self.clients[index].seconds[second]
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
