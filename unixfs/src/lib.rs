//! UnixFS without IO: chunkers, DAG layouts, directories, HAMT, readers and paths.

pub mod chunker;
pub mod directory;
pub mod edit;
pub mod hamt;
mod hamt_descent;
pub mod layout;
pub mod leaf;
mod limits;
mod links;
mod listing;
mod lookup;
pub mod murmur3;
pub mod names;
pub mod node;
mod opened;
pub mod options;
mod proto;
mod read_error;
mod reader;
mod resolve;
mod stat;
mod steps;
mod symlink;
mod tar;
#[cfg(test)]
mod test_dag;
mod tree;
mod walk;

pub use chunker::{Chunker, Splitter};
pub use layout::FileBuilder;
pub use leaf::{LeafEncoder, LeafFrame};
pub use limits::Limits;
pub use links::Root;
pub use listing::{DirectoryEntry, DirectoryReader};
pub use lookup::NameLookup;
pub use node::{Kind, Mtime, UnixFs};
pub use options::{
    CidSpec, DirectoryOptions, FileOptions, ImportOptions, Layout, Profile, SizeEstimate,
};
pub use proto::ProtoError;
pub use read_error::{FileFault, Limit, ReadError, ShardFault, TargetFault};
pub use reader::{Attributes, FileReader};
pub use resolve::{Namespace, PathResolver, Resolved};
pub use stat::NodeStat;
pub use steps::{Step, Steps, run};
pub use symlink::symlink;
pub use tar::TarReader;
pub use tree::{TreeContent, TreeEntry, TreeOptions, TreeReader};
pub use walk::{DagWalk, Edge, Visit, WalkOptions};
