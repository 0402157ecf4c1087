//! Connections that wait for their next request.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use http::Uri;
use hyper::client::conn::http2;
use tokio::runtime::Handle;
use tokio::time::{Instant, sleep_until};

use super::line::Line;
use super::parcel::Parcel;
use super::target::Target;

/// Common servers close an idle connection after five seconds, and a POST that crosses with that
/// is lost: the ferry closes first.
const IDLE: Duration = Duration::from_secs(4);

/// The connections of a client that nobody uses now, and the one that all can use at once.
#[derive(Default)]
pub(super) struct Pool(Mutex<Waiting>);

#[derive(Default)]
struct Waiting {
    /// HTTP/1 connections, and since when each of them waits: the longest first.
    lines: Vec<(Instant, Box<Line>)>,
    /// The HTTP/2 connection for new streams.
    shared: Option<Shared>,
    /// Whether a task closes what waits for too long.
    swept: bool,
}

struct Shared {
    sender: http2::SendRequest<Parcel>,
    server: Uri,
    /// When it last took a request.
    used: Instant,
}

/// A way to the server that is open already.
pub(super) enum Kept {
    Line(Box<Line>),
    Shared(http2::SendRequest<Parcel>),
}

impl Pool {
    /// A connection to a server, if one waits. It may have been closed by the server meanwhile:
    /// then it gives the request back.
    pub(super) fn take(&self, target: &Target) -> Option<Kept> {
        if let Some(sender) = self.shared(target) {
            return Some(Kept::Shared(sender));
        }
        let mut waiting = self.lock();
        // The one that came last is the likeliest to be open still.
        let at = waiting.lines.iter().rposition(|(_, line)| line.leads_to(target))?;
        let (since, line) = waiting.lines.remove(at);
        drop(waiting);
        if since.elapsed() < IDLE {
            return Some(Kept::Line(line));
        }
        // Those before it waited even longer: the sweeper is about to close them all.
        line.hang_up();
        None
    }

    /// The connection for all, if there is one to this server.
    pub(super) fn shared(&self, target: &Target) -> Option<http2::SendRequest<Parcel>> {
        let mut waiting = self.lock();
        let shared = waiting.shared.as_mut().filter(|shared| shared.server == target.server)?;
        if shared.sender.is_closed() {
            waiting.shared = None;
            return None;
        }
        shared.used = Instant::now();
        Some(shared.sender.clone())
    }

    /// Keeps an HTTP/1 connection, whose answer is complete, for the next exchange. A server may
    /// answer before it has read all of a request: then the rest is written first.
    pub(super) fn keep(self: &Arc<Self>, mut line: Box<Line>) {
        if line.is_idle() {
            self.put(line);
        } else if !line.has_ended() {
            let pool = Arc::clone(self);
            tokio::spawn(async move {
                std::future::poll_fn(|cx| line.poll_settled(cx)).await;
                if line.is_idle() {
                    pool.put(line);
                }
            });
        }
    }

    fn put(self: &Arc<Self>, line: Box<Line>) {
        let mut waiting = self.lock();
        waiting.lines.push((Instant::now(), line));
        self.begin_to_sweep(&mut waiting);
    }

    /// Keeps an HTTP/2 connection for all exchanges from now on.
    pub(super) fn share(self: &Arc<Self>, sender: http2::SendRequest<Parcel>, target: &Target) {
        let mut waiting = self.lock();
        let server = target.server.clone();
        waiting.shared = Some(Shared { sender, server, used: Instant::now() });
        self.begin_to_sweep(&mut waiting);
    }

    fn begin_to_sweep(self: &Arc<Self>, waiting: &mut Waiting) {
        // An exchange may be dropped when its runtime is gone already: so is all that waits then.
        if let (false, Ok(runtime)) = (waiting.swept, Handle::try_current()) {
            waiting.swept = true;
            runtime.spawn(sweep(Arc::downgrade(self), Instant::now() + IDLE));
        }
    }

    /// Closes what waited for too long. Tells when to come again, if anything is left.
    fn close_old(&self) -> Option<Instant> {
        let mut waiting = self.lock();
        let old = waiting.lines.partition_point(|(since, _)| since.elapsed() >= IDLE);
        let old: Vec<_> = waiting.lines.drain(..old).collect();
        waiting.shared.take_if(|shared| shared.used.elapsed() >= IDLE);
        let first = waiting.lines.first().map(|(since, _)| *since);
        let next = first.into_iter().chain(waiting.shared.as_ref().map(|shared| shared.used)).min();
        waiting.swept = next.is_some();
        drop(waiting);
        for (_, line) in old {
            line.hang_up();
        }
        next.map(|since| since + IDLE)
    }

    fn lock(&self) -> MutexGuard<'_, Waiting> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Runs only while something waits, and not beyond the pool's own end.
async fn sweep(pool: Weak<Pool>, mut at: Instant) {
    loop {
        sleep_until(at).await;
        let Some(next) = pool.upgrade().and_then(|pool| pool.close_old()) else { return };
        at = next;
    }
}
