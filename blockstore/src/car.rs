//! CAR: blocks one after another in a file.
//!
//! [`CarReader`] reads versions 1 and 2 as a stream and never holds more than one section;
//! [`CarWriter`] writes version 1. The limits are in [`CarLimits`]. Of version 2 only the payload is
//! read: its index is a hint that cannot be trusted.
//!
//! Specs: <https://ipld.io/specs/transport/car/carv1/>, <https://ipld.io/specs/transport/car/carv2/>.

mod frame;
mod header;
mod read;
mod write;

pub use frame::{Frame, FrameError, MAX_SECTION_LEN, frame_prefix, read_frame};
pub use header::{HeaderError, header_v1};
pub use read::{CarError, CarLimits, CarReader, Section};
pub use write::CarWriter;
