//! Passwords are hashed by turns: who asks for very many keeps nobody else from theirs.

use super::*;

/// Passwords that may wait for the one thread that hashes.
const PLACES: u32 = 32;

fn registration(exchange: u32, whose: u8) -> Job {
    Job::Register {
        ticket: ticket(exchange),
        customer: customer(whose),
        name: Username::parse(&format!("user {exchange}")).expect("a good name"),
        password: Secret("x".into()),
    }
}

fn login(exchange: u32, whose: u8, password: &str) -> Job {
    Job::LogIn {
        ticket: ticket(exchange),
        customer: customer(whose),
        folded: Some("ann".into()),
        password: Secret(password.into()),
    }
}

/// The exchange, and what became of it.
fn told(completion: Completion) -> (u32, Option<Fault>) {
    match completion {
        Completion::Registered { ticket, user } => (ticket.exchange, user.err()),
        Completion::LoggedIn { ticket, login } => (ticket.exchange, login.err()),
        Completion::PasswordChanged { ticket, done, .. } => (ticket.exchange, done.err()),
        other => panic!("{other:?}"),
    }
}

/// A store that knows ann, and whose password lane is held by a login that is refused: exchange 0.
struct Held {
    /// Before the store, which ends with its lanes.
    hold: Hold,
    store: Store,
    posts: Receiver<Vec<Completion>>,
    ann: User,
    session: SessionHash,
    _fixture: Fixture,
}

impl Held {
    fn new() -> Self {
        let mut fixture = Fixture::new();
        let ann = fixture.user("ann");
        let (_, token) = fixture.log_in("ann", "password").expect("a session");
        fixture.close();
        let (store, posts, hold) = Hold::open(&fixture.config);
        store.submit(login(0, 9, "wrong")).expect("room");
        hold.entered();
        Self {
            hold,
            store,
            posts,
            ann,
            session: hash_of(&token),
            _fixture: fixture,
        }
    }

    /// Submits jobs that all find a place.
    fn submit(&self, jobs: impl IntoIterator<Item = Job>) {
        for job in jobs {
            self.store.submit(job).expect("a place");
        }
    }

    /// What has been posted so far.
    fn posted(&self) -> Vec<(u32, Option<Fault>)> {
        self.posts.try_iter().flatten().map(told).collect()
    }

    /// Lets the lane go, and returns what is posted of so many jobs, in order.
    fn finished(&self, jobs: usize) -> Vec<(u32, Option<Fault>)> {
        self.hold.let_go();
        let mut finished = Vec::new();
        while finished.len() < jobs {
            let posted = self.posts.recv_timeout(PATIENCE).expect("a post");
            finished.extend(posted.into_iter().map(told));
        }
        assert_eq!(finished.remove(0), (0, Some(Fault::BadCredentials)));
        finished
    }
}

fn gave_way(exchange: u32) -> (u32, Option<Fault>) {
    (exchange, Some(Fault::Overloaded))
}

fn done(exchanges: impl IntoIterator<Item = u32>) -> Vec<(u32, Option<Fault>)> {
    exchanges.into_iter().map(|n| (n, None)).collect()
}

#[test]
fn logins_pass_by_the_registrations_of_one_address_that_fill_all_places() {
    let held = Held::new();
    held.submit((1..=PLACES).map(|n| registration(n, 1)));
    assert!(held.store.submit(registration(99, 1)).is_err());
    // From elsewhere, and from the same address.
    held.submit([login(101, 2, "password"), login(102, 1, "password")]);
    // What waited last has given way, and nothing of it is ever begun.
    assert_eq!(held.posted(), [gave_way(32), gave_way(31)]);
    let wanted = done([1, 101, 102].into_iter().chain(2..=30));
    assert_eq!(held.finished(PLACES as usize + 1), wanted);
}

/// All of these are refused, and so told by the lane itself, in its order.
#[test]
fn a_changed_password_takes_its_turn_as_a_login_does() {
    let held = Held::new();
    let taken = |exchange| Job::Register {
        ticket: ticket(exchange),
        customer: customer(1),
        name: Username::parse("ann").expect("a good name"),
        password: Secret("x".into()),
    };
    held.submit((1..=3).map(taken));
    held.submit([Job::ChangePassword {
        ticket: ticket(101),
        customer: customer(1),
        session: held.session,
        user: held.ann.id,
        password: Secret("wrong".into()),
        new: Secret("new".into()),
    }]);
    held.submit([login(102, 1, "wrong"), login(103, 2, "wrong")]);
    let finished = held.finished(7).into_iter();
    let order: Vec<u32> = finished.map(|(exchange, _)| exchange).collect();
    assert_eq!(order, [1, 101, 103, 2, 102, 3]);
}

#[test]
fn each_address_has_its_share_of_the_places_and_the_rest_where_nobody_wants_it() {
    let held = Held::new();
    held.submit((1..=PLACES).map(|n| registration(n, 1)));
    let half = PLACES / 2;
    held.submit((101..=100 + half).map(|n| registration(n, 2)));
    assert_eq!(held.posted().len(), half as usize);
    for whose in [1, 2] {
        assert!(held.store.submit(registration(99, whose)).is_err());
    }
    assert!(held.posted().is_empty(), "nobody gives way to those");
    let by_turns = (1..=half).flat_map(|n| [n, 100 + n]);
    assert_eq!(held.finished(PLACES as usize + 1), done(by_turns));
}
