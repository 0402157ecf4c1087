//! What is accepted, what is refused, and that nothing secret is shown.

use super::*;

fn settings(url: &str) -> Settings {
    Settings { url: url.into(), ..Settings::default() }
}

fn refused(settings: &Settings) -> ConfigError {
    settings.check().expect_err("must be refused")
}

fn with_header(name: &str, value: &str) -> Settings {
    Settings { headers: vec![(name.into(), value.into())], ..settings("http://h/mcp") }
}

#[test]
fn nothing_but_a_url_is_enough() {
    let config = settings("http://localhost:8000/mcp").check().unwrap();
    assert_eq!(config.rules().url.as_str(), "http://localhost:8000/mcp");
    assert_eq!(config.rules().response_timeout, Duration::from_secs(60));
    assert_eq!(config.connect_timeout(), Duration::from_secs(15));
    assert_eq!((config.rules().concurrency, config.rules().max_message), (128, 64 << 20));
    assert!(config.rules().headers.is_empty() && config.proxy().is_none());
}

#[test]
fn an_address_that_cannot_be_reached_is_refused() {
    for url in ["", "localhost:8000", "/mcp", "ftp://h/", "http://", "https://u:p@h/mcp"] {
        assert_eq!(refused(&settings(url)).name, "url", "{url}");
    }
}

#[test]
fn the_authorization_value_is_sent_as_it_is() {
    // As mcpgateway.wrapper did: there are gateways that want a bare key.
    for given in ["abc", "Basic dTpw", "Bearer t"] {
        let asked = Settings { auth: Some(given.into()), ..settings("http://h/mcp") };
        let config = asked.check().unwrap();
        let value = &config.rules().headers[AUTHORIZATION];
        assert_eq!(value, given);
        assert!(value.is_sensitive());
    }
}

#[test]
fn headers_of_the_transport_and_illegal_ones_are_refused() {
    for name in ["Mcp-Session-Id", "HOST", "content-type", "Mcp-Param-Region", "a b", ""] {
        assert_eq!(refused(&with_header(name, "x")).name, "headers", "{name}");
    }
    assert_eq!(refused(&with_header("X-A", "a\r\nX-B: b")).name, "headers");
    assert!(with_header("X-Team", " bl\u{fc}e ").check().is_ok());
}

#[test]
fn two_authorizations_are_one_too_many() {
    let both = Settings { auth: Some("t".into()), ..with_header("Authorization", "Bearer s") };
    assert_eq!(refused(&both).name, "auth");
}

#[test]
fn a_credential_comes_from_one_place() {
    let file = Settings { token_file: Some("t".into()), ..settings("http://h/mcp") };
    let checked = file.check().unwrap();
    assert!(checked.rules().renewable);
    assert_eq!(checked.token_source(), Some(&TokenSource::File("t".into())));
    let both = Settings { token_command: Some("print t".into()), ..file.clone() };
    assert_eq!(refused(&both).name, "token_command");
    let both = Settings { auth: Some("t".into()), ..file };
    assert_eq!(refused(&both).name, "token_file");
    let command = Some("print t".into());
    let both = Settings { token_command: command, ..with_header("authorization", "t") };
    assert_eq!(refused(&both).name, "token_command");
}

#[test]
fn a_command_is_split_as_a_shell_does_and_never_run_by_one() {
    let command =
        |line: &str| Settings { token_command: Some(line.into()), ..settings("http://h/mcp") };
    for (line, words) in [
        ("print-token", &["print-token"][..]),
        (r#" a 'b c' "d \"e" f\ g "#, &["a", "b c", "d \"e", "f g"]),
        ("a $HOME `b` | c; d", &["a", "$HOME", "`b`", "|", "c;", "d"]),
    ] {
        let words = words.iter().map(|word| (*word).to_owned()).collect();
        let checked = command(line).check().unwrap();
        assert_eq!(checked.token_source(), Some(&TokenSource::Command(words)), "{line}");
    }
    for line in ["", "  ", "''", "a 'b"] {
        assert_eq!(refused(&command(line)).name, "token_command", "{line}");
    }
}

#[test]
fn transports_by_name() {
    let transport =
        |name: &str| Settings { transport: Some(name.into()), ..settings("http://h/mcp") };
    for (name, meant) in
        [("auto", Transport::Auto), ("http", Transport::Http), ("sse", Transport::Sse)]
    {
        assert_eq!(transport(name).check().unwrap().rules().transport, meant);
    }
    assert_eq!(refused(&transport("stdio")).name, "transport");
}

#[test]
fn times_and_counts_must_be_usable() {
    for seconds in [0.0, -1.0, f64::NAN, f64::INFINITY, 1e300] {
        let asked = Settings { timeout: Some(seconds), ..settings("http://h") };
        assert_eq!(refused(&asked).name, "timeout");
        let asked = Settings { connect_timeout: Some(seconds), ..settings("http://h") };
        assert_eq!(refused(&asked).name, "connect_timeout");
    }
    for count in [0, -5] {
        let asked = Settings { concurrency: Some(count), ..settings("http://h") };
        assert_eq!(refused(&asked).name, "concurrency");
        let asked = Settings { max_message_size: Some(count), ..settings("http://h") };
        assert_eq!(refused(&asked).name, "max_message_size");
    }
}

#[test]
fn a_missing_file_is_named_with_its_setting() {
    let ghost = Some(PathBuf::from("/no/such/ca.pem"));
    let error = refused(&Settings { ca_cert: ghost.clone(), ..settings("https://h") });
    assert_eq!(error.name, "ca_cert");
    assert!(error.message.contains("/no/such/ca.pem"), "{error}");
    let error = refused(&Settings { client_key: ghost, ..settings("https://h") });
    assert_eq!(error.name, "client_key");
}

#[test]
fn no_secret_is_ever_shown() {
    let asked = Settings {
        auth: Some("s3cret".into()),
        proxy: Some("http://me:s3cret@proxy:3128".into()),
        ..with_header("X-Key", "s3cret")
    };
    let asked = Settings { url: "https://h/mcp?key=s3cret".into(), ..asked };
    let shown = format!("{:?}", asked.check().unwrap());
    assert!(!shown.contains("s3cret"), "{shown}");
    let command = Some("print s3cret".into());
    let asked = Settings { token_command: command, ..settings("http://h/mcp") };
    let shown = format!("{:?}", asked.check().unwrap());
    assert!(!shown.contains("s3cret"), "{shown}");
    let line = refused(&with_header("Authorization: s3cret", "x"));
    assert!(!line.to_string().contains("s3cret"), "{line}");
    let broken = Settings { proxy: Some("s3cret".into()), ..settings("http://h") };
    assert!(!refused(&broken).to_string().contains("s3cret"));
}
