//! Who says one thing after another, each again and again with its nonce until it is answered: then it is said exactly once.

use crate::answer::Answer;
use crate::ask::{Ask, Nonce};

#[derive(Debug, Default)]
pub(crate) struct Speaker {
    saying: Option<Saying>,
    /// What was answered, in order.
    pub(crate) said: Vec<Said>,
    /// Sends that were repetitions.
    pub(crate) repeated: u64,
}

#[derive(Debug)]
struct Saying {
    chatroom: usize,
    text: String,
    nonce: String,
    is_repeated: bool,
}

/// A thing that was said, or given up.
#[derive(Debug)]
pub(crate) struct Said {
    pub(crate) chatroom: usize,
    pub(crate) text: String,
    /// None where the answer was a refusal. An earlier send may have been saved all the same, and its answer lost.
    pub(crate) id: Option<i64>,
}

impl Speaker {
    /// What to ask next; `text` is new, and said where nothing waits for its answer.
    pub(crate) fn next(&mut self, chatroom: usize, text: String, limit: Option<u8>) -> Ask {
        let saying = self.saying.get_or_insert_with(|| Saying {
            chatroom,
            nonce: format!("once {text}"),
            text,
            is_repeated: false,
        });
        let ask = Ask::Send {
            chatroom: saying.chatroom,
            text: saying.text.clone(),
            nonce: Some(Nonce {
                text: saying.nonce.clone(),
                is_repeated: saying.is_repeated,
            }),
            limit,
        };
        self.repeated += u64::from(saying.is_repeated);
        saying.is_repeated = true;
        ask
    }

    /// An answer has come.
    pub(crate) fn hear(&mut self, answer: &Answer) {
        let is_none = matches!(answer.status, 408 | 503) || answer.is(500, "storage_failed");
        let Some(saying) = self.saying.take_if(|_| !is_none) else {
            return;
        };
        self.said.push(Said {
            chatroom: saying.chatroom,
            text: saying.text,
            id: answer.message_id.filter(|_| answer.status == 200),
        });
    }
}
