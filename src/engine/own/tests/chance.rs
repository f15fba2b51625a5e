//! Several loops, a host that changes its state and wakes from elsewhere, and clients that come, wait, go and ask again, in an order
//! that a seed makes up: nobody is passed over, and nothing is left behind.
//!
//! What is made up is every order that the server keeps to: a wake is put at once into all boxes in which none of its key is; a loop takes its box
//! between two requests, now or later, or a part of it; the host changes its state and posts the wake at two moments, between which anything may
//! happen.

use std::collections::VecDeque;

use fastrand::Rng;

use super::*;

const SEEDS: u64 = 200;
const STEPS: usize = 400;
const LOOPS: usize = 3;

struct Chance {
    rng: Rng,
    counter: Arc<AtomicU64>,
    places: Arc<Places>,
    loops: Vec<Loop>,
    /// By loop: what was posted and not taken.
    boxes: Vec<VecDeque<Arc<Wake>>>,
    /// Changes whose wakes are still to be posted.
    unposted: VecDeque<u64>,
    /// By loop: whose answer is to come, and what they have seen.
    waiting: Vec<BTreeMap<ConnectionKey, u64>>,
    /// … and who has had theirs, and may ask again.
    idle: Vec<Vec<(ConnectionKey, u64)>>,
    told: usize,
    /// By loop: of whom its host must have been told.
    gone: Vec<Vec<Gone>>,
}

impl Chance {
    fn new(seed: u64) -> Self {
        let counter = Arc::new(AtomicU64::new(1));
        let loops = (0..).take(LOOPS);
        let loops = loops.map(|number| Loop::new(number, &counter));
        Self {
            rng: Rng::with_seed(seed),
            places: Places::new(100_000, usize::MAX),
            loops: loops.collect(),
            boxes: vec![VecDeque::new(); LOOPS],
            unposted: VecDeque::new(),
            waiting: vec![BTreeMap::new(); LOOPS],
            idle: vec![Vec::new(); LOOPS],
            counter,
            told: 0,
            gone: vec![Vec::new(); LOOPS],
        }
    }

    fn step(&mut self) {
        let at = self.rng.usize(..LOOPS);
        match self.rng.u32(..20) {
            0..3 => self.come(at),
            3..8 => self.ask(at),
            8..10 => self.change(),
            10..13 => self.post(),
            13..15 => self.take(at, usize::MAX),
            15..18 => self.serve(at),
            18 => self.go(at),
            _ => self.pass(at),
        }
    }

    fn pass(&mut self, at: usize) {
        let now = &mut self.loops[at].now.monotonic_ms;
        *now = now.saturating_add(self.rng.u64(..100));
    }

    fn come(&mut self, at: usize) {
        let key = self.loops[at].connect();
        self.idle[at].push((key, 0));
    }

    fn ask(&mut self, at: usize) {
        if self.idle[at].is_empty() {
            return;
        }
        let which = self.rng.usize(..self.idle[at].len());
        let (key, seen) = self.idle[at].swap_remove(which);
        // Where wakes are very many, input is not held up for them.
        let max = self.rng.choice([0, 1, usize::MAX]).expect("one of them");
        self.take(at, max);
        self.loops[at].get(key, &format!("/counter?seen={seen}"));
        self.waiting[at].insert(key, seen);
    }

    fn change(&mut self) {
        let now = next(&self.counter);
        self.unposted.push_back(now);
    }

    fn post(&mut self) {
        let Some(number) = self.unposted.pop_front() else {
            return;
        };
        // Under other keys nobody waits: they are in the way.
        let others = self.rng.u64(8..10)..self.rng.u64(8..12);
        for key in others.chain([7]) {
            let response = Response::text(number.to_string());
            let wake = self.places.wake(key, response).expect("there is room");
            for letters in &mut self.boxes {
                if !letters.iter().any(|letter| letter.key() == key) {
                    letters.push_back(Arc::clone(&wake));
                }
            }
        }
    }

    fn take(&mut self, at: usize, max: usize) {
        let count = self.boxes[at].len().min(max);
        for wake in self.boxes[at].drain(..count) {
            self.loops[at].engine.wake(wake);
        }
    }

    fn serve(&mut self, at: usize) {
        let one = &mut self.loops[at];
        one.serve();
        for key in Vec::from_iter(one.sent.keys().copied()) {
            let answer = one.text(key);
            let seen = self.waiting[at]
                .remove(&key)
                .expect("asked, and was not answered");
            let (_, body) = answer.split_once("\r\n\r\n").expect("a head");
            let told = match answer.starts_with("HTTP/1.1 204 ") {
                true => {
                    self.gone[at].push(Gone::TimedOut);
                    seen
                }
                false => body.parse().expect("a number"),
            };
            assert!(told <= self.counter.load(Ordering::Relaxed));
            self.told = self.told.saturating_add(1);
            self.idle[at].push((key, seen.max(told)));
        }
    }

    fn go(&mut self, at: usize) {
        // Whose answer is under way already has it.
        self.serve(at);
        let which = self.rng.usize(..=self.waiting[at].len());
        if let Some(&key) = self.waiting[at].keys().nth(which) {
            let one = &mut self.loops[at];
            one.engine.gone(one.now, key);
            self.waiting[at].remove(&key);
            self.gone[at].push(Gone::Left);
        }
        assert_eq!(self.loops[at].gone(), std::mem::take(&mut self.gone[at]));
    }

    /// No more changes: everybody who has not seen the last must be told.
    fn rest(&mut self) {
        while !self.unposted.is_empty() {
            self.post();
        }
        for at in 0..LOOPS {
            self.take(at, usize::MAX);
            while self.loops[at].engine.has_work() || self.loops[at].serve() > 0 {
                self.serve(at);
            }
            self.serve(at);
            let newest = self.counter.load(Ordering::Relaxed);
            for (key, &seen) in &self.waiting[at] {
                assert_eq!(seen, newest, "{key:?} was passed over");
            }
            let counts = self.loops[at].engine.own_counts();
            assert_eq!(counts.requests, self.waiting[at].len());
            assert_eq!(counts.woken, 0);
            for (key, _) in std::mem::take(&mut self.waiting[at]) {
                let one = &mut self.loops[at];
                one.engine.gone(one.now, key);
                self.gone[at].push(Gone::Left);
            }
            assert_eq!(self.loops[at].gone(), self.gone[at]);
            self.loops[at].assert_nobody_waits();
        }
        assert_eq!(self.places.taken(), 0);
    }
}

#[test]
fn nobody_is_passed_over_whatever_the_order() {
    let mut told = 0;
    for seed in 0..SEEDS {
        let mut chance = Chance::new(seed);
        (0..STEPS).for_each(|_| chance.step());
        chance.rest();
        told = chance.told.saturating_add(told);
    }
    assert!(told > 5_000, "{told}: hardly anything happened");
}
