//! The jobs of calls that are the store's alone: nothing is known here that could answer them.

use super::call::SessionCall;
use crate::job::{Job, Whom};
use crate::model::{SessionHash, Ticket, User, UserId};

/// Users that a search finds at most.
const FOUND_MAX: u32 = 50;

/// The job of a call that is the store's alone.
pub(super) fn job_of(
    ticket: Ticket,
    session: SessionHash,
    author: User,
    call: &mut SessionCall,
) -> Job {
    let user: UserId = author.id;
    match call {
        SessionCall::LogOut => Job::LogOut { ticket, session },
        SessionCall::Overview => Job::ListOverview { ticket, user },
        SessionCall::FindUsers { prefix } => Job::FindUsers {
            ticket,
            user,
            prefix: std::mem::take(prefix),
            limit: FOUND_MAX,
        },
        SessionCall::Send {
            chatroom,
            text,
            nonce,
            ..
        } => Job::SaveMessage {
            ticket,
            chatroom: *chatroom,
            author,
            text: std::mem::take(text),
            nonce: nonce.take(),
        },
        SessionCall::CreateChatroom { name } => Job::CreateChatroom {
            ticket,
            admin: user,
            name: name.take(),
        },
        SessionCall::RenameChatroom { chatroom, name } => Job::RenameChatroom {
            ticket,
            chatroom: *chatroom,
            admin: user,
            name: name.clone(),
        },
        SessionCall::AddParticipant { chatroom, whom } => Job::AddParticipant {
            ticket,
            chatroom: *chatroom,
            admin: user,
            whom: whom.clone(),
        },
        SessionCall::RemoveParticipant { chatroom, whom } => Job::RemoveParticipant {
            ticket,
            chatroom: *chatroom,
            by: user,
            whom: whom.take().unwrap_or(Whom::Id(user)),
        },
        SessionCall::Participants { chatroom } | SessionCall::Presence { chatroom } => {
            Job::ListParticipants {
                ticket,
                chatroom: *chatroom,
                user,
            }
        }
        SessionCall::Chatrooms
        | SessionCall::Poll(_)
        | SessionCall::PollSeveral(_)
        | SessionCall::Stream(_)
        | SessionCall::EndPolls { .. }
        | SessionCall::EndForAnother(_)
        | SessionCall::History { .. }
        | SessionCall::WhoAmI { .. }
        | SessionCall::ChangePassword { .. }
        | SessionCall::Refused(_) => unreachable!("more than a job, or none"),
    }
}
