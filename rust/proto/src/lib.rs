//! The rules of mcp-ferry, as a machine without a clock or a socket.
//!
//! [`Bridge`] is the one type to hold: feed it [`Input`]s, drain its [`Action`]s, sleep until its
//! timeout. Everything else in this crate is a part of it that can be read and tested by itself:
//!
//! | room | about |
//! | --- | --- |
//! | [`seam`] | what happened and what to do: the words between rules and wires |
//! | [`frame`], [`outline`] | lines from the client, and what is known of one too large to keep |
//! | [`message`] | the envelope of a JSON-RPC message |
//! | [`sse`] | event streams |
//! | [`headers`] | request headers by era, and what answers say in theirs |
//! | [`session`] | the phases of a legacy session, and all their transitions |
//! | [`outgoing`], [`exchange`] | a message on its way, and the request that carries it |
//! | [`annotations`] | parameters that go into headers (2026-07-28) |
//! | [`retry`] | what a failure says, and how long to wait |
//! | [`reply`] | the errors that the ferry gives itself |
//! | `bridge` | the state of everything; `client`, `sending`, `answer`, `deliver`, `failing`, `recovery`, `credentials`, `tools`, `http_sse` and `ending` are what it does, by whence and where |

pub mod annotations;
mod answer;
pub mod bridge;
mod client;
mod credentials;
mod deliver;
mod ending;
pub mod exchange;
mod failing;
pub mod frame;
pub mod headers;
mod http_sse;
pub mod load;
pub mod message;
pub mod outgoing;
pub mod outline;
mod recovery;
pub mod reply;
pub mod retry;
pub mod seam;
mod sending;
pub mod session;
pub mod sse;
mod tools;

pub use bridge::{Bridge, Config, Transport};
pub use frame::{Frame, Framer};
pub use seam::{Action, ExchangeId, ExitReason, Fault, FaultKind, Head, Input, Request, Terms};
