//! Properties: what must hold for any input, any cut of it, and any order of things.

#![expect(
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test that cannot go on should say where"
)]

mod machine;
mod model;
mod parsers;
