//! The HTTP side against real servers on loopback, which do exactly what a test says.
#![allow(clippy::unwrap_used, clippy::panic, reason = "what fails here is the test")]

mod exchanges;
mod http2;
mod kept;
mod proxies;
mod support;
mod trust;
