//! Clients in the same process: thousands of sessions, all in one thread, over shared connections.
//!
//! A session is a [`crate::driver`] like the one behind stdin and stdout, with a client in memory.
//! Whoever uses it speaks from any thread: what it orders is queued and carried out together at the
//! next [`Sessions::flush`], and what comes for it is queued in an [`Inbox`] until it is taken, with
//! one descriptor that tells when there is something. So neither side ever waits for the other.

mod inbox;
mod lane;

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::fmt;
use std::os::fd::{AsFd, BorrowedFd};
use std::rc::Rc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};

use bytes::Bytes;
use ferry_proto::{ExitReason, Input, Terms};
use tokio::sync::Notify;
use tokio::task::LocalSet;

use self::inbox::Inbox;
pub use self::inbox::{Arrival, Event};
use self::lane::{Lane, Mail, Notices, Speech};
use crate::config::Config;
use crate::driver::drive;
use crate::error::RunError;
use crate::http::Client;
use crate::tls;

/// Names one of the sessions of a [`Sessions`]; never used twice.
pub type Key = u64;

/// How a session is to end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// As at the end of stdin: what is owed is delivered first.
    Drained,
    /// As after a signal: what is owed gets an error, and the end comes within two seconds.
    AtOnce,
}

enum Order {
    Open(Arc<Config>),
    Speak(Input),
    End(Ending),
}

/// Many sessions and the thread that they live in, which ends with this.
pub struct Sessions {
    desk: Arc<Desk>,
    inbox: Arc<Inbox>,
    last_key: AtomicU64,
    thread: Mutex<Option<JoinHandle<()>>>,
}

/// Where orders wait for the thread.
#[derive(Default)]
struct Desk {
    orders: Mutex<Orders>,
    bell: Notify,
}

#[derive(Default)]
struct Orders {
    queue: Vec<(Key, Order)>,
    /// No more sessions: those there are end at once, then the thread does.
    closing: bool,
}

impl Sessions {
    /// Starts the thread.
    ///
    /// # Errors
    /// [`RunError::Runtime`] if the operating system refuses what it needs.
    pub fn start() -> Result<Self, RunError> {
        let desk = Arc::new(Desk::default());
        let inbox = Arc::new(Inbox::new().map_err(RunError::Runtime)?);
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(RunError::Runtime)?;
        let (at_work, answers) = (Arc::clone(&desk), Arc::clone(&inbox));
        let work = move || {
            runtime.block_on(LocalSet::new().run_until(serve(&at_work, &answers)));
            // A thread may be stuck in a name lookup: it must not hold us.
            runtime.shutdown_background();
        };
        let thread = thread::Builder::new()
            .name("ferry-sessions".into())
            .spawn(work)
            .map_err(RunError::Runtime)?;
        Ok(Self { desk, inbox, last_key: AtomicU64::new(0), thread: Mutex::new(Some(thread)) })
    }

    /// A new session. Nothing happens on the network before its client says something.
    pub fn open(&self, config: Arc<Config>) -> Key {
        let key = self.last_key.fetch_add(1, Ordering::Relaxed) + 1;
        self.desk.put(key, Order::Open(config));
        key
    }

    /// Sends a message, on these terms if there are any.
    pub fn send(&self, session: Key, message: Bytes, terms: Option<Arc<Terms>>) {
        self.desk.put(session, Order::Speak(Input::ClientMessage(message, terms)));
    }

    /// From now on the session hears what the server says unasked.
    pub fn listen(&self, session: Key) {
        self.desk.put(session, Order::Speak(Input::Listen));
    }

    /// Ends a session, which [`Event::Ended`] will confirm. One that has ended is left alone.
    pub fn end(&self, session: Key, ending: Ending) {
        self.desk.put(session, Order::End(ending));
    }

    /// Has everything ordered so far carried out.
    pub fn flush(&self) {
        self.desk.bell.notify_one();
    }

    /// What has come, oldest first: some of it, until its messages have `most` bytes or more, where small
    /// ones count as 4 KiB. Empty only if there is nothing.
    pub fn take(&self, most: usize) -> Vec<Arrival> {
        self.inbox.take(most)
    }

