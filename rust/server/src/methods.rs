//! What the server answers to each method.

use std::sync::Arc;

use bytes::Bytes;
use serde::Deserialize;
use serde_json::value::RawValue;

use crate::message::{
    Fault, METHOD_NOT_FOUND, Notification, Payload, RESOURCE_NOT_FOUND, Request, fields, present,
    quoted, string,
};
use crate::session::{Session, Version};
use crate::tools::{self, Call, Outlet};

const EMPTY: &str = "{}";
const RESOURCES: &str = r#"{"resources":[{"uri":"ferry://tide-table","name":"tide-table","title":"Tide table","description":"High water at the landing.","mimeType":"text/plain"}]}"#;
const TIDE_TABLE: &str = r#"{"contents":[{"uri":"ferry://tide-table","mimeType":"text/plain","text":"High water 05:12 and 17:38"}]}"#;
const TIDE_TABLE_URI: &str = "ferry://tide-table";
const RESOURCE_TEMPLATES: &str = r#"{"resourceTemplates":[]}"#;
const PROMPTS: &str = r#"{"prompts":[{"name":"hail","title":"Hail a vessel","description":"Asks a vessel to come alongside.","arguments":[{"name":"vessel","description":"Her name","required":true}]}]}"#;
const NO_COMPLETIONS: &str = r#"{"completion":{"values":[],"total":0,"hasMore":false}}"#;
const LOG_LEVELS: [&str; 8] =
    ["debug", "info", "notice", "warning", "error", "critical", "alert", "emergency"];

/// What a request comes to.
pub(crate) enum Outcome {
    /// The reply.
    Ready(Payload),
    /// A call that takes its time.
    Running(Call),
}

impl Outcome {
    /// The reply, once it is there. `None` if the call ends without one.
    pub(crate) async fn reply(self, outlet: &Outlet) -> Option<Payload> {
        match self {
            Self::Ready(reply) => Some(reply),
            Self::Running(call) => call.run(outlet).await,
        }
    }
}

/// Where a request came in.
#[derive(Clone, Copy)]
pub(crate) struct Origin<'a> {
    pub(crate) session: &'a Arc<Session>,
    /// The body of the POST, of which the request's tokens are pieces.
    pub(crate) body: &'a Bytes,
}

/// Answers any request but `initialize`. Faults are replies too.
pub(crate) fn answer(origin: Origin<'_>, request: &Request<'_>) -> Outcome {
    let id = request.id;
    let result = match &*request.method {
        "tools/call" => {
            return tools::call(origin, request)
                .unwrap_or_else(|fault| Outcome::Ready(Payload::error(id, &fault)));
        }
        method => result(method, request.params),
    };
    Outcome::Ready(match result {
        Ok(result) => Payload::result(id, &result),
        Err(fault) => Payload::error(id, &fault),
    })
}

/// The raw result of a method that needs nothing but its params.
fn result(method: &str, params: Option<&RawValue>) -> Result<String, Fault> {
    let fixed = match method {
        "ping" => EMPTY,
        "tools/list" => only_page(params, tools::LIST)?,
        "resources/list" => only_page(params, RESOURCES)?,
        "resources/templates/list" => only_page(params, RESOURCE_TEMPLATES)?,
        "prompts/list" => only_page(params, PROMPTS)?,
        "resources/read" => known_resource(params, TIDE_TABLE)?,
        "resources/subscribe" | "resources/unsubscribe" => known_resource(params, EMPTY)?,
        "logging/setLevel" => known_level(params)?,
        "completion/complete" => no_completions(params)?,
        "prompts/get" => return hail(params),
        other => {
            let message = format!("Method not found: {other}");
            return Err(Fault::new(METHOD_NOT_FOUND, message));
        }
    };
    Ok(fixed.to_owned())
}

/// Takes note of a notification; unknown ones are passed over, as JSON-RPC wants it.
pub(crate) fn notice(session: &Session, notification: &Notification<'_>) {
    match &*notification.method {
        "notifications/initialized" => session.mark_initialized(),
        "notifications/cancelled" => {
            let params: Result<Params<'_>, _> = read(notification.params);
            if let Ok(Params { request_id: Some(id), .. }) = params {
                session.cancel(id.get());
            }
        }
        _ => {}
    }
}

/// Reads the params of `initialize`: the version to negotiate, and whether the client elicits.
pub(crate) fn greeting(params: Option<&RawValue>) -> Result<(Version, bool), Fault> {
    let params: Params<'_> = read(params)?;
    let wanted = text(params.protocol_version, "protocolVersion")?;
    let capabilities = params.capabilities.ok_or_else(|| missing("capabilities"))?;
    let capabilities: Capabilities<'_> =
        fields(capabilities).map_err(|_| missing("capabilities"))?;
    if params.client_info.is_none() {
        return Err(missing("clientInfo"));
    }
    Ok((Version::negotiate(&wanted), capabilities.elicitation.is_some()))
}

