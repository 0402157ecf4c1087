//! `x-mcp-header`: parameters of a tool that its calls mirror into headers (2026-07-28,
//! streamable-http, "Custom Headers from Tool Parameters").
//!
//! What the tools are is learned from every `tools/list` answer that passes. A tool whose
//! annotations break the rules is taken out of that answer, as a client must.

use std::collections::{BTreeMap, BTreeSet};

use bytes::{Bytes, BytesMut};
use http::{HeaderMap, HeaderName};
use serde_json::Value;
use serde_json::value::RawValue;

use crate::headers::encoded;
use crate::message::{self, members};

/// How much of memory the annotations may take, by the lengths of their names. A server that
/// annotates a thousand tools needs a tenth of it.
const MOST_BYTES: usize = 1024 * 1024;

const KEYWORD: &str = "x-mcp-header";

/// The annotated parameters of every tool that has any.
#[derive(Debug, Default)]
pub struct Annotations {
    tools: BTreeMap<String, Vec<Mirrored>>,
    bytes: usize,
}

/// A parameter that goes into a header.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Mirrored {
    header: HeaderName,
    /// The names of the properties that lead to it.
    path: Vec<String>,
}

/// A tool that was taken out of an answer, and the rule that it breaks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rejected {
    /// The tool's name, as the server wrote it.
    pub tool: String,
    /// The rule.
    pub why: &'static str,
}

impl Annotations {
    /// Learns from the text of a `tools/list` answer. Gives the text without the tools whose
    /// annotations break the rules, if there are such, and which they are.
    pub fn learn(&mut self, text: &str) -> Option<(Bytes, Vec<Rejected>)> {
        let [tools] = members(message::result(text), ["tools"]);
        let tools = tools?;
        let list: Vec<&RawValue> = serde_json::from_str(tools.get()).ok()?;
        let mut rejected = Vec::new();
        let mut kept = Vec::with_capacity(list.len());
        for tool in list {
            let [name, schema] = members(Some(tool), ["name", "inputSchema"]);
            let name = name.and_then(message::string).unwrap_or_default().into_owned();
            match schema.map_or(Ok(Vec::new()), annotated) {
                Ok(mirrored) => {
                    self.remember(name, mirrored);
                    kept.push(tool.get());
                }
                Err(why) => {
                    self.forget(&name);
                    rejected.push(Rejected { tool: name, why });
                }
            }
        }
        if rejected.is_empty() {
            return None;
        }
        let at = message::offset(text, tools.get())?;
        let mut out = BytesMut::with_capacity(text.len());
        out.extend_from_slice(text.get(..at)?.as_bytes());
        out.extend_from_slice(b"[");
        out.extend_from_slice(kept.join(",").as_bytes());
        out.extend_from_slice(b"]");
        out.extend_from_slice(text.get(at + tools.get().len()..)?.as_bytes());
        Some((out.freeze(), rejected))
    }

    /// Adds the headers of a call to a tool, given the text of the whole request.
    pub fn mirror(&self, tool: &str, request: &str, headers: &mut HeaderMap) {
        let Some(mirrored) = self.tools.get(tool) else { return };
        let Ok(whole) = serde_json::from_str::<&RawValue>(request) else { return };
        let [params] = members(Some(whole), ["params"]);
        let [arguments] = members(params, ["arguments"]);
        for Mirrored { header, path } in mirrored {
            let value = path.iter().fold(arguments, |object, name| {
                let [value] = members(object, [name.as_str()]);
                value
            });
            if let Some(text) = value.and_then(in_words) {
                headers.insert(header.clone(), encoded(&text));
            }
        }
    }

    fn remember(&mut self, tool: String, mirrored: Vec<Mirrored>) {
        self.forget(&tool);
        if mirrored.is_empty() {
            return;
        }
        let size = weight(&tool, &mirrored);
        if self.bytes + size > MOST_BYTES {
            log::warn!(
                target: "mcp_ferry.server",
                "too many annotated tools: calls to {} go without their Mcp-Param headers",
                crate::reply::Quoted(tool.as_bytes()),
            );
            return;
        }
        self.bytes += size;
        self.tools.insert(tool, mirrored);
    }

    fn forget(&mut self, tool: &str) {
        if let Some(mirrored) = self.tools.remove(tool) {
            self.bytes -= weight(tool, &mirrored);
        }
    }
}

fn weight(tool: &str, mirrored: &[Mirrored]) -> usize {
    let one =
        |it: &Mirrored| it.header.as_str().len() + it.path.iter().map(String::len).sum::<usize>();
    tool.len() + mirrored.iter().map(one).sum::<usize>()
}

/// A value as a header says it; `None` for `null`, and for what is no primitive.
fn in_words(value: &RawValue) -> Option<String> {
    let raw = value.get();
    match raw.as_bytes().first()? {
        b'"' => message::string(value).map(std::borrow::Cow::into_owned),
        b't' | b'f' => Some(raw.to_owned()),
        b'-' | b'0'..=b'9' => Some(decimal(raw)),
        _ => None,
    }
}

