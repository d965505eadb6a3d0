//! What previews said: as text, and followed.

use std::time::Duration;

use preview_core::backing::Backing;
use preview_core::deployment::{Blame, Failure, Stage, Step};
use preview_core::ids::Slot;
use preview_orchestrator::folders::Log;
use preview_orchestrator::needs::Part;
use tokio::io::AsyncReadExt;
use tokio::net::TcpStream;
use tokio::sync::mpsc;
use tokio::time::timeout;

use crate::house::House;
use crate::nobody::Mood;

const ID: &str = "my-org-my-app-12";

async fn text(house: &House, query: &str) -> String {
    let answer = house.ask(&format!("GET /api/previews/{ID}/logs?{query}")).token().send().await;
    assert_eq!(answer.status, 200, "{answer:?}");
    assert_eq!(answer.header("content-type"), Some("text/plain; charset=utf-8"));
    answer.body
}

async fn follow(house: &House, stream: &str, lines: usize) -> TcpStream {
    let line = format!("GET /api/previews/{ID}/logs?stream={stream}&follow=true&lines={lines}");
    house.ask(&line).token().begin().await
}

/// Reads on until the text holds what is awaited; gives all that came.
async fn read_until(stream: &mut TcpStream, awaited: &str) -> String {
    let mut all = Vec::new();
    let reading = async {
        while !String::from_utf8_lossy(&all).contains(awaited) {
            assert_ne!(stream.read_buf(&mut all).await.unwrap(), 0, "ended: {}", String::from_utf8_lossy(&all));
        }
    };
    timeout(Duration::from_secs(10), reading).await.unwrap_or_else(|_| panic!("never came: {awaited}"));
    String::from_utf8(all).unwrap()
}

async fn read_to_end(mut stream: TcpStream) -> String {
    let mut rest = String::new();
    timeout(Duration::from_secs(10), stream.read_to_string(&mut rest)).await.unwrap().unwrap();
    rest
}

/// The data of all events in a text.
fn data(text: &str) -> Vec<&str> {
    text.lines().filter_map(|line| line.strip_prefix("data: ")).collect()
}

#[tokio::test]
async fn the_last_lines_as_text() {
    let house = House::open().await;
    let id = house.add_preview(12).await;
    let _lock = house.folders.lock(&id).await.unwrap();
    assert_eq!(text(&house, "stream=build").await, "");
    let mut log = house.folders.start_log(&id, Log::Build).unwrap();
    ["one", "two", "three"].iter().for_each(|line| log.line(line));
    assert_eq!(text(&house, "stream=build&lines=2").await, "two\nthree\n");
    let store = Part::Own("redis".parse().unwrap());
    let said = [
        (Part::App(Slot::A), "idle slot"),
        (Part::App(Slot::B), "hello"),
        (Part::Database, "ready"),
        (Part::Extra(Backing::Redis), "ours"),
        (store, "theirs"),
    ];
    // Nothing of the app in the engine: what was kept of it.
    let mut kept = house.folders.start_log(&id, Log::App).unwrap();
    kept.line("last words");
    assert_eq!(text(&house, "stream=app").await, "last words\n");
    house.outside.said.lock().unwrap().extend(said.map(|(part, line)| (part, line.to_owned())));
    assert_eq!(text(&house, "stream=app").await, "hello\n");
    assert_eq!(text(&house, "").await, "hello\n");
    assert_eq!(text(&house, "stream=db").await, "ready\n");
    assert_eq!(text(&house, "stream=service&name=redis").await, "ours\n");
    assert_eq!(text(&house, "stream=service&name=mysql").await, "");
    house.change(&id, |record| record.db_type = Some("mysql".to_owned())).await;
    assert_eq!(text(&house, "stream=service&name=mysql").await, "ready\n");
    house.change(&id, |record| record.framework = Some("compose".to_owned())).await;
    assert_eq!(text(&house, "stream=service&name=redis").await, "theirs\n");
}