/// The raw result of `initialize`.
pub(crate) fn welcome(version: Version) -> String {
    let version = version.as_str();
    let release = env!("CARGO_PKG_VERSION");
    let capabilities = r#"{"tools":{"listChanged":true},"resources":{"subscribe":true},"prompts":{},"logging":{},"completions":{}}"#;
    format!(
        r#"{{"protocolVersion":"{version}","capabilities":{capabilities},"serverInfo":{{"name":"ferry-server","version":"{release}"}}}}"#
    )
}

/// Every member of any method's params that some answer depends on.
#[derive(Default, Deserialize)]
struct Params<'a> {
    #[serde(borrow, default, deserialize_with = "present")]
    cursor: Option<&'a RawValue>,
    #[serde(borrow, default, deserialize_with = "present")]
    uri: Option<&'a RawValue>,
    #[serde(borrow, default, deserialize_with = "present")]
    level: Option<&'a RawValue>,
    #[serde(borrow, default, deserialize_with = "present")]
    name: Option<&'a RawValue>,
    #[serde(borrow, default, deserialize_with = "present")]
    arguments: Option<&'a RawValue>,
    #[serde(borrow, default, deserialize_with = "present", rename = "ref")]
    reference: Option<&'a RawValue>,
    #[serde(borrow, default, deserialize_with = "present")]
    argument: Option<&'a RawValue>,
    #[serde(borrow, default, deserialize_with = "present", rename = "requestId")]
    request_id: Option<&'a RawValue>,
    #[serde(borrow, default, deserialize_with = "present", rename = "protocolVersion")]
    protocol_version: Option<&'a RawValue>,
    #[serde(borrow, default, deserialize_with = "present")]
    capabilities: Option<&'a RawValue>,
    #[serde(borrow, default, deserialize_with = "present", rename = "clientInfo")]
    client_info: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct Capabilities<'a> {
    #[serde(borrow)]
    elicitation: Option<&'a RawValue>,
}

/// Reads params, or the arguments in them. Absent ones are as good as empty ones.
pub(crate) fn read<'a, T: Default + Deserialize<'a>>(
    params: Option<&'a RawValue>,
) -> Result<T, Fault> {
    match params {
        None => Ok(T::default()),
        Some(raw) => fields(raw)
            .map_err(|_| Fault::params("Invalid params: not an object whose members stand once")),
    }
}

/// The fault of a member that is not there or of the wrong type.
pub(crate) fn missing(member: &str) -> Fault {
    Fault::params(format!("Invalid params: \"{member}\" is missing or not of its type"))
}

/// The content of a member that has to be a string.
pub(crate) fn text(member: Option<&RawValue>, name: &str) -> Result<String, Fault> {
    let content = member.and_then(|raw| string(raw.get()));
    content.map(std::borrow::Cow::into_owned).ok_or_else(|| missing(name))
}

/// Lists have one page here, so no cursor was ever given out.
fn only_page(params: Option<&RawValue>, page: &'static str) -> Result<&'static str, Fault> {
    let params: Params<'_> = read(params)?;
    match params.cursor {
        None => Ok(page),
        Some(_) => Err(Fault::params("Invalid params: this server gave out no such cursor")),
    }
}

fn known_resource(params: Option<&RawValue>, found: &'static str) -> Result<&'static str, Fault> {
    let params: Params<'_> = read(params)?;
    let uri = text(params.uri, "uri")?;
    if uri == TIDE_TABLE_URI {
        return Ok(found);
    }
    Err(Fault::new(RESOURCE_NOT_FOUND, format!("Resource not found: {uri}")))
}

fn known_level(params: Option<&RawValue>) -> Result<&'static str, Fault> {
    let params: Params<'_> = read(params)?;
    let level = text(params.level, "level")?;
    if LOG_LEVELS.contains(&&*level) {
        return Ok(EMPTY);
    }
    Err(Fault::params(format!("Invalid params: there is no log level \"{level}\"")))
}

fn no_completions(params: Option<&RawValue>) -> Result<&'static str, Fault> {
    let params: Params<'_> = read(params)?;
    match (params.reference, params.argument) {
        (Some(_), Some(_)) => Ok(NO_COMPLETIONS),
        (None, _) => Err(missing("ref")),
        (_, None) => Err(missing("argument")),
    }
}

fn hail(params: Option<&RawValue>) -> Result<String, Fault> {
    #[derive(Default, Deserialize)]
    struct Arguments<'a> {
        #[serde(borrow, default, deserialize_with = "present")]
        vessel: Option<&'a RawValue>,
    }
    let params: Params<'_> = read(params)?;
    let name = text(params.name, "name")?;
    if name != "hail" {
        return Err(Fault::params(format!("Unknown prompt: {name}")));
    }
    let arguments: Arguments<'_> = read(params.arguments)?;
    let vessel = text(arguments.vessel, "vessel")?;
    let hail = quoted(&format!("{vessel}, please come alongside."));
    Ok(format!(
        r#"{{"description":"A hail","messages":[{{"role":"user","content":{{"type":"text","text":{hail}}}}}]}}"#
    ))
}
