//! Chatrooms and what is said in them.

use std::sync::Arc;

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use bytes::Bytes;
use rusqlite::{OptionalExtension as _, params};

use crate::failure::{Failure, json};
use crate::parameters::Parameters;
use crate::room::{Ended, Room};
use crate::session::Caller;
use crate::{App, users_json};

const MESSAGE_MAX: usize = 4096;
const NOT_IN_IT: Failure = Failure::NotAParticipant(StatusCode::INTERNAL_SERVER_ERROR);

pub(crate) async fn chatrooms(
    State(app): State<Arc<App>>,
    Caller(session): Caller,
) -> Result<Response, Failure> {
    let user = session.user;
    let look = match app.memberships.find(user) {
        Ok(list) => return Ok(json(list)),
        Err(look) => look,
    };
    let ids = app.store.read(move |connection| {
        let sql = "SELECT chatroom FROM participants WHERE user = ?1 ORDER BY chatroom";
        let mut statement = connection.prepare_cached(sql)?;
        let ids = statement.query_map([user], |row| row.get::<_, i64>(0))?;
        ids.map(|id| id.map(|id| id.to_string()))
            .collect::<rusqlite::Result<Vec<String>>>()
    });
    let list = Bytes::from(format!("[{}]", ids.await?.join(",")));
    app.memberships.keep(user, list.clone(), look);
    Ok(json(list))
}

pub(crate) async fn new_chatroom(
    State(app): State<Arc<App>>,
    Caller(session): Caller,
) -> Result<Response, Failure> {
    let user = session.user;
    let id = app.store.write(move |connection| {
        connection.execute("INSERT INTO chatrooms (admin) VALUES (?1)", [user])?;
        let id = connection.last_insert_rowid();
        let sql = "INSERT INTO participants (chatroom, place, user) VALUES (?1, 1, ?2)";
        connection.execute(sql, [id, user])?;
        Ok(id)
    });
    let id = id.await?;
    app.memberships.forget(user);
    Ok(json(format!(r#"{{"chatroomid":{id}}}"#).into()))
}

pub(crate) async fn add_to_chatroom(
    State(app): State<Arc<App>>,
    Caller(session): Caller,
    parameters: Parameters,
) -> Result<Response, Failure> {
    let id = parameters.id("chatroomid")?;
    let name = parameters.text("usertoadd")?.to_lowercase();
    let room = app.rooms.room(&app.store, id).await?;
    let room = room
        .filter(|room| room.admin == session.user)
        .ok_or(Failure::NotAdmin)?;
    let (user, participants) = app
        .store
        .write(move |connection| {
            let sql = "SELECT id FROM users WHERE folded = ?1";
            let user = connection.query_row(sql, [name], |row| row.get(0));
            let user: i64 = user.optional()?.ok_or(Failure::NoSuchUser)?;
            let sql = "INSERT INTO participants (chatroom, place, user) \
                SELECT ?1, max(place) + 1, ?2 FROM participants WHERE chatroom = ?1 ON CONFLICT DO NOTHING";
            connection.execute(sql, [id, user])?;
            Ok((user, participants(connection, id)?))
        })
        .await?;
    room.add(user);
    app.memberships.forget(user);
    let admin = room.admin;
    let body = format!(r#"{{"chatroomid":{id},"admin":{admin},"participants":{participants}}}"#);
    Ok(json(body.into()))
}

pub(crate) async fn chatroom_participants(
    State(app): State<Arc<App>>,
    Caller(session): Caller,
    parameters: Parameters,
) -> Result<Response, Failure> {
    let id = parameters.id("chatroomid")?;
    let room = app.rooms.room(&app.store, id).await?;
    room.filter(|room| room.has(session.user))
        .ok_or(Failure::NotAParticipant(StatusCode::FORBIDDEN))?;
    let users = app
        .store
        .read(move |connection| participants(connection, id));
    Ok(json(users.await?.into()))
}

fn participants(connection: &rusqlite::Connection, id: i64) -> rusqlite::Result<String> {
    let sql = "SELECT users.id, users.name FROM participants JOIN users ON users.id = user \
        WHERE chatroom = ?1 ORDER BY place";
    let mut statement = connection.prepare_cached(sql)?;
    users_json(statement.query_map(params![id], |row| Ok((row.get(0)?, row.get(1)?)))?)
}

pub(crate) async fn longpoll(
    State(app): State<Arc<App>>,
    Caller(session): Caller,
    parameters: Parameters,
) -> Result<Response, Failure> {
    let parked = {
        let room = room(&app, &parameters).await?;
        room.park(&session).ok_or(NOT_IN_IT)?
    };
    drop((app, session, parameters));
    match parked.ended().await {
        Ended::List(list) => Ok(json(list)),
        Ended::LoggedOut => Err(Failure::NoSession),
    }
}

pub(crate) async fn endpoll(
    State(app): State<Arc<App>>,
    Caller(session): Caller,
    parameters: Parameters,
) -> Result<Response, Failure> {
    let room = room(&app, &parameters).await?;
    if !room.has(session.user) {
        return Err(NOT_IN_IT);
    }
    let (ended, list) = room.end(&session);
    let list = std::str::from_utf8(&list).expect("a list is made of strings");
    let body = format!(r#"{{"status":"ok","ended":{ended},"messages":{list}}}"#);
    Ok(json(body.into()))
}

pub(crate) async fn send_message(
    State(app): State<Arc<App>>,
    Caller(session): Caller,
    parameters: Parameters,
) -> Result<Response, Failure> {
    parameters.id("chatroomid")?;
    let mut text = parameters.text("message")?.to_owned();
    if text.contains('\r') {
        text = text.replace("\r\n", "\n");
    }
    let is_refused = |c: char| c.is_control() && c != '\t' && c != '\n';
    if text.is_empty() || text.len() > MESSAGE_MAX || text.contains(is_refused) {
        return Err(Failure::BadParameter("message cannot be sent.".into()));
    }
    let room = room(&app, &parameters).await?;
    if !room.has(session.user) {
        return Err(NOT_IN_IT);
    }
    app.store.save(room, session, text).await.map(json)
}

async fn room(app: &App, parameters: &Parameters) -> Result<Arc<Room>, Failure> {
    let id = parameters.id("chatroomid")?;
    app.rooms.room(&app.store, id).await?.ok_or(NOT_IN_IT)
}
