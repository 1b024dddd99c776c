//! Asking the app how it is: a connection, and perhaps a request.

use std::{net::SocketAddr, pin::pin, time::Duration};

use bytes::Bytes;
use http::{Request, header};
use http_body_util::Empty;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use tokio::{
    net::TcpStream,
    time::{sleep, timeout},
};

/// Whom to ask, and what.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Question {
    /// Where it may be; one of them has to answer.
    pub(crate) at: Vec<SocketAddr>,
    /// What to ask for; `None`: whether it can be connected to.
    pub(crate) path: Option<Box<str>>,
}

impl Question {
    /// Whether the app is well: it can be connected to, and a request is answered with a
    /// status below 400.
    pub(super) async fn ask(&self) -> bool {
        for at in &self.at {
            if timeout(PATIENCE, self.ask_at(*at)).await.is_ok_and(|well| well == Some(true)) {
                return true;
            }
        }
        false
    }

    /// Waits until it is.
    pub(super) async fn wait(&self) {
        let mut pause = FIRST_PAUSE;
        while !self.ask().await {
            sleep(pause).await;
            pause = (pause * 3 / 2).min(LONGEST_PAUSE);
        }
    }

    async fn ask_at(&self, at: SocketAddr) -> Option<bool> {
        let stream = TcpStream::connect(at).await.ok()?;
        let Some(path) = &self.path else { return Some(true) };
        let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.ok()?;
        let request = Request::get(&**path)
            .header(header::HOST, at.to_string())
            .header(header::USER_AGENT, "lb-agent")
            .header(header::CONNECTION, "close")
            .body(Empty::<Bytes>::new())
            .ok()?;
        let mut answer = pin!(sender.send_request(request));
        let answer = tokio::select! {
            answer = &mut answer => answer,
            // It may have ended with the answer.
            _ = connection => answer.await,
        };
        answer.ok().map(|answer| answer.status().as_u16() < 400)
    }
}

const PATIENCE: Duration = Duration::from_secs(1);

const FIRST_PAUSE: Duration = Duration::from_millis(5);

const LONGEST_PAUSE: Duration = Duration::from_millis(100);

#[cfg(test)]
mod tests {
    use http::StatusCode;
    use lb_proxy::demo::DemoOptions;

    use super::*;

    async fn is_well(at: SocketAddr, path: Option<&str>) -> bool {
        Question { at: vec![([127, 0, 0, 1], 1).into(), at], path: path.map(Into::into) }
            .ask()
            .await
    }

    #[tokio::test]
    async fn an_app_is_well_if_it_connects_or_answers_with_less_than_400() {
        let backend = DemoOptions::named("a").start().unwrap();
        assert!(is_well(backend.address(), None).await);
        assert!(is_well(backend.address(), Some("/")).await);
        assert!(!is_well(backend.address(), Some("/status/500")).await);
        let status = StatusCode::NOT_FOUND;
        let missing = DemoOptions::named("b").status(status).start().unwrap();
        assert!(!is_well(missing.address(), Some("/")).await);
        let at = missing.address();
        missing.stop();
        assert!(!is_well(at, None).await);
    }
}
