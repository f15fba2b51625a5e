//! What the engine itself costs where the design counts on it being cheap: parking a poll on a warm connection,
//! waking a chatroom (for each delivery), rendering the list that all of its polls share, a small call.

use std::hint::black_box;

use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use loiter::api::{Outcome, Renderer, Route};
use loiter::buffer::Bytes;
use loiter::chat::Reply;
use loiter::config::Config;
use loiter::http::{After, Framing, Version};

#[path = "../tests/costs/warm.rs"]
mod warm;

use warm::{CHATROOMS, LONGPOLL, NOW, Warm};

const POLLS: usize = 1_000;

fn engine(c: &mut Criterion) {
    let mut group = c.benchmark_group("engine");
    group.throughput(Throughput::Elements(POLLS as u64));
    group.bench_function("park", |b| {
        b.iter_batched_ref(
            || Warm::new(POLLS),
            |warm| (0..POLLS).for_each(|at| warm.offer(at, LONGPOLL)),
            BatchSize::PerIteration,
        );
    });
    group.bench_function("wake", |b| {
        b.iter_batched_ref(
            || {
                let mut warm = Warm::new(POLLS);
                (0..POLLS).for_each(|at| warm.offer(at, LONGPOLL));
                warm
            },
            |warm| {
                warm.save();
                assert_eq!(warm.settle(), POLLS);
            },
            BatchSize::PerIteration,
        );
    });
    group.throughput(Throughput::Elements(1));
    group.bench_function("chatrooms", |b| {
        let mut warm = Warm::new(1);
        b.iter(|| {
            warm.offer(0, CHATROOMS);
            assert_eq!(warm.settle(), 1);
        });
    });
    group.finish();
}

fn render(c: &mut Criterion) {
    let list: Bytes = {
        let one = r#"{"id":12,"chatroomid":7,"userid":1,"username":"ann","message":"Good morning, everyone! Tea is ready.","time":"2026-11-23T08:00:00.000Z"}"#;
        format!("[{}]", vec![one; 50].join(",")).into_bytes().into()
    };
    let mut renderer = Renderer::new(&Config::default());
    let framing = Framing {
        after: After::KeepAlive,
        version: Version::Http11,
        head_only: false,
    };
    let outcome = Outcome::Replied(Route::Longpoll, Reply::Messages(list));
    c.bench_function("render/50 messages", |b| {
        b.iter(|| {
            renderer.forget();
            renderer
                .render(NOW, black_box(&outcome), framing, None)
                .first
                .len()
        });
    });
    c.bench_function("render/shared", |b| {
        b.iter(|| {
            renderer
                .render(NOW, black_box(&outcome), framing, None)
                .first
                .len()
        });
    });
}

criterion_group!(benches, engine, render);
criterion_main!(benches);
