//! The documented API of loiter on axum, tokio and rusqlite, as one would write it who wants it fast and has no wish to
//! write an HTTP server: a peer to compare with. README.md beside it says what it leaves out and how it was tuned.

mod accounts;
mod failure;
mod memberships;
mod messages;
mod parameters;
mod room;
mod rooms;
mod session;
mod store;

use std::error::Error;
use std::net::SocketAddr;
use std::num::{NonZeroU32, NonZeroUsize};
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use axum::Router;
use axum::http::Request;
use axum::routing::{MethodRouter, get, post};
use clap::Parser;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use socket2::{Domain, Protocol, Socket, Type};
use tokio::net::{TcpListener, TcpStream};
use tokio::signal::unix::{SignalKind, signal};
use tokio::time::Instant;
use tower_service::Service as _;

use crate::failure::Failure;
use crate::memberships::Memberships;
use crate::rooms::Rooms;
use crate::session::Sessions;
use crate::store::Store;

#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

const BACKLOG: i32 = 65_535;
/// How long connections may take to end behind a signal.
const DRAIN_MAX: Duration = Duration::from_secs(10);
const DRAIN_STEP: Duration = Duration::from_millis(10);
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Requests that are not answered yet.
static UNDER_WAY: AtomicUsize = AtomicUsize::new(0);

/// A long-poll chat server on axum, tokio and rusqlite
#[derive(Debug, Parser)]
#[command(version)]
struct Options {
    /// Where to listen; port 0 picks a free one
    #[arg(long, default_value = "127.0.0.1:8000")]
    listen: SocketAddr,
    /// The SQLite database, created where it is missing
    #[arg(long, default_value = "chat.db")]
    database: PathBuf,
    /// Length of the list of most recent messages
    #[arg(long, default_value = "50")]
    recent: NonZeroUsize,
    /// PBKDF2-HMAC-SHA256
    #[arg(long, default_value = "600000")]
    password_iterations: NonZeroU32,
    /// Threads of the runtime; the default is as many as there are CPUs that it may use. One thread runs tokio's
    /// current-thread runtime
    #[arg(long)]
    threads: Option<NonZeroUsize>,
}

/// What all requests share.
struct App {
    store: Store,
    sessions: Sessions,
    rooms: Rooms,
    memberships: Memberships,
    iterations: NonZeroU32,
}

fn main() -> ExitCode {
    let options = Options::parse();
    let _ = rlimit::increase_nofile_limit(u64::MAX);
    let threads = options.threads.map_or_else(
        || std::thread::available_parallelism().map_or(1, NonZeroUsize::get),
        NonZeroUsize::get,
    );
    let mut builder = match threads {
        1 => tokio::runtime::Builder::new_current_thread(),
        _ => tokio::runtime::Builder::new_multi_thread(),
    };
    let ended = builder
        .worker_threads(threads)
        .enable_all()
        .build()
        .map_err(Into::into)
        .and_then(|runtime| runtime.block_on(serve(&options)));
    match ended {
        Ok(()) => ExitCode::SUCCESS,
        Err(e) => {
            eprintln!("{e}");
            ExitCode::FAILURE
        }
    }
}

async fn serve(options: &Options) -> Result<(), Box<dyn Error>> {
    let app = Arc::new(App {
        store: Store::open(&options.database)?,
        sessions: Sessions::default(),
        rooms: Rooms::new(options.recent.get()),
        memberships: Memberships::default(),
        iterations: options.password_iterations,
    });
    let listener = listen(options.listen)?;
    println!("listening on http://{}", listener.local_addr()?);
    let router = router(Arc::clone(&app));
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    loop {
        tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => {
                    tokio::spawn(connection(stream, router.clone()));
                }
                // Files have run out, most likely: as axum::serve does.
                Err(_) => tokio::time::sleep(ACCEPT_PAUSE).await,
            },
            _ = terminate.recv() => break,
            _ = interrupt.recv() => break,
        }
    }
    drop(listener);
    let until = Instant::now() + DRAIN_MAX;
    while UNDER_WAY.load(Ordering::Relaxed) > 0 && Instant::now() < until {
        app.rooms.each(|room| room.drain());
        tokio::time::sleep(DRAIN_STEP).await;
    }
    Ok(())
}

/// `TCP_NODELAY` is inherited by each socket accepted.
fn listen(address: SocketAddr) -> std::io::Result<TcpListener> {
    let socket = Socket::new(
        Domain::for_address(address),
        Type::STREAM,
        Some(Protocol::TCP),
    )?;
    socket.set_reuse_address(true)?;
    socket.set_tcp_nodelay(true)?;
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    TcpListener::from_std(socket.into())
}

/// Serves one connection until it ends.
async fn connection(stream: TcpStream, router: Router) {
    let service = service_fn(move |request: Request<Incoming>| {
        let mut router = router.clone();
        let under_way = UnderWay::begin();
        async move {
            let answered = router.call(request).await;
            drop(under_way);
            answered
        }
    });
    let served = http1::Builder::new()
        .writev(false)
        .serve_connection(TokioIo::new(stream), service);
    // A client that goes in the middle is no concern of anybody's.
    let _ = served.await;
}

/// A request that is not answered yet.
struct UnderWay;

impl UnderWay {
    fn begin() -> Self {
        UNDER_WAY.fetch_add(1, Ordering::Relaxed);
        Self
    }
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        UNDER_WAY.fetch_sub(1, Ordering::Relaxed);
    }
}

fn router(app: Arc<App>) -> Router {
    let calls: [(&str, MethodRouter<Arc<App>>); 11] = [
        ("/register", post(accounts::register)),
        ("/login", post(accounts::login)),
        ("/logout", post(accounts::logout)),
        ("/message/chatrooms", get(messages::chatrooms)),
        ("/message/getUser", get(accounts::find)),
        ("/message/longpoll", get(messages::longpoll)),
        ("/message/endpoll", get(messages::endpoll)),
        ("/message/sendMessage", post(messages::send_message)),
        ("/message/newChatroom", post(messages::new_chatroom)),
        ("/message/addToChatroom", post(messages::add_to_chatroom)),
        (
            "/message/chatroomParticipants",
            get(messages::chatroom_participants),
        ),
    ];
    let router = calls
        .into_iter()
        .fold(Router::new(), |router, (path, call)| {
            router
                .route(&format!("{path}/"), call.clone())
                .route(path, call)
        });
    router
        .fallback(|| async { Failure::NotFound })
        .method_not_allowed_fallback(|| async { Failure::MethodNotAllowed })
        .with_state(app)
}

fn user_json(id: i64, name: &str) -> String {
    let name = serde_json::Value::from(name);
    format!(r#"{{"userid":{id},"username":{name}}}"#)
}

fn users_json(
    users: impl Iterator<Item = rusqlite::Result<(i64, String)>>,
) -> rusqlite::Result<String> {
    let users = users.map(|user| user.map(|(id, name)| user_json(id, &name)));
    let users = users.collect::<rusqlite::Result<Vec<String>>>()?;
    Ok(format!("[{}]", users.join(",")))
}
