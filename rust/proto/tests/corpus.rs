//! The bodies of the fuzz targets (`rust/fuzz`) over the inputs that were worth keeping.

#![expect(
    clippy::disallowed_methods,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::print_stdout,
    reason = "a conversation begins at any instant, and a body that finds a fault says so by a panic"
)]

use std::fs;
use std::path::Path;

#[path = "../../fuzz/src/bodies.rs"]
mod bodies;

/// Runs `body` over every file of its corpus.
fn over_corpus(target: &str, body: fn(&[u8])) {
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/corpus").join(target);
    let mut count = 0;
    for entry in fs::read_dir(&corpus).expect("a directory of inputs") {
        let path = entry.expect("a file").path();
        // Said only if the body panics: the harness keeps the output of tests that pass.
        println!("{}", path.display());
        body(&fs::read(&path).expect("an input"));
        count += 1;
    }
    assert!(count > 0, "{} is empty", corpus.display());
}

#[test]
fn framer() {
    over_corpus("framer", bodies::framer::run);
}

#[test]
fn envelope() {
    over_corpus("envelope", bodies::envelope::run);
}

#[test]
fn events() {
    over_corpus("events", bodies::events::run);
}

#[test]
fn machine() {
    over_corpus("machine", bodies::machine::run);
}
