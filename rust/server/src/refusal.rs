//! Requests that break a rule: the status and the error body they get.

use std::borrow::Cow;

use http::{HeaderName, HeaderValue, Response, StatusCode};

use crate::headers::JSON;
use crate::http::typed;
use crate::message::{Fault, Payload};
use crate::stream::Answer;

/// The JSON-RPC code of refusals that have none of their own, from the range left to servers.
const REFUSED: i32 = -32000;
/// The JSON-RPC code for a session that does not exist.
const NO_SESSION: i32 = -32001;

/// A response that says which rule the request broke.
pub(crate) struct Refusal {
    status: StatusCode,
    fault: Fault,
    header: Option<(HeaderName, &'static str)>,
}

impl Refusal {
    pub(crate) fn new(status: StatusCode, message: impl Into<Cow<'static, str>>) -> Self {
        Self { status, fault: Fault::new(REFUSED, message), header: None }
    }

    pub(crate) fn bad(message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, message)
    }

    pub(crate) fn unknown_session() -> Self {
        let fault = Fault::new(NO_SESSION, "Session not found");
        Self { status: StatusCode::NOT_FOUND, fault, header: None }
    }

    pub(crate) fn with(self, name: HeaderName, value: &'static str) -> Self {
        Self { header: Some((name, value)), ..self }
    }
}

impl From<Fault> for Refusal {
    fn from(fault: Fault) -> Self {
        Self { status: StatusCode::BAD_REQUEST, fault, header: None }
    }
}

impl From<Refusal> for Response<Answer> {
    fn from(refusal: Refusal) -> Self {
        let mut response = typed(JSON, Payload::error("null", &refusal.fault).into());
        *response.status_mut() = refusal.status;
        if let Some((name, value)) = refusal.header {
            response.headers_mut().insert(name, HeaderValue::from_static(value));
        }
        response
    }
}
