//! One check: a connection, and for HTTP a request and its answer.
//!
//! A reason is a short phrase that ends a sentence: `connect: connection refused`,
//! `status 500`. It is read by people, in logs and status pages, so it never holds
//! what a backend sent.

use std::{io, net::SocketAddr, sync::Arc, time::Duration};

use bytes::{Bytes, BytesMut};
use http::{HeaderValue, Request, header};
use http_body::Body;
use http_body_util::{BodyExt, Empty};
use hyper::{body::Incoming, client::conn::http1};
use hyper_util::rt::TokioIo;
use lb_core::Tick;
use tokio::net::TcpStream;

use super::settings::{CheckKind, HealthCheck, HttpCheck};
use crate::runtime::clock::now;

/// How much of a body is looked at.
const BODY: usize = 4096;

/// How much of a body people are shown, and how long it may take to come.
const EXCERPT: usize = 256;
const EXCERPT_WITHIN: Duration = Duration::from_millis(100);

/// How a check ended: well, or why not.
pub(super) type Verdict = Result<(), Failed>;

/// Why a check has failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Failed {
    /// Nothing came that could be judged. A request that succeeds speaks against it.
    NoAnswer(Arc<str>),
    /// The backend itself says that it is not well.
    Answer(Arc<str>),
}

/// What a check has seen.
#[derive(Debug)]
pub(super) struct Seen {
    pub(super) verdict: Verdict,
    pub(super) status: Option<u16>,
    /// How the body begins, as people may read it.
    pub(super) excerpt: Option<String>,
    /// How long it was until the verdict.
    pub(super) took: Duration,
}

impl Seen {
    /// Of a check that was not even begun.
    pub(super) fn nothing(failed: Failed) -> Self {
        Self { verdict: Err(failed), status: None, excerpt: None, took: Duration::ZERO }
    }
}

/// What an answer has shown so far.
#[derive(Debug, Default)]
struct Answer {
    status: Option<u16>,
    body: BytesMut,
    verdict: Option<(Verdict, Tick)>,
}

/// Checks what is `at` one of these, within the time the check has. `address` is what
/// they are called. The body is looked at where the check has failed, and otherwise only
/// if it `is_asked_for`; the verdict does not wait for that.
pub(super) async fn check(
    check: &HealthCheck,
    address: &str,
    at: &[SocketAddr],
    is_asked_for: bool,
) -> Seen {
    let (began, mut answer) = (now(), Answer::default());
    let result = tokio::time::timeout(check.timeout, async {
        let stream = TcpStream::connect(at).await.map_err(|error| connect(&error))?;
        match &check.kind {
            CheckKind::Tcp => Ok(()),
            CheckKind::Http(check) => ask(check, stream, address, is_asked_for, &mut answer).await,
        }
    });
    let result = result.await.unwrap_or_else(|_| {
        Err(Failed::NoAnswer(format!("no answer within {:?}", check.timeout).into()))
    });
    let Answer { status, body, verdict } = answer;
    let (verdict, ended) = verdict.unwrap_or_else(|| (result, now()));
    let excerpt = (!body.is_empty()).then(|| readable(&body));
    Seen { verdict, status, excerpt, took: ended.since(began) }
}

/// What is done, for people to read.
pub(super) fn request_line(check: &HealthCheck, address: &str) -> String {
    match &check.kind {
        CheckKind::Tcp => format!("connect to {address}"),
        CheckKind::Http(check) => format!("{} http://{address}{}", check.method, check.path),
    }
}

/// The beginning of a body on one line, with nothing in it that a terminal would obey.
fn readable(body: &[u8]) -> String {
    let text = String::from_utf8_lossy(&body[..body.len().min(EXCERPT)]);
    let plain = |c: char| match c {
        c if c.is_whitespace() => ' ',
        c if c.is_control() => char::REPLACEMENT_CHARACTER,
        c => c,
    };
    text.trim().chars().map(plain).collect()
}

fn connect(error: &io::Error) -> Failed {
    let what = match error.kind() {
        io::ErrorKind::ConnectionRefused => "refused",
        io::ErrorKind::ConnectionReset => "reset",
        io::ErrorKind::HostUnreachable | io::ErrorKind::NetworkUnreachable => "unreachable",
        _ => return Failed::NoAnswer(format!("connect: {error}").into()),
    };
    Failed::NoAnswer(format!("connect: {what}").into())
}

