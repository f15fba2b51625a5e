//! Who leaves a chatroom, and who is removed from one.

use super::*;

/// A chatroom of ann's with bob and cleo.
struct Three {
    fixture: Fixture,
    chatroom: ChatroomId,
    ann: User,
    bob: User,
    cleo: User,
}

impl Three {
    fn new() -> Self {
        let mut fixture = Fixture::new();
        let [ann, bob, cleo] = ["ann", "bob", "cleo"].map(|name| fixture.user(name));
        let chatroom = fixture.chatroom(&ann);
        for name in ["bob", "cleo"] {
            fixture.add(chatroom, &ann, name).expect("added");
        }
        Self {
            fixture,
            chatroom,
            ann,
            bob,
            cleo,
        }
    }

    fn remove(&mut self, by: &User, whom: Whom) -> Result<RemovedRow, Fault> {
        self.fixture.remove(self.chatroom, by, whom)
    }

    fn chatrooms(&mut self, user: &User) -> Vec<ChatroomId> {
        let job = Job::LoadUser {
            event_loop: 0,
            user: user.id,
        };
        field!(self.fixture.ask(job), UserLoaded, chatrooms).expect("a read")
    }

    /// How many are in it, as it is kept and as it is counted.
    fn counts(&self) -> (i64, i64) {
        let mut other = self.fixture.other_program();
        let kept = other.number("SELECT participants FROM chatrooms");
        (kept, other.number("SELECT count(*) FROM participants"))
    }
}

fn by_name(name: &str) -> Whom {
    Whom::Name(name.into())
}

#[test]
fn who_leaves_is_no_longer_in_it() {
    let mut three = Three::new();
    let (chatroom, bob) = (three.chatroom, three.bob.clone());
    let row = three.remove(&bob, Whom::Id(bob.id)).expect("left");
    assert_eq!((row.left, row.was_in_it), (bob.id, true));
    assert_eq!(row.chatroom.admin, three.ann.id);
    assert_eq!(names(&row.chatroom.participants), ["ann", "cleo"]);
    assert_eq!(three.chatrooms(&bob), []);
    let said = three.fixture.say(chatroom, &bob, "x");
    assert_eq!(said, Err(Fault::NotAParticipant));
    let again = three.remove(&bob, Whom::Id(bob.id));
    assert_eq!(again, Err(Fault::NotAParticipant));
    assert_eq!(three.counts(), (2, 2));
    // Who comes back comes last.
    let ann = three.ann.clone();
    let added = three.fixture.add(chatroom, &ann, "bob").expect("added");
    assert_eq!(names(&added.chatroom.participants), ["ann", "cleo", "bob"]);
    assert_eq!(three.counts(), (3, 3));
}

#[test]
fn the_admin_removes_by_name_or_id_and_nobody_else_does() {
    let mut three = Three::new();
    let [ann, bob, cleo] = [&three.ann, &three.bob, &three.cleo].map(User::clone);
    for whom in [
        by_name("cleo"),
        by_name("ann"),
        by_name("who"),
        Whom::Nobody,
    ] {
        assert_eq!(three.remove(&bob, whom), Err(Fault::NotAdmin));
    }
    for whom in [by_name("who"), Whom::Nobody, Whom::Id(nobody().id)] {
        assert_eq!(three.remove(&ann, whom), Err(Fault::NoSuchUser));
    }
    let nowhere = three.fixture.remove(nowhere(), &ann, by_name("bob"));
    assert_eq!(nowhere, Err(Fault::NotAdmin));

    let row = three.remove(&ann, by_name("cleo")).expect("removed");
    assert_eq!(
        (row.left, row.was_in_it, names(&row.chatroom.participants)),
        (cleo.id, true, vec!["ann", "bob"])
    );
    let row = three.remove(&ann, by_name("cleo")).expect("nothing to do");
    assert_eq!(
        (row.left, row.was_in_it, names(&row.chatroom.participants)),
        (cleo.id, false, vec!["ann", "bob"])
    );
    let row = three.remove(&ann, Whom::Id(bob.id)).expect("removed");
    assert_eq!((row.left, row.was_in_it), (bob.id, true));
    assert_eq!(three.counts(), (1, 1));
}

#[test]
fn the_admin_stays_while_others_do() {
    let mut three = Three::new();
    let [ann, bob, cleo] = [&three.ann, &three.bob, &three.cleo].map(User::clone);
    let leaves = || Whom::Id(ann.id);
    assert_eq!(three.remove(&ann, leaves()), Err(Fault::AdminMustStay));
    assert_eq!(
        three.remove(&ann, by_name("ann")),
        Err(Fault::AdminMustStay)
    );
    three.remove(&bob, by_name("bob")).expect("left");
    assert_eq!(three.remove(&ann, leaves()), Err(Fault::AdminMustStay));
    three.remove(&ann, Whom::Id(cleo.id)).expect("removed");
    let row = three.remove(&ann, leaves()).expect("alone");
    assert_eq!(
        (row.left, row.was_in_it, &*row.chatroom.participants),
        (ann.id, true, &[][..])
    );
    assert_eq!(three.remove(&ann, leaves()), Err(Fault::NotAParticipant));
    assert_eq!((three.chatrooms(&ann), three.counts()), (vec![], (0, 0)));
}

#[test]
fn what_was_said_before_somebody_left_is_still_theirs() {
    let mut three = Three::new();
    let (chatroom, bob) = (three.chatroom, three.bob.clone());
    let said = three.fixture.say(chatroom, &bob, "x").expect("saved");
    three.remove(&bob, Whom::Id(bob.id)).expect("left");
    assert_eq!(three.fixture.recent(chatroom, 50).messages, [said]);
}