/// An integer in decimal, though it may be written as `42.0` or `1e2`; any other number as it is.
fn decimal(raw: &str) -> String {
    let is_plain = !raw.contains(['.', 'e', 'E']);
    match raw.parse::<f64>() {
        Ok(number)
            if !is_plain && number.fract() == 0.0 && number.abs() < 9_007_199_254_740_992.0 =>
        {
            format!("{number:.0}")
        }
        _ => raw.to_owned(),
    }
}

/// The annotated parameters of a schema, or the rule that an annotation breaks.
fn annotated(schema: &RawValue) -> Result<Vec<Mirrored>, &'static str> {
    // Nearly all schemas have none, and are not parsed.
    let has = |text: &str| memchr::memmem::find(schema.get().as_bytes(), text.as_bytes()).is_some();
    if !has(KEYWORD) && !has("\\u") {
        return Ok(Vec::new());
    }
    let schema: Value = serde_json::from_str(schema.get())
        .map_err(|_| "its schema nests too deep to be checked")?;
    let mut found = Found::default();
    found.walk(&schema, &mut Vec::new(), true)?;
    Ok(found.mirrored)
}

#[derive(Default)]
struct Found {
    mirrored: Vec<Mirrored>,
    /// The names so far, in lower case: they must differ by more than case.
    names: BTreeSet<String>,
}

impl Found {
    /// Looks through a schema. `reachable` says that nothing but `properties` led here.
    fn walk(
        &mut self,
        schema: &Value,
        path: &mut Vec<String>,
        reachable: bool,
    ) -> Result<(), &'static str> {
        let Value::Object(schema) = schema else { return Ok(()) };
        if let Some(name) = schema.get(KEYWORD) {
            let mirrored = self.check(name, schema.get("type"), path, reachable)?;
            self.mirrored.push(mirrored);
        }
        for (keyword, value) in schema {
            match (keyword.as_str(), value) {
                // Data, not schemas: what looks like an annotation in there is none.
                ("const" | "default" | "enum" | "examples", _) => {}
                // Names of properties or definitions, not keywords.
                (
                    "properties" | "patternProperties" | "$defs" | "definitions"
                    | "dependentSchemas",
                    Value::Object(schemas),
                ) => {
                    for (name, inner) in schemas {
                        path.push(name.clone());
                        self.walk(inner, path, reachable && keyword == "properties")?;
                        path.pop();
                    }
                }
                (_, Value::Array(schemas)) => {
                    for inner in schemas {
                        self.walk(inner, path, false)?;
                    }
                }
                (_, inner) => self.walk(inner, path, false)?,
            }
        }
        Ok(())
    }

    fn check(
        &mut self,
        name: &Value,
        kind: Option<&Value>,
        path: &[String],
        reachable: bool,
    ) -> Result<Mirrored, &'static str> {
        let Value::String(name) = name else { return Err("an x-mcp-header is not a string") };
        if name.is_empty() {
            return Err("an x-mcp-header is empty");
        }
        if !reachable || path.is_empty() {
            return Err("an x-mcp-header stands where properties alone do not lead");
        }
        if !is_primitive(kind) {
            return Err(
                "an x-mcp-header stands at a parameter that is no integer, string or boolean",
            );
        }
        let header = format!("mcp-param-{}", name.to_ascii_lowercase());
        let header = HeaderName::from_bytes(header.as_bytes())
            .map_err(|_| "an x-mcp-header is no name that a header can have")?;
        if !self.names.insert(name.to_ascii_lowercase()) {
            return Err("two parameters have the same x-mcp-header");
        }
        Ok(Mirrored { header, path: path.to_vec() })
    }
}

