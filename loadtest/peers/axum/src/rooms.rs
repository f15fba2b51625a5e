//! The chatrooms in memory, each loaded once and then kept.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::OnceCell;

use crate::failure::Failure;
use crate::room::Room;
use crate::store::Store;

type Cell = Arc<OnceCell<Arc<Room>>>;

/// All that were asked for.
pub(crate) struct Rooms {
    recent_max: usize,
    cells: Mutex<HashMap<i64, Cell>>,
}

impl Rooms {
    pub(crate) fn new(recent_max: usize) -> Self {
        Self {
            recent_max,
            cells: Mutex::default(),
        }
    }

    fn cells(&self) -> MutexGuard<'_, HashMap<i64, Cell>> {
        self.cells.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The chatroom, where there is one. It is loaded once, before anything can be said in it or anybody added, so
    /// whatever is told it later is not in what was loaded.
    pub(crate) async fn room(&self, store: &Store, id: i64) -> Result<Option<Arc<Room>>, Failure> {
        let cell = {
            let mut cells = self.cells();
            let cell = cells.entry(id).or_default();
            if let Some(room) = cell.get() {
                return Ok(Some(Arc::clone(room)));
            }
            Arc::clone(cell)
        };
        let load = || async {
            let room = store.room(id, self.recent_max).await.map_err(Some)?;
            room.map(Arc::new).ok_or(None)
        };
        match cell.get_or_try_init(load).await {
            Ok(room) => Ok(Some(Arc::clone(room))),
            Err(failure) => {
                let mut cells = self.cells();
                if cells.get(&id).is_some_and(|cell| cell.get().is_none()) {
                    cells.remove(&id);
                }
                failure.map_or(Ok(None), Err)
            }
        }
    }

    /// Does something with each.
    pub(crate) fn each(&self, mut what: impl FnMut(&Room)) {
        for cell in self.cells().values() {
            if let Some(room) = cell.get() {
                what(room);
            }
        }
    }
}