async fn ask(
    check: &HttpCheck,
    stream: TcpStream,
    address: &str,
    is_asked_for: bool,
    answer: &mut Answer,
) -> Verdict {
    let no_answer =
        |error: hyper::Error| Failed::NoAnswer(format!("no HTTP answer: {error}").into());
    let (mut sender, connection) =
        http1::handshake(TokioIo::new(stream)).await.map_err(no_answer)?;
    let exchange = async {
        let response = sender.send_request(request(check, address)).await.map_err(no_answer)?;
        let status = response.status().as_u16();
        answer.status = Some(status);
        let mut body = response.into_body();
        let verdict = if !check.statuses.iter().any(|range| range.contains(&status)) {
            Err(Failed::Answer(format!("status {status}").into()))
        } else if let Some(wanted) = &check.body {
            look_for(wanted, &mut body, &mut answer.body).await
        } else {
            Ok(())
        };
        answer.verdict = Some((verdict.clone(), now()));
        if (verdict.is_err() || is_asked_for) && answer.body.is_empty() {
            // What does not come is not shown.
            let read = read_up_to(EXCERPT, &mut body, &mut answer.body);
            let _ = tokio::time::timeout(EXCERPT_WITHIN, read).await;
        }
        verdict
    };
    tokio::pin!(exchange);
    tokio::select! {
        biased;
        verdict = &mut exchange => verdict,
        // The connection may be over before the answer has been read whole.
        _ = connection => exchange.await,
    }
}

fn request(check: &HttpCheck, address: &str) -> Request<Empty<Bytes>> {
    let mut request = Request::new(Empty::new());
    *request.method_mut() = check.method.clone();
    *request.uri_mut() = check.path.clone().into();
    let headers = request.headers_mut();
    headers.insert(header::USER_AGENT, HeaderValue::from_static("lb-health-check"));
    headers.insert(header::CONNECTION, HeaderValue::from_static("close"));
    if let Ok(host) = HeaderValue::from_str(address) {
        headers.insert(header::HOST, host);
    }
    for (name, value) in &check.headers {
        headers.insert(name, value.clone());
    }
    request
}

async fn look_for(wanted: &str, body: &mut Incoming, seen: &mut BytesMut) -> Verdict {
    let read = read_up_to(BODY, body, seen).await;
    read.map_err(|_| Failed::Answer("the body broke off".into()))?;
    let found = seen.windows(wanted.len().max(1)).any(|part| part == wanted.as_bytes());
    let unexpected = || Failed::Answer("the body is not the expected one".into());
    if found || wanted.is_empty() { Ok(()) } else { Err(unexpected()) }
}

