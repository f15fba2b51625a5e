//! What chatrooms are called, and the overview of them.

use loiter::job::OverviewRow;

use super::*;

fn name(name: &str) -> ChatroomName {
    ChatroomName::parse(name).expect("a good name")
}

impl Fixture {
    fn chatroom_called(&mut self, admin: &User, called: &str) -> ChatroomId {
        let job = Job::CreateChatroom {
            ticket: ticket(1),
            admin: admin.id,
            name: Some(name(called)),
        };
        field!(self.ask(job), ChatroomCreated, chatroom).expect("a chatroom")
    }

    fn rename(
        &mut self,
        chatroom: ChatroomId,
        admin: &User,
        called: &str,
    ) -> Result<ChatroomRow, Fault> {
        let job = Job::RenameChatroom {
            ticket: ticket(1),
            chatroom,
            admin: admin.id,
            name: name(called),
        };
        let completion = self.ask(job);
        assert!(
            matches!(completion, Completion::ChatroomRenamed { chatroom: of, .. } if of == chatroom)
        );
        field!(completion, ChatroomRenamed, renamed)
    }
}

#[test]
fn a_chatroom_has_the_name_that_it_was_given() {
    let mut fixture = Fixture::new();
    let ann = fixture.user("ann");
    fixture.user("bob");
    let tea = fixture.chatroom_called(&ann, "Tea ' Ö");
    let other = fixture.chatroom_called(&ann, "Tea ' Ö");
    let nameless = fixture.chatroom(&ann);
    for (chatroom, called) in [
        (tea, Some("Tea ' Ö")),
        (other, Some("Tea ' Ö")),
        (nameless, None),
    ] {
        let added = fixture.add(chatroom, &ann, "bob").expect("added");
        assert_eq!(added.chatroom.name.as_deref(), called);
    }
}

impl Fixture {
    fn overview(&mut self, user: &User) -> Vec<OverviewRow> {
        let job = Job::ListOverview {
            ticket: ticket(1),
            user: user.id,
        };
        let listed = field!(self.ask(job), OverviewListed, chatrooms);
        listed.expect("a read")
    }

    /// When a chatroom was last spoken in, as if it were so.
    fn date(&self, chatroom: ChatroomId, unix_ms: i64) {
        let mut other = self.other_program();
        other.execute(&format!(
            "UPDATE messages SET time = {unix_ms} + id WHERE chatroom = {chatroom}"
        ));
        other.execute(&format!(
            "UPDATE chatrooms SET last_time =
                 (SELECT max(time) FROM messages WHERE chatroom = {chatroom})
             WHERE id = {chatroom}"
        ));
    }
}

#[test]
fn an_overview_has_the_chatrooms_by_when_they_were_last_spoken_in() {
    let mut fixture = Fixture::new();
    let ann = fixture.user("ann");
    let bob = fixture.user("bob");
    assert_eq!(fixture.overview(&ann), []);
    let [quiet, early, tea, late, silent] = ["", "", "tea", "", ""].map(|called| match called {
        "" => fixture.chatroom(&ann),
        called => fixture.chatroom_called(&ann, called),
    });
    let elsewhere = fixture.chatroom(&bob);
    fixture.say(elsewhere, &bob, "x").expect("saved");
    fixture.add(tea, &ann, "bob").expect("added");
    fixture.add(tea, &ann, "bob").expect("there already");
    for (chatroom, messages, unix_ms) in [(late, 1, 300), (tea, 3, 200), (early, 2, 100)] {
        for _ in 0..messages {
            fixture.say(chatroom, &ann, "x").expect("saved");
        }
        fixture.date(chatroom, unix_ms);
    }
    let row = |chatroom, name: Option<&str>, participants, last| OverviewRow {
        chatroom,
        name: name.map(Into::into),
        admin: ann.id,
        participants,
        last: loiter::model::MessageId::new(last),
    };
    let rows = [
        row(late, None, 1, 1),
        row(tea, Some("tea"), 2, 3),
        row(early, None, 1, 2),
        row(silent, None, 1, 0),
        row(quiet, None, 1, 0),
    ];
    assert_eq!(fixture.overview(&ann), rows);
    let of_bob: Vec<_> = fixture
        .overview(&bob)
        .into_iter()
        .map(|row| row.chatroom)
        .collect();
    assert_eq!(of_bob, [elsewhere, tea]);
    // Whoever speaks puts their chatroom first.
    fixture.say(early, &ann, "x").expect("saved");
    let first = fixture.overview(&ann).remove(0);
    assert_eq!(first, row(early, None, 1, 3));
}

#[test]
fn its_admin_renames_a_chatroom() {
    let mut fixture = Fixture::new();
    let ann = fixture.user("ann");
    let bob = fixture.user("bob");
    let tea = fixture.chatroom_called(&ann, "tea");
    let nameless = fixture.chatroom(&ann);
    fixture.add(tea, &ann, "bob").expect("added");
    let row = fixture.rename(tea, &ann, "coffee").expect("renamed");
    assert_eq!(row.name.as_deref(), Some("coffee"));
    assert_eq!(
        (row.admin, &*row.participants),
        (ann.id, &[ann.clone(), bob.clone()][..])
    );
    for (chatroom, user) in [(tea, &bob), (nowhere(), &ann), (tea, &nobody())] {
        assert_eq!(fixture.rename(chatroom, user, "milk"), Err(Fault::NotAdmin));
    }
    fixture.reopen();
    let added = fixture.add(tea, &ann, "bob").expect("there");
    assert_eq!(added.chatroom.name.as_deref(), Some("coffee"));
    let added = fixture.add(nameless, &ann, "bob").expect("added");
    assert_eq!(added.chatroom.name, None);
}
