//! Sessions: what the server knows about one client between two of its requests.

use std::collections::HashMap;
use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};

use http::HeaderValue;
use tokio::sync::{mpsc, oneshot};

use crate::message::{Payload, Response};

/// A revision of the protocol. Later ones compare greater.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Version {
    V2024_11_05,
    V2025_03_26,
    V2025_06_18,
    V2025_11_25,
}

impl Version {
    const ALL: [Self; 4] =
        [Self::V2024_11_05, Self::V2025_03_26, Self::V2025_06_18, Self::V2025_11_25];

    /// The version to answer a client with that asked for `wanted`: that, or the latest.
    pub(crate) fn negotiate(wanted: &str) -> Self {
        let known = Self::ALL.into_iter().find(|version| version.as_str() == wanted);
        known.unwrap_or(Self::V2025_11_25)
    }

    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::V2024_11_05 => "2024-11-05",
            Self::V2025_03_26 => "2025-03-26",
            Self::V2025_06_18 => "2025-06-18",
            Self::V2025_11_25 => "2025-11-25",
        }
    }

    /// Whether clients of this revision have to send the version header.
    pub(crate) fn demands_header(self) -> bool {
        self >= Self::V2025_06_18
    }

    /// Whether this revision has batches.
    pub(crate) fn has_batches(self) -> bool {
        self == Self::V2025_03_26
    }
}

/// The random name of a session: 32 lower-case hexadecimal digits on the wire.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct SessionId(u128);

impl SessionId {
    fn random() -> Result<Self, getrandom::Error> {
        let mut bytes = [0; 16];
        getrandom::fill(&mut bytes)?;
        Ok(Self(u128::from_ne_bytes(bytes)))
    }

    /// The id that a header carries; `None` if no session can have it.
    pub(crate) fn read(value: &HeaderValue) -> Option<Self> {
        let text = value.to_str().ok()?;
        let canonical = |byte: u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
        if text.len() != 32 || !text.bytes().all(canonical) {
            return None;
        }
        u128::from_str_radix(text, 16).ok().map(Self)
    }

    /// The id as a header carries it.
    pub(crate) fn wire(self) -> String {
        format!("{:032x}", self.0)
    }
}

impl fmt::Debug for SessionId {
    /// Says nothing: whoever knows the id owns the session.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("SessionId(…)")
    }
}

/// All sessions alive.
pub(crate) struct Sessions {
    limit: usize,
    alive: RwLock<HashMap<SessionId, Arc<Session>>>,
}

/// Why a session could not be opened.
#[derive(Debug)]
pub(crate) enum Unopened {
    /// As many as allowed are alive.
    Full,
    /// The system gave no random bytes.
    NoRandom,
}

impl Sessions {
    pub(crate) fn new(limit: usize) -> Self {
        Self { limit, alive: RwLock::default() }
    }

    /// Takes the session in and names it.
    pub(crate) fn open(&self, session: Arc<Session>) -> Result<SessionId, Unopened> {
        let id = SessionId::random().map_err(|_| Unopened::NoRandom)?;
        let mut alive = self.alive.write().unwrap_or_else(PoisonError::into_inner);
        if alive.len() >= self.limit {
            return Err(Unopened::Full);
        }
        alive.insert(id, session);
        Ok(id)
    }

    pub(crate) fn find(&self, id: SessionId) -> Option<Arc<Session>> {
        self.alive.read().unwrap_or_else(PoisonError::into_inner).get(&id).cloned()
    }

    /// Ends the session: its calls and its streams end, and its id is unknown from now on.
    pub(crate) fn close(&self, id: SessionId) {
        let closed = self.alive.write().unwrap_or_else(PoisonError::into_inner).remove(&id);
        if let Some(session) = closed {
            session.close();
        }
    }
}

/// One client's session.
pub(crate) struct Session {
    version: Version,
    elicits: bool,
    initialized: AtomicBool,
    streams: AtomicU64,
    state: Mutex<State>,
}

/// What changes with calls and streams; ordinary requests never touch it.
struct State {
    /// Leads to the listener, open or not. `None` once the session is closed.
    outbox: Option<mpsc::Sender<Payload>>,
    /// What the listener will read; `None` while one is open.
    listener: Option<mpsc::Receiver<Payload>>,
    /// The calls that run, by the raw id of their request. To drop one's sender is to cancel it.
    calls: HashMap<Box<str>, oneshot::Sender<()>>,
    /// The server's requests that the client owes an answer to, by their id.
    asked: HashMap<u64, oneshot::Sender<Reply>>,
    /// The id of the server's latest request.
    last_asked: u64,
}

/// The client's raw answer to a request of the server's: its `result`, or its `error`.
pub(crate) type Reply = Result<String, String>;

