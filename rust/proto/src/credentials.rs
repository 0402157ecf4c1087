//! What the endpoint is told about who asks: a token that can be renewed, and its own cookies.

use http::header::{AUTHORIZATION, COOKIE, DATE, SET_COOKIE};
use http::{HeaderMap, HeaderValue};

use crate::bridge::Bridge;
use crate::exchange::{Exchange, Role, Stage, Wait};
use crate::reply::{Failure, Kind, Quoted};
use crate::seam::Action;

/// How many cookies are kept, and how large each may be: what RFC 6265 section 6.1 asks of a user
/// agent for one domain.
const MOST_COOKIES: usize = 50;
const LARGEST_COOKIE: usize = 4096;

/// The token of a file or a command, asked for when it is first needed and again after a 401.
#[derive(Debug, Default)]
pub(crate) struct Token {
    /// Counts the tokens there have been; 0 as long as there is none.
    generation: u32,
    asked: bool,
}

impl Bridge {
    /// Whether an exchange has to wait for a token, which is then asked for, once.
    pub(crate) fn must_wait_for_token(&mut self) -> bool {
        let must = self.config.renewable && self.token.generation == 0;
        if must {
            self.ask_for_token();
        }
        must
    }

    pub(crate) fn token_generation(&self) -> u32 {
        self.token.generation
    }

    fn ask_for_token(&mut self) {
        if !std::mem::replace(&mut self.token.asked, true) {
            self.act(Action::FetchToken);
        }
    }

    /// The server wants another credential. Whether the exchange waits for one, or goes out again
    /// with one that came meanwhile: once, and one renewal for all that were refused.
    pub(crate) fn renews(&mut self, number: u64, exchange: &mut Exchange) -> bool {
        if !self.config.renewable || exchange.tries.token > 0 {
            return false;
        }
        exchange.tries.token += 1;
        if exchange.token == self.token.generation {
            self.ask_for_token();
            exchange.stage = Stage::Parked(Wait::Token);
        } else {
            exchange.stage = Stage::Waiting(self.now);
        }
        log::info!(target: "mcp_ferry.session", "exchange {number} needs a new token");
        true
    }

    pub(crate) fn on_token(&mut self, token: Result<HeaderValue, String>) {
        self.token.asked = false;
        match token {
            Ok(mut value) => {
                value.set_sensitive(true);
                self.token.generation = self.token.generation.wrapping_add(1).max(1);
                self.own_headers.insert(AUTHORIZATION, value);
                self.unpark(Wait::Token);
            }
            Err(why) => {
                let message = format!("no token could be had: {}", Quoted(why.as_bytes()));
                self.fail_parked(Wait::Token, &Failure::new(Kind::Unauthorized, message));
            }
        }
    }

    /// Sends what waited for this.
    pub(crate) fn unpark(&mut self, wait: Wait) {
        for number in self.parked(wait) {
            self.start(number);
        }
    }

    /// Ends what waited for this; one that was refused before has that to tell.
    pub(crate) fn fail_parked(&mut self, wait: Wait, failure: &Failure) {
        for number in self.parked(wait) {
            if let Some(mut exchange) = self.remove(number) {
                if matches!(exchange.role, Role::Listener) {
                    // It asks again later, when there may be a token.
                    exchange.tries.token = 0;
                    self.on_listener_end(number, exchange);
                    continue;
                }
                let failure = match exchange.refusal.take() {
                    Some(refusal) => {
                        self.deliver_error(&mut exchange, &refusal.body);
                        refusal.failure
                    }
                    None => failure.clone(),
                };
                self.fail(number, exchange, failure);
            }
        }
    }

    fn parked(&self, wait: Wait) -> Vec<u64> {
        self.numbers(|exchange| matches!(exchange.stage, Stage::Parked(it) if it == wait))
    }

    /// Keeps the cookies that the endpoint sets: load balancers tell by them which host has the
    /// session. Nothing else is ever asked, so they go back to their origin alone.
    pub(crate) fn keep_cookies(&mut self, exchange: &Exchange, headers: &HeaderMap) {
        if !headers.contains_key(SET_COOKIE) || matches!(exchange.role, Role::Farewell(_)) {
            return;
        }
        for value in headers.get_all(SET_COOKIE) {
            let Some(cookie) = Cookie::parse(value, headers, exchange.url.path()) else { continue };
            self.cookies.retain(|known| known.name != cookie.name);
            if !cookie.expired && self.cookies.len() < MOST_COOKIES {
                self.cookies.push(cookie);
            }
        }
        self.put_cookies();
    }

