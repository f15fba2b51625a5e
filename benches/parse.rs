//! What it costs to read one request from bytes that came in one piece, and what the API asks of it.

use std::hint::black_box;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use loiter::http::{Event, Exchange, Form, Limits, Request};

const LIMITS: Limits = Limits {
    head_max: 16 * 1024,
    body_max: 64 * 1024,
};

const LONGPOLL: &[u8] = b"GET /message/longpoll/?chatroomid=7&since=12 HTTP/1.1\r\n\
    Host: localhost:8000\r\n\
    User-Agent: curl/8.5.0\r\n\
    Accept: */*\r\n\
    Cookie: session=0123456789abcdef0123456789abcdef0123456789a\r\n\r\n";

const BROWSER: &[u8] = b"GET /message/longpoll/?chatroomid=7&since=12 HTTP/1.1\r\n\
    Host: chat.example.com\r\n\
    Connection: keep-alive\r\n\
    sec-ch-ua-platform: \"Linux\"\r\n\
    User-Agent: Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/131.0.0.0 Safari/537.36\r\n\
    sec-ch-ua: \"Chromium\";v=\"131\", \"Not_A Brand\";v=\"24\"\r\n\
    sec-ch-ua-mobile: ?0\r\n\
    Accept: */*\r\n\
    Sec-Fetch-Site: same-origin\r\n\
    Sec-Fetch-Mode: cors\r\n\
    Sec-Fetch-Dest: empty\r\n\
    Referer: https://chat.example.com/\r\n\
    Accept-Encoding: gzip, deflate, br, zstd\r\n\
    Accept-Language: en-GB,en;q=0.9,de;q=0.8\r\n\
    Cookie: theme=dark; session=0123456789abcdef0123456789abcdef0123456789a\r\n\
    DNT: 1\r\n\r\n";

const POST: &[u8] = b"POST /message/sendMessage/ HTTP/1.1\r\n\
    Host: localhost:8000\r\n\
    User-Agent: curl/8.5.0\r\n\
    Accept: */*\r\n\
    Cookie: session=0123456789abcdef0123456789abcdef0123456789a\r\n\
    Content-Length: 63\r\n\
    Content-Type: application/x-www-form-urlencoded\r\n\r\n\
    chatroomid=7&message=Good+morning%2C+everyone%21+Tea+is+ready.&";

fn request<'a>(input: &'a [u8]) -> Request<'a> {
    let received = Exchange::default().receive(&mut None, black_box(input), &LIMITS);
    match received.event {
        Event::Request(request) if received.consumed == input.len() => request,
        other => panic!("{other:?}"),
    }
}

fn parse(c: &mut Criterion) {
    let mut group = c.benchmark_group("parse");
    for (name, input) in [("longpoll", LONGPOLL), ("browser", BROWSER), ("post", POST)] {
        group.throughput(Throughput::Bytes(input.len() as u64));
        group.bench_function(name, |b| {
            b.iter(|| black_box(request(input)).body().len());
        });
    }
    group.finish();
}

fn read(c: &mut Criterion) {
    let browser = request(BROWSER);
    let post = request(POST);
    let mut group = c.benchmark_group("read");
    group.bench_function("browser cookie", |b| {
        b.iter(|| {
            black_box(&browser)
                .cookie(black_box("session"))
                .map(str::len)
        });
    });
    group.bench_function("post form", |b| {
        b.iter(|| Form::parse(black_box(post.body())));
    });
    group.finish();
}

criterion_group!(benches, parse, read);
criterion_main!(benches);