#[tokio::test]
async fn what_cannot_be_told_is_a_problem() {
    let house = House::open().await;
    let ask = |id: &str, query: &str| house.ask(&format!("GET /api/previews/{id}/logs?{query}")).token().send();
    assert_eq!(ask(ID, "stream=app").await.status, 404);
    house.add_preview(12).await;
    let services =
        ["stream=service", "stream=service&name=%2e%2e", "stream=service&name=kafka", "stream=db&name=redis"];
    for query in ["stream=nginx", "lines=-1", "lines=many", "follow=maybe", "unknown=1"].into_iter().chain(services) {
        let answer = ask(ID, query).await;
        assert_eq!(answer.status, 400, "{query}");
        answer.problem();
    }
    *house.outside.docker() = Mood::Gone;
    let answer = ask(ID, "stream=db").await;
    assert_eq!(answer.status, 503);
    assert!(!answer.body.contains("secret-path"), "{answer:?}");
}

#[tokio::test]
async fn a_build_is_followed_to_its_end() {
    let house = House::open().await;
    let id = house.add_preview(12).await;
    house.set_stage(&id, Stage::Running(Step::Build)).await;
    let _lock = house.folders.lock(&id).await.unwrap();
    let mut log = house.folders.start_log(&id, Log::Build).unwrap();
    ["zero", "one", "two"].iter().for_each(|line| log.line(line));
    let mut stream = follow(&house, "build", 2).await;
    let begun = read_until(&mut stream, "data: two").await;
    assert_eq!(data(&begun), ["one", "two"]);
    assert!(begun.contains("text/event-stream"), "{begun}");
    log.line("three \u{1b}[1m\rstill three");
    read_until(&mut stream, "still three").await;
    // The next attempt begins its log anew.
    let mut log = house.folders.start_log(&id, Log::Build).unwrap();
    log.line("again");
    read_until(&mut stream, "data: again").await;
    log.line("failed");
    let failure = Failure {
        step: Step::Build,
        cause: "it failed".into(),
        advice: None,
        log_tail: Vec::new(),
        blame: Blame::Author,
    };
    house.set_stage(&id, Stage::Failed(failure)).await;
    let rest = read_to_end(stream).await;
    assert!(rest.find("data: failed") < rest.find("event: end"), "{rest}");
    assert!(rest.contains("event: end"), "{rest}");
}

#[tokio::test]
async fn an_app_is_followed_until_it_ends() {
    let house = House::open().await;
    house.add_preview(12).await;
    house.outside.said.lock().unwrap().push((Part::App(Slot::B), "hello".to_owned()));
    let (say, to_come) = mpsc::unbounded_channel();
    *house.outside.to_come.lock().unwrap() = Some(to_come);
    let mut stream = follow(&house, "app", 10).await;
    read_until(&mut stream, "data: hello").await;
    say.send("world\r\nevent: forged".to_owned()).unwrap();
    let more = read_until(&mut stream, "forged").await;
    assert!(more.contains("data: event: forged"), "{more}");
    drop(say);
    assert!(read_to_end(stream).await.contains("event: end"));
}

#[tokio::test]
async fn a_stop_ends_what_is_followed_without_an_end() {
    let mut house = House::open().await;
    house.add_preview(12).await;
    house.outside.said.lock().unwrap().push((Part::Database, "ready".to_owned()));
    let mut stream = follow(&house, "db", 10).await;
    read_until(&mut stream, "data: ready").await;
    house.shutdown.cancel();
    assert!(!read_to_end(stream).await.contains("event: end"));
    timeout(Duration::from_secs(5), &mut house.serving).await.unwrap().unwrap();
}

#[tokio::test]
async fn not_everybody_can_follow_at_once() {
    let house = House::open().await;
    house.add_preview(12).await;
    house.outside.said.lock().unwrap().push((Part::Database, "ready".to_owned()));
    let mut followers = Vec::new();
    for _ in 0..32 {
        let mut stream = follow(&house, "db", 10).await;
        read_until(&mut stream, "data: ready").await;
        followers.push(stream);
    }
    let mut one_more = follow(&house, "db", 10).await;
    read_until(&mut one_more, "429 Too Many Requests").await;
    drop(followers);
    // Whoever goes away gives the place back.
    timeout(Duration::from_secs(20), async {
        loop {
            let mut stream = follow(&house, "db", 10).await;
            let mut head = [0; 12];
            stream.read_exact(&mut head).await.unwrap();
            if &head == b"HTTP/1.1 200" {
                break;
            }
        }
    })
    .await
    .unwrap();
}
