//! What the fuzz targets do with their bytes: one function each, which panics where a rule is broken.
//!
//! The targets call them with whatever the fuzzer thinks of; `rust/proto/tests/corpus.rs` calls them
//! with the inputs that were worth keeping, in every run of the tests.

pub(crate) mod envelope;
pub(crate) mod events;
pub(crate) mod framer;
pub(crate) mod machine;
mod pieces;