    /// Ends all sessions at once and returns when the thread has ended, two seconds later at most.
    pub fn stop(&self) {
        self.desk.close();
        let thread = self.thread.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(thread) = thread {
            // A thread that panicked has told so already.
            let _ = thread.join();
        }
    }
}

impl AsFd for Sessions {
    /// Readable as long as [`Sessions::take`] has something.
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.inbox.as_fd()
    }
}

impl Drop for Sessions {
    fn drop(&mut self) {
        self.desk.close();
    }
}

impl fmt::Debug for Sessions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sessions").finish_non_exhaustive()
    }
}

impl Desk {
    fn put(&self, session: Key, order: Order) {
        let mut orders = self.orders.lock().unwrap_or_else(PoisonError::into_inner);
        if !orders.closing {
            orders.queue.push((session, order));
        }
    }

    fn close(&self) {
        self.orders.lock().unwrap_or_else(PoisonError::into_inner).closing = true;
        self.bell.notify_one();
    }

    /// What was ordered, and whether nothing more will be.
    fn clear(&self, into: &mut Vec<(Key, Order)>) -> bool {
        let mut orders = self.orders.lock().unwrap_or_else(PoisonError::into_inner);
        into.append(&mut orders.queue);
        orders.closing
    }
}

type Lanes = Rc<RefCell<BTreeMap<Key, Rc<Lane>>>>;

/// Carries out orders until there will be no more; then every session ends.
async fn serve(desk: &Desk, inbox: &Arc<Inbox>) {
    let lanes = Lanes::default();
    let ended = Rc::new(Notify::new());
    let mut clients = Clients::default();
    let mut orders = Vec::new();
    loop {
        let closing = desk.clear(&mut orders);
        for (key, order) in orders.drain(..) {
            match order {
                Order::Open(config) => match clients.of(&config) {
                    Ok(http) => {
                        let lane = Rc::new(Lane::default());
                        lanes.borrow_mut().insert(key, Rc::clone(&lane));
                        let session = run(key, config, http, lane, Arc::clone(inbox));
                        let (lanes, ended) = (Rc::clone(&lanes), Rc::clone(&ended));
                        tokio::task::spawn_local(async move {
                            session.await;
                            lanes.borrow_mut().remove(&key);
                            ended.notify_one();
                        });
                    }
                    Err(error) => inbox.put([Arrival::new(key, Event::Failed(error.to_string()))]),
                },
                Order::Speak(input) => speak(&lanes, key, Speech::Say(input)),
                Order::End(Ending::Drained) => {
                    speak(&lanes, key, Speech::Say(Input::ClientClosed));
                }
                Order::End(Ending::AtOnce) => speak(&lanes, key, Speech::Stop),
            }
        }
        if closing {
            break;
        }
        desk.bell.notified().await;
    }
    lanes.borrow().values().for_each(|lane| lane.hear(Speech::Stop));
    while !lanes.borrow().is_empty() {
        ended.notified().await;
    }
}

fn speak(lanes: &Lanes, key: Key, speech: Speech) {
    // To a session that has ended there is nothing to say.
    if let Some(lane) = lanes.borrow().get(&key) {
        lane.hear(speech);
    }
}

/// One session, from its first word to its last.
async fn run(key: Key, config: Arc<Config>, http: Client, lane: Rc<Lane>, inbox: Arc<Inbox>) {
    let mail = Mail::new(key, Arc::clone(&inbox));
    let notices = Notices(Rc::clone(&lane));
    let reason: ExitReason = drive(&config, http, lane, mail, notices).await;
    inbox.put([Arrival::new(key, Event::Ended(reason))]);
}

/// One HTTP client for all sessions whose wires are the same.
#[derive(Default)]
struct Clients(Vec<(Arc<Config>, Client)>);

impl Clients {
    fn of(&mut self, config: &Arc<Config>) -> Result<Client, RunError> {
        if let Some((_, client)) = self.0.iter().find(|(known, _)| known.shares_wires(config)) {
            return Ok(client.clone());
        }
        self.0.retain(|(known, _)| !known.is_last_with_its_wires());
        tls::warn_if_unchecked(config);
        let client = Client::new(config)?;
        self.0.push((Arc::clone(config), client.clone()));
        Ok(client)
    }
}
