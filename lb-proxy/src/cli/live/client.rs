//! A connection to a running `lb`: HTTP/1.1 over its socket or its address.
//!
//! One connection per request. The API is on this machine as a rule, and closes idle
//! connections after some seconds, so keeping one would save little and could fail.

use std::{io, time::Duration};

use bytes::Bytes;
use http::{HeaderValue, Method, Request, Response, StatusCode, header};
use http_body_util::{BodyExt as _, Full};
use hyper::{body::Incoming, client::conn::http1};
use hyper_util::rt::TokioIo;
use serde::{Serialize, de::DeserializeOwned};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpStream, UnixStream},
    time::timeout,
};

use super::{
    failure::Failure,
    place::{Place, Places, authorization},
    untrusted,
};
use crate::{admin::Problem, cli::exit::Exit};

/// How long it may take until somebody is reached.
const REACHED: Duration = Duration::from_secs(3);
/// How long an answer may take: the balancer itself answers a change within five seconds.
const ANSWERED: Duration = Duration::from_secs(20);

/// A running `lb` that can be asked.
#[derive(Debug)]
pub(in crate::cli) struct Client {
    place: Place,
    authorization: Option<HeaderValue>,
}

/// What it answered, in JSON.
#[derive(Debug, Clone)]
pub(super) struct Answer(String);

impl Answer {
    /// As it came.
    pub(super) fn as_text(&self) -> &str {
        self.0.trim_end()
    }

    pub(super) fn read<T: DeserializeOwned>(&self) -> Result<T, Failure> {
        untrusted::read(&self.0).map_err(|error| {
            Failure::new(Exit::Failed, format!("the answer makes no sense here: {error}"))
                .help("is that `lb` of another version?")
        })
    }
}

impl Client {
    /// Whoever is reached first.
    ///
    /// # Errors
    ///
    /// When nobody is: all places that were tried.
    pub(super) async fn find(places: &Places) -> Result<Self, Failure> {
        let authorization =
            authorization().map_err(|mistake| Failure::new(Exit::Usage, mistake))?;
        let mut tried = Vec::new();
        for place in &places.all {
            match reach(place).await {
                Ok(_) => return Ok(Self { place: place.clone(), authorization }),
                Err(error) => tried.push(format!("{place} ({})", plain(&error))),
            }
        }
        let text = match &*tried {
            [] => "no running lb is reachable: `LB_ADMIN` is `off`".to_owned(),
            tried => format!("no running lb is reachable; tried {}", tried.join(", ")),
        };
        Err(Failure::new(Exit::NotRunning, text)
            .help("is `lb run` running? `--admin` or `LB_ADMIN` says where it is"))
    }

    pub(super) fn place(&self) -> &Place {
        &self.place
    }

    pub(super) async fn get(&self, path: &str) -> Result<Answer, Failure> {
        self.ask(Method::GET, path, None).await
    }

    pub(super) async fn send(
        &self,
        method: Method,
        path: &str,
        body: &impl Serialize,
    ) -> Result<Answer, Failure> {
        // It is all texts and numbers: that cannot fail.
        let body = serde_json::to_vec(body).unwrap_or_default();
        self.ask(method, path, Some(body)).await
    }

    /// A POST that says all by its path.
    pub(super) async fn post(&self, path: &str) -> Result<Answer, Failure> {
        self.ask(Method::POST, path, None).await
    }

    /// An answer that goes on.
    pub(super) async fn follow(&self, path: &str) -> Result<Lines, Failure> {
        let mut request = self.request(Method::GET, path, None);
        let accept = HeaderValue::from_static("text/event-stream");
        request.headers_mut().insert(header::ACCEPT, accept);
        let response = self.exchange(request).await?;
        if response.status().is_success() {
            return Ok(Lines { body: response.into_body(), rest: Vec::new() });
        }
        Err(self.refusal(response).await)
    }

    async fn ask(
        &self,
        method: Method,
        path: &str,
        body: Option<Vec<u8>>,
    ) -> Result<Answer, Failure> {
        let response = self.exchange(self.request(method, path, body)).await?;
        if !response.status().is_success() {
            return Err(self.refusal(response).await);
        }
        let text = timeout(ANSWERED, whole(response)).await.map_err(|_| self.too_slow())?;
        text.map(|text| Answer(untrusted::raw(&text))).map_err(|error| self.gone(&error))
    }

