//! Where announcing stopped, in `repo.redb`.

use redb::{TableDefinition, TableError};

use super::keyspace::Key;
use super::schedule::Position;
use crate::repo::{Database, DatabaseError};

/// One row. Key: what was announced, as configured: another strategy begins anew. Value: [`Position`].
const POSITION: TableDefinition<'_, &str, &[u8]> = TableDefinition::new("provide");

const LEN: usize = 32 + 8 + 8 + 1;

/// What was kept for this strategy.
pub fn get(database: &Database, strategy: &str) -> Result<Option<Position>, DatabaseError> {
    let Some(read) = database.read()? else {
        return Ok(None);
    };
    let table = match read.open_table(POSITION) {
        Err(TableError::TableDoesNotExist(_)) => return Ok(None),
        table => table?,
    };
    let value = table.get(strategy)?;
    value.map(|value| decode(value.value())).transpose()
}

/// Keeps a position; what another strategy had is forgotten.
pub fn put(database: &Database, strategy: &str, position: Position) -> Result<(), DatabaseError> {
    database.write(|transaction| {
        let mut table = transaction.open_table(POSITION)?;
        table.retain(|kept, _| kept == strategy)?;
        table.insert(strategy, encode(position).as_slice())?;
        Ok(())
    })
}

fn encode(position: Position) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(LEN);
    bytes.extend(position.next.0);
    bytes.extend(position.due.to_be_bytes());
    bytes.extend(position.began.to_be_bytes());
    bytes.push(u8::from(position.rush));
    bytes
}

fn decode(bytes: &[u8]) -> Result<Position, DatabaseError> {
    let bad = DatabaseError::BadRecord { table: "provide" };
    let parts = || {
        let (next, rest) = bytes.split_first_chunk::<32>()?;
        let (due, rest) = rest.split_first_chunk::<8>()?;
        let (began, rest) = rest.split_first_chunk::<8>()?;
        let rush = match rest {
            [0] => false,
            [1] => true,
            _ => return None,
        };
        Some(Position {
            next: Key(*next),
            due: u64::from_be_bytes(*due),
            began: u64::from_be_bytes(*began),
            rush,
        })
    };
    parts().ok_or(bad)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn positions_are_kept_over_restarts_for_their_strategy() {
        let repo = tempfile::tempdir().unwrap();
        let position = Position {
            next: Key::of(b"here"),
            due: 77,
            rush: true,
            began: 5,
        };
        {
            let database = Database::in_repo(repo.path());
            assert_eq!(get(&database, "all").unwrap(), None);
            put(&database, "all", position).unwrap();
        }
        let database = Database::in_repo(repo.path());
        assert_eq!(get(&database, "all").unwrap(), Some(position));
        put(
            &database,
            "pinned",
            Position {
                rush: false,
                ..position
            },
        )
        .unwrap();
        assert_eq!(get(&database, "all").unwrap(), None);
        assert!(!get(&database, "pinned").unwrap().unwrap().rush);
        assert!(decode(&[0; LEN - 1]).is_err() && decode(&[2; LEN]).is_err());
    }
}