impl Session {
    /// A session of `version` whose listener lets `pending` messages wait. `elicits` says whether the
    /// client answers elicitations.
    pub(crate) fn new(version: Version, elicits: bool, pending: usize) -> Self {
        let (outbox, listener) = mpsc::channel(pending.max(1));
        Self {
            version,
            elicits,
            initialized: AtomicBool::new(false),
            streams: AtomicU64::new(0),
            state: Mutex::new(State {
                outbox: Some(outbox),
                listener: Some(listener),
                calls: HashMap::new(),
                asked: HashMap::new(),
                last_asked: 0,
            }),
        }
    }

    pub(crate) fn version(&self) -> Version {
        self.version
    }

    pub(crate) fn elicits(&self) -> bool {
        self.elicits
    }

    pub(crate) fn is_initialized(&self) -> bool {
        self.initialized.load(Ordering::Acquire)
    }

    pub(crate) fn mark_initialized(&self) {
        self.initialized.store(true, Ordering::Release);
    }

    /// A number for a stream that no other stream of the session has.
    pub(crate) fn next_stream(&self) -> u64 {
        self.streams.fetch_add(1, Ordering::Relaxed)
    }

    /// The way to the listener. What is sent while none is open waits for one.
    pub(crate) fn outbox(&self) -> Option<mpsc::Sender<Payload>> {
        self.state().outbox.clone()
    }

    /// What a listener reads from now on; `None` if there is one already.
    pub(crate) fn take_listener(&self) -> Option<mpsc::Receiver<Payload>> {
        self.state().listener.take()
    }

    /// Ends the time of a listener: the next one may come.
    pub(crate) fn give_listener_back(&self, listener: mpsc::Receiver<Payload>) {
        let mut state = self.state();
        if state.outbox.is_some() {
            state.listener = Some(listener);
        }
    }

    /// Registers the call under its request's raw id, so that it can be cancelled. `None` if a call with
    /// that id runs already.
    pub(crate) fn begin(self: &Arc<Self>, id: &str) -> Option<Running> {
        let (cancel, cancelled) = oneshot::channel();
        let mut state = self.state();
        if state.calls.contains_key(id) {
            return None;
        }
        state.calls.insert(id.into(), cancel);
        Some(Running { session: Arc::clone(self), id: id.into(), cancelled })
    }

    /// Cancels the call that was requested under this raw id, if it still runs.
    pub(crate) fn cancel(&self, id: &str) {
        self.state().calls.remove(id);
    }

    /// Registers a request to the client.
    pub(crate) fn ask(self: &Arc<Self>) -> Asked {
        let (answer, reply) = oneshot::channel();
        let mut state = self.state();
        state.last_asked += 1;
        let id = state.last_asked;
        state.asked.insert(id, answer);
        Asked { session: Arc::clone(self), id, reply }
    }

    /// Hands the client's response to whoever waits for it; one that nobody waits for (any more) is
    /// passed over.
    pub(crate) fn answered(&self, response: &Response<'_>) {
        // An integer has one spelling in JSON that parses here, so `1.0` and `"1"` answer nothing.
        let Ok(id) = response.id.parse() else { return };
        let Some(waiting) = self.state().asked.remove(&id) else { return };
        let reply = match response.outcome {
            Ok(result) => Ok(result.get().to_owned()),
            Err(error) => Err(error.get().to_owned()),
        };
        // It may have been cancelled this moment; then nobody misses the answer.
        drop(waiting.send(reply));
    }

    fn close(&self) {
        let mut state = self.state();
        state.outbox = None;
        state.listener = None;
        state.calls.clear();
        state.asked.clear();
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A call that runs. Dropped when it ends.
pub(crate) struct Running {
    session: Arc<Session>,
    id: Box<str>,
    cancelled: oneshot::Receiver<()>,
}

impl Running {
    pub(crate) fn session(&self) -> &Arc<Session> {
        &self.session
    }

    /// The raw id of the call's request.
    pub(crate) fn id(&self) -> &str {
        &self.id
    }

    /// Resolves once the client cancels the call or ends the session.
    pub(crate) async fn cancelled(&mut self) {
        // Nothing is ever sent: losing the sender is the signal.
        drop((&mut self.cancelled).await);
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.cancelled.close();
        let mut state = self.session.state();
        // After a cancellation the id may name a later call already, whose receiver is still open.
        if state.calls.get(&self.id).is_some_and(oneshot::Sender::is_closed) {
            state.calls.remove(&self.id);
        }
    }
}

/// A request to the client that is not answered yet. Dropped when nobody waits any more.
pub(crate) struct Asked {
    session: Arc<Session>,
    id: u64,
    reply: oneshot::Receiver<Reply>,
}

impl Asked {
    pub(crate) fn id(&self) -> u64 {
        self.id
    }

    /// The client's answer; `None` if the session ends first.
    pub(crate) async fn reply(&mut self) -> Option<Reply> {
        (&mut self.reply).await.ok()
    }
}

impl Drop for Asked {
    fn drop(&mut self) {
        self.session.state().asked.remove(&self.id);
    }
}
