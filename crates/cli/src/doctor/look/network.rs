//! Ports, and who answers at an address.

use std::time::Duration;

use preview_orchestrator::router::NO_PREVIEW;
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::doctor::facts::{Answers, Look};
use crate::error::root;

/// How long anything out there may take.
const PATIENCE: Duration = Duration::from_secs(5);
/// Where no preview is.
const NOWHERE: &str = "/preview-doctor/pr-0/";

/// Whether somebody listens there.
pub(in crate::doctor) async fn is_open(host: &str, port: u16) -> Look<bool> {
    match timeout(PATIENCE, TcpStream::connect((host, port))).await {
        Ok(Ok(_)) => Ok(true),
        Ok(Err(error)) if error.kind() == std::io::ErrorKind::ConnectionRefused => Ok(false),
        // A firewall that drops says nothing.
        Err(_) => Ok(false),
        Ok(Err(error)) => Err(error.to_string()),
    }
}

/// Who answers where previews are: our own router says of an address without a preview that there is none.
pub(in crate::doctor) async fn answers_at(base: &str) -> Look<Answers> {
    preview_orchestrator::github::install_tls();
    let url = format!("{}{NOWHERE}", base.trim_end_matches('/'));
    let asked = async {
        let http = reqwest::Client::builder().timeout(PATIENCE).redirect(reqwest::redirect::Policy::none()).build()?;
        let answer = http.get(url).send().await?;
        let status = answer.status().as_u16();
        Ok::<_, reqwest::Error>((status, answer.text().await?))
    };
    let (status, text) = asked.await.map_err(|error| root(&error).to_string())?;
    Ok(if status == 404 && text.contains(NO_PREVIEW) { Answers::Us } else { Answers::Somebody(status) })
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;

    use super::*;

    async fn served(answer: String) -> String {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut head = [0; 1024];
            let _read = stream.read(&mut head).await.unwrap();
            stream.write_all(answer.as_bytes()).await.unwrap();
        });
        url
    }

    #[tokio::test]
    async fn our_own_answer_is_told_from_anybody_else_s() {
        let page = |status: &str, body: &str| {
            format!("HTTP/1.1 {status}\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{body}", body.len())
        };
        let ours = served(page("404 Not Found", "<h1>There is no preview here</h1>")).await;
        assert_eq!(answers_at(&ours).await, Ok(Answers::Us));
        let others = served(page("200 OK", "Welcome to nginx!")).await;
        assert_eq!(answers_at(&others).await, Ok(Answers::Somebody(200)));
        assert!(answers_at("http://127.0.0.1:9").await.is_err());
        assert_eq!(is_open("127.0.0.1", 9).await, Ok(false));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        assert_eq!(is_open("127.0.0.1", listener.local_addr().unwrap().port()).await, Ok(true));
    }
}
