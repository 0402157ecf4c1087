//! The tools: `echo`, `add`, `slow` and `ask`.

use std::sync::Arc;
use std::time::Duration;

use serde::Deserialize;
use serde_json::value::RawValue;
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep_until};

use crate::message::{
    Fault, INVALID_REQUEST, Payload, Request, is_string_or_number, present, quoted, string,
};
use crate::methods::{Origin, Outcome, missing, read};
use crate::session::{Running, Session};

/// The raw result of `tools/list`.
pub(crate) const LIST: &str = r#"{"tools":[{"name":"echo","title":"Echo","description":"Returns the text, byte for byte.","inputSchema":{"type":"object","properties":{"text":{"type":"string"}},"required":["text"]}},{"name":"add","title":"Add","description":"Adds two numbers.","inputSchema":{"type":"object","properties":{"a":{"type":"number"},"b":{"type":"number"}},"required":["a","b"]}},{"name":"slow","title":"Slow","description":"Takes the given time (ms or seconds, one of them) and tells its progress step by step.","inputSchema":{"type":"object","properties":{"ms":{"type":"number","minimum":0},"seconds":{"type":"number","minimum":0},"steps":{"type":"integer","minimum":1,"default":4}}}},{"name":"ask","title":"Ask","description":"Puts the question to the user and returns what came back.","inputSchema":{"type":"object","properties":{"question":{"type":"string"}},"required":["question"]}}]}"#;

const RESULT_OPENING: &str = r#","result":{"content":[{"type":"text","text":"#;
const RESULT_END: &str = "}]}}";
const ERROR_RESULT_END: &str = r#"}],"isError":true}}"#;

const DEFAULT_STEPS: u32 = 4;
const LONGEST_SLOW: Duration = Duration::from_secs(3600);

/// The members of the params of `tools/call`.
#[derive(Default, Deserialize)]
struct Params<'a> {
    #[serde(borrow, default, deserialize_with = "present")]
    name: Option<&'a RawValue>,
    #[serde(borrow, default, deserialize_with = "present")]
    arguments: Option<&'a RawValue>,
    #[serde(borrow, default, deserialize_with = "present", rename = "_meta")]
    meta: Option<&'a RawValue>,
}

#[derive(Default, Deserialize)]
struct Meta<'a> {
    #[serde(borrow, default, deserialize_with = "present", rename = "progressToken")]
    progress_token: Option<&'a RawValue>,
}

/// Every argument of any tool.
#[derive(Default, Deserialize)]
struct Arguments<'a> {
    #[serde(borrow, default, deserialize_with = "present")]
    text: Option<&'a RawValue>,
    #[serde(borrow, default, deserialize_with = "present")]
    a: Option<&'a RawValue>,
    #[serde(borrow, default, deserialize_with = "present")]
    b: Option<&'a RawValue>,
    #[serde(borrow, default, deserialize_with = "present")]
    ms: Option<&'a RawValue>,
    #[serde(borrow, default, deserialize_with = "present")]
    seconds: Option<&'a RawValue>,
    #[serde(borrow, default, deserialize_with = "present")]
    steps: Option<&'a RawValue>,
    #[serde(borrow, default, deserialize_with = "present")]
    question: Option<&'a RawValue>,
}

