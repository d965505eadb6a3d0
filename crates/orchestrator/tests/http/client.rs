//! A client that sends exactly what a test says, right or wrong.

use std::net::SocketAddr;
use std::time::Duration;

use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::house::{READ_TOKEN, SECRET, TOKEN};

const PATIENCE: Duration = Duration::from_secs(20);

/// A request, built up.
pub(crate) struct Request {
    address: SocketAddr,
    line: String,
    host: String,
    headers: Vec<(String, String)>,
    body: Vec<u8>,
    chunked: bool,
    stays: bool,
}

/// An answer.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    head: String,
    pub(crate) body: String,
}

impl Request {
    pub(crate) fn new(address: SocketAddr, line: &str) -> Self {
        let host = address.to_string();
        Self {
            address,
            line: line.to_owned(),
            host,
            headers: Vec::new(),
            body: Vec::new(),
            chunked: false,
            stays: false,
        }
    }

    pub(crate) fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    pub(crate) fn host(mut self, host: &str) -> Self {
        self.host = host.to_owned();
        self
    }

    pub(crate) fn token(self) -> Self {
        self.header("Authorization", &format!("Bearer {TOKEN}"))
    }

    pub(crate) fn read_token(self) -> Self {
        self.header("Authorization", &format!("Bearer {READ_TOKEN}"))
    }

    pub(crate) fn body(mut self, body: impl Into<Vec<u8>>) -> Self {
        self.body = body.into();
        self
    }

    /// Without a length told in advance.
    pub(crate) fn chunked(mut self) -> Self {
        self.chunked = true;
        self
    }

    /// Without asking for the connection's end: it is for the other side to close it.
    pub(crate) fn staying(mut self) -> Self {
        self.stays = true;
        self
    }

    fn bytes(&self) -> Vec<u8> {
        let end = if self.stays { "" } else { "Connection: close\r\n" };
        let mut head = format!("{} HTTP/1.1\r\nHost: {}\r\n{end}", self.line, self.host);
        for (name, value) in &self.headers {
            head += &format!("{name}: {value}\r\n");
        }
        if !self.chunked {
            let mut bytes = format!("{head}Content-Length: {}\r\n\r\n", self.body.len()).into_bytes();
            bytes.extend(&self.body);
            return bytes;
        }
        let mut bytes = format!("{head}Transfer-Encoding: chunked\r\n\r\n").into_bytes();
        for chunk in self.body.chunks(60_000) {
            bytes.extend(format!("{:x}\r\n", chunk.len()).into_bytes());
            bytes.extend(chunk);
            bytes.extend(b"\r\n");
        }
        bytes.extend(b"0\r\n\r\n");
        bytes
    }

    /// Sends it whole and reads the whole answer. No answer may ever show a secret.
    pub(crate) async fn send(self) -> Answer {
        let mut stream = TcpStream::connect(self.address).await.unwrap();
        let talk = async {
            // Nobody is cut off in the middle of speaking, whatever becomes of it.
            stream.write_all(&self.bytes()).await.unwrap();
            let mut answer = Vec::new();
            stream.read_to_end(&mut answer).await.unwrap();
            answer
        };
        let answer = String::from_utf8(timeout(PATIENCE, talk).await.expect("no answer")).unwrap();
        let secret = [TOKEN, READ_TOKEN, SECRET].into_iter().find(|secret| answer.contains(secret));
        assert_eq!(secret, None, "in {answer}");
        Answer::read(&answer)
    }

    /// Sends it and gives the connection, for an answer that has no end yet.
    pub(crate) async fn begin(self) -> TcpStream {
        let mut stream = TcpStream::connect(self.address).await.unwrap();
        stream.write_all(&self.bytes()).await.unwrap();
        stream
    }
}

impl Answer {
    pub(crate) fn read(text: &str) -> Self {
        let (head, body) = text.split_once("\r\n\r\n").unwrap_or_else(|| panic!("no answer: {text:?}"));
        let status = head.split(' ').nth(1).unwrap().parse().unwrap();
        Self { status, head: head.to_owned(), body: body.to_owned() }
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let headers = self.head.lines().skip(1).filter_map(|line| line.split_once(": "));
        headers.filter(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value).next()
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error}: {:?}", self.body))
    }

    /// The problem that it tells, checked for its form.
    pub(crate) fn problem(&self) -> Value {
        assert_eq!(self.header("content-type"), Some("application/problem+json"), "{self:?}");
        let problem = self.json();
        assert_eq!(problem["status"], self.status);
        assert_eq!(problem["requestId"].as_str(), self.header("x-request-id"));
        problem
    }

    pub(crate) fn detail(&self) -> String {
        self.problem()["detail"].as_str().unwrap().to_owned()
    }
}
