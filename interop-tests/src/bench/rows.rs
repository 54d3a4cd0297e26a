//! What is measured, with the goals of the design for a disk and for memory.

/// How much of everything.
#[derive(Debug, Clone, Copy)]
pub struct Sizes {
    /// Bytes of the large file.
    pub file: u64,
    /// Files of the tree.
    pub files: usize,
    /// Bytes of each file of the tree.
    pub file_size: usize,
    /// Leaves of the repo that the constant-time answers are measured in.
    pub blocks: u64,
    /// Files written into the mutable file system.
    pub mfs: usize,
    /// Files uploaded to a daemon at the same time.
    pub uploads: usize,
    /// Bytes of each of them.
    pub upload: u64,
    /// Bytes streamed through `add` while its memory is watched.
    pub stream: u64,
}

impl Sizes {
    /// The sizes the goals are stated for.
    pub const FULL: Sizes = Sizes {
        file: 1 << 30,
        files: 20_000,
        file_size: 1_000,
        blocks: 1_000_000,
        mfs: 100_000,
        uploads: 256,
        upload: 100 << 20,
        stream: 10 << 30,
    };

    /// A tenth and less, to try the harness or to see a trend.
    pub const QUICK: Sizes = Sizes {
        file: 128 << 20,
        files: 2_000,
        file_size: 1_000,
        blocks: 100_000,
        mfs: 5_000,
        uploads: 64,
        upload: 4 << 20,
        stream: 1 << 30,
    };
}

/// A comparison with Kubo.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Row {
    /// `add` of the large file.
    Add,
    /// `add` of the large file with CIDv1 and chunks of 1 MiB.
    AddV1,
    /// `add -r` of the tree.
    AddTree,
    /// `cat` of the large file.
    Cat,
    /// `get` of the tree.
    GetTree,
    /// `repo gc` of the tree, unpinned.
    Gc,
    /// `pin ls` of everything.
    PinLs,
    /// `files write` of small files into one directory, through the daemon.
    FilesDir,
    /// The same into a tree of a hundred directories.
    FilesTree,
}

/// What a row's time is divided into.
#[derive(Debug, Clone, Copy)]
pub enum Work {
    /// MiB/s.
    Bytes(u64),
    /// So many of these a second.
    Items(f64, &'static str),
    /// Milliseconds.
    Time,
}

impl Row {
    /// Every comparison.
    pub const ALL: [Row; 9] = [
        Row::Add,
        Row::AddV1,
        Row::AddTree,
        Row::Cat,
        Row::GetTree,
        Row::Gc,
        Row::PinLs,
        Row::FilesDir,
        Row::FilesTree,
    ];

    /// The name for `--only`.
    pub fn name(self) -> &'static str {
        match self {
            Row::Add => "add-1g",
            Row::AddV1 => "add-1g-v1",
            Row::AddTree => "add-tree",
            Row::Cat => "cat-1g",
            Row::GetTree => "get-tree",
            Row::Gc => "gc-tree",
            Row::PinLs => "pin-ls",
            Row::FilesDir => "files-dir",
            Row::FilesTree => "files-tree",
        }
    }

    /// What the row is called in the table.
    pub fn title(self, sizes: &Sizes) -> String {
        let file = bytes(sizes.file);
        let files = sizes.files;
        match self {
            Row::Add => format!("add {file}, default profile"),
            Row::AddV1 => format!("add {file}, CIDv1, 1 MiB chunks"),
            Row::AddTree => format!("add {files} files of {} B", sizes.file_size),
            Row::Cat => format!("cat {file}"),
            Row::GetTree => format!("get a tree of {files} files"),
            Row::Gc => format!("GC of a dead tree of {files} files"),
            Row::PinLs => format!("pin ls of everything, {files} blocks"),
            Row::FilesDir => format!("files write of {} files into one directory", sizes.mfs),
            Row::FilesTree => format!("files write of {} files into a tree", sizes.mfs),
        }
    }

    /// What the time is divided into.
    pub fn work(self, sizes: &Sizes) -> Work {
        match self {
            Row::Add | Row::AddV1 | Row::Cat => Work::Bytes(sizes.file),
            Row::AddTree | Row::GetTree => Work::Items(sizes.files as f64, "files/s"),
            Row::Gc => Work::Items(sizes.files as f64, "blocks/s"),
            Row::PinLs => Work::Time,
            Row::FilesDir | Row::FilesTree => Work::Items(sizes.mfs as f64, "files/s"),
        }
    }

    /// How many times faster than Kubo the design wants it.
    pub fn goal(self, in_memory: bool) -> Option<f64> {
        match (self, in_memory) {
            (Row::Add, false) => Some(3.0),
            (Row::Add, true) => Some(2.5),
            (Row::AddV1, false) | (Row::Cat, true) | (Row::GetTree, _) => Some(2.0),
            (Row::AddV1, true) => Some(1.8),
            (Row::AddTree, false) => Some(15.0),
            (Row::AddTree, true) => Some(6.0),
            (Row::Cat, false) => None,
            (Row::Gc, false) => Some(20.0),
            (Row::Gc, true) | (Row::PinLs | Row::FilesDir | Row::FilesTree, _) => Some(10.0),
        }
    }
}

/// `n` in the largest binary unit that divides it.
pub fn bytes(n: u64) -> String {
    [(30, "GiB"), (20, "MiB"), (10, "KiB")]
        .into_iter()
        .find(|(shift, _): &(u32, &str)| n >= 1 << shift && n.trailing_zeros() >= *shift)
        .map_or_else(
            || format!("{n} B"),
            |(shift, unit)| format!("{} {unit}", n >> shift),
        )
}
