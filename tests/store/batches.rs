//! Jobs that are one commit, where each depends on those before it.

use super::*;

/// A store of which the writing lane is held with ann's first message: what is submitted now becomes one commit.
struct Held {
    hold: Hold,
    store: Store,
    posts: Receiver<Vec<Completion>>,
    ann: User,
    bob: User,
    chatroom: ChatroomId,
    fixture: Fixture,
}

impl Held {
    fn new() -> Self {
        let mut fixture = Fixture::new();
        let [ann, bob] = ["ann", "bob"].map(|name| fixture.user(name));
        let chatroom = fixture.chatroom(&ann);
        fixture.close();
        let (store, posts, hold) = Hold::open(&fixture.config);
        store.submit(say(chatroom, &ann, "first")).expect("room");
        hold.entered();
        Self {
            hold,
            store,
            posts,
            ann,
            bob,
            chatroom,
            fixture,
        }
    }

    /// What the jobs of one commit come to.
    fn told(&self, jobs: Vec<Job>) -> Vec<Completion> {
        let count = jobs.len();
        assert!(self.store.submit_all(jobs).is_empty());
        self.hold.let_go();
        let first = self.posts.recv_timeout(PATIENCE).expect("a post");
        assert_eq!(first.len(), 1);
        let told = self.posts.recv_timeout(PATIENCE).expect("a post");
        assert_eq!(told.len(), count, "one commit");
        told
    }

    fn next_chatroom(&self) -> ChatroomId {
        ChatroomId::new(self.chatroom.get() + 1).expect("positive")
    }
}

fn create(admin: &User) -> Job {
    Job::CreateChatroom {
        ticket: ticket(1),
        admin: admin.id,
        name: None,
    }
}

fn add(chatroom: ChatroomId, admin: &User, whom: &User) -> Job {
    Job::AddParticipant {
        ticket: ticket(1),
        chatroom,
        admin: admin.id,
        whom: Whom::Id(whom.id),
    }
}

fn remove(chatroom: ChatroomId, by: &User, whom: &User) -> Job {
    Job::RemoveParticipant {
        ticket: ticket(1),
        chatroom,
        by: by.id,
        whom: Whom::Id(whom.id),
    }
}

/// The ids of those messages that were saved, and why others were not.
fn saved(told: Vec<Completion>) -> Vec<Result<i64, Fault>> {
    let messages = told.into_iter().filter_map(|told| match told {
        Completion::MessageSaved { .. } => Some(new_message(told)),
        _ => None,
    });
    messages
        .map(|message| message.map(|message| message.id.get()))
        .collect()
}

#[test]
fn who_comes_speaks_and_who_goes_does_not() {
    let held = Held::new();
    let (chatroom, ann, bob) = (held.chatroom, &held.ann, &held.bob);
    let told = held.told(vec![
        say(chatroom, bob, "too early"),
        add(chatroom, ann, bob),
        say(chatroom, bob, "in"),
        say(chatroom, ann, "in"),
        remove(chatroom, ann, bob),
        say(chatroom, bob, "too late"),
        say(chatroom, ann, "in"),
    ]);
    let refused = Err(Fault::NotAParticipant);
    assert_eq!(saved(told), [refused, Ok(2), Ok(3), refused, Ok(4)]);
}

#[test]
fn a_chatroom_is_spoken_in_as_soon_as_it_is_made() {
    let held = Held::new();
    let (made, ann, bob) = (held.next_chatroom(), &held.ann, &held.bob);
    let told = held.told(vec![
        say(made, ann, "too early"),
        create(ann),
        say(made, ann, "in"),
        add(made, ann, bob),
        say(made, bob, "in"),
    ]);
    let refused = Err(Fault::NotAParticipant);
    assert_eq!(saved(told), [refused, Ok(1), Ok(2)]);
}

#[test]
fn one_that_fails_leaves_those_around_it_alone() {
    let held = Held::new();
    let (chatroom, ann) = (held.chatroom, &held.ann);
    let told = held.told(vec![
        say(chatroom, ann, "before"),
        create(&nobody()),
        say(chatroom, ann, "between"),
        create(&nobody()),
        create(ann),
        say(chatroom, ann, "after"),
    ]);
    let made = |told: &Completion| match told {
        Completion::ChatroomCreated { chatroom, .. } => Some(chatroom.is_ok()),
        _ => None,
    };
    assert_eq!(
        Vec::from_iter(told.iter().filter_map(made)),
        [false, false, true]
    );
    assert_eq!(saved(told), [Ok(2), Ok(3), Ok(4)]);
}

#[test]
fn a_full_batch_of_the_longest_messages_is_one_commit() {
    let mut held = Held::new();
    let longest = "\u{1f511}".repeat(1024);
    let jobs = (0..256).map(|_| say(held.chatroom, &held.ann, &longest));
    let told = held.told(jobs.collect());
    assert_eq!(saved(told), Vec::from_iter((2..=257).map(Ok)));
    drop(held.store);
    held.fixture.reopen();
    let recent = held.fixture.recent(held.chatroom, 256).messages;
    assert!(recent.iter().all(|message| *message.text == longest));
}

#[test]
fn of_several_uses_of_a_session_the_last_counts() {
    let mut fixture = Fixture::new();
    let ann = fixture.user("ann");
    let (_, token) = fixture.log_in("ann", "password").expect("in");
    let session = hash_of(&token);
    let first = fixture.session(session).expect("new").used_unix_ms;
    let used = [1, 3, 2].map(|later| (session, first + later)).to_vec();
    fixture.submit(Job::TouchSessions { used });
    fixture.chatroom(&ann);
    let row = fixture.session(session).expect("still there");
    assert_eq!(row.used_unix_ms, first + 3);
}
