//! Whole conversations, told as transcripts: what came in stands at the left, what the machine did
//! about it is indented. Each is a snapshot beside this file.

#![expect(
    clippy::disallowed_methods,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a rig begins at any instant, and says where it cannot go on"
)]

mod rig;
mod words;

mod credentials;
mod ending;
mod honesty;
mod http_sse;
mod in_process;
mod messages;
mod modern;
mod opening;
mod recovery;
mod replies;
mod sessions;
