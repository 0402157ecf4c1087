//! The least possible HTTP client: one connection, POSTs, and what comes back.

use std::io;

use memchr::memmem::find;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// Bodies from this length on are written on their own instead of being copied behind the head.
const LARGE: usize = 64 * 1024;

/// A connection and what was read of it.
pub struct Connection {
    stream: TcpStream,
    buffer: Vec<u8>,
}

impl Connection {
    /// Opens one to `HOST:PORT`.
    pub async fn open(authority: &str) -> io::Result<Self> {
        let stream = TcpStream::connect(authority).await?;
        stream.set_nodelay(true)?;
        Ok(Self { stream, buffer: Vec::with_capacity(16 * 1024) })
    }

    /// Posts one JSON message; `headers` are whole lines.
    pub async fn post(
        &mut self,
        path: &str,
        authority: &str,
        headers: &str,
        body: &[u8],
    ) -> io::Result<()> {
        let mut request = format!(
            "POST {path} HTTP/1.1\r\nhost: {authority}\r\ncontent-type: application/json\r\n\
             accept: application/json, text/event-stream\r\ncontent-length: {}\r\n{headers}\r\n",
            body.len(),
        )
        .into_bytes();
        if body.len() < LARGE {
            request.extend_from_slice(body);
            return self.stream.write_all(&request).await;
        }
        self.stream.write_all(&request).await?;
        self.stream.write_all(body).await
    }

    /// Reads up to and with `end`.
    pub async fn upto(&mut self, end: &[u8]) -> io::Result<Vec<u8>> {
        loop {
            if let Some(at) = find(&self.buffer, end) {
                return self.exactly(at + end.len()).await;
            }
            self.fill(16 * 1024).await?;
        }
    }

    /// Reads so many bytes.
    pub async fn exactly(&mut self, count: usize) -> io::Result<Vec<u8>> {
        while self.buffer.len() < count {
            self.fill(count - self.buffer.len()).await?;
        }
        let rest = self.buffer.split_off(count);
        Ok(std::mem::replace(&mut self.buffer, rest))
    }

    async fn fill(&mut self, room: usize) -> io::Result<()> {
        self.buffer.reserve(room);
        match self.stream.read_buf(&mut self.buffer).await? {
            0 => Err(io::ErrorKind::UnexpectedEof.into()),
            _ => Ok(()),
        }
    }
}

/// A header field of a response's head in lower case; `name` ends with its colon.
#[must_use]
pub fn field<'a>(head: &'a str, name: &str) -> Option<&'a str> {
    head.lines().find_map(|line| line.strip_prefix(name)).map(str::trim)
}
