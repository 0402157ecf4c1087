//! On the way through proxies of every kind.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::mpsc::channel;

use ferry_io::{Config, Settings};
use ferry_proto::Input;
use futures_util::StreamExt;

use crate::support::{once, post, read_request, reply, story};
use crate::trust::{World, file};

/// Settings for `url` through a proxy at `address`, such as `once` returns it, spoken to in `scheme`.
fn through(address: &str, scheme: &str, url: &str) -> Config {
    let proxy = address.replace("http://", scheme).replace("/mcp", "");
    Settings { url: url.into(), proxy: Some(proxy), ..Settings::default() }.check().unwrap()
}

#[tokio::test]
async fn a_plain_request_names_its_server_and_shows_the_credentials() {
    let (tell, told) = channel();
    let proxy = once(move |mut stream| {
        tell.send(read_request(&mut stream)).unwrap();
        reply(&mut stream, "");
    });
    let config = through(&proxy, "http://me:pass@", "http://ferry.invalid/mcp");
    assert_eq!(story(post(&config, "ping")).await, ["sent", "200", "end"]);
    let request = told.recv().unwrap();
    assert!(request.starts_with("POST http://ferry.invalid/mcp HTTP/1.1\r\n"), "{request}");
    let request = request.to_lowercase();
    assert!(request.contains("host: ferry.invalid\r\n"), "{request}");
    assert!(request.contains("proxy-authorization: basic bwu6cgfzcw==\r\n"), "{request}");
}

#[tokio::test]
async fn a_tunnel_shows_the_credentials_and_nothing_else() {
    let (tell, told) = channel();
    let proxy = once(move |mut stream| {
        tell.send(read_request(&mut stream)).unwrap();
        write!(stream, "HTTP/1.1 407 Proxy Authentication Required\r\n\r\n").unwrap();
    });
    let config = through(&proxy, "http://me:pass@", "https://ferry.invalid/mcp");
    let Some(Input::Finished(_, Err(fault))) = post(&config, "ping").next().await else { panic!() };
    assert!(fault.detail.contains("proxy authorization required"), "{}", fault.detail);
    let head = told.recv().unwrap();
    assert!(head.starts_with("CONNECT ferry.invalid:443 HTTP/1.1\r\n"), "{head}");
    assert!(head.contains("Proxy-Authorization: Basic bWU6cGFzcw==\r\n"), "{head}");
}

#[tokio::test]
async fn a_proxy_may_want_tls_itself() {
    let world = World::new();
    let config = Settings {
        url: "http://ferry.invalid/mcp".into(),
        proxy: Some(world.server(false).replace("/mcp", "")),
        ca_cert: Some(file("proxy-ca.pem", &world.authority.pem())),
        ..Settings::default()
    };
    assert_eq!(story(post(&config.check().unwrap(), "ping")).await, ["sent", "200", "{}", "end"]);
}

#[tokio::test]
async fn a_proxy_that_is_not_there_is_no_connection() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let proxy = format!("http://{}", listener.local_addr().unwrap());
    drop(listener);
    for scheme in ["http://", "socks5h://"] {
        let config = through(&proxy, scheme, "https://ferry.invalid/mcp");
        assert_eq!(story(post(&config, "ping")).await, ["connect"], "{scheme}");
    }
}

#[tokio::test]
async fn socks_proxies_look_names_up_or_get_numbers() {
    for (scheme, by_name) in [("socks5h://me:pass@", true), ("socks5://me:pass@", false)] {
        let (tell, told) = channel();
        let proxy = once(move |mut stream| {
            assert_eq!(read(&mut stream, 3), [5, 1, 2], "one method: a password");
            stream.write_all(&[5, 2]).unwrap();
            assert_eq!(read(&mut stream, 9), b"\x01\x02me\x04pass");
            stream.write_all(&[1, 0]).unwrap();
            assert_eq!(read(&mut stream, 3), [5, 1, 0]);
            let target = match read(&mut stream, 1).first() {
                Some(3) => {
                    let length = read(&mut stream, 1).first().copied().unwrap();
                    read(&mut stream, length.into())
                }
                Some(4) => read(&mut stream, 16),
                _ => read(&mut stream, 4),
            };
            assert_eq!(read(&mut stream, 2), [0, 80], "the port");
            stream.write_all(&[5, 0, 0, 1, 0, 0, 0, 0, 0, 0]).unwrap();
            let request = read_request(&mut stream);
            assert!(request.starts_with("POST /mcp HTTP/1.1\r\n"), "{request}");
            reply(&mut stream, "{}");
            tell.send(target).unwrap();
        });
        let config = through(&proxy, scheme, "http://localhost/mcp");
        assert_eq!(story(post(&config, "ping")).await, ["sent", "200", "{}", "end"]);
        assert_eq!(told.recv().unwrap() == b"localhost", by_name);
    }
}

fn read(stream: &mut TcpStream, length: usize) -> Vec<u8> {
    let mut bytes = vec![0; length];
    stream.read_exact(&mut bytes).unwrap();
    bytes
}