async fn read_up_to(
    most: usize,
    body: &mut Incoming,
    seen: &mut BytesMut,
) -> Result<(), hyper::Error> {
    while seen.len() < most && !body.is_end_stream() {
        let Some(frame) = body.frame().await else { break };
        if let Some(data) = frame?.data_ref() {
            seen.extend_from_slice(&data[..data.len().min(most - seen.len())]);
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use tokio::{
        io::{AsyncReadExt, AsyncWriteExt},
        net::TcpListener,
    };

    use super::*;

    fn get(path: &'static str) -> HttpCheck {
        HttpCheck::get(http::uri::PathAndQuery::from_static(path))
    }

    fn http(check: HttpCheck) -> HealthCheck {
        let timeout = Duration::from_secs(5);
        HealthCheck { kind: CheckKind::Http(check), timeout, ..HealthCheck::default() }
    }

    /// Takes one connection, answers with `answer`, and tells what it was asked.
    async fn backend(answer: &'static str) -> (SocketAddr, tokio::task::JoinHandle<String>) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let asked = tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut request = Vec::new();
            while !request.ends_with(b"\r\n\r\n") {
                request.push(stream.read_u8().await.unwrap());
            }
            stream.write_all(answer.as_bytes()).await.unwrap();
            String::from_utf8(request).unwrap()
        });
        (address, asked)
    }

    async fn check_at(settings: &HealthCheck, address: SocketAddr) -> Verdict {
        check(settings, &address.to_string(), &[address], false).await.verdict
    }

    fn no_answer(why: &str) -> Verdict {
        Err(Failed::NoAnswer(why.into()))
    }

    fn bad(why: &str) -> Verdict {
        Err(Failed::Answer(why.into()))
    }

    async fn verdict(check: HttpCheck, answer: &'static str) -> Verdict {
        let (address, _asked) = backend(answer).await;
        check_at(&http(check), address).await
    }

    #[tokio::test]
    async fn whoever_listens_passes_a_tcp_check_and_a_closed_port_is_refused() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let tcp = HealthCheck::default();
        assert_eq!(check_at(&tcp, address).await, Ok(()));
        drop(listener);
        assert_eq!(check_at(&tcp, address).await, no_answer("connect: refused"));
    }

    #[tokio::test]
    async fn the_status_decides() {
        let no_content = "HTTP/1.1 204 No Content\r\n\r\n";
        assert_eq!(verdict(get("/"), no_content).await, Ok(()));
        let exact = HttpCheck { statuses: vec![200..=200], ..get("/") };
        assert_eq!(verdict(exact, no_content).await, bad("status 204"));
        let error = "HTTP/1.1 500 Internal Server Error\r\ncontent-length: 0\r\n\r\n";
        assert_eq!(verdict(get("/"), error).await, bad("status 500"));
    }

    #[tokio::test]
    async fn the_body_decides_where_it_is_asked_for() {
        let ready = || HttpCheck { body: Some("ready".into()), ..get("/") };
        let says = "HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nall ready";
        assert_eq!(verdict(ready(), says).await, Ok(()));
        let not = "HTTP/1.1 200 OK\r\ncontent-length: 8\r\n\r\nstarting";
        let unexpected = bad("the body is not the expected one");
        assert_eq!(verdict(ready(), not).await, unexpected);
        let until_close = "HTTP/1.1 200 OK\r\nconnection: close\r\n\r\nis ready";
        assert_eq!(verdict(ready(), until_close).await, Ok(()));
    }

    #[tokio::test]
    async fn how_an_answer_begins_is_shown_where_it_failed_or_was_asked_for() {
        let bad = "HTTP/1.1 500 Oops\r\ncontent-length: 9\r\n\r\nno\r\n\x1bdisk";
        let good = "HTTP/1.1 200 OK\r\ncontent-length: 20\r\n\r\nfine";
        for (answer, is_asked_for, excerpt) in [
            (bad, false, Some("no  \u{fffd}disk")),
            (good, false, None),
            // It never comes whole; what is there is shown, and it has passed.
            (good, true, Some("fine")),
        ] {
            let (address, _asked) = backend(answer).await;
            let at = [address];
            let seen = check(&http(get("/")), &address.to_string(), &at, is_asked_for).await;
            assert_eq!(seen.excerpt.as_deref(), excerpt);
            assert_eq!(seen.status, Some(if answer == good { 200 } else { 500 }));
            assert_eq!(seen.verdict.is_ok(), answer == good);
        }
    }

    #[tokio::test]
    async fn something_else_than_http_fails() {
        let verdict = verdict(get("/"), "220 mail.example.org ESMTP\r\n").await;
        let Err(Failed::NoAnswer(why)) = verdict else { panic!("{verdict:?}") };
        assert!(why.starts_with("no HTTP answer: "), "{why}");
    }

    #[tokio::test]
    async fn the_request_says_what_it_was_told_to() {
        let (address, asked) = backend("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").await;
        let mut request = HttpCheck { method: http::Method::HEAD, ..get("/healthz?deep=1") };
        request.headers.insert(header::HOST, HeaderValue::from_static("www.example.org"));
        assert_eq!(check_at(&http(request), address).await, Ok(()));
        let asked = asked.await.unwrap().to_lowercase();
        assert!(asked.starts_with("head /healthz?deep=1 http/1.1\r\n"), "{asked}");
        assert!(asked.contains("\r\nhost: www.example.org\r\n"), "{asked}");
        assert!(asked.contains("\r\nuser-agent: lb-health-check\r\n"), "{asked}");
    }

    #[tokio::test(start_paused = true)]
    async fn silence_fails_when_its_time_is_over() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let silent = HealthCheck { timeout: Duration::from_secs(1), ..http(get("/")) };
        assert_eq!(check_at(&silent, address).await, no_answer("no answer within 1s"));
    }
}