    fn request(&self, method: Method, path: &str, body: Option<Vec<u8>>) -> Request<Full<Bytes>> {
        let has_body = body.is_some();
        let mut request = Request::new(Full::from(body.unwrap_or_default()));
        *request.method_mut() = method;
        // Paths are made here, of names that are encoded.
        *request.uri_mut() = path.parse().unwrap_or_default();
        let headers = request.headers_mut();
        if let Ok(host) = HeaderValue::from_str(self.place.host()) {
            headers.insert(header::HOST, host);
        }
        if let (Place::Address(_), Some(value)) = (&self.place, &self.authorization) {
            headers.insert(header::AUTHORIZATION, value.clone());
        }
        if has_body {
            let json = HeaderValue::from_static("application/json");
            headers.insert(header::CONTENT_TYPE, json);
        }
        request
    }

    async fn exchange(&self, request: Request<Full<Bytes>>) -> Result<Response<Incoming>, Failure> {
        let stream = reach(&self.place).await.map_err(|error| {
            let text = format!("the lb at {} is gone: {}", self.place, plain(&error));
            Failure::new(Exit::NotRunning, text).help("is `lb run` running?")
        })?;
        let exchange = async {
            let (mut send, connection) = http1::handshake(TokioIo::new(stream)).await?;
            // It ends with the answer.
            tokio::spawn(connection);
            send.send_request(request).await
        };
        let response = timeout(ANSWERED, exchange).await.map_err(|_| self.too_slow())?;
        response.map_err(|error| self.gone(&error))
    }

    /// What an answer says that is none.
    async fn refusal(&self, response: Response<Incoming>) -> Failure {
        let status = response.status();
        let text = timeout(ANSWERED, whole(response)).await;
        let text = text.ok().and_then(Result::ok).unwrap_or_default();
        match untrusted::read::<Problem>(&text) {
            Ok(problem) => problem.into(),
            Err(_) => self.stranger(status),
        }
    }

    fn stranger(&self, status: StatusCode) -> Failure {
        let text = format!("what answers at {} is no lb: it says {status}", self.place);
        Failure::new(Exit::NotRunning, text).help("`--admin` or `LB_ADMIN` says where it is")
    }

    fn too_slow(&self) -> Failure {
        let seconds = ANSWERED.as_secs();
        Failure::new(Exit::TimedOut, format!("no answer from {} in {seconds} s", self.place))
    }

    fn gone(&self, error: &hyper::Error) -> Failure {
        let text = format!("the lb at {} broke off: {error}", self.place);
        Failure::new(Exit::NotRunning, text).help("`lb status` says whether it runs")
    }
}

/// An answer that goes on, by lines.
#[derive(Debug)]
pub(super) struct Lines {
    body: Incoming,
    rest: Vec<u8>,
}

impl Lines {
    /// The next line without its end; `None` when there is no more. Cancel-safe.
    pub(super) async fn next(&mut self) -> Option<String> {
        loop {
            if let Some(end) = self.rest.iter().position(|byte| *byte == b'\n') {
                let line: Vec<u8> = self.rest.drain(..=end).collect();
                let line = String::from_utf8_lossy(&line[..end]);
                return Some(line.trim_end_matches('\r').to_owned());
            }
            let frame = self.body.frame().await?.ok()?;
            if let Ok(data) = frame.into_data() {
                self.rest.extend_from_slice(&data);
            }
        }
    }
}

async fn whole(response: Response<Incoming>) -> Result<String, hyper::Error> {
    let bytes = response.into_body().collect().await?.to_bytes();
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

trait Stream: AsyncRead + AsyncWrite + Unpin + Send {}

impl<S: AsyncRead + AsyncWrite + Unpin + Send> Stream for S {}

async fn reach(place: &Place) -> io::Result<Box<dyn Stream>> {
    let reached = timeout(REACHED, async {
        Ok(match place {
            Place::Socket(path) => Box::new(UnixStream::connect(path).await?) as Box<dyn Stream>,
            Place::Address(address) => {
                let host = address.host().trim_start_matches('[').trim_end_matches(']');
                let port = address.port_u16().unwrap_or_default();
                Box::new(TcpStream::connect((host, port)).await?)
            }
        })
    });
    reached.await.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))
}

/// Without the number of the error, which says nothing to most.
fn plain(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::NotFound => "not there".to_owned(),
        io::ErrorKind::ConnectionRefused => "nobody listens".to_owned(),
        io::ErrorKind::PermissionDenied => "no permission to open it".to_owned(),
        io::ErrorKind::TimedOut => "no answer".to_owned(),
        _ => error.to_string(),
    }
}

/// A name as one segment of a path, or a value in a query.
pub(super) fn encoded(text: &str) -> String {
    let encode = |byte: u8| match byte {
        b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => {
            char::from(byte).to_string()
        }
        byte => format!("%{byte:02X}"),
    };
    text.bytes().map(encode).collect()
}
