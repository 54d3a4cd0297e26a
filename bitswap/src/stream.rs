//! The tasks that read and write streams. They run outside of the swarm.

mod read;
mod write;

pub(crate) use read::read_stream;
pub(crate) use write::write_stream;
