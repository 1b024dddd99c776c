//! One connection to a demo backend, and when it ends.

use std::{convert::Infallible, pin::pin, rc::Rc, time::Duration};

use hyper::{server::conn::http1, service::service_fn};
use hyper_util::rt::TokioIo;
use lb_core::sample::mix;
use tokio::{net::TcpStream, sync::Notify};

use super::answer::Site;

/// Serves one connection until either side is done with it.
pub(super) async fn serve(stream: TcpStream, number: u64, site: Rc<Site>, close_idle: Option<u64>) {
    // An answer is one write; waiting for more would only delay it.
    let _ = stream.set_nodelay(true);
    let whim = close_idle.map(|seed| Whim::new(seed, number));
    let served = std::cell::Cell::new(0);
    let enough = Notify::new();
    let service = service_fn(|request| {
        served.set(served.get() + 1);
        if whim.as_ref().is_some_and(|whim| whim.requests == served.get()) {
            enough.notify_one();
        }
        let site = Rc::clone(&site);
        async move { Ok::<_, Infallible>(site.answer(request).await) }
    });
    let mut builder = http1::Builder::new();
    builder.header_read_timeout(None);
    let mut connection = pin!(builder.serve_connection(TokioIo::new(stream), service));
    // How a connection ends is its client's affair.
    tokio::select! {
        _ = connection.as_mut() => return,
        () = enough.notified() => {}
    }
    let idle = whim.as_ref().map_or(Duration::ZERO, |whim| whim.idle);
    tokio::select! {
        _ = connection.as_mut() => return,
        () = tokio::time::sleep(idle) => {}
    }
    // Closes an idle connection at once, without having announced it; a request
    // that is being answered right now is answered first.
    connection.as_mut().graceful_shutdown();
    let _ = connection.await;
}

/// After how many requests, and how much idleness, a connection is closed.
#[derive(Debug)]
struct Whim {
    requests: u64,
    idle: Duration,
}

impl Whim {
    fn new(seed: u64, connection: u64) -> Self {
        let random = mix(seed ^ mix(connection));
        // Half of them at once: that is the closest race with the next request.
        let idle = if random & 1 == 0 { 0 } else { (random >> 8) % 11 };
        Self { requests: 1 + (random >> 32) % 20, idle: Duration::from_millis(idle) }
    }
}
