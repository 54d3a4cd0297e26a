//! Tokens in `repo.redb`.

use redb::{TableDefinition, TableError};
use serde::{Deserialize, Serialize};

use super::{Scope, Token};
use crate::repo::{Database, DatabaseError};

/// Name to SHA-256 of the secret (32 bytes) and, in JSON, the rest.
const TOKENS: TableDefinition<'_, &str, &[u8]> = TableDefinition::new("tokens");

const BAD: DatabaseError = DatabaseError::BadRecord { table: "tokens" };

#[derive(Serialize, Deserialize)]
struct Rest {
    created: u64,
    #[serde(flatten)]
    scope: Scope,
}

/// All of them. One that cannot be read is an error: it may be the one that was to be refused.
pub fn all(database: &Database) -> Result<Vec<Token>, DatabaseError> {
    let Some(transaction) = database.read()? else {
        return Ok(Vec::new());
    };
    let table = match transaction.open_table(TOKENS) {
        Err(TableError::TableDoesNotExist(_)) => return Ok(Vec::new()),
        table => table?,
    };
    let rows = table.range::<&str>(..)?;
    rows.map(|row| {
        let (name, row) = row?;
        decode(name.value(), row.value()).ok_or(BAD)
    })
    .collect()
}

/// Adds one.
pub fn put(database: &Database, token: &Token) -> Result<(), DatabaseError> {
    let mut row = token.hash.to_vec();
    let rest = Rest {
        created: token.created,
        scope: token.scope.clone(),
    };
    serde_json::to_writer(&mut row, &rest).map_err(|_| BAD)?;
    database.write(|transaction| {
        let mut table = transaction.open_table(TOKENS)?;
        table.insert(token.name.as_str(), row.as_slice())?;
        Ok(())
    })
}

/// Removes one.
pub fn remove(database: &Database, name: &str) -> Result<(), DatabaseError> {
    database.write(|transaction| {
        transaction.open_table(TOKENS)?.remove(name)?;
        Ok(())
    })
}

fn decode(name: &str, row: &[u8]) -> Option<Token> {
    let (hash, rest) = row.split_first_chunk()?;
    let rest: Rest = serde_json::from_slice(rest).ok()?;
    Some(Token {
        name: name.to_owned(),
        scope: rest.scope,
        created: rest.created,
        hash: *hash,
    })
}
