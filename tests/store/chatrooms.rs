//! What chatrooms are called.

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
