//! Many at once, and slow ones: strangers are held back, deliveries and whoever has a token never.

use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::client::{Answer, Request};
use crate::deliveries::{opened, signed};
use crate::house::House;

/// More requests than a source gets answered at once.
const FLOOD: usize = 400;

impl Request {
    /// As the proxy in front of us tells where it comes from.
    fn from(self, address: &str) -> Self {
        self.header("X-Forwarded-For", address)
    }
}

/// What GitHub sends.
fn a_delivery(house: &House) -> Request {
    signed(house, "pull_request", opened(2).to_string().as_bytes())
}

/// Sends so many of a request from one address and gives the answers.
async fn flood(house: &House, line: &str, address: &str) -> Vec<Answer> {
    let mut answers = Vec::new();
    for _ in 0..FLOOD {
        answers.push(house.ask(line).from(address).send().await);
    }
    answers
}

#[tokio::test]
async fn a_stranger_who_floods_is_told_to_wait_and_nobody_else_is() {
    let house = House::open().await;
    for (line, status) in
        [("GET /api/previews", 401), ("GET /health", 200), ("GET /nowhere", 404), ("POST /webhook/github", 401)]
    {
        let address = format!("192.0.2.{}", line.len());
        let answers = flood(&house, line, &address).await;
        let (let_through, limited): (Vec<_>, Vec<_>) = answers.into_iter().partition(|answer| answer.status == status);
        assert!(let_through.len() >= 200 && limited.len() > 20, "{line}: {} and {}", let_through.len(), limited.len());
        for answer in limited {
            assert_eq!((answer.status, answer.header("retry-after")), (429, Some("1")), "{line}");
            assert!(answer.detail().contains("try again later"), "{line}");
        }
        let other = house.ask(line).from("198.51.100.1").send().await;
        assert_eq!(other.status, status, "{line}: another source");
        let known = house.ask("GET /api/previews").from(&address).token().send().await;
        assert_eq!(known.status, 200, "{line}: the token, from the very same address");
    }
}

#[tokio::test]
async fn a_valid_signature_is_never_limited_away() {
    let house = House::open().await;
    house.learn_allowed().await;
    let answers = flood(&house, "POST /webhook/github", "192.0.2.1").await;
    // On a slow machine the last one may have come late enough to be let through again.
    assert!(answers.iter().any(|answer| answer.status == 429));
    for _ in 0..FLOOD {
        let answer = a_delivery(&house).from("192.0.2.1").send().await;
        assert_eq!(answer.status, 202, "{answer:?}");
    }
    // What floods does not push out of the list what can be of use there.
    let told = house.ask("GET /api/deliveries").token().send().await.json();
    let signed = told["deliveries"].as_array().unwrap().iter().filter(|entry| entry["signed"] == true).count();
    assert_eq!(signed, FLOOD);
}

#[tokio::test]
async fn only_a_proxy_on_this_machine_tells_where_requests_come_from() {
    let house = House::directly_reached().await;
    let mut statuses = Vec::new();
    for number in 0..FLOOD {
        let forged = format!("192.0.2.{}", number % 250);
        statuses.push(house.ask("GET /api/previews").from(&forged).send().await.status);
    }
    assert_eq!(statuses.last(), Some(&429), "no address that they make up is another source");
}

/// Begins a delivery that is announced as large and whose body does not come.
async fn stalling(house: &House, body: &[u8]) -> TcpStream {
    let mut stream = TcpStream::connect(house.address).await.unwrap();
    let head = format!(
        "POST /webhook/github HTTP/1.1\r\nHost: a\r\nX-Hub-Signature-256: sha256={}\r\nContent-Length: {}\r\n\r\n",
        "0".repeat(64),
        24 << 20
    );
    stream.write_all(head.as_bytes()).await.unwrap();
    stream.write_all(body).await.unwrap();
    stream
}

#[tokio::test]
async fn slow_and_large_bodies_of_strangers_leave_room_for_deliveries() {
    let house = House::open().await;
    house.learn_allowed().await;
    let body = vec![b'x'; 23 << 20];
    let mut held = Vec::new();
    for _ in 0..8 {
        held.push(stalling(&house, &body).await);
    }
    let answer = a_delivery(&house).send().await;
    assert_eq!(answer.status, 202, "{answer:?}");
}

#[tokio::test]
async fn a_body_that_nobody_asked_for_is_not_waited_for() {
    let house = House::open().await;
    let mut stream = TcpStream::connect(house.address).await.unwrap();
    let head = "DELETE /api/previews/x HTTP/1.1\r\nHost: localhost\r\nContent-Length: 9999999999\r\n\r\n";
    stream.write_all(head.as_bytes()).await.unwrap();
    let mut answer = String::new();
    let reading = stream.read_to_string(&mut answer);
    timeout(Duration::from_secs(10), reading).await.expect("it is closed").unwrap();
    assert!(answer.starts_with("HTTP/1.1 401 "), "{answer}");
}