/// Answers `tools/call`, or sets the call going.
pub(crate) fn call(origin: Origin<'_>, request: &Request<'_>) -> Result<Outcome, Fault> {
    let params: Params<'_> = read(request.params)?;
    let name = params.name.and_then(|raw| string(raw.get())).ok_or_else(|| missing("name"))?;
    let arguments: Arguments<'_> = read(params.arguments)?;
    let id = request.id;
    match &*name {
        "echo" => {
            let text = string_token(arguments.text, "text")?;
            let opening = [r#"{"jsonrpc":"2.0","id":"#, id, RESULT_OPENING].concat();
            Ok(Outcome::Ready(Payload::around(opening, origin.body, text, RESULT_END)))
        }
        "add" => {
            let sum = sum(number_token(arguments.a, "a")?, number_token(arguments.b, "b")?)?;
            Ok(Outcome::Ready(text_result(id, &sum, RESULT_END)))
        }
        "slow" => begin(origin, id, slow(&arguments, params.meta)?),
        "ask" if !origin.session.elicits() => {
            let refusal = "The client did not declare the elicitation capability.";
            Ok(Outcome::Ready(text_result(id, refusal, ERROR_RESULT_END)))
        }
        "ask" => {
            let question = string_token(arguments.question, "question")?.to_owned();
            begin(origin, id, Work::Ask { question })
        }
        _ => Err(Fault::params(format!("Unknown tool: {name}"))),
    }
}

fn begin(origin: Origin<'_>, id: &str, work: Work) -> Result<Outcome, Fault> {
    let running = origin.session.begin(id).ok_or_else(|| {
        Fault::new(INVALID_REQUEST, "Invalid Request: a call with this id is still running")
    })?;
    Ok(Outcome::Running(Call { running, work }))
}

/// A successful or failed tool result with one text.
fn text_result(id: &str, text: &str, end: &str) -> Payload {
    [r#"{"jsonrpc":"2.0","id":"#, id, RESULT_OPENING, &quoted(text), end].concat().into()
}

/// The raw token of an argument that has to be a string. It is not unescaped: `echo` gives it back.
fn string_token<'a>(argument: Option<&'a RawValue>, name: &str) -> Result<&'a str, Fault> {
    argument.map(RawValue::get).filter(|token| token.starts_with('"')).ok_or_else(|| missing(name))
}

fn number_token<'a>(argument: Option<&'a RawValue>, name: &str) -> Result<&'a str, Fault> {
    let is_number = |token: &&str| is_string_or_number(token) && !token.starts_with('"');
    argument.map(RawValue::get).filter(is_number).ok_or_else(|| missing(name))
}

/// Adds exactly where both are integers of reasonable size, else as doubles.
fn sum(a: &str, b: &str) -> Result<String, Fault> {
    if let (Ok(a), Ok(b)) = (a.parse::<i128>(), b.parse::<i128>())
        && let Some(sum) = a.checked_add(b)
    {
        return Ok(sum.to_string());
    }
    let double = |token: &str, name| token.parse::<f64>().map_err(|_| missing(name));
    let sum = double(a, "a")? + double(b, "b")?;
    if sum.is_finite() {
        return Ok(sum.to_string());
    }
    Err(Fault::params("Invalid params: the sum is beyond what a double can hold"))
}

fn slow(arguments: &Arguments<'_>, meta: Option<&RawValue>) -> Result<Work, Fault> {
    let seconds = match (arguments.ms, arguments.seconds) {
        (ms @ Some(_), None) => double(ms, "ms")? / 1000.0,
        (None, seconds) => double(seconds, "seconds")?,
        (Some(_), Some(_)) => {
            return Err(Fault::params("Invalid params: give \"ms\" or \"seconds\", not both"));
        }
    };
    let time = Duration::try_from_secs_f64(seconds).ok().filter(|time| *time <= LONGEST_SLOW);
    let time = time.ok_or_else(|| Fault::params("Invalid params: the time is beyond 0..1 h"))?;
    let steps = match arguments.steps {
        None => DEFAULT_STEPS,
        Some(steps) => {
            let steps = steps.get().parse().ok().filter(|steps| *steps > 0);
            steps.ok_or_else(|| missing("steps"))?
        }
    };
    let meta: Meta<'_> = read(meta)?;
    let token = meta.progress_token.map(RawValue::get);
    if token.is_some_and(|token| !is_string_or_number(token)) {
        return Err(missing("progressToken"));
    }
    Ok(Work::Slow { time, steps, progress_token: token.map(str::to_owned) })
}

