//! The table of jobs in `repo.redb`.

use redb::{ReadOnlyTable, ReadableTable, ReadableTableMetadata, TableDefinition, TableError};

use super::{Job, JobError};
use crate::error::{Error, Result};
use crate::repo::{Database, DatabaseError};

/// Key: number of the job. Value: the job as JSON, so that fields can come and go.
const JOBS: TableDefinition<'_, u64, &[u8]> = TableDefinition::new("jobs");

/// Ended jobs that are kept.
const ENDED_MAX: usize = 1000;

/// Jobs that have not ended at most.
const OPEN_MAX: usize = 10_000;

fn open(database: &Database) -> Result<Option<ReadOnlyTable<u64, &'static [u8]>>, DatabaseError> {
    let Some(read) = database.read()? else {
        return Ok(None);
    };
    match read.open_table(JOBS) {
        Ok(table) => Ok(Some(table)),
        Err(TableError::TableDoesNotExist(_)) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

fn decode(bytes: &[u8]) -> Result<Job, DatabaseError> {
    serde_json::from_slice(bytes).map_err(|_| DatabaseError::BadRecord { table: "jobs" })
}

fn encode(job: &Job) -> Result<Vec<u8>> {
    serde_json::to_vec(job).map_err(|_| Error::Internal("a job could not be written as JSON"))
}

/// All jobs in the order of their numbers.
pub fn all(database: &Database) -> Result<Vec<Job>, DatabaseError> {
    let Some(table) = open(database)? else {
        return Ok(Vec::new());
    };
    let mut all = Vec::new();
    for row in table.iter()? {
        all.push(decode(row?.1.value())?);
    }
    Ok(all)
}

/// The job with that number.
pub fn get(database: &Database, id: u64) -> Result<Option<Job>, DatabaseError> {
    let Some(table) = open(database)? else {
        return Ok(None);
    };
    let value = table.get(id)?;
    value.map(|value| decode(value.value())).transpose()
}

/// Keeps a new job under the next number; the oldest ended ones are forgotten.
pub fn insert(database: &Database, mut job: Job) -> Result<Job> {
    database.write(|transaction| {
        let mut table = transaction.open_table(JOBS).map_err(DatabaseError::from)?;
        let last = table.last().map_err(DatabaseError::from)?;
        job.id = last.map_or(0, |(id, _)| id.value()) + 1;
        let count = table.len().map_err(DatabaseError::from)?;
        if count >= ENDED_MAX as u64 {
            let mut ended = Vec::new();
            for row in table.iter().map_err(DatabaseError::from)? {
                let (id, value) = row.map_err(DatabaseError::from)?;
                if decode(value.value())?.state.has_ended() {
                    ended.push(id.value());
                }
            }
            let open = usize::try_from(count).unwrap_or(usize::MAX) - ended.len();
            if open >= OPEN_MAX {
                return Err(JobError::Full(open).into());
            }
            let surplus = (ended.len() + 1).saturating_sub(ENDED_MAX);
            for id in &ended[..surplus] {
                table.remove(id).map_err(DatabaseError::from)?;
            }
        }
        table
            .insert(job.id, encode(&job)?.as_slice())
            .map_err(DatabaseError::from)?;
        Ok(job)
    })
}

/// Changes a job, unless it is gone or `change` does not want to; what it is then.
pub fn update(
    database: &Database,
    id: u64,
    change: impl FnOnce(&mut Job) -> bool,
) -> Result<Option<Job>> {
    database.write(|transaction| {
        let mut table = transaction.open_table(JOBS).map_err(DatabaseError::from)?;
        let value = table.get(id).map_err(DatabaseError::from)?;
        let Some(mut job) = value.map(|value| decode(value.value())).transpose()? else {
            return Ok(None);
        };
        if change(&mut job) {
            table
                .insert(id, encode(&job)?.as_slice())
                .map_err(DatabaseError::from)?;
        }
        Ok(Some(job))
    })
}
