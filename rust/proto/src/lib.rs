//! The rules of mcp-ferry, as a machine without a clock or a socket.
//!
//! [`Bridge`] is the one type to hold: feed it [`Input`]s, drain its [`Action`]s, sleep until its
//! timeout. Everything else in this crate is a part of it that can be read and tested by itself.

pub mod bridge;
pub mod frame;
pub mod headers;
pub mod load;
pub mod message;
pub mod outline;
pub mod retry;
pub mod seam;
pub mod sse;

pub use bridge::{Bridge, Config};
pub use frame::{Frame, Framer};
pub use seam::{Action, ExchangeId, ExitReason, Fault, FaultKind, Head, Input, Request};
