//! The HTTP side against real servers on loopback, which do exactly what a test says.

mod exchanges;
mod support;
mod trust;