fn double(argument: Option<&RawValue>, name: &str) -> Result<f64, Fault> {
    number_token(argument, name)?.parse().map_err(|_| missing(name))
}

/// Where a running call's own messages go.
pub(crate) struct Outlet {
    messages: mpsc::Sender<Payload>,
    /// Whether somebody is sure to read them, so that progress may wait for room.
    read: bool,
}

impl Outlet {
    /// The event stream that answers the call's POST.
    pub(crate) fn stream(messages: mpsc::Sender<Payload>) -> Self {
        Self { messages, read: true }
    }

    /// The session's listener, which the client may never open.
    pub(crate) fn listener(messages: mpsc::Sender<Payload>) -> Self {
        Self { messages, read: false }
    }

    /// Sends something that can be missed. `None` if nobody can read it any more.
    async fn tell(&self, message: Payload) -> Option<()> {
        if self.read {
            return self.send(message).await;
        }
        match self.messages.try_send(message) {
            Ok(()) | Err(mpsc::error::TrySendError::Full(_)) => Some(()),
            Err(mpsc::error::TrySendError::Closed(_)) => None,
        }
    }

    /// Sends once there is room. `None` if nobody can read it any more.
    pub(crate) async fn send(&self, message: Payload) -> Option<()> {
        self.messages.send(message).await.ok()
    }
}

/// A call that takes its time.
pub(crate) struct Call {
    running: Running,
    work: Work,
}

enum Work {
    Slow {
        time: Duration,
        steps: u32,
        /// The raw token.
        progress_token: Option<String>,
    },
    Ask {
        /// The raw token.
        question: String,
    },
}

impl Call {
    /// Does the work. `None` if it ends without an answer: cancelled, or the session or the stream is gone.
    pub(crate) async fn run(self, outlet: &Outlet) -> Option<Payload> {
        let Self { mut running, work } = self;
        let session = Arc::clone(running.session());
        let id = running.id().to_owned();
        let work = async {
            match work {
                Work::Slow { time, steps, progress_token } => {
                    dawdle(&id, time, steps, progress_token.as_deref(), outlet).await
                }
                Work::Ask { question } => elicit(&id, &session, &question, outlet).await,
            }
        };
        tokio::select! {
            biased;
            () = running.cancelled() => None,
            () = outlet.messages.closed() => None,
            reply = work => reply,
        }
    }
}

async fn dawdle(
    id: &str,
    time: Duration,
    steps: u32,
    progress_token: Option<&str>,
    outlet: &Outlet,
) -> Option<Payload> {
    let start = Instant::now();
    for step in 1..=steps {
        sleep_until(start + time.mul_f64(f64::from(step) / f64::from(steps))).await;
        if let Some(token) = progress_token {
            let progress = format!(
                r#"{{"jsonrpc":"2.0","method":"notifications/progress","params":{{"progressToken":{token},"progress":{step},"total":{steps}}}}}"#
            );
            outlet.tell(progress.into()).await?;
        }
    }
    let text = format!("Took {} ms in {steps} steps.", time.as_millis());
    Some(text_result(id, &text, RESULT_END))
}

async fn elicit(
    id: &str,
    session: &Arc<Session>,
    question: &str,
    outlet: &Outlet,
) -> Option<Payload> {
    let mut asked = session.ask();
    let request_id = asked.id();
    let schema =
        r#"{"type":"object","properties":{"answer":{"type":"string"}},"required":["answer"]}"#;
    let request = format!(
        r#"{{"jsonrpc":"2.0","id":{request_id},"method":"elicitation/create","params":{{"message":{question},"requestedSchema":{schema}}}}}"#
    );
    outlet.send(request.into()).await?;
    Some(match asked.reply().await? {
        Ok(result) => text_result(id, &result, RESULT_END),
        Err(error) => text_result(id, &error, ERROR_RESULT_END),
    })
}
