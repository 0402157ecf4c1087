//! What the bridge knows of the server's tools: learned as their lists pass, and asked for afresh
//! when the server finds a call's headers wrong.

use std::collections::BTreeMap;

use bytes::Bytes;
use http::StatusCode;
use serde_json::value::RawValue;

use crate::bridge::Bridge;
use crate::exchange::{Exchange, Refusal, Role, Stage, Wait};
use crate::message::{self, members};
use crate::outgoing::Outgoing;
use crate::reply::{Failure, Quoted};

/// `HeaderMismatch` (2026-07-28, streamable-http, "Server Validation").
const HEADER_MISMATCH: &str = "-32020";

/// How many pages of tools are read for the sake of one call.
const MOST_PAGES: u32 = 100;

impl Bridge {
    /// Learns the annotations of a list of tools that passes. Gives the list without the tools that
    /// a client has to reject, if there are any.
    pub(crate) fn learn_tools(&mut self, text: &str) -> Option<Bytes> {
        let (text, rejected) = self.annotations.learn(text)?;
        for tool in rejected {
            log::warn!(
                target: "mcp_ferry.server",
                "took the tool {} out of the server's list: {}",
                Quoted(tool.tool.as_bytes()),
                tool.why,
            );
        }
        Some(text)
    }

    /// Asks for the list of tools, in the name of this call; one list serves all that wait.
    pub(crate) fn refresh_tools(&mut self, number: u64) {
        if std::mem::replace(&mut self.refreshing, true) {
            return;
        }
        let call = self.exchanges.get(&number).and_then(|call| call.outgoing());
        let Some(version) = call.and_then(|call| call.modern.as_ref()).map(|it| it.version.clone())
        else {
            return;
        };
        let body = call.map(|call| call.body.clone()).unwrap_or_default();
        let text = std::str::from_utf8(&body).unwrap_or_default();
        let meta = message::peek(text).ok().and_then(|call| own_meta(call.params.meta?));
        let first = Page {
            version,
            meta: meta.unwrap_or_else(|| "{}".to_owned()),
            cursor: None,
            number: 1,
        };
        self.ask_for_page(&first);
    }

    fn ask_for_page(&mut self, page: &Page) {
        let own = self.own_id();
        let id = String::from_utf8_lossy(own.as_bytes()).into_owned();
        let cursor =
            page.cursor.as_ref().map(|cursor| format!(r#","cursor":{cursor}"#)).unwrap_or_default();
        let body = format!(
            r#"{{"jsonrpc":"2.0","id":{id},"method":"tools/list","params":{{"_meta":{}{cursor}}}}}"#,
            page.meta
        );
        let body = Bytes::from(body);
        let text = std::str::from_utf8(&body).unwrap_or_default();
        if let Ok(message) = message::peek(text) {
            let outgoing = Outgoing::single(body.clone(), &message, Some(&page.version));
            self.send(Role::Refresh(outgoing, page.number));
        }
    }

    /// A page of the fresh list is here: on to the next one, or to the calls that wait.
    pub(crate) fn on_fresh_tools(&mut self, exchange: &mut Exchange, text: &str, is_error: bool) {
        let role = std::mem::replace(&mut exchange.role, Role::Own(Bytes::new()));
        let Role::Refresh(outgoing, number) = role else { return };
        if !is_error {
            self.learn_tools(text);
        }
        let [cursor] = members(message::result(text), ["nextCursor"]);
        let cursor = cursor.map(|cursor| cursor.get().to_owned()).filter(|cursor| cursor != "null");
        if let (Some(cursor), Some(modern)) = (cursor, outgoing.modern)
            && number < MOST_PAGES
        {
            let body = std::str::from_utf8(&outgoing.body).unwrap_or_default();
            let meta = message::peek(body)
                .ok()
                .and_then(|it| it.params.meta.map(|it| it.get().to_owned()));
            return self.ask_for_page(&Page {
                version: modern.version,
                meta: meta.unwrap_or_default(),
                cursor: Some(cursor),
                number: number + 1,
            });
        }
        self.refreshing = false;
        self.unpark(Wait::Tools);
    }
}

/// Whether a refused call is sent once more, with the headers that a fresh list of tools asks
/// for: "the client SHOULD call `tools/list` [...], then retry" (2026-07-28, streamable-http).
pub(crate) fn refreshes(
    exchange: &mut Exchange,
    status: StatusCode,
    body: &Bytes,
    failure: impl FnOnce(&Exchange) -> Failure,
) -> bool {
    let is_call = exchange.owes()
        && exchange
            .outgoing()
            .and_then(|outgoing| outgoing.modern.as_ref())
            .is_some_and(|modern| modern.method == "tools/call");
    if !is_call || status != StatusCode::BAD_REQUEST || exchange.tries.headers > 0 {
        return false;
    }
    let text = std::str::from_utf8(body).unwrap_or_default();
    let [code] = members(message::error(text), ["code"]);
    if code.is_none_or(|code| code.get() != HEADER_MISMATCH) {
        return false;
    }
    exchange.tries.headers += 1;
    exchange.refusal = Some(Refusal { failure: failure(exchange), body: body.clone() });
    exchange.stage = Stage::Parked(Wait::Tools);
    true
}

/// `_meta` for a request of the ferry's own: that of the call, except that its progress is not the
/// call's.
fn own_meta(meta: &RawValue) -> Option<String> {
    let mut members: BTreeMap<String, &RawValue> = serde_json::from_str(meta.get()).ok()?;
    members.remove("progressToken");
    serde_json::to_string(&members).ok()
}

/// One page of the list of tools.
struct Page {
    version: String,
    /// `_meta` of the call that it is asked for, raw.
    meta: String,
    /// Where it begins, raw.
    cursor: Option<String>,
    number: u32,
}
