//! What one worker process is to do: one line of JSON on its standard input. A line and no options, because
//! every user of a machine may read a process's options, and the plan holds sessions.

use serde_json::{Value, json};

use crate::connect::Layout;
use crate::dialect::Dialect;
use crate::http::Target;
use crate::requests::Requests;

/// The plan of one worker.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Plan {
    /// The server.
    pub(crate) target: Target,
    /// The second byte of the source addresses.
    pub(crate) net: u8,
    /// The number of this worker's first poll among all.
    pub(crate) first: u64,
    /// Its polls.
    pub(crate) polls: u64,
    /// Connections for each batch while opening.
    pub(crate) batch: u64,
    /// Whether every connection asks something small before it parks.
    pub(crate) greets: bool,
    /// Whether connections close with RST.
    pub(crate) resets: bool,
    /// Whether a poll parks again after its wake.
    pub(crate) repark: bool,
    /// How long each poll asks to wait, in seconds; 0 for ever.
    pub(crate) timeout_s: u64,
    /// What the run's messages begin with.
    pub(crate) run: String,
    /// The chatrooms that the polls are spread over, one after the other.
    pub(crate) chatrooms: Vec<u64>,
    /// The sessions that the polls are spread over, changing after each round of the chatrooms.
    pub(crate) sessions: Vec<String>,
}

impl Plan {
    /// The chatroom of this worker's poll `at`, and which of the sessions is its own.
    pub(crate) fn place(&self, at: usize) -> (u64, usize) {
        let poll = self.first as usize + at;
        let rooms = self.chatrooms.len();
        (
            self.chatrooms[poll % rooms],
            poll / rooms % self.sessions.len(),
        )
    }

    /// How its connections are opened.
    pub(crate) fn layout(&self) -> Layout {
        let mut probe = Vec::new();
        Requests::new(&self.target, &self.sessions).small(0, &mut probe);
        Layout {
            addr: self.target.addr,
            net: self.net,
            first: self.first,
            count: self.polls as usize,
            batch: self.batch as usize,
            probe,
            greets: self.greets,
            resets: self.resets,
        }
    }

    /// The line.
    pub(crate) fn to_json(&self) -> Value {
        json!({
            "addr": self.target.addr.to_string(),
            "host": self.target.host,
            "dialect": self.target.dialect.name(),
            "net": self.net,
            "first": self.first,
            "polls": self.polls,
            "batch": self.batch,
            "greets": self.greets,
            "resets": self.resets,
            "repark": self.repark,
            "timeout_s": self.timeout_s,
            "run": self.run,
            "chatrooms": self.chatrooms,
            "sessions": self.sessions,
        })
    }

    /// The inverse of [`Plan::to_json`]; `None` for anything else.
    pub(crate) fn from_json(value: &Value) -> Option<Self> {
        let text = |name: &str| value[name].as_str();
        let number = |name: &str| value[name].as_u64();
        let (chatrooms, sessions) = (&value["chatrooms"], &value["sessions"]);
        let chatrooms: Vec<u64> = chatrooms
            .as_array()?
            .iter()
            .map(Value::as_u64)
            .collect::<Option<_>>()?;
        let sessions: Vec<String> = sessions
            .as_array()?
            .iter()
            .map(|s| s.as_str().map(str::to_owned))
            .collect::<Option<_>>()?;
        let plan = Self {
            target: Target {
                addr: text("addr")?.parse().ok()?,
                host: text("host")?.to_owned(),
                dialect: Dialect::of(text("dialect")?)?,
            },
            net: number("net")?.try_into().ok()?,
            first: number("first")?,
            polls: number("polls")?,
            batch: number("batch").filter(|batch| *batch > 0)?,
            greets: value["greets"].as_bool()?,
            resets: value["resets"].as_bool()?,
            repark: value["repark"].as_bool()?,
            timeout_s: number("timeout_s")?,
            run: text("run")?.to_owned(),
            chatrooms,
            sessions,
        };
        (!plan.chatrooms.is_empty() && !plan.sessions.is_empty()).then_some(plan)
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// Four polls in two chatrooms by two users.
    pub(crate) fn plan() -> Plan {
        Plan {
            target: "http://127.0.0.1:1".parse().unwrap(),
            net: 9,
            first: 1,
            polls: 4,
            batch: 10,
            greets: false,
            resets: true,
            repark: true,
            timeout_s: 0,
            run: "ab".into(),
            chatrooms: vec![7, 8],
            sessions: vec!["x".into(), "y".into()],
        }
    }

    #[test]
    fn a_plan_crosses_processes_whole() {
        assert_eq!(Plan::from_json(&plan().to_json()), Some(plan()));
        let mut empty = plan();
        empty.sessions.clear();
        assert_eq!(Plan::from_json(&empty.to_json()), None);
    }

    #[test]
    fn polls_take_turns_over_chatrooms_then_sessions() {
        let plan = plan();
        let places: Vec<(u64, usize)> = (0..4).map(|at| plan.place(at)).collect();
        assert_eq!(places, [(8, 0), (7, 1), (8, 1), (7, 0)]);
    }
}
