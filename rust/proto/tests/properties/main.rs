//! Properties: what must hold for any input, any cut of it, and any order of things.

#![expect(
    clippy::disallowed_methods,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test begins at any instant, and says where it cannot go on"
)]

mod machine;
mod model;
mod parsers;