/// Whether the type of a parameter may be mirrored; that it may also be null does not matter, since
/// null is left out.
fn is_primitive(kind: Option<&Value>) -> bool {
    let permitted = |kind: &Value| matches!(kind.as_str(), Some("integer" | "string" | "boolean"));
    match kind {
        Some(Value::Array(kinds)) => {
            let mut kinds = kinds.iter().filter(|kind| kind.as_str() != Some("null")).peekable();
            kinds.peek().is_some() && kinds.all(permitted)
        }
        Some(kind) => permitted(kind),
        None => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(tools: &str) -> String {
        format!(r#"{{"jsonrpc":"2.0","id":1,"result":{{"tools":[{tools}],"x":1.0}}}}"#)
    }

    fn tool(name: &str, properties: &str) -> String {
        format!(
            r#"{{"name":"{name}","inputSchema":{{"type":"object","properties":{{{properties}}}}}}}"#
        )
    }

    /// The headers of a call to the tool `t`, if its definition is good; else why it is not.
    fn call(properties: &str, arguments: &str) -> Result<Vec<String>, &'static str> {
        let mut annotations = Annotations::default();
        if let Some((_, rejected)) = annotations.learn(&answer(&tool("t", properties))) {
            return Err(rejected[0].why);
        }
        let request = format!(r#"{{"id":2,"params":{{"name":"t","arguments":{arguments}}}}}"#);
        let mut headers = HeaderMap::new();
        annotations.mirror("t", &request, &mut headers);
        let pair = |(name, value): (&HeaderName, &http::HeaderValue)| {
            format!("{name}: {}", value.to_str().unwrap())
        };
        Ok(headers.iter().map(pair).collect())
    }

    #[test]
    fn values_become_headers() {
        let schema = r#""a":{"type":"string","x-mcp-header":"Region"}"#;
        for (arguments, expected) in [
            (r#"{"a":"us-west1"}"#, &["mcp-param-region: us-west1"][..]),
            (r#"{"a":" x"}"#, &["mcp-param-region: =?base64?IHg=?="]),
            (r#"{"a":"x\r\ny: z"}"#, &["mcp-param-region: =?base64?eA0KeTogeg==?="]),
            (r#"{"a":""}"#, &["mcp-param-region: "]),
            (r#"{"a":null}"#, &[]),
            (r#"{"a":[1]}"#, &[]),
            (r#"{"a":true}"#, &["mcp-param-region: true"]),
            (r#"{"a":42}"#, &["mcp-param-region: 42"]),
            (r#"{"a":-7.0}"#, &["mcp-param-region: -7"]),
            (r#"{"a":1e2}"#, &["mcp-param-region: 100"]),
            (r#"{"a":1.5}"#, &["mcp-param-region: 1.5"]),
            (r#"{"b":"x"}"#, &[]),
            ("7", &[]),
        ] {
            assert_eq!(call(schema, arguments).unwrap(), expected, "{arguments}");
        }
        let nested = r#""o":{"type":"object","properties":{"p":{"type":["integer","null"],"x-mcp-header":"P"}}}"#;
        assert_eq!(call(nested, r#"{"o":{"p":3},"p":4}"#).unwrap(), ["mcp-param-p: 3"]);
        let named = r#""x-mcp-header":{"type":"string"}"#;
        assert!(
            call(named, r#"{"x-mcp-header":"a"}"#).unwrap().is_empty(),
            "a parameter of that name"
        );
    }

    #[test]
    fn annotations_that_break_the_rules() {
        for (schema, why) in [
            (r#""a":{"type":"string","x-mcp-header":""}"#, "empty"),
            (r#""a":{"type":"string","x-mcp-header":7}"#, "not a string"),
            (r#""a":{"type":"string","x-mcp-header":"A B"}"#, "no name"),
            (r#""a":{"type":"string","x-mcp-header":"A:B"}"#, "no name"),
            (r#""a":{"type":"string","x-mcp-header":"A\r\nB"}"#, "no name"),
            (r#""a":{"type":"string","x-mcp-header":"Ä"}"#, "no name"),
            (r#""a":{"type":"number","x-mcp-header":"A"}"#, "no integer"),
            (r#""a":{"type":"object","x-mcp-header":"A"}"#, "no integer"),
            (r#""a":{"type":"null","x-mcp-header":"A"}"#, "no integer"),
            (r#""a":{"x-mcp-header":"A"}"#, "no integer"),
            (r#""a":{"type":"string","x\u002dmcp-header":""}"#, "empty"),
            (
                r#""a":{"type":"string","x-mcp-header":"A"},"b":{"type":"string","x-mcp-header":"a"}"#,
                "the same",
            ),
            (
                r#""a":{"type":"array","items":{"type":"string","x-mcp-header":"A"}}"#,
                "alone do not lead",
            ),
            (r#""a":{"anyOf":[{"type":"string","x-mcp-header":"A"}]}"#, "alone do not lead"),
        ] {
            let got = call(schema, "{}").expect_err(schema);
            assert!(got.contains(why), "{schema}: {got}");
        }
        let data = r#""a":{"type":"object","default":{"x-mcp-header":""}}"#;
        assert!(call(data, "{}").is_ok(), "what looks like one in a default is none");
    }

    #[test]
    fn a_bad_tool_is_taken_out_and_the_rest_keeps_its_bytes() {
        let bad = tool("bad", r#""a":{"type":"string","x-mcp-header":""}"#);
        let good = r#"{ "name":"good",  "n":1.0 }"#;
        let mut annotations = Annotations::default();
        let (text, rejected) =
            annotations.learn(&answer(&format!("{good}, {bad} ,{good}"))).unwrap();
        assert_eq!(text, answer(&format!("{good},{good}")));
        assert_eq!(rejected[0].tool, "bad");
        assert!(annotations.learn(&answer(good)).is_none());
        assert!(annotations.learn(r#"{"id":1,"error":{}}"#).is_none());
    }

    #[test]
    fn what_is_remembered_is_bounded_and_can_be_unlearned() {
        let mut annotations = Annotations::default();
        let long = format!(r#""{}":{{"type":"string","x-mcp-header":"Region"}}"#, "p".repeat(2000));
        let tools: Vec<String> = (0..2000).map(|n| tool(&format!("tool-{n}"), &long)).collect();
        assert!(annotations.learn(&answer(&tools.join(","))).is_none());
        assert!(annotations.bytes <= MOST_BYTES && annotations.tools.len() > 500);
        annotations.learn(&answer(&tool("tool-1", r#""a":{"type":"string"}"#)));
        assert!(!annotations.tools.contains_key("tool-1"));
    }
}
