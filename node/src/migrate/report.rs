//! What was taken and what was not.

/// Most things that a part names; the rest is counted.
const MAX_NAMED: usize = 10_000;

/// Answer of [`super::run`].
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MigrateReport {
    /// Blocks, named by the file they are in.
    pub blocks: Part,
    /// Recursive and direct pins, named by CID.
    pub pins: Part,
    /// Named keys.
    pub keys: Part,
    /// Records of published IPNS names.
    pub names: Part,
    /// The tree of MFS.
    pub mfs: Part,
    /// Configuration keys, from [`super::take_config`].
    pub config: Part,
    /// The identity, where it was asked for.
    pub identity: Part,
    /// What else is worth knowing.
    pub notes: Vec<String>,
}

impl MigrateReport {
    /// Whether everything was taken; configuration keys without a counterpart do not count.
    #[must_use]
    pub fn is_complete(&self) -> bool {
        let parts = [
            &self.blocks,
            &self.pins,
            &self.keys,
            &self.names,
            &self.mfs,
            &self.identity,
        ];
        parts.iter().all(|part| part.left == 0)
    }
}

/// One kind of thing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Part {
    /// Taken by this run.
    pub taken: u64,
    /// Here before, the same.
    pub present: u64,
    /// Not taken.
    pub left: u64,
    /// Bytes of what was taken, for blocks.
    pub bytes: u64,
    /// Which were not taken and why, the first 10,000 of them.
    pub named: Vec<Left>,
}

/// Something that was not taken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Left {
    /// What it is.
    pub what: String,
    /// Why it was not taken.
    pub reason: String,
}

impl Part {
    /// Notes something that was not taken.
    pub(super) fn leave(&mut self, what: impl Into<String>, reason: String) {
        self.left += 1;
        if self.named.len() < MAX_NAMED {
            self.named.push(Left {
                what: what.into(),
                reason,
            });
        }
    }
}

/// What a migration tells while it runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MigrateEvent {
    /// Bytes of block files read so far.
    Blocks {
        /// Files looked at.
        files: u64,
        /// Bytes stored.
        bytes: u64,
    },
    /// Blocks below pins checked so far.
    Checked(u64),
}