    /// A new session begins: another host may serve it.
    pub(crate) fn forget_cookies(&mut self) {
        self.cookies.clear();
        self.put_cookies();
    }

    fn put_cookies(&mut self) {
        let own = self.config.headers.get(COOKIE).map(HeaderValue::as_bytes);
        let pairs = self.cookies.iter().map(|cookie| cookie.pair.as_bytes());
        let all = own.into_iter().chain(pairs).collect::<Vec<_>>().join(&b"; "[..]);
        match HeaderValue::from_bytes(&all) {
            Ok(mut value) if !all.is_empty() => {
                value.set_sensitive(true);
                self.own_headers.insert(COOKIE, value);
            }
            _ => {
                self.own_headers.remove(COOKIE);
            }
        }
    }
}

/// A cookie, as far as one endpoint needs it (RFC 6265, section 5.2).
#[derive(Debug)]
pub(crate) struct Cookie {
    name: String,
    /// `name=value`, as it goes back.
    pair: String,
    /// It was set in order to be deleted.
    expired: bool,
}

impl Cookie {
    fn parse(header: &HeaderValue, answer: &HeaderMap, path: &str) -> Option<Self> {
        let text = header.to_str().ok().filter(|text| text.len() <= LARGEST_COOKIE)?;
        let (pair, attributes) = text.split_once(';').unwrap_or((text, ""));
        let (name, value) = pair.split_once('=')?;
        let name = name.trim();
        let mut expired = None;
        for attribute in attributes.split(';') {
            let (key, value) = attribute.split_once('=').unwrap_or((attribute, ""));
            let (key, value) = (key.trim().to_ascii_lowercase(), value.trim());
            match key.as_str() {
                "max-age" => expired = Some(value.parse::<i64>().is_ok_and(|age| age <= 0)),
                // Max-Age has precedence over Expires.
                "expires" => expired = expired.or(Some(is_past(value, answer))),
                "path" if !path_matches(path, value) => return None,
                _ => {}
            }
        }
        let pair = format!("{name}={}", value.trim());
        (!name.is_empty()).then(|| Self {
            name: name.to_owned(),
            pair,
            expired: expired == Some(true),
        })
    }
}

/// Whether a date is before the answer's own.
fn is_past(date: &str, answer: &HeaderMap) -> bool {
    let now = answer.get(DATE).and_then(|now| httpdate::parse_http_date(now.to_str().ok()?).ok());
    matches!((httpdate::parse_http_date(date), now), (Ok(date), Some(now)) if date <= now)
}

/// RFC 6265, section 5.1.4.
fn path_matches(path: &str, cookie_path: &str) -> bool {
    if !cookie_path.starts_with('/') {
        return true;
    }
    path.strip_prefix(cookie_path)
        .is_some_and(|rest| rest.is_empty() || cookie_path.ends_with('/') || rest.starts_with('/'))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cookie(text: &'static str) -> Option<(String, bool)> {
        let mut answer = HeaderMap::new();
        answer.insert(DATE, HeaderValue::from_static("Sun, 06 Nov 1994 08:49:37 GMT"));
        Cookie::parse(&HeaderValue::from_static(text), &answer, "/mcp")
            .map(|cookie| (cookie.pair, cookie.expired))
    }

    #[test]
    fn cookies_as_balancers_set_them() {
        for (text, expected) in [
            (
                "AWSALB=abc; Expires=Sun, 13 Nov 1994 08:49:37 GMT; Path=/",
                Some(("AWSALB=abc", false)),
            ),
            ("a=b", Some(("a=b", false))),
            ("a=b=c; HttpOnly; Secure; SameSite=None", Some(("a=b=c", false))),
            ("a=; Max-Age=0", Some(("a=", true))),
            ("a=b; Expires=Sun, 06 Nov 1994 08:49:36 GMT", Some(("a=b", true))),
            ("a=b; Expires=Sun, 06 Nov 1994 08:49:36 GMT; Max-Age=5", Some(("a=b", false))),
            ("a=b; Path=/other", None),
            ("a=b; Path=/mcp", Some(("a=b", false))),
            ("a=b; Path=/m", None),
            ("nonsense", None),
            ("=b", None),
        ] {
            let expected = expected.map(|(pair, expired)| (pair.to_owned(), expired));
            assert_eq!(cookie(text), expected, "{text}");
        }
    }
}
