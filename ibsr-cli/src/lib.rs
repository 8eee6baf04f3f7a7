// SPDX-License-Identifier: MIT OR Apache-2.0
//! What the command lines share: how a program ends, how it logs, how sizes and durations
//! are written, and the text behind completions and manual pages. Of those that load and
//! attach also which rights they keep and which directories of pins they trust.
//!
//! Nothing here knows what any of the programs does.

#![forbid(unsafe_code)]

mod finish;
mod format;
mod generate;
pub mod hint;
mod logging;
pub mod pindir;
pub mod privilege;
mod quantity;
mod table;

pub use finish::{Answer, finish};
pub use format::Format;
pub use generate::Generate;
pub use logging::{LogArgs, LogFormat};
pub use quantity::{QuantityError, format_bytes, parse_duration, parse_size};
pub use table::table;
