//! What reaches the ferry from neither shore: signals, and word that the client is no more.

use std::pin::Pin;

use ferry_proto::Input;
use futures_util::Stream;
use futures_util::stream::FuturesUnordered;

use crate::stdio::Closed;

type Notice = Pin<Box<dyn Future<Output = Input>>>;

/// Signals, the end of the parent process, and `closed`, each yielded once as it happens.
///
/// Must be called within the event loop.
pub fn of_this_process(closed: Closed) -> impl Stream<Item = Input> + Unpin {
    let notices: [Notice; 3] = [
        Box::pin(async {
            stop_signal().await;
            Input::Shutdown
        }),
        Box::pin(async {
            orphaned().await;
            log::info!(target: "mcp_ferry.wires", "the parent process is gone");
            Input::ClientClosed
        }),
        Box::pin(async {
            closed.await;
            Input::ClientGone
        }),
    ];
    notices.into_iter().collect::<FuturesUnordered<_>>()
}

#[cfg(unix)]
async fn stop_signal() {
    use tokio::signal::unix::{SignalKind, signal};
    let (Ok(mut terminate), Ok(mut interrupt)) =
        (signal(SignalKind::terminate()), signal(SignalKind::interrupt()))
    else {
        // Without handlers a signal ends the process at once, which is what it asks for.
        return std::future::pending().await;
    };
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
}

#[cfg(not(unix))]
async fn stop_signal() {
    if tokio::signal::ctrl_c().await.is_err() {
        std::future::pending().await
    }
}

/// Waits for the end of the parent. A client that was killed never closes a pipe that a sibling of
/// the ferry has inherited too.
#[cfg(unix)]
async fn orphaned() {
    let Some(parent) = rustix::process::getppid() else {
        return std::future::pending().await;
    };
    #[cfg(target_os = "linux")]
    if let Ok(handle) = rustix::process::pidfd_open(parent, rustix::process::PidfdFlags::empty())
        && let Ok(handle) = crate::stdio::watch(handle)
        && handle.readable().await.is_ok()
    {
        return;
    }
    let mut ticks = tokio::time::interval(std::time::Duration::from_secs(1));
    while rustix::process::getppid() == Some(parent) {
        ticks.tick().await;
    }
}

#[cfg(not(unix))]
async fn orphaned() {
    std::future::pending().await
}
